#include "cambrian/judge.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace cambrian {
namespace {

using Kind = FrameError::Kind;

// A process that loads LibTorch needs about a second; a loaded machine many of them.
constexpr Seconds kStartTimeMax{60};
// The worker starts processes and reads results beside other work.
constexpr Seconds kWorkerTimeMax{120};
// For a candidate's last words after its stream broke.
constexpr Seconds kLastWordsTimeMax{1};
// For a candidate to take up a checkpoint: one that does not is replaced while time is left.
constexpr Seconds kResumeTimeMax{20};
constexpr std::chrono::milliseconds kProgressInterval{500};
// What of a candidate's text gets into diagnostics.
constexpr std::size_t kDiagnosticsBytesMax = 4096;
constexpr std::size_t kTypeBytesMax = 64;
// What the names of a state may take beside its numbers before they count as numbers, too: these
// bytes and a part of the numbers' own. Every honest module stays below.
constexpr std::size_t kFreeNameBytes = 64;
constexpr std::size_t kFreeNamePart = 8;
// A scalar as models have them: float32.
constexpr std::size_t kScalarBytes = 4;
// Of the time that a training may be late, what answering at rungs may use up.
constexpr double kRungTimeShare = 0.5;
constexpr std::size_t kRungsMax = 16;

Deadline after(Seconds time) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
}

std::string shortened(const std::string& text, std::size_t bytes_max) {
  return text.size() <= bytes_max ? text : text.substr(0, bytes_max) + "...";
}

// What the end of the conversation says about the candidate.
[[noreturn]] void blame(const FrameError& error, std::string_view waiting_for) {
  const std::string wanted = " waiting_for=" + std::string(waiting_for);
  switch (error.kind()) {
    case Kind::closed: throw Failure(Outcome::crash, "candidate ended:" + wanted);
    case Kind::timeout: throw Failure(Outcome::timeout, "candidate is silent:" + wanted);
    case Kind::malformed: throw Failure(Outcome::bad_output, error.what() + wanted);
    case Kind::system: break;
  }
  throw error;
}

void check_tensor(const Tensor& tensor, const TensorSpec& spec) {
  if (tensor.dtype() != spec.dtype || tensor.shape() != spec.shape) {
    throw Failure(Outcome::bad_output,
                  "tensor " + spec.name + " is " + std::string(to_string(tensor.dtype())) +
                      to_text(tensor.shape()) + ", expected " + std::string(to_string(spec.dtype)) +
                      to_text(spec.shape));
  }
  if (spec.finite && !is_finite(tensor)) {
    throw Failure(Outcome::not_finite, "tensor " + spec.name + " holds NaN or an infinity");
  }
}

void check_tensors(const Message& message, const std::vector<TensorSpec>& specs) {
  for (const TensorSpec& spec : specs) {
    const Tensor* tensor = message.find_tensor(spec.name);
    if (tensor == nullptr) throw Failure(Outcome::bad_output, "no tensor " + spec.name);
    check_tensor(*tensor, spec);
  }
  if (message.tensors.size() != specs.size()) {
    throw Failure(Outcome::bad_output,
                  "surplus tensors: got=" + std::to_string(message.tensors.size()) +
                      " expected=" + std::to_string(specs.size()));
  }
}

// Largest payload in which these tensors fit, with padding between them.
std::size_t payload_bytes_of(const std::vector<TensorSpec>& specs) {
  std::size_t bytes = 0;
  for (const TensorSpec& spec : specs) {
    bytes += element_count(spec.shape) * size_of(spec.dtype) + kPayloadAlignment;
  }
  return bytes;
}

