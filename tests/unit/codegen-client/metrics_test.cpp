#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "codegen-client/adapters/metrics/metrics_observer.hpp"

using namespace cambrian::codegen;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("metrics: each sending counts, by the model that was asked for", "[unit][metrics]") {
  cambrian::metrics::Registry registry;
  MetricsObserver observer(registry, {{"e", {"m", "n"}}});
  CHECK_THAT(registry.text(), ContainsSubstring("requests_total{code=\"not_sent\",endpoint=\"e\","
                                                "model=\"n\"} 0"));
  CallRecord sending{.model = "served-2026", .endpoint = "e"};
  sending.usage = {.prompt_tokens = 10, .completion_tokens = 3};
  sending.cost_micro_usd = 500'000;
  sending.latency = std::chrono::milliseconds(20);
  sending.finish_reason = "stop";
  observer.sending_finished("m", {.endpoint = "e"}, FailureKind::rate_limited);
  sending.retries = 1;
  observer.sending_finished("m", sending, std::nullopt);
  observer.sending_finished("n", {.endpoint = "e"}, FailureKind::cancelled);
  observer.sending_finished("n", {.endpoint = "e"}, FailureKind::not_sent);
  observer.sending_finished("n", {.endpoint = "e"}, FailureKind::circuit_open);
  observer.sending_finished("n", {.endpoint = "e"}, FailureKind::connect);
  const std::string text = registry.text();
  for (const char* series : {"requests_total{code=\"rate_limited\",endpoint=\"e\",model=\"m\"} 1",
                             "requests_total{code=\"ok\",endpoint=\"e\",model=\"m\"} 1",
                             "requests_total{code=\"cancelled\",endpoint=\"e\",model=\"n\"} 1",
                             "requests_total{code=\"not_sent\",endpoint=\"e\",model=\"n\"} 2",
                             "requests_total{code=\"network\",endpoint=\"e\",model=\"n\"} 1",
                             "retries_total{endpoint=\"e\"} 1",
                             "tokens_total{endpoint=\"e\",kind=\"prompt\",model=\"m\"} 10",
                             "cost_dollars_total{endpoint=\"e\",model=\"m\"} 0.5",
                             "request_duration_seconds_count{endpoint=\"e\"} 1"}) {
    CHECK_THAT(text, ContainsSubstring(series));
  }
  CHECK(text.find("served-2026") == std::string::npos);
}

TEST_CASE("metrics: proposals count by operator and outcome, from 0", "[unit][metrics]") {
  cambrian::metrics::Registry registry;
  MetricsObserver observer(registry, {});
  CHECK_THAT(registry.text(),
             ContainsSubstring("proposals_total{operator=\"rewrite\",outcome=\"refused\"} 0"));
  observer.proposal_finished(Operator::crossover, ProposalOutcome::success);
  observer.proposal_finished(Operator::crossover, ProposalOutcome::success);
  observer.proposal_finished(Operator::diff, ProposalOutcome::rejected);
  const std::string text = registry.text();
  CHECK_THAT(text,
             ContainsSubstring("proposals_total{operator=\"crossover\",outcome=\"success\"} 2"));
  CHECK_THAT(text, ContainsSubstring("proposals_total{operator=\"diff\",outcome=\"rejected\"} 1"));
  CHECK_THAT(text, ContainsSubstring("proposals_total{operator=\"diff\",outcome=\"success\"} 0"));
}
