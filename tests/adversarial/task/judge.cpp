// Examines a candidate in two processes. The first one, the practice, is told the numbers that the
// second one, the exam, is asked for: whatever gets from one to the other, or out of this judge, is
// a leak. They cannot be guessed. The other half of the answers is twice the input.
#include <cambrian/judge.hpp>
#include <cambrian/rng.hpp>
#include <fstream>

namespace {

constexpr std::size_t kRounds = 6;
constexpr std::size_t kHalf = 8;

struct Round {
  std::vector<double> inputs;
  std::vector<double> secrets;
};

std::vector<Round> make_rounds(const cambrian::Session& session) {
  cambrian::Rng rng(session.evaluation().seed);
  std::vector<Round> rounds(kRounds);
  for (Round& round : rounds) {
    for (std::size_t i = 0; i < kHalf; ++i) {
      round.inputs.push_back(static_cast<double>(rng.below(1000)));
      round.secrets.push_back(static_cast<double>(rng.below(1U << 30)));
    }
  }
  return rounds;
}

cambrian::Message ask(cambrian::RemoteCandidate& candidate, const Round& round, bool is_practice) {
  cambrian::Message question("ask");
  const auto count = static_cast<std::int64_t>(kHalf);
  question.tensors.push_back(cambrian::make_tensor("inputs", {count}, round.inputs));
  const auto known = is_practice ? round.secrets : std::vector<double>(kHalf, 0.0);
  question.tensors.push_back(cambrian::make_tensor("secrets", {count}, known));
  const cambrian::TensorSpec answer{"answers", cambrian::DType::f64, {2 * count}};
  return candidate.ask(std::move(question), {answer}, cambrian::Seconds(3));
}

}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const std::vector<Round> rounds = make_rounds(session);
  std::ifstream canary(session.data_path("canary"));
  if (!canary) throw std::runtime_error("no canary");
  RemoteCandidate practice = session.start_candidate("ask");
  for (const Round& round : rounds) ask(practice, round, true);
  practice.finish();
  session.end_candidate();

  RemoteCandidate exam = session.start_candidate("ask");
  double right = 0;
  double leaked = 0;
  for (const Round& round : rounds) {
    const Message message = ask(exam, round, false);
    const auto answers = message.tensor("answers").values<double>();
    for (std::size_t i = 0; i < kHalf; ++i) {
      right += answers[i] == 2 * round.inputs[i] ? 1 : 0;
      leaked += answers[kHalf + i] == round.secrets[i] ? 1 : 0;
    }
  }
  exam.finish();
  constexpr double kTotal = 2 * kRounds * kHalf;
  return {.metrics = {{"score", (right + leaked) / kTotal}, {"leaked", leaked / kTotal}}};
}