// The size of a state as the number of float32 that would take as many bytes: an element of another
// type may hold more or less. Names and shapes get to the next process, too, so that names count
// above what honest ones take, and a tensor counts as one number at least.
std::int64_t count_stored(const std::vector<Tensor>& state) {
  std::size_t bytes = 0;
  std::size_t name_bytes = 0;
  for (const Tensor& tensor : state) {
    if (tensor.size() == 0) {
      throw Failure(Outcome::bad_output, "tensor of the state without elements: " + tensor.name());
    }
    bytes += std::max(tensor.bytes().size(), kScalarBytes);
    name_bytes += tensor.name().size();
  }
  const std::size_t free_bytes = kFreeNameBytes + bytes / kFreeNamePart;
  if (name_bytes > free_bytes) bytes += name_bytes - free_bytes;
  return static_cast<std::int64_t>((bytes + kScalarBytes - 1) / kScalarBytes);
}

std::uint64_t read_seed(const Message& begin, const char* name) {
  const std::string& text = begin.text(name);
  std::uint64_t seed = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (parsed.ec != std::errc()) throw FrameError(Kind::malformed, "begin with a bad seed");
  return seed;
}

std::vector<double> read_rungs(const Message& begin) {
  std::vector<double> rungs;
  const auto found = begin.members.find("rungs");
  if (found == begin.members.end()) return rungs;
  const JsonArray* shares = found->second.array();
  if (shares == nullptr || shares->size() > kRungsMax) {
    throw FrameError(Kind::malformed, "begin with bad rungs");
  }
  for (const Json& share : *shares) {
    const double value = share.number().value_or(0);
    if (value <= (rungs.empty() ? 0 : rungs.back()) || value >= 1) {
      throw FrameError(Kind::malformed, "begin with a bad rung");
    }
    rungs.push_back(value);
  }
  return rungs;
}

Evaluation read_begin(const Message& begin) {
  if (begin.type != "begin") throw FrameError(Kind::malformed, "expected begin: " + begin.type);
  Evaluation evaluation;
  evaluation.seed = read_seed(begin, "seed");
  if (begin.members.contains("task_seed")) evaluation.task_seed = read_seed(begin, "task_seed");
  const std::string& split = begin.text("split");
  if (split != "validation" && split != "sealed") {
    throw FrameError(Kind::malformed, "begin with an unknown split: " + split);
  }
  evaluation.split = split == "sealed" ? Split::sealed : Split::validation;
  evaluation.threads = static_cast<int>(begin.integer("threads"));
  evaluation.device = begin.text("device");
  evaluation.run_time = Seconds(begin.number("run_seconds"));
  evaluation.rungs = read_rungs(begin);
  const auto parameters = begin.members.find("parameters");
  if (parameters != begin.members.end() && parameters->second.object() != nullptr) {
    for (const auto& [name, value] : *parameters->second.object()) {
      const auto number = value.number();
      if (!number) throw FrameError(Kind::malformed, "begin with a bad parameter: " + name);
      evaluation.parameters[name] = *number;
    }
  }
  return evaluation;
}

// What a candidate gets of the checkpoint that came with `begin`; nothing where there was none.
std::optional<Message> read_checkpoint(Message& begin) {
  const auto checkpoint = begin.members.find("checkpoint");
  if (checkpoint == begin.members.end()) return std::nullopt;
  if (checkpoint->second.object() == nullptr) {
    throw FrameError(Kind::malformed, "begin with a bad checkpoint");
  }
  Message saved("resume", *checkpoint->second.object());
  if (saved.number("used_seconds") < 0 || saved.integer("steps") < 0) {
    throw FrameError(Kind::malformed, "begin with a bad checkpoint");
  }
  saved.tensors = std::move(begin.tensors);
  return saved;
}

std::filesystem::path below(const char* variable, const char* otherwise, std::string_view name) {
  const char* folder = std::getenv(variable);
  return std::filesystem::path(folder == nullptr ? otherwise : folder) / name;
}

// A candidate that knew the evaluation's seed could draw the judge's instances itself. So it gets
// another one that follows from it and does not lead back. The Python SDK does the same.
std::string candidate_seed(std::uint64_t seed) {
  BehaviourDigest digest;
  const std::string text = "cambrian candidate " + std::to_string(seed);
  digest.add(std::span<const char>(text));
  std::uint64_t derived = 0;
  const std::string hex = digest.finish_hex().substr(0, 16);
  std::from_chars(hex.data(), hex.data() + hex.size(), derived, 16);
  return std::to_string(derived);
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return "success";
    case Outcome::crash: return "crash";
    case Outcome::timeout: return "timeout";
    case Outcome::bad_output: return "bad_output";
    case Outcome::not_finite: return "not_finite";
  }
  return "crash";
}

