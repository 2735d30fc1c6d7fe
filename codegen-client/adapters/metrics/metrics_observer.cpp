#include "codegen-client/adapters/metrics/metrics_observer.hpp"

#include <array>
#include <chrono>

namespace cambrian::codegen {
namespace {

constexpr std::array<const char*, 9> kCodes = {"ok",           "rate_limited", "no_quota",
                                               "client_error", "server_error", "network",
                                               "timeout",      "cancelled",    "not_sent"};
constexpr std::array<const char*, 4> kFinishReasons = {"stop", "length", "content_filter", "other"};
constexpr std::array<Operator, 6> kOperators = {Operator::diff,      Operator::rewrite,
                                                Operator::crossover, Operator::repair,
                                                Operator::simplify,  Operator::explain};
constexpr std::array<ProposalOutcome, 6> kOutcomes = {
    ProposalOutcome::success, ProposalOutcome::rejected, ProposalOutcome::truncated,
    ProposalOutcome::refused, ProposalOutcome::no_quota, ProposalOutcome::infrastructure};
constexpr std::array<EditFormat, 4> kFormats = {EditFormat::none, EditFormat::search_replace,
                                                EditFormat::unified_diff, EditFormat::whole_file};
constexpr std::array<RejectionKind, 11> kRejections = {
    RejectionKind::no_edit,       RejectionKind::malformed,    RejectionKind::truncated,
    RejectionKind::refused,       RejectionKind::no_match,     RejectionKind::ambiguous,
    RejectionKind::outside_block, RejectionKind::unknown_file, RejectionKind::too_large,
    RejectionKind::unchanged,     RejectionKind::duplicate};

constexpr const char* kRequests = "cambrian_codegen_requests_total";
constexpr const char* kDuration = "cambrian_codegen_request_duration_seconds";
constexpr const char* kRetries = "cambrian_codegen_retries_total";
constexpr const char* kFinish = "cambrian_codegen_finish_total";
constexpr const char* kTokens = "cambrian_codegen_tokens_total";
constexpr const char* kCost = "cambrian_codegen_cost_dollars_total";
constexpr const char* kEdits = "cambrian_codegen_edits_total";
constexpr const char* kRejected = "cambrian_codegen_rejections_total";
constexpr const char* kProposals = "cambrian_codegen_proposals_total";
constexpr const char* kAvailable = "cambrian_codegen_endpoint_available";

constexpr const char* kDurationHelp = "From sending to the last byte.";
constexpr const char* kAvailableHelp =
    "1: calls are let through; 0: the circuit is open after failures in a row.";

const char* code_of(std::optional<FailureKind> failure) {
  if (!failure) return "ok";
  switch (*failure) {
    case FailureKind::rate_limited: return "rate_limited";
    case FailureKind::no_quota: return "no_quota";
    case FailureKind::refused_request:
    case FailureKind::unauthorized: return "client_error";
    case FailureKind::connect:
    case FailureKind::cut: return "network";
    case FailureKind::circuit_open:
    case FailureKind::not_sent: return "not_sent";
    case FailureKind::cancelled: return "cancelled";
    case FailureKind::timed_out: return "timeout";
    case FailureKind::server:
    case FailureKind::malformed:
    case FailureKind::prompt_cut:
    case FailureKind::too_large: return "server_error";
  }
  return "server_error";
}

std::string text(std::string_view value) { return std::string(value); }

}  // namespace

MetricsObserver::MetricsObserver(metrics::Registry& registry,
                                 const std::map<std::string, std::vector<std::string>>& models)
    : registry_(registry),
      help_({{kRequests, "Requests by how they ended."},
             {kRetries, "Requests sent again."},
             {kFinish, "Answers by finish reason."},
             {kTokens, "Tokens of calls; estimated where the server does not count."},
             {kCost, "Price by the configured price list."},
             {kEdits, "Answers by the form of their edits and whether these were applied."},
             {kRejected, "Answers of which nothing was applied, by reason."},
             {kProposals, "Proposals that ended here."}}) {
  for (const auto& [endpoint, names] : models) make_series(endpoint, names);
  for (const EditFormat format : kFormats) {
    for (const char* outcome : {"applied", "rejected"}) {
      counter(kEdits, {{"format", text(to_string(format))}, {"outcome", outcome}});
    }
  }
  for (const RejectionKind kind : kRejections) {
    counter(kRejected, {{"reason", text(to_string(kind))}});
  }
  for (const Operator operation : kOperators) {
    for (const ProposalOutcome outcome : kOutcomes) {
      counter(kProposals,
              {{"operator", text(to_string(operation))}, {"outcome", text(to_string(outcome))}});
    }
  }
}

void MetricsObserver::make_series(const std::string& endpoint,
                                  const std::vector<std::string>& models) {
  for (const std::string& model : models) {
    for (const char* code : kCodes) {
      counter(kRequests, {{"endpoint", endpoint}, {"model", model}, {"code", code}});
    }
    for (const char* kind : {"prompt", "completion"}) {
      counter(kTokens, {{"endpoint", endpoint}, {"model", model}, {"kind", kind}});
    }
    counter(kCost, {{"endpoint", endpoint}, {"model", model}});
  }
  for (const char* reason : kFinishReasons) {
    counter(kFinish, {{"endpoint", endpoint}, {"reason", reason}});
  }
  counter(kRetries, {{"endpoint", endpoint}});
  registry_.histogram(kDuration, kDurationHelp, metrics::duration_buckets(),
                      {{"endpoint", endpoint}});
  availability_changed(endpoint, true);
}

metrics::Counter MetricsObserver::counter(const std::string& name, const metrics::Labels& labels) {
  return registry_.counter(name, help_.at(name), labels);
}

void MetricsObserver::sending_finished(std::string_view model, const CallRecord& sending,
                                       std::optional<FailureKind> failure) {
  const std::string& endpoint = sending.endpoint;
  const std::string name = text(model);
  const auto add = [&](const char* metric, metrics::Labels labels, double amount) {
    labels["endpoint"] = endpoint;
    counter(metric, labels).add(amount);
  };
  add(kRequests, {{"model", name}, {"code", code_of(failure)}}, 1);
  if (sending.retries > 0) add(kRetries, {}, 1);
  add(kTokens, {{"model", name}, {"kind", "prompt"}},
      static_cast<double>(sending.usage.prompt_tokens));
  add(kTokens, {{"model", name}, {"kind", "completion"}},
      static_cast<double>(sending.usage.completion_tokens));
  add(kCost, {{"model", name}}, static_cast<double>(sending.cost_micro_usd) * 1e-6);
  if (!failure) add(kFinish, {{"reason", sending.finish_reason}}, 1);
  if (sending.latency.count() <= 0) return;  // Nothing was sent.
  registry_
      .histogram(kDuration, kDurationHelp, metrics::duration_buckets(), {{"endpoint", endpoint}})
      .observe(std::chrono::duration<double>(sending.latency).count());
}

void MetricsObserver::availability_changed(std::string_view endpoint, bool is_available) {
  registry_.gauge(kAvailable, kAvailableHelp, {{"endpoint", text(endpoint)}})
      .set(is_available ? 1 : 0);
}

void MetricsObserver::answer_judged(EditFormat format, std::optional<RejectionKind> rejection) {
  const char* outcome = rejection ? "rejected" : "applied";
  counter(kEdits, {{"format", text(to_string(format))}, {"outcome", outcome}}).add();
  if (rejection) counter(kRejected, {{"reason", text(to_string(*rejection))}}).add();
}

void MetricsObserver::proposal_finished(Operator operation, ProposalOutcome outcome) {
  counter(kProposals,
          {{"operator", text(to_string(operation))}, {"outcome", text(to_string(outcome))}})
      .add();
}

}  // namespace cambrian::codegen
