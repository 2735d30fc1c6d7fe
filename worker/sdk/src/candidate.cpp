#include "cambrian/candidate.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include "worker/sdk/src/frame_codec.hpp"
#include "worker/sdk/src/process_memory.hpp"

namespace cambrian {
namespace {

// The judge and the worker end a candidate that takes too long; it does not have to do so itself.
constexpr std::chrono::hours kPatience{24};
constexpr std::chrono::milliseconds kReportInterval{200};
// Longer messages of exceptions are cut: the judge needs the reason, not a stack of templates.
constexpr std::size_t kErrorBytesMax = 4096;

// Before the candidate's own static objects: 101 is the first priority that programs may use.
[[gnu::constructor(101)]] void prepare_process() {
  // A candidate whose judge has seen enough is ended: what it had printed by then is in its log.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  keep_freed_memory();
}

Deadline patience() { return Clock::now() + kPatience; }

constexpr ReceiveLimits kFromJudge{.descriptors = true};

Phase phase_from(const std::string& name) {
  if (name == "train") return Phase::train;
  if (name == "predict") return Phase::predict;
  if (name == "ask") return Phase::ask;
  throw FrameError(FrameError::Kind::malformed, "hello with an unknown phase: " + name);
}

Setup read_setup(const Message& hello) {
  if (hello.type != "hello" || hello.integer("protocol") != 1) {
    throw FrameError(FrameError::Kind::malformed, "expected hello of protocol 1: " + hello.type);
  }
  Setup setup;
  setup.phase = phase_from(hello.text("phase"));
  const std::string& seed = hello.text("seed");
  std::from_chars(seed.data(), seed.data() + seed.size(), setup.seed);
  setup.threads = static_cast<int>(hello.integer("threads"));
  setup.device = hello.text("device");
  const auto parameters = hello.members.find("parameters");
  if (parameters == hello.members.end() || parameters->second.object() == nullptr) return setup;
  for (const auto& [name, value] : *parameters->second.object()) {
    if (const auto number = value.number()) setup.parameters[name] = *number;
  }
  return setup;
}

// Takes the judge's questions for the rungs out of the training data: the candidate trains without.
std::optional<Message> take_probe(Message& data) {
  if (!data.members.contains("rungs")) return std::nullopt;
  for (auto tensor = data.tensors.begin(); tensor != data.tensors.end(); ++tensor) {
    if (tensor->name() != "probe") continue;
    Message probe("predict");
    probe.tensors.emplace_back("inputs", tensor->dtype(), tensor->shape(), tensor->storage(),
                               tensor->offset());
    data.tensors.erase(tensor);
    return probe;
  }
  return std::nullopt;
}

Rungs read_rungs(const Message& data) {
  Rungs rungs;
  rungs.free_seconds = data.number("rung_seconds");
  const JsonArray* shares = data.members.at("rungs").array();
  if (shares == nullptr) return rungs;
  for (const Json& share : *shares) {
    if (const auto number = share.number()) rungs.shares.push_back(*number);
  }
  return rungs;
}

Message run_training(Program& program, const Setup& setup, Message& data, const Message* saved,
                     Channel& judge) {
  Training training(data.number("budget_seconds"),
                    static_cast<std::int64_t>(setup.parameter("steps", 0)), &judge);
  training.begin_from(saved);
  const std::optional<Message> probe = take_probe(data);
  if (probe) {
    Rungs rungs = read_rungs(data);
    rungs.predict = [&program, &probe] { return program.probe(*probe); };
    training.answer_at(std::move(rungs));
  }
  Message trained("trained");
  trained.tensors = program.train(data, training);
  trained.members["steps"] = training.steps();
  return trained;
}

// What to send back for one message of the judge.
Message respond(Program& program, const Message& message) {
  if (message.type == "load") {
    program.load(message);
    return Message("ready");
  }
  if (message.type == "predict") {
    Message prediction("prediction");
    prediction.tensors.push_back(program.predict(message));
    return prediction;
  }
  if (message.type == "ask") {
    Message answer = program.answer(message);
    answer.type = "answer";
    return answer;
  }
  throw FrameError(FrameError::Kind::malformed, "unknown message of the judge: " + message.type);
}

void converse(Channel& judge) {
  const Setup setup = read_setup(judge.receive(patience(), kFromJudge));
  const auto program = make_program(setup);
  judge.send(Message("ready"), patience());
  std::optional<Message> saved;  // What the next training goes on from.
  for (;;) {
    Message message = judge.receive(patience(), kFromJudge);
    if (message.type == "bye") return;
    if (message.type == "save") continue;  // It came too late: the training is done.
    if (message.type == "resume") {
      saved = std::move(message);
      continue;
    }
    const bool is_training = message.type == "train";
    const Message* const from = saved ? &*saved : nullptr;
    judge.send(is_training ? run_training(*program, setup, message, from, judge)
                           : respond(*program, message),
               patience());
    if (is_training) saved.reset();
  }
}

// None where nothing can be saved, or not in a checkpoint: the training goes on all the same.
std::vector<Tensor> saved_tensors(const Resumable& resumable) {
  if (!resumable.save) return {};
  try {
    Message message("checkpoint");
    message.tensors = resumable.save();
    std::size_t bytes = 0;
    for (const Tensor& tensor : message.tensors) bytes += tensor.bytes().size() + kPayloadAlignment;
    if (bytes > kCheckpointBytesMax) return {};
    encode_message(message);  // Throws where a frame cannot hold it.
    return std::move(message.tensors);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "candidate: the training cannot be saved: %s\n", error.what());
    return {};
  }
}

[[noreturn]] void not_offered(const char* what) {
  throw std::logic_error(std::string("this candidate cannot ") + what);
}

}  // namespace