Session::Session(Channel worker) : worker_(std::move(worker)) {
  Message begin = worker_.receive(after(kWorkerTimeMax), {.descriptors = true});
  evaluation_ = read_begin(begin);
  saved_ = read_checkpoint(begin);
  deadline_ = after(evaluation_.run_time);
}

double Session::parameter(std::string_view name, double otherwise, double minimum,
                          double maximum) const {
  const auto found = evaluation_.parameters.find(name);
  const double value = found == evaluation_.parameters.end() ? otherwise : found->second;
  if (value >= minimum && value <= maximum) return value;
  throw std::invalid_argument("parameter out of range: " + std::string(name) + "=" +
                              std::to_string(value) + " minimum=" + std::to_string(minimum) +
                              " maximum=" + std::to_string(maximum));
}

std::int64_t Session::integer_parameter(std::string_view name, std::int64_t otherwise,
                                        std::int64_t minimum, std::int64_t maximum) const {
  return std::llround(parameter(name, static_cast<double>(otherwise), static_cast<double>(minimum),
                                static_cast<double>(maximum)));
}

std::filesystem::path Session::task_file(std::string_view name) const {
  return below("CAMBRIAN_TASK_DIR", "/task", name);
}

std::filesystem::path Session::data_path(std::string_view name) const {
  return below("CAMBRIAN_DATA_DIR", "/data", name);
}

Deadline Session::deadline_within(Seconds time_max) const {
  return std::min(after(time_max), deadline_);
}

void Session::send_to_worker(const Message& message) {
  worker_.send(message, after(kWorkerTimeMax));
}

void Session::send_event(std::string_view name, JsonObject members) {
  Message event("event", std::move(members));
  event.members["name"] = name;
  send_to_worker(event);
}

std::vector<Tensor> Session::keep(std::string_view key,
                                  const std::function<std::vector<Tensor>()>& make) {
  JsonObject members;
  members["key"] = key;
  send_to_worker(Message("find_kept", members));
  Message kept = worker_.receive(after(kWorkerTimeMax), {.descriptors = true});
  if (kept.type != "kept") throw FrameError(Kind::malformed, "expected kept: " + kept.type);
  if (!kept.tensors.empty()) return std::move(kept.tensors);
  Message made("keep", std::move(members));
  made.tensors = make();
  send_to_worker(made);
  return std::move(made.tensors);
}

RemoteCandidate Session::start_candidate(std::string_view phase) {
  send_to_worker(Message("start_candidate"));
  Message started = worker_.receive(after(kWorkerTimeMax), {.descriptors = true});
  if (started.type != "started" || started.descriptors.size() != 1) {
    throw FrameError(Kind::malformed, "expected started with one descriptor: " + started.type);
  }
  RemoteCandidate candidate(*this, Channel(std::move(started.descriptors.front())));

  Message hello("hello");
  hello.members["protocol"] = 1;
  hello.members["phase"] = phase;
  hello.members["seed"] = candidate_seed(evaluation_.seed);
  hello.members["threads"] = evaluation_.threads;
  hello.members["device"] = evaluation_.device;
  JsonObject parameters;
  for (const auto& [name, value] : evaluation_.parameters) parameters[name] = value;
  hello.members["parameters"] = std::move(parameters);
  const Deadline deadline = deadline_within(kStartTimeMax);
  candidate.send(hello, deadline);
  candidate.receive("ready", deadline, {.payload_bytes = 0});
  send_event("ready");
  return candidate;
}

void Session::end_candidate() { send_to_worker(Message("end_candidate")); }

