#include "codegen-client/adapters/metrics/metrics_observer.hpp"

#include <array>
#include <chrono>

namespace cambrian::codegen {
namespace {

constexpr std::array<const char*, 7> kCodes = {
    "ok", "rate_limited", "no_quota", "client_error", "server_error", "network", "timeout"};
constexpr std::array<const char*, 4> kFinishReasons = {"stop", "length", "content_filter", "other"};
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
    case FailureKind::cut:
    case FailureKind::circuit_open:
    case FailureKind::cancelled: return "network";
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
                                 const std::vector<std::string>& endpoints)
    : registry_(registry),
      help_({{kRequests, "Calls by how they ended."},
             {kRetries, "Requests sent again."},
             {kFinish, "Answers by finish reason."},
             {kTokens, "Tokens of calls; estimated where the server does not count."},
             {kCost, "Price by the configured price list."},
             {kEdits, "Answers by the form of their edits and whether these were applied."},
             {kRejected, "Answers of which nothing was applied, by reason."},
             {kProposals, "Proposals that ended here."}}) {
  for (const std::string& endpoint : endpoints) {
    for (const char* code : kCodes) counter(kRequests, {{"endpoint", endpoint}, {"code", code}});
    for (const char* reason : kFinishReasons) {
      counter(kFinish, {{"endpoint", endpoint}, {"reason", reason}});
    }
    for (const char* kind : {"prompt", "completion"}) {
      counter(kTokens, {{"endpoint", endpoint}, {"kind", kind}});
    }
    counter(kRetries, {{"endpoint", endpoint}});
    counter(kCost, {{"endpoint", endpoint}});
    registry_.histogram(kDuration, kDurationHelp, metrics::duration_buckets(),
                        {{"endpoint", endpoint}});
    availability_changed(endpoint, true);
  }
  for (const EditFormat format : kFormats) {
    for (const char* outcome : {"applied", "rejected"}) {
      counter(kEdits, {{"format", text(to_string(format))}, {"outcome", outcome}});
    }
  }
  for (const RejectionKind kind : kRejections) {
    counter(kRejected, {{"reason", text(to_string(kind))}});
  }
  for (const ProposalOutcome outcome : kOutcomes) {
    counter(kProposals, {{"outcome", text(to_string(outcome))}});
  }
}

metrics::Counter MetricsObserver::counter(const std::string& name, const metrics::Labels& labels) {
  return registry_.counter(name, help_.at(name), labels);
}

void MetricsObserver::call_finished(const CallRecord& call, std::optional<FailureKind> failure) {
  const std::string& endpoint = call.endpoint;
  counter(kRequests, {{"endpoint", endpoint}, {"code", code_of(failure)}}).add();
  if (call.retries > 0) counter(kRetries, {{"endpoint", endpoint}}).add(call.retries);
  counter(kTokens, {{"endpoint", endpoint}, {"kind", "prompt"}})
      .add(static_cast<double>(call.usage.prompt_tokens));
  counter(kTokens, {{"endpoint", endpoint}, {"kind", "completion"}})
      .add(static_cast<double>(call.usage.completion_tokens));
  counter(kCost, {{"endpoint", endpoint}}).add(static_cast<double>(call.cost_micro_usd) * 1e-6);
  if (!failure) counter(kFinish, {{"endpoint", endpoint}, {"reason", call.finish_reason}}).add();
  registry_
      .histogram(kDuration, kDurationHelp, metrics::duration_buckets(), {{"endpoint", endpoint}})
      .observe(std::chrono::duration<double>(call.latency).count());
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

void MetricsObserver::proposal_finished(ProposalOutcome outcome) {
  counter(kProposals, {{"outcome", text(to_string(outcome))}}).add();
}

}  // namespace cambrian::codegen
