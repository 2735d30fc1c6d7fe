// A worker whose results are a function of the sources: the real agent, and no compiler, so that
// many thousands of evaluations are affordable. Its log says what was acknowledged. See README.md.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "common/agent/agent.hpp"
#include "common/digest/sha256.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/security.hpp"

namespace cambrian::bench {
namespace {

constexpr int kFailuresOneOf = 8;
constexpr int kWorkMillisecondsMax = 20;

/// A number below `bound` that the digest determines.
int pick(const std::string& digest, std::size_t place, int bound) {
  return std::stoi(digest.substr(place, 6), nullptr, 16) % bound;
}

agent::v1::EvaluationResult evaluate(const agent::v1::EvaluationWork& work) {
  std::string sources;
  for (const auto& file : work.files()) sources += file.path() + " " + file.sha256() + "\n";
  agent::v1::EvaluationResult result;
  // By the sources alone: a program that fails always fails.
  if (const auto digest = sha256_hex(sources); pick(digest, 0, kFailuresOneOf) == 0) {
    result.set_outcome(agent::v1::EVALUATION_OUTCOME_CRASH);
    result.set_diagnostics("fails by its digest " + digest);
    return result;
  }
  const auto digest =
      sha256_hex(sources + std::to_string(work.split()) + " " + std::to_string(work.seed()));
  result.set_outcome(agent::v1::EVALUATION_OUTCOME_SUCCESS);
  (*result.mutable_metrics())["score"] = pick(digest, 0, 1'000'000) / 1e3;
  return result;
}

agent::AttemptOutcome handle(agent::Attempt& attempt) {
  const auto& assignment = attempt.assignment();
  attempt.set_progress("evaluate");
  const auto& work = assignment.evaluation();
  const auto place = sha256_hex(work.files(0).sha256() + std::to_string(work.seed()));
  const std::chrono::milliseconds duration(pick(place, 0, kWorkMillisecondsMax));
  if (!rpc::wait_unless_stopped(attempt.stop_token(), duration)) {
    return agent::v1::RELEASE_REASON_SHUTDOWN;
  }
  auto result = evaluate(work);
  // Whose result was stored: the checker compares it with whose was counted.
  result.set_log(attempt.agent_id() + " " + std::to_string(assignment.lease().item_id()) + " " +
                 std::to_string(assignment.lease().epoch()));
  result.mutable_timings()->mutable_total()->set_nanos(5'000'000);
  result.mutable_usage()->mutable_cpu_time()->set_nanos(4'000'000);
  return result;
}

int run(int argc, char** argv) {
  CLI::App app("a worker whose results are a function of the sources");
  std::string coordinator;
  std::string name;
  int slots = 4;
  app.add_option("--coordinator", coordinator)->required();
  app.add_option("--name", name)->required();
  app.add_option("--slots", slots);
  CLI11_PARSE(app, argc, argv);
  agent::AgentOptions options;
  options.description.set_kind(agent::v1::AGENT_KIND_WORKER);
  options.description.set_name(name);
  options.description.set_version("chaos");
  options.description.set_slots(slots);
  options.description.add_runtimes(spec::v1::RUNTIME_CPP);
  options.description.set_sandbox_level(spec::v1::SANDBOX_LEVEL_STANDARD);
  auto channel = rpc::make_channel(coordinator, rpc::ChannelSecurity{});
  if (!channel) throw std::runtime_error(channel.error().message);
  agent::Agent agent(std::move(*channel), std::move(options), handle);
  return agent.run();
}

}  // namespace
}  // namespace cambrian::bench

int main(int argc, char** argv) {
  try {
    return cambrian::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