void Session::finish(const Verdict& verdict) {
  JsonObject metrics;
  for (const auto& [name, value] : verdict.metrics) {
    if (!std::isfinite(value)) {
      return finish(Failure(Outcome::not_finite, "metric is not finite: " + name));
    }
    metrics[name] = value;
  }
  Message result("result");
  result.members["outcome"] = to_string(Outcome::success);
  result.members["metrics"] = std::move(metrics);
  result.members["diagnostics"] = shortened(verdict.diagnostics, kDiagnosticsBytesMax);
  result.members["behaviour_digest"] = verdict.behaviour_digest;
  send_to_worker(result);
}

void Session::finish(const Failure& failure) {
  Message result("result");
  result.members["outcome"] = to_string(failure.outcome());
  result.members["metrics"] = JsonObject();
  result.members["diagnostics"] = shortened(failure.what(), kDiagnosticsBytesMax);
  result.members["behaviour_digest"] = "";
  send_to_worker(result);
}

void RemoteCandidate::send(const Message& message, Deadline deadline) {
  try {
    channel_.send(message, deadline);
  } catch (const FrameError& error) {
    // What it said before it went says more than that it went.
    if (error.kind() == Kind::closed) receive("bye", after(kLastWordsTimeMax), {});
    blame(error, message.type + " to be read");
  }
}

Message RemoteCandidate::receive(std::string_view type, Deadline deadline,
                                 const ReceiveLimits& limits) {
  for (;;) {
    Message message;
    if (type == "trained") wait_in_training(deadline);
    try {
      message = channel_.receive(deadline, limits);
    } catch (const FrameError& error) {
      blame(error, type);
    }
    if (type == "trained" && is_about_saving(message)) continue;
    if (message.type == type) return message;
    if (message.type == "progress" && type == "trained") {
      report_progress(message);
      continue;
    }
    if (message.type == "rung" && type == "trained" && run_.probe != nullptr) {
      report_rung(message);
      continue;
    }
    if (message.type == "error") {
      const auto text = message.members.find("message");
      const bool has_text = text != message.members.end() && text->second.text() != nullptr;
      throw Failure(Outcome::crash, has_text ? shortened(*text->second.text(), kDiagnosticsBytesMax)
                                             : "candidate reported an error");
    }
    throw Failure(Outcome::bad_output,
                  "unexpected message: type=" + shortened(message.type, kTypeBytesMax) +
                      " expected=" + std::string(type));
  }
}

void RemoteCandidate::report_progress(const Message& progress) {
  const auto step = progress.members.find("step");
  if (step == progress.members.end() || step->second.integer().value_or(-1) < 0) {
    throw Failure(Outcome::bad_output, "progress without a step");
  }
  const auto resumable = progress.members.find("resumable");
  run_.is_resumable =
      resumable != progress.members.end() && resumable->second.boolean().value_or(false);
  if (!has_stepped_) session_->send_event("first_step");
  has_stepped_ = true;
  if (Clock::now() < report_next_) return;
  report_next_ = Clock::now() + kProgressInterval;
  JsonObject members;
  members["step"] = *step->second.integer();
  const auto loss = progress.members.find("loss");
  if (loss != progress.members.end() && loss->second.number()) {
    members["loss"] = *loss->second.number();
  }
  session_->send_event("progress", std::move(members));
}

// The candidate has something to say, or the time is up. Meanwhile the worker may ask.
void RemoteCandidate::wait_in_training(Deadline deadline) {
  for (;;) {
    const Seconds resumption = kResumeTimeMax - (Clock::now() - run_.start);
    const Deadline until =
        run_.awaits_resumption ? std::min(deadline, after(resumption)) : deadline;
    try {
      if (wait_for_first(channel_, session_->worker_, until)) return;
    } catch (const FrameError& error) {
      blame(error, run_.awaits_resumption ? "resumed" : "trained");
    }
    const Message asked = session_->worker_.receive(after(kWorkerTimeMax));
    if (asked.type != "save") throw FrameError(Kind::malformed, "expected save: " + asked.type);
    ask_to_save();
  }
}