double Setup::parameter(std::string_view name, double otherwise) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? otherwise : found->second;
}

Training::Training(double budget_seconds, std::int64_t steps_max, Channel* reports)
    : start_(Clock::now()),
      budget_seconds_(budget_seconds),
      steps_max_(steps_max),
      reports_(reports),
      report_next_(start_) {}

bool Training::has_time() const {
  return !diverged_ && seconds_left() > 0 && (steps_max_ <= 0 || steps_ < steps_max_);
}

double Training::progress() const {
  const double used = steps_max_ > 0 ? static_cast<double>(steps_) / static_cast<double>(steps_max_)
                                     : 1 - seconds_left() / std::max(budget_seconds_, 1e-9);
  return std::clamp(used, 0.0, 1.0);
}

double Training::seconds_left() const {
  const std::chrono::duration<double> used = Clock::now() - start_;
  return std::max(0.0, budget_seconds_ - used.count());
}

bool Training::report_is_due() const { return steps_ == 0 || Clock::now() >= report_next_; }

void Training::step() {
  const bool due = report_is_due();
  ++steps_;
  if (due) report(nullptr);
  answer_if_due();
  if (due) save_if_asked();
}

void Training::step(double loss) {
  const bool due = report_is_due();
  ++steps_;
  // More steps cannot mend it, and the judge calls the predictions by their name.
  if (!std::isfinite(loss)) diverged_ = true;
  if (due) report(std::isfinite(loss) ? &loss : nullptr);
  answer_if_due();
  if (due) save_if_asked();
}

void Training::report(const double* loss) {
  report_next_ = Clock::now() + kReportInterval;
  if (reports_ == nullptr) return;
  Message progress("progress");
  progress.members["step"] = steps_;
  if (loss != nullptr) progress.members["loss"] = *loss;
  if (resumable_.save) progress.members["resumable"] = true;
  reports_->send(progress, patience());
}

void Training::save_if_asked() {
  if (reports_ == nullptr) return;
  // Nothing else comes while a training runs; and what has not come is not waited for.
  while (reports_->wait_readable(std::chrono::milliseconds(0))) {
    const Message asked = reports_->receive(patience(), kFromJudge);
    if (asked.type != "save") {
      throw FrameError(FrameError::Kind::malformed, "not now: " + asked.type);
    }
    Message checkpoint("checkpoint");
    checkpoint.members["steps"] = steps_;
    checkpoint.members["rung_seconds"] = free_seconds_used_;
    checkpoint.tensors = saved_tensors(resumable_);
    reports_->send(checkpoint, patience());
  }
}

void Training::make_resumable(Resumable resumable) {
  resumable_ = std::move(resumable);
  if (saved_ == nullptr) return;
  const Message& saved = *std::exchange(saved_, nullptr);
  resumable_.resume(saved);
  steps_ = saved.integer("steps");
  if (saved.members.contains("rung_seconds")) free_seconds_used_ = saved.number("rung_seconds");
  move_start(free_seconds_used_ - saved.number("used_seconds"));
  pass_rungs(progress());
  if (reports_ != nullptr) reports_->send(Message("resumed"), patience());
}

void Training::move_start(double seconds) {
  start_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void Training::pass_rungs(double reached) {
  while (rung_next_ < rungs_.shares.size() && reached >= rungs_.shares[rung_next_]) ++rung_next_;
}

void Training::answer_if_due() {
  if (reports_ == nullptr || rung_next_ == rungs_.shares.size()) return;
  const double reached = progress();
  // Of a training that is over, the state itself is asked for.
  if (reached < rungs_.shares[rung_next_] || reached >= 1) return;
  // A long step may pass several: the model is the same for all of them.
  pass_rungs(reached);
  const Clock::time_point asked = Clock::now();
  answer(rung_next_ - 1);
  const std::chrono::duration<double> taken = Clock::now() - asked;
  const double is_free = std::clamp(rungs_.free_seconds - free_seconds_used_, 0.0, taken.count());
  free_seconds_used_ += is_free;
  move_start(is_free);
}

void Training::answer(std::size_t rung) {
  std::optional<Tensor> outputs;
  try {
    outputs = rungs_.predict();
  } catch (const std::exception& error) {
    // What fails now may well work when the training is done, and that is what counts.
    std::fprintf(stderr, "candidate: no answer at a rung: %s\n", error.what());
  }
  if (!outputs) {
    rungs_.shares.clear();
    rung_next_ = 0;
    return;
  }
  Message message("rung");
  message.members["rung"] = static_cast<std::int64_t>(rung);
  message.tensors.push_back(std::move(*outputs));
  reports_->send(message, patience());
}

std::vector<Tensor> Program::train(const Message&, Training&) { not_offered("train"); }
void Program::load(const Message&) { not_offered("load"); }
Tensor Program::predict(const Message&) { not_offered("predict"); }
std::optional<Tensor> Program::probe(const Message&) { return std::nullopt; }
Message Program::answer(const Message&) { not_offered("answer"); }

int run_candidate(Channel judge) {
  try {
    converse(judge);
    return 0;
  } catch (const FrameError& error) {
    // The judge hung up, or does not speak our protocol: nobody is left to tell.
    std::fprintf(stderr, "candidate: %s\n", error.what());
    return error.kind() == FrameError::Kind::closed ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "candidate: %s\n", error.what());
    Message message("error");
    message.members["message"] = std::string(error.what()).substr(0, kErrorBytesMax);
    try {
      judge.send(message, patience());
    } catch (const std::exception&) {
      // It is in the log.
    }
    return 1;
  }
}

}  // namespace cambrian
