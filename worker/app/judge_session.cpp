#include "worker/app/judge_session.hpp"

#include <algorithm>

namespace cambrian::worker {
namespace {

using std::chrono::milliseconds;

// How often a stop and the end of the time are looked for while the judge is silent.
constexpr milliseconds kTick(100);
// The judge knows the run time itself and gives up first; beyond this the worker does.
constexpr milliseconds kRunGrace = std::chrono::seconds(2);
// Time of a judge to say its verdict after its candidate was taken away.
constexpr milliseconds kVerdictGrace = std::chrono::seconds(10);
// A candidate whose stream ended is about to exit: its own end says more than our kill.
constexpr milliseconds kExitPatience = std::chrono::seconds(2);
// For a training to be saved when the worker is told to end: it looks up between two steps.
constexpr milliseconds kSaveTime = std::chrono::seconds(5);
// Kept of the candidate's output in the diagnostics of a crash: enough for an exception's text.
constexpr std::size_t kCrashLogBytes = 2 << 10;

std::string tail(const std::string& text, std::size_t bytes) {
  return text.size() <= bytes ? text : text.substr(text.size() - bytes);
}

// For people and for prompts, and no more than a coordinator takes.
std::string public_text(std::string_view text) {
  return shorten(scrub_paths(sanitise(text), {"/src", "/out", "/program", "/sdk", "/task"}),
                 kDiagnosticsBytesMax);
}

template <class T>
std::optional<Duration> between(const std::optional<T>& from, const std::optional<T>& to) {
  if (!from || !to) return std::nullopt;
  return std::max(Duration{0}, std::chrono::duration_cast<Duration>(*to - *from));
}

}  // namespace

Status JudgeSession::run(JudgeRuntime& judges, JudgeLinks& links, std::stop_token stop,
                         Clock::time_point source_ready, EvaluationResult& result) {
  CAMBRIAN_TRY(auto ends, links.make_link());
  CAMBRIAN_TRY(const auto judge, judges.start(request_, *programs_.judge, ends.second.get()));
  ends.second.reset();
  JudgeLink& link = *ends.first;
  const Clock::time_point begun = Clock::now();

  Result<std::optional<Verdict>> verdict = std::nullopt;
  if (const Status told = link.begin(request_)) {
    verdict = talk(links, link, stop);
  } else if (told.error().code == Errc::invalid_argument) {
    return fail(told.error());
  }
  if (stop.stop_requested()) {
    save_training(link, result.result_key);
    return fail(Errc::cancelled, "evaluation was cancelled");
  }
  end_candidate(verdict && *verdict && (*verdict)->outcome == Outcome::crash);
  // A judge that gave its verdict, or hung up, is about to exit by itself.
  std::optional<ProcessExit> judge_exit;
  if (verdict && !is_time_up_ && !is_stopped_early_) judge_exit = judge->wait(kExitPatience);
  if (!judge_exit) {
    judge->stop();
    while (!judge_exit) judge_exit = judge->wait(std::chrono::seconds(10));
  }
  usage_.cpu_time += judge_exit->cpu_time;
  if (!verdict) return fail(verdict.error());

  const auto ended = Clock::now();
  result.timings.judge =
      between(std::optional(trained_ ? *trained_ : ready_.value_or(begun)), std::optional(ended));
  fill_timings(source_ready, result);
  if (*verdict) {
    conclude(std::move(**verdict), result);
  } else if (is_stopped_early_) {
    conclude_early(result);
  } else if (is_time_up_ && had_candidate_) {
    conclude(Verdict{Outcome::timeout, {}, "", ""}, result);
  } else {
    result.outcome = Outcome::infrastructure;
    result.diagnostics =
        public_text(why_no_verdict(*judge_exit) + "\n" + tail(judge->log(), kCrashLogBytes));
  }
  result.log = shorten(sanitise(log_.text()), kLogBytesMax);
  result.usage = usage_;
  result.resumption = resumption_;
  return {};
}

void JudgeSession::save_training(JudgeLink& link, const std::string& result_key) {
  const bool is_training = first_step_ && !trained_;
  if (handover_ == nullptr || !handover_->is_wanted() || !is_training) return;
  if (!link.ask_to_save()) return;
  const auto end = Clock::now() + kSaveTime;
  while (Clock::now() < end) {
    auto received = link.receive(kTick);
    if (!received) return;
    if (!*received) continue;
    JudgeMessage& message = **received;
    if (auto* saved = std::get_if<SavedTraining>(&message)) {
      if (!saved->frame.empty()) handover_->saved = Checkpoint{result_key, std::move(saved->frame)};
      return;
    }
    // The next worker's candidate does not answer again at rungs that are behind it.
    if (const auto* event = std::get_if<JudgeEvent>(&message)) note_event(*event);
    if (std::holds_alternative<Verdict>(message)) return;
  }
}

Result<std::optional<Verdict>> JudgeSession::talk(JudgeLinks& links, JudgeLink& link,
                                                  std::stop_token stop) {
  const auto time_up = Clock::now() + request_.task->manifest.limits.run_time + kRunGrace;
  while (!stop.stop_requested()) {
    if (should_end_training()) {
      is_stopped_early_ = true;
      return std::nullopt;
    }
    const auto now = Clock::now();
    if (now > time_up && !is_time_up_) {
      is_time_up_ = true;
      end_candidate(false);
    }
    if (now > time_up + kVerdictGrace) return std::nullopt;
    auto received = link.receive(kTick);
    // A judge that hangs up gives no verdict; its exit and log say why.
    if (!received) {
      if (received.error().code == Errc::internal) protocol_error_ = received.error().message;
      return std::nullopt;
    }
    if (!*received) continue;
    JudgeMessage& message = **received;
    if (auto* verdict = std::get_if<Verdict>(&message)) return std::optional(std::move(*verdict));
    if (const auto* event = std::get_if<JudgeEvent>(&message)) note_event(*event);
    if (std::holds_alternative<EndCandidate>(message)) end_candidate(false);
    if (std::holds_alternative<StartCandidate>(message)) {
      CAMBRIAN_TRY_STATUS(start_candidate(links, link));
    }
  }
  return std::nullopt;
}

std::string JudgeSession::why_no_verdict(const ProcessExit& judge_exit) const {
  if (!protocol_error_.empty()) return "the judge broke its protocol: " + protocol_error_;
  if (is_time_up_) {
    return "the judge gave no result in time: run_time=" +
           std::to_string(request_.task->manifest.limits.run_time.count() / 1000) + " s";
  }
  return "the judge " + describe_exit(judge_exit) + " without a result";
}

Status JudgeSession::start_candidate(JudgeLinks& links, JudgeLink& link) {
  end_candidate(false);
  if (is_time_up_) return {};
  CAMBRIAN_TRY(auto sockets, links.make_candidate_socket());
  if (!started_) started_ = Clock::now();
  CAMBRIAN_TRY(candidate_, candidates_.start(request_, *programs_.candidate, sockets.second.get()));
  had_candidate_ = true;
  // A judge that is gone by now is noticed at the next receive.
  [[maybe_unused]] const Status sent = link.send_started(std::move(sockets.first));
  return {};
}

void JudgeSession::end_candidate(bool wait_for_its_end) {
  if (!candidate_) return;
  std::optional<ProcessExit> exit;
  if (wait_for_its_end) exit = candidate_->wait(kExitPatience);
  if (!exit) candidate_->stop();
  while (!exit) exit = candidate_->wait(std::chrono::seconds(10));
  if (is_time_up_) exit->is_wall_time_exceeded = exit->was_stopped;
  note_exit(*exit, candidate_->log());
  candidate_.reset();
}

void JudgeSession::note_exit(const ProcessExit& exit, const std::string& log) {
  last_exit_ = exit;
  usage_.cpu_time += exit.cpu_time;
  usage_.memory_peak_bytes = std::max(usage_.memory_peak_bytes, exit.memory_peak_bytes);
  // Training and prediction are two processes with one log.
  if (!log.empty() && is_log_line_open_) log_.append("\n");
  if (!log.empty()) is_log_line_open_ = log.back() != '\n';
  log_.append(log);
}

void JudgeSession::note_event(const JudgeEvent& event) {
  const auto now = Clock::now();
  if (event.name == "ready" && !ready_) {
    ready_ = now;
    report_("train", {});
  }
  if (event.name == "first_step" && !first_step_) first_step_ = now;
  if (event.name == "resumed") {
    resumption_ = Resumption::resumed;
    used_before_ = event.used_before;
  }
  if (event.name == "not_resumed") {
    resumption_ = Resumption::refused;
    ready_.reset();  // The next candidate trains from the start.
  }
  if (event.name == "trained" && !trained_) {
    trained_ = now;
    report_("judge", {});
  }
  for (const RungValue& value : event.training.rungs) note_rung(value);
  if (!event.training.is_known() && event.training.rungs.empty()) return;
  TrainingProgress training = event.training;
  training.rungs = rungs_;
  report_(trained_ ? "judge" : "train", training);
}

// In their order and each once, whatever the judge says.
void JudgeSession::note_rung(const RungValue& value) {
  const int next = rungs_.empty() ? 0 : rungs_.back().rung + 1;
  if (value.rung < next || value.rung >= static_cast<int>(request_.rungs.size())) return;
  rungs_.push_back(value);
  last_rung_ = Clock::now();
}

// Once its training is done, a candidate has cost most of what it costs and gets its score.
bool JudgeSession::should_end_training() const {
  return stop_early_.stop_requested() && last_rung_ && ready_ && !trained_ && !is_time_up_;
}

// The rest of the training, by the time that its part up to the last rung took.
void JudgeSession::conclude_early(EvaluationResult& result) {
  const double share = request_.rungs.at(static_cast<std::size_t>(rungs_.back().rung));
  const std::chrono::duration<double> whole = (used_before_ + (*last_rung_ - *ready_)) / share;
  const std::chrono::duration<double> left = whole - used_before_ - (Clock::now() - *ready_);
  result.outcome = Outcome::stopped_early;
  result.timings.train = between(ready_, std::optional(Clock::now()));
  result.timings.judge.reset();
  result.time_saved = std::max(Duration{0}, std::chrono::duration_cast<Duration>(left));
}

void JudgeSession::fill_timings(Clock::time_point source_ready, EvaluationResult& result) const {
  result.timings.start = between(started_, ready_);
  result.timings.first_step = between(std::optional(source_ready), first_step_);
  result.timings.train = between(ready_, trained_);
}

void JudgeSession::conclude(Verdict verdict, EvaluationResult& result) {
  const Limits& limits = request_.task->manifest.limits;
  const std::string log_end = sanitise(tail(log_.text(), kCrashLogBytes));
  if (had_candidate_) verdict = refine_verdict(std::move(verdict), last_exit_, limits, log_end);
  if (verdict.outcome != Outcome::success && had_candidate_) {
    result.limit_hit = limit_hit(last_exit_, limits);
  }
  verdict = check_plausible(std::move(verdict), request_.task->manifest.objectives);
  const bool is_crash =
      verdict.outcome == Outcome::crash || verdict.outcome == Outcome::out_of_memory;
  if (is_crash && !log_end.empty()) {
    verdict.diagnostics += "\nlast output:\n" + log_end;
  }
  result.outcome = verdict.outcome;
  result.metrics = std::move(verdict.metrics);
  result.behaviour_digest = std::move(verdict.behaviour_digest);
  result.diagnostics = public_text(verdict.diagnostics);
}

}  // namespace cambrian::worker
