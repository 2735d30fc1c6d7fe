#include "worker/adapters/judge/frame_link.hpp"

#include <array>
#include <exception>
#include <limits>
#include <stdexcept>

#include "cambrian/frame.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian::worker {
namespace {

using cambrian::Channel;
using cambrian::FrameError;
using cambrian::Json;
using cambrian::JsonObject;
using cambrian::Message;

// A judge writes its small frames at once; one that stops in the middle is broken.
constexpr std::chrono::seconds kFrameTime(10);
// What a coordinator takes of one result; a report with more would never be accepted.
constexpr std::size_t kMetricsMax = 256;
constexpr std::size_t kMetricNameBytesMax = 256;
// A judge takes a checkpoint when it has been loaded itself.
constexpr std::chrono::seconds kBeginTime(60);
// More rungs than any campaign has.
constexpr std::int64_t kRungMax = 1000;
// No training is longer: a year.
constexpr double kUsedSecondsMax = 365.0 * 24 * 3600;
// Judges send the worker no tensors but those in shared memory and those of a checkpoint.
const ReceiveLimits kLimits{
    .json_bytes = kJsonBytesMax, .payload_bytes = kCheckpointBytesMax, .descriptors = true};

struct VerdictName {
  std::string_view name;
  Outcome outcome;
};
constexpr std::array<VerdictName, 5> kVerdicts = {{{"success", Outcome::success},
                                                   {"crash", Outcome::crash},
                                                   {"timeout", Outcome::timeout},
                                                   {"bad_output", Outcome::bad_output},
                                                   {"not_finite", Outcome::not_finite}}};

// The first 64 bits of a digest over the secret and what the seed is for.
std::uint64_t secret_seed(const EvaluationRequest& request, std::string_view use,
                          const std::string& value) {
  KeyDigest digest;
  digest.add("secret", request.judge_secret);
  digest.add(use, value);
  return std::stoull(digest.finish_hex().substr(0, 16), nullptr, 16);
}

// With the plain seed a candidate could draw the judge's data itself: campaigns have small seeds.
std::uint64_t judge_seed(const EvaluationRequest& request) {
  if (request.judge_secret.empty()) return request.seed;
  return secret_seed(request, "evaluation", std::to_string(request.seed));
}

std::uint64_t task_seed(const EvaluationRequest& request) {
  if (request.judge_secret.empty()) return 0;
  return secret_seed(request, "task", request.task->manifest.name);
}

Message begin_message(const EvaluationRequest& request) {
  const Limits& limits = request.task->manifest.limits;
  JsonObject parameters;
  for (const auto& [name, value] : request.parameters) parameters.emplace(name, value);
  JsonObject members;
  members.emplace("seed", std::to_string(judge_seed(request)));
  members.emplace("task_seed", std::to_string(task_seed(request)));
  members.emplace("split", to_string(request.split));
  members.emplace("parameters", std::move(parameters));
  members.emplace("threads", limits.cpus);
  members.emplace("device", request.gpus.empty() ? "cpu" : "cuda:0");
  members.emplace("run_seconds", static_cast<double>(limits.run_time.count()) / 1000.0);
  if (!request.rungs.empty()) {
    members.emplace("rungs", cambrian::JsonArray(request.rungs.begin(), request.rungs.end()));
  }
  return Message("begin", std::move(members));
}

// What the judge that began the training sent goes to this one: its members as one, its tensors.
Status add_checkpoint(const Checkpoint& checkpoint, Message& begin) {
  try {
    Message saved = cambrian::from_bytes(checkpoint.frame);
    begin.members.emplace("checkpoint", std::move(saved.members));
    begin.tensors = std::move(saved.tensors);
    return {};
  } catch (const FrameError& error) {
    return fail(Errc::invalid_argument, std::string("not a checkpoint: ") + error.what());
  }
}

std::string text_member(const Message& message, const char* name) {
  const auto found = message.members.find(name);
  if (found == message.members.end()) return "";
  const std::string* text = found->second.text();
  return text != nullptr ? *text : "";
}

Result<std::map<std::string, double>> to_metrics(const Message& message) {
  std::map<std::string, double> metrics;
  const auto found = message.members.find("metrics");
  const JsonObject* object = found == message.members.end() ? nullptr : found->second.object();
  if (object == nullptr) return metrics;
  if (object->size() > kMetricsMax) {
    return fail(Errc::internal,
                "the judge gave too many metrics: metrics=" + std::to_string(object->size()) +
                    " metrics_max=" + std::to_string(kMetricsMax));
  }
  for (const auto& [name, value] : *object) {
    if (name.empty() || name.size() > kMetricNameBytesMax) {
      return fail(Errc::internal, "the judge gave a metric whose name has not 1 to " +
                                      std::to_string(kMetricNameBytesMax) +
                                      " bytes: bytes=" + std::to_string(name.size()));
    }
    // JSON has no NaN: what is not a number becomes one and is refused later, by its name.
    metrics[name] = value.number().value_or(std::numeric_limits<double>::quiet_NaN());
  }
  return metrics;
}

// Judges may write any text that is equal for candidates that behave alike; beyond the worker it is
// a SHA-256.
std::string to_digest(std::string text) {
  return text.empty() || is_sha256_hex(text) ? text : sha256_hex(text);
}

Result<Verdict> to_verdict(const Message& message) {
  const std::string name = text_member(message, "outcome");
  for (const VerdictName& known : kVerdicts) {
    if (known.name != name) continue;
    Verdict verdict{known.outcome,
                    {},
                    text_member(message, "diagnostics"),
                    to_digest(text_member(message, "behaviour_digest"))};
    CAMBRIAN_TRY(verdict.metrics, to_metrics(message));
    return verdict;
  }
  return fail(Errc::internal, "the judge gave an unknown outcome: outcome=" + name);
}

JudgeEvent to_event(const Message& message) {
  JudgeEvent event{text_member(message, "name")};
  const auto member = [&message](const char* name) {
    const auto found = message.members.find(name);
    return found == message.members.end() ? Json() : found->second;
  };
  // For people: what is no fraction, step or loss tells them nothing.
  const auto fraction = member("fraction").number();
  if (fraction && *fraction >= 0 && *fraction <= 1) event.training.fraction = fraction;
  const auto step = member("step").integer();
  if (step && *step >= 0) event.training.step = step;
  event.training.loss = member("loss").number();
  const auto rung = member("rung").integer();
  const auto value = member("value").number();
  if (event.name == "rung" && rung && value && *rung >= 0 && *rung <= kRungMax) {
    event.training.rungs.push_back({.rung = static_cast<int>(*rung), .value = *value});
  }
  const auto used = member("used_seconds").number();
  if (event.name == "resumed" && used && *used >= 0 && *used <= kUsedSecondsMax) {
    event.used_before = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*used));
  }
  return event;
}

