#pragma once

#include <stop_token>

#include "worker/app/evaluator.hpp"
#include "worker/evaluation/text.hpp"

namespace cambrian::worker {

/// Programs of one evaluation.
struct SessionPrograms {
  std::shared_ptr<const Program> candidate;
  std::shared_ptr<const Program> judge;
};

/// One judge at work: answers its wishes until it gives a result, and ends it when the time is up.
/// One thread; used once.
class JudgeSession {
 public:
  /// `handover` may be null.
  JudgeSession(CandidateRuntime& candidates, const EvaluationRequest& request,
               const SessionPrograms& programs, const ReportProgress& report, Handover* handover)
      : candidates_(candidates),
        request_(request),
        programs_(programs),
        report_(report),
        handover_(handover) {}

  /// A training that is going on when this is asked for is ended.
  void end_training_on(std::stop_token stop_early) { stop_early_ = std::move(stop_early); }

  /// Runs to the end and fills `result`. `source_ready` is when the source text was at hand:
  /// first_step counts from there. Errors: those of starting processes; cancelled.
  Status run(JudgeRuntime& judges, JudgeLinks& links, std::stop_token stop,
             std::chrono::steady_clock::time_point source_ready, EvaluationResult& result);

 private:
  using Clock = std::chrono::steady_clock;

  Status start_candidate(JudgeLinks& links, JudgeLink& link);
  void end_candidate(bool wait_for_its_end);
  void note_event(const JudgeEvent& event);
  void note_rung(const RungValue& value);
  bool should_end_training() const;
  void conclude_early(EvaluationResult& result);
  void note_exit(const ProcessExit& exit, const std::string& log);
  Result<std::optional<Verdict>> talk(JudgeLinks& links, JudgeLink& link, std::stop_token stop);
  void save_training(JudgeLink& link, const std::string& result_key);
  void conclude(Verdict verdict, EvaluationResult& result);
  std::string why_no_verdict(const ProcessExit& judge_exit) const;
  void fill_timings(Clock::time_point source_ready, EvaluationResult& result) const;

  CandidateRuntime& candidates_;
  const EvaluationRequest& request_;
  const SessionPrograms& programs_;
  const ReportProgress& report_;
  Handover* handover_;

  std::unique_ptr<SandboxedProcess> candidate_;
  ProcessExit last_exit_;
  bool had_candidate_ = false;
  bool is_time_up_ = false;
  bool is_stopped_early_ = false;
  std::string protocol_error_;  ///< What the judge said that is no message. Empty: nothing.
  /// Of all candidate processes: a judge may start any number. With room for the line that counts
  /// what is left out.
  CappedLog log_{kLogBytesMax - 64};
  bool is_log_line_open_ = false;
  Usage usage_;
  Resumption resumption_ = Resumption::none;
  std::optional<Clock::time_point> started_;
  std::optional<Clock::time_point> ready_;
  Duration used_before_{0};  ///< Of the training, by earlier processes.
  std::optional<Clock::time_point> first_step_;
  std::optional<Clock::time_point> trained_;
  std::stop_token stop_early_;
  std::vector<RungValue> rungs_;
  std::optional<Clock::time_point> last_rung_;  ///< When the judge told of rungs_.back().
};

}  // namespace cambrian::worker