// True for messages that say how the training began or hand it on; others are as ever.
bool RemoteCandidate::is_about_saving(const Message& message) {
  if (run_.awaits_resumption && message.type != "error") {
    if (message.type != "resumed") {
      throw Failure(Outcome::bad_output, "the checkpoint was not taken up");
    }
    run_.awaits_resumption = false;
    JsonObject members;
    members["used_seconds"] = run_.used_before.count();
    session_->send_event("resumed", std::move(members));
    return true;
  }
  if (!run_.is_saving) return false;
  if (message.type != "checkpoint" && message.type != "trained") return false;
  run_.is_saving = false;
  if (message.type == "checkpoint") {
    hand_on(message);
    return true;
  }
  hand_on(Message("checkpoint"));
  return false;
}

void RemoteCandidate::ask_to_save() {
  if (run_.is_saving) return;
  // Who did not say that it listens would let the worker wait for nothing.
  if (!run_.is_resumable) return hand_on(Message("checkpoint"));
  run_.is_saving = true;
  send(Message("save"), after(kLastWordsTimeMax));
}

// What is no good checkpoint goes on without tensors: there is none.
void RemoteCandidate::hand_on(const Message& checkpoint) {
  Message handed("checkpoint");
  const auto steps = checkpoint.members.find("steps");
  const std::int64_t count =
      steps == checkpoint.members.end() ? -1 : steps->second.integer().value_or(-1);
  std::size_t bytes = 0;
  for (const Tensor& tensor : checkpoint.tensors) bytes += tensor.bytes().size();
  // Its own word, which is worth no more than what every training has after its budget.
  const auto rungs = checkpoint.members.find("rung_seconds");
  const double rung_seconds =
      rungs == checkpoint.members.end() ? 0 : rungs->second.number().value_or(0);
  handed.members["steps"] = count;
  handed.members["used_seconds"] = run_.used().count();
  handed.members["rung_seconds"] = std::clamp(rung_seconds, 0.0, run_.rung_time.count());
  if (count >= 0 && bytes <= kCheckpointBytesMax) handed.tensors = checkpoint.tensors;
  session_->send_to_worker(handed);
}

void RemoteCandidate::report_rung(const Message& answer) {
  const std::vector<double>& rungs = session_->evaluation().rungs;
  const auto member = answer.members.find("rung");
  const std::int64_t number =
      member == answer.members.end() ? -1 : member->second.integer().value_or(-1);
  const auto rung = static_cast<std::size_t>(number);
  if (number < 0 || rung >= rungs.size() || rung < run_.rung_next) {
    throw Failure(Outcome::bad_output, "rung out of turn: rung=" + std::to_string(number));
  }
  run_.rung_next = rung + 1;
  TensorSpec spec = run_.probe->outputs;
  // A model that has no numbers yet may still find some: it is the worst at this rung, no failure.
  spec.finite = false;
  check_tensors(answer, {spec});
  // Who answers when half of what a stop could save is gone is compared with nobody: its model is
  // not of this rung.
  if (run_.used() > run_.budget * ((1 + rungs[rung]) / 2)) return;
  JsonObject members;
  members["rung"] = number;
  const Tensor& outputs = answer.tensors.front();
  members["value"] = is_finite(outputs) ? run_.probe->score(outputs) : run_.probe->worst;
  session_->send_event("rung", std::move(members));
}

Trained RemoteCandidate::train(std::vector<Tensor> data, const TrainLimits& limits,
                               const Probe* probe) {
  if (const auto saved = std::exchange(session_->saved_, std::nullopt)) {
    try {
      return run_training(data, limits, probe, &*saved);
    } catch (const Failure&) {
      // Once it has taken the checkpoint up, what it does is its own fault.
      if (!run_.awaits_resumption) throw;
    }
    session_->send_event("not_resumed");
    *this = session_->start_candidate("train");
  }
  return run_training(std::move(data), limits, probe, nullptr);
}