Status read_message(const Message& message, std::optional<JudgeMessage>& read) {
  if (message.type == "checkpoint") {
    read.emplace(SavedTraining{message.tensors.empty() ? "" : cambrian::to_bytes(message)});
  } else if (!message.tensors.empty()) {
    return fail(Errc::internal, "the judge sent tensors: type=" + message.type);
  } else if (message.type == "start_candidate") {
    read.emplace(StartCandidate{});
  } else if (message.type == "end_candidate") {
    read.emplace(EndCandidate{});
  } else if (message.type == "event") {
    read.emplace(to_event(message));
  } else if (message.type == "result") {
    CAMBRIAN_TRY(Verdict verdict, to_verdict(message));
    read.emplace(std::move(verdict));
  } else {
    return fail(Errc::internal, "the judge sent an unknown message: type=" + message.type);
  }
  return {};
}

class FrameLink final : public JudgeLink {
 public:
  FrameLink(cambrian::Descriptor socket, std::shared_ptr<KeptTensors> kept)
      : channel_(std::move(socket)), kept_(std::move(kept)) {}

  Status begin(const EvaluationRequest& request) override {
    task_ = request.task->digest;
    Message message = begin_message(request);
    if (request.checkpoint) CAMBRIAN_TRY_STATUS(add_checkpoint(*request.checkpoint, message));
    return send(message, kBeginTime);
  }

  Result<std::optional<JudgeMessage>> receive(std::chrono::milliseconds longest) override {
    if (!channel_.wait_readable(longest)) return std::nullopt;
    try {
      Message message = channel_.receive(std::chrono::steady_clock::now() + kFrameTime, kLimits);
      std::optional<JudgeMessage> read;
      if (message.type == "find_kept") {
        CAMBRIAN_TRY_STATUS(send_kept(text_member(message, "key")));
        return read;
      }
      if (message.type == "keep") {
        kept_->keep(scoped(text_member(message, "key")), std::move(message.tensors));
        return read;
      }
      CAMBRIAN_TRY_STATUS(read_message(message, read));
      return read;
    } catch (const FrameError& error) {
      const bool is_gone = error.kind() == FrameError::Kind::closed;
      return fail(is_gone ? Errc::unavailable : Errc::internal, error.what());
    } catch (const std::invalid_argument& error) {
      return fail(Errc::internal, error.what());  // A checkpoint in shared memory.
    }
  }

  Status send_started(Descriptor socket) override {
    Message message("started");
    message.descriptors.emplace_back(socket.release());
    return send(message, kFrameTime);
  }

  Status ask_to_save() override { return send(Message("save"), kFrameTime); }

 private:
  // Nobody but a judge of the same task gets it: there are labels in it.
  std::string scoped(const std::string& key) const { return task_ + "\n" + key; }

  Status send_kept(const std::string& key) {
    Message answer("kept");
    answer.tensors = kept_->find(scoped(key));
    return send(answer, kFrameTime);
  }

  Status send(const Message& message, std::chrono::seconds time_max) {
    try {
      channel_.send(message, std::chrono::steady_clock::now() + time_max);
      return {};
    } catch (const std::exception& error) {
      return fail(Errc::unavailable, std::string("the judge does not listen: ") + error.what());
    }
  }

  Channel channel_;
  std::shared_ptr<KeptTensors> kept_;  // Shared with the other links of the worker.
  std::string task_;
};

Result<std::pair<cambrian::Descriptor, cambrian::Descriptor>> make_sockets() {
  try {
    return cambrian::make_socket_pair();
  } catch (const std::exception& error) {
    return fail(Errc::unavailable, std::string("no socket pair: ") + error.what());
  }
}

}  // namespace

Result<std::pair<std::unique_ptr<JudgeLink>, Descriptor>> FrameLinks::make_link() {
  CAMBRIAN_TRY(auto sockets, make_sockets());
  return std::pair<std::unique_ptr<JudgeLink>, Descriptor>(
      std::make_unique<FrameLink>(std::move(sockets.first), kept_),
      Descriptor(sockets.second.release()));
}

Result<std::pair<Descriptor, Descriptor>> FrameLinks::make_candidate_socket() {
  CAMBRIAN_TRY(auto sockets, make_sockets());
  return std::pair(Descriptor(sockets.first.release()), Descriptor(sockets.second.release()));
}

}  // namespace cambrian::worker
