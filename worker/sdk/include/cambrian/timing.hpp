#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cambrian/judge.hpp"

namespace cambrian {

/// Something that is to be computed fast.
struct TimingTask {
  /// The question of a round, drawn from the evaluation's seed: no two rounds may have the same, or
  /// an answer could be remembered.
  std::function<Message(std::int64_t round)> draw = {};
  /// What the answer to a question consists of.
  std::function<std::vector<TensorSpec>(const Message& question)> answer = {};
  /// The right answer, by code of the task: what speed is compared with, and what answers are
  /// checked against.
  std::function<std::vector<Tensor>(const Message& question)> reference = {};
  /// Throws Failure (bad_output) where an answer is wrong.
  std::function<void(const Message& question, const std::vector<Tensor>& right,
                     const Message& answer)>
      check = {};
};

/// Lets a candidate and the reference answer the same questions in turns, so that whatever slows
/// the machine down slows both, and checks every answer before its time counts. The clock is this
/// process's, from the question sent to the answer received: a question should take a millisecond
/// or more, because the way there and back takes some 0.05. The reference answers each question
/// before there is a candidate, too, and of both times the shorter one counts: a candidate that
/// keeps the machine busy while it has nothing to answer gains nothing. On a busy machine that
/// makes the speedup of equal programs a little less than 1, the same for all. A reference that
/// takes more than a third of the run time is an error of the task.
///
/// Parameters of the task: rounds that count (default 15), warm_up rounds before them that do not
/// (default 2), answer_seconds for each answer (default 30).
/// Metrics: seconds (median of the candidate), reference_seconds (median), speedup (median over the
/// rounds of reference / candidate; larger is better), speedup_low and speedup_high (quartiles).
/// There is no digest: behaviour is not time. `draw` and `reference` are called twice for a round
/// and must give the same again.
Verdict judge_timing(Session& session, const TimingTask& task);

}  // namespace cambrian