void RemoteCandidate::add_probe(const Probe& probe, const TrainLimits& limits, Message& train) {
  const std::vector<double>& rungs = session_->evaluation().rungs;
  if (rungs.empty()) return;
  run_.probe = &probe;
  run_.rung_time = kRungTimeShare * limits.grace;
  const Tensor& inputs = probe.inputs;
  train.tensors.emplace_back("probe", inputs.dtype(), inputs.shape(), inputs.storage(),
                             inputs.offset());
  train.members["rungs"] = JsonArray(rungs.begin(), rungs.end());
  train.members["rung_seconds"] = run_.rung_time.count();
}

Trained RemoteCandidate::run_training(std::vector<Tensor> data, const TrainLimits& limits,
                                      const Probe* probe, const Message* saved) {
  Message message("train");
  message.members["budget_seconds"] = limits.budget.count();
  message.tensors = std::move(data);
  run_ = {.start = Clock::now(), .budget = limits.budget, .awaits_resumption = saved != nullptr};
  if (saved != nullptr) run_.used_before = Seconds(saved->number("used_seconds"));
  if (probe != nullptr) add_probe(*probe, limits, message);
  const Seconds left = std::max(Seconds(0), limits.budget - run_.used_before);
  const Deadline deadline = session_->deadline_within(left + limits.grace);
  if (saved != nullptr) send(*saved, deadline);
  send(message, deadline);
  Message answer = receive("trained", deadline, {.payload_bytes = limits.state_bytes_max});

  Trained trained;
  trained.duration = run_.used();
  const auto steps = answer.members.find("steps");
  if (steps == answer.members.end() || steps->second.integer().value_or(-1) < 0) {
    throw Failure(Outcome::bad_output, "trained without steps");
  }
  trained.steps = *steps->second.integer();
  trained.stored_scalars = count_stored(answer.tensors);
  trained.state = std::move(answer.tensors);
  session_->send_event("trained");
  return trained;
}

void RemoteCandidate::load(const std::vector<Tensor>& state, Seconds time_max) {
  Message message("load");
  message.tensors = state;
  const Deadline deadline = session_->deadline_within(time_max);
  send(message, deadline);
  receive("ready", deadline, {.payload_bytes = 0});
}

Tensor RemoteCandidate::predict(std::vector<Tensor> inputs, TensorSpec outputs, Seconds time_max) {
  outputs.name = "outputs";
  Message message("predict");
  message.tensors = std::move(inputs);
  const Deadline deadline = session_->deadline_within(time_max);
  send(message, deadline);
  const std::vector<TensorSpec> specs = {std::move(outputs)};
  Message answer = receive("prediction", deadline, {.payload_bytes = payload_bytes_of(specs)});
  check_tensors(answer, specs);
  return std::move(answer.tensors.front());
}

Message RemoteCandidate::ask(Message question, const std::vector<TensorSpec>& tensors,
                             Seconds time_max) {
  question.type = "ask";
  const Deadline deadline = session_->deadline_within(time_max);
  send(question, deadline);
  Message answer = receive("answer", deadline, {.payload_bytes = payload_bytes_of(tensors)});
  check_tensors(answer, tensors);
  return answer;
}

void RemoteCandidate::finish() {
  try {
    channel_.send(Message("bye"), after(kLastWordsTimeMax));
  } catch (const FrameError&) {
    // It is gone already, and everything it had to say has been said.
  }
  channel_.close();
}

Mean mean_of(std::span<const double> values) {
  Mean mean;
  if (values.empty()) return mean;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) mean.value += value / count;
  if (values.size() < 2) return mean;
  double squares = 0;
  for (const double value : values) squares += (value - mean.value) * (value - mean.value);
  mean.standard_error = std::sqrt(squares / (count - 1) / count);
  return mean;
}

Mean accuracy_of(std::int64_t right, std::int64_t total) {
  const double share = static_cast<double>(right) / static_cast<double>(total);
  return {share, std::sqrt(share * (1 - share) / static_cast<double>(total))};
}

}  // namespace cambrian
