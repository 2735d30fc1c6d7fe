// The ready judges that ask: construction, online, timing.
#include <algorithm>
#include <stdexcept>

#include "cambrian/construction.hpp"
#include "cambrian/online.hpp"
#include "cambrian/timing.hpp"

namespace cambrian {
namespace {

constexpr Seconds kSolveGrace{1};

Seconds since(Clock::time_point start) { return Clock::now() - start; }

// The value below which this share of them lies. Takes a copy: it sorts.
double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

Tensor observe_all(const OnlineTask& task) {
  std::vector<double> values;
  for (const auto& instance : task.instances) {
    const std::vector<double> observation = instance->observe();
    if (observation.size() != static_cast<std::size_t>(task.observation_size)) {
      throw std::invalid_argument(
          "observation has a wrong size: size=" + std::to_string(observation.size()) +
          " wanted=" + std::to_string(task.observation_size));
    }
    values.insert(values.end(), observation.begin(), observation.end());
  }
  return make_tensor("observations",
                     {static_cast<std::int64_t>(task.instances.size()), task.observation_size},
                     values);
}

/// One round of a timing, as measured.
struct Lap {
  double candidate = 0;
  double reference = 0;
};

// What the reference takes for each question while there is no candidate that could disturb it.
std::vector<double> time_reference(const TimingTask& task, std::int64_t rounds) {
  std::vector<double> seconds;
  for (std::int64_t round = 0; round < rounds; ++round) {
    const Message question = task.draw(round);
    const auto start = Clock::now();
    task.reference(question);
    seconds.push_back(since(start).count());
  }
  return seconds;
}

// The rounds take as long again and leave the candidate what it needs, or it would be blamed.
void check_time_left(std::span<const double> reference, Seconds run_time) {
  constexpr double kShareMax = 1.0 / 3;
  double total = 0;
  for (const double seconds : reference) total += seconds;
  if (total <= run_time.count() * kShareMax) return;
  throw std::invalid_argument(
      "the reference takes more than a third of the run time; fewer rounds, easier questions or a "
      "longer limits.run_time: seconds=" +
      std::to_string(total) + " run_time=" + std::to_string(run_time.count()));
}

Lap run_lap(RemoteCandidate& candidate, const TimingTask& task, std::int64_t round,
            Seconds answer_time) {
  const Message question = task.draw(round);
  const std::vector<TensorSpec> specs = task.answer(question);
  Lap lap;
  Message answer;
  std::vector<Tensor> right;
  const auto ask = [&] {
    Message sent(question.type, question.members);
    sent.tensors = question.tensors;
    const auto start = Clock::now();
    answer = candidate.ask(std::move(sent), specs, answer_time);
    lap.candidate = since(start).count();
  };
  const auto compute = [&] {
    const auto start = Clock::now();
    right = task.reference(question);
    lap.reference = since(start).count();
  };
  // In turns: who comes second finds the machine as the first one left it.
  if (round % 2 == 0) {
    ask();
    compute();
  } else {
    compute();
    ask();
  }
  task.check(question, right, answer);
  return lap;
}

}  // namespace

Verdict judge_construction(Session& session, const ConstructionTask& task) {
  const Seconds budget(session.parameter("solve_seconds", 2, 0.01, 86400));
  Message question("ask", task.question);
  question.members["seconds"] = budget.count();
  RemoteCandidate candidate = session.start_candidate("ask");
  const Message answer = candidate.ask(std::move(question), task.answer, budget + kSolveGrace);
  candidate.finish();
  const double score = task.verify(answer);
  BehaviourDigest digest;
  for (const Tensor& tensor : answer.tensors) digest.add(tensor.bytes());
  return {.metrics = {{task.metric, score}}, .behaviour_digest = digest.finish_hex()};
}

Verdict judge_online(Session& session, OnlineTask& task) {
  const Seconds answer_time(session.parameter("answer_seconds", 10, 0.01, 86400));
  if (task.instances.empty() || task.steps < 1) {
    throw std::invalid_argument(
        "nothing to decide: instances=" + std::to_string(task.instances.size()) +
        " steps=" + std::to_string(task.steps));
  }
  const auto width = static_cast<std::size_t>(task.action_size);
  const std::vector<TensorSpec> specs = {
      {"actions",
       DType::f64,
       {static_cast<std::int64_t>(task.instances.size()), task.action_size}}};
  BehaviourDigest digest;
  RemoteCandidate candidate = session.start_candidate("ask");
  for (std::int64_t step = 0; step < task.steps; ++step) {
    Message question("ask");
    question.tensors.push_back(observe_all(task));
    const Message answer = candidate.ask(std::move(question), specs, answer_time);
    const auto actions = answer.tensor("actions").values<double>();
    for (std::size_t i = 0; i < task.instances.size(); ++i) {
      task.instances[i]->act(actions.subspan(i * width, width));
    }
    digest.add(actions);
  }
  candidate.finish();
  std::vector<double> scores;
  for (const auto& instance : task.instances) scores.push_back(instance->score());
  const Mean mean = mean_of(scores);
  return {.metrics = {{"score", mean.value}, {"score_standard_error", mean.standard_error}},
          .behaviour_digest = digest.finish_hex()};
}

Verdict judge_timing(Session& session, const TimingTask& task) {
  const std::int64_t rounds = session.integer_parameter("rounds", 15, 1, 100'000);
  const std::int64_t warm_up = session.integer_parameter("warm_up", 2, 0, 1000);
  const Seconds answer_time(session.parameter("answer_seconds", 30, 0.01, 86400));
  const std::vector<double> undisturbed = time_reference(task, warm_up + rounds);
  check_time_left(undisturbed, session.evaluation().run_time);
  RemoteCandidate candidate = session.start_candidate("ask");
  std::vector<double> seconds, reference_seconds, speedups;
  for (std::int64_t round = 0; round < warm_up + rounds; ++round) {
    const Lap lap = run_lap(candidate, task, round, answer_time);
    if (round < warm_up) continue;
    seconds.push_back(lap.candidate);
    reference_seconds.push_back(
        std::min(lap.reference, undisturbed[static_cast<std::size_t>(round)]));
    // No clock is finer than a nanosecond.
    speedups.push_back(reference_seconds.back() / std::max(lap.candidate, 1e-9));
  }
  candidate.finish();
  return {.metrics = {{"seconds", quantile(seconds, 0.5)},
                      {"reference_seconds", quantile(reference_seconds, 0.5)},
                      {"speedup", quantile(speedups, 0.5)},
                      {"speedup_low", quantile(speedups, 0.25)},
                      {"speedup_high", quantile(speedups, 0.75)}}};
}

}  // namespace cambrian
