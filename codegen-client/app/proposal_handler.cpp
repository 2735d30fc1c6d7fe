#include "codegen-client/app/proposal_handler.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "codegen-client/app/reserved_ledger.hpp"
#include "codegen-client/app/stop_after.hpp"
#include "codegen-client/domain/edit_apply.hpp"
#include "codegen-client/domain/text.hpp"
#include "codegen-client/domain/tokens.hpp"
#include "common/base/rng.hpp"
#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"
#include "common/source/token_digest.hpp"

namespace cambrian::codegen {
namespace {

// Estimates of tokens may be that much too low without breaking a limit.
constexpr double kEstimateMargin = 1.15;
constexpr std::int64_t kOutputTokensDefault = 4096;

std::int64_t with_margin(std::int64_t tokens) {
  return static_cast<std::int64_t>(static_cast<double>(tokens) * kEstimateMargin);
}

void add_rejection(ProposalReport& report, std::string_view reason) {
  if (report.rejections.size() < kRejectionsMax) {
    report.rejections.push_back(to_one_line(reason, kRejectionBytesMax));
  }
}

/// Rejections that a second look at the program may mend.
bool can_be_mended(RejectionKind kind) {
  return kind != RejectionKind::truncated && kind != RejectionKind::refused &&
         kind != RejectionKind::duplicate;
}

/// How many more calls like this one the reserve allows.
int calls_within_reserve(const Endpoint& endpoint, const Proposal& proposal,
                         std::int64_t prompt_tokens, std::int64_t output_tokens,
                         const std::vector<CallRecord>& done) {
  std::int64_t tokens_left = proposal.tokens_reserved;
  std::int64_t cost_left = proposal.cost_reserved_micro_usd;
  for (const CallRecord& call : done) {
    tokens_left -= call.usage.prompt_tokens + call.usage.completion_tokens;
    cost_left -= call.cost_micro_usd;
  }
  std::int64_t calls = ProposalHandler::kVariantsMax;
  const std::int64_t prompt = with_margin(prompt_tokens);
  if (proposal.tokens_reserved > 0) calls = std::min(calls, tokens_left / (prompt + output_tokens));
  const std::int64_t cost = endpoint.cost_max(prompt, output_tokens);
  if (proposal.cost_reserved_micro_usd > 0 && cost > 0) calls = std::min(calls, cost_left / cost);
  return static_cast<int>(std::max<std::int64_t>(calls, 0));
}

/// What is left of the time for an attempt when its end is cared for.
std::optional<std::chrono::milliseconds> time_for_calls(
    std::optional<std::chrono::milliseconds> time_max) {
  if (!time_max) return std::nullopt;
  const std::chrono::milliseconds margin = ProposalHandler::kReportTime;
  return std::max(*time_max - margin, *time_max / 2);
}

/// The outcome of a proposal without variants: the cause that needs attention most.
ProposalOutcome outcome_without_variants(bool has_no_quota,
                                         const std::set<RejectionKind>& rejections) {
  if (has_no_quota) return ProposalOutcome::no_quota;
  const bool is_truncated = rejections.contains(RejectionKind::truncated);
  const bool is_refused = rejections.contains(RejectionKind::refused);
  if (rejections.size() > (is_truncated ? 1U : 0U) + (is_refused ? 1U : 0U)) {
    return ProposalOutcome::rejected;
  }
  if (is_truncated) return ProposalOutcome::truncated;
  if (is_refused) return ProposalOutcome::refused;
  return ProposalOutcome::infrastructure;
}

}  // namespace

/// Everything about a proposal that its attempts share.
struct ProposalHandler::Plan {
  const Proposal& proposal;
  Endpoint* endpoint = nullptr;
  CallLedger* ledger = nullptr;
  Task task{};
  Files parent{};
  std::vector<std::string> paths{};
  Prompt prompt{};
  ChatRequest request{};  ///< Without messages and seed.
  int calls = 0;          ///< That the reserve allows at once.
};

/// One conversation with the model: a request, and what came of it.
struct ProposalHandler::Attempt {
  std::vector<Message> messages{};
  std::int64_t seed = 0;

  std::optional<CallRecord> record{};
  std::optional<CallFailure> failure{};
  std::string answer{};
  std::optional<Rejection> rejection{};
  EditFormat format = EditFormat::none;
  Files files{};  ///< Empty unless a variant came of it.
  std::string rationale{};
};

ProposalHandler::ProposalHandler(std::vector<Endpoint*> endpoints, ContentStore& store,
                                 Clock& clock, Observer& observer)
    : endpoints_(std::move(endpoints)), store_(store), clock_(clock), observer_(observer) {}

Endpoint* ProposalHandler::choose_endpoint(const std::string& model) const {
  Endpoint* chosen = nullptr;
  for (Endpoint* endpoint : endpoints_) {
    if (!endpoint->offers(model)) continue;
    if (endpoint->is_available()) return endpoint;
    if (chosen == nullptr) chosen = endpoint;
  }
  return chosen;
}

Result<Program> ProposalHandler::fetch(const ProgramReference& reference, std::stop_token stop) {
  Program program = reference.program;
  for (const auto& [path, digest] : reference.files) {
    CAMBRIAN_TRY(program.files[path], store_.get_content(digest, stop));
  }
  return program;
}

Result<std::vector<Program>> ProposalHandler::fetch_all(
    const std::vector<ProgramReference>& references, std::stop_token stop) {
  std::vector<Program> programs;
  for (const ProgramReference& reference : references) {
    CAMBRIAN_TRY(Program program, fetch(reference, stop));
    programs.push_back(std::move(program));
  }
  return programs;
}

Result<ProposalHandler::Plan> ProposalHandler::make_plan(const Proposal& proposal,
                                                         std::stop_token stop) {
  Plan plan{.proposal = proposal};
  plan.request.model =
      proposal.model.empty() ? endpoints_.front()->settings().models.front() : proposal.model;
  plan.endpoint = choose_endpoint(plan.request.model);
  if (plan.endpoint == nullptr) {
    return fail(Errc::unavailable, "no endpoint offers this model: model=" + plan.request.model);
  }
  CAMBRIAN_TRY(plan.task, store_.get_task(proposal.task_digest, stop));
  PromptInput input{.task = plan.task,
                    .operation = proposal.operation,
                    .instructions = proposal.instructions,
                    .gains = proposal.gains,
                    .order = proposal.order};
  CAMBRIAN_TRY(input.parents, fetch_all(proposal.parents, stop));
  CAMBRIAN_TRY(input.inspirations, fetch_all(proposal.inspirations, stop));
  CAMBRIAN_TRY(input.failures, fetch_all(proposal.failures, stop));
  plan.request.temperature = proposal.temperature;
  plan.request.output_tokens =
      proposal.output_tokens > 0 ? proposal.output_tokens : kOutputTokensDefault;
  std::int64_t tokens_max = plan.endpoint->context_tokens();
  if (proposal.tokens_reserved > 0) tokens_max = std::min(tokens_max, proposal.tokens_reserved);
  const auto prompt_tokens_max = static_cast<std::int64_t>(
      static_cast<double>(tokens_max - plan.request.output_tokens) / kEstimateMargin);
  CAMBRIAN_TRY(plan.prompt, build_prompt(input, prompt_tokens_max));
  plan.parent = std::move(input.parents.front().files);
  for (const auto& [path, content] : plan.parent) plan.paths.push_back(path);
  plan.calls = std::min(std::clamp(proposal.variants, 1, kVariantsMax),
                        calls_within_reserve(*plan.endpoint, proposal, plan.prompt.tokens,
                                             plan.request.output_tokens, {}));
  return plan;
}

void ProposalHandler::judge(const Plan& plan, const ChatReply& reply, Attempt& attempt) {
  const auto refuse = [&attempt](RejectionKind kind, std::string_view reason) {
    attempt.rejection = reject(kind, reason).value();
  };
  const bool is_filtered = reply.finish_reason == FinishReason::content_filter;
  if (reply.finish_reason == FinishReason::length) {
    return refuse(RejectionKind::truncated, "the token limit cut the answer off");
  }
  if (is_filtered || (!reply.refusal.empty() && trim(reply.content).empty())) {
    return refuse(RejectionKind::refused, "refused: " + reply.refusal);
  }
  auto answer = parse_answer(reply.content, plan.paths);
  if (!answer) {
    attempt.rejection = std::move(answer.error());
    return;
  }
  attempt.format = answer->format;
  attempt.rationale = std::move(answer->rationale);
  auto files = apply_answer(*answer, plan.parent, plan.task);
  if (files) {
    attempt.files = std::move(*files);
  } else {
    attempt.rejection = std::move(files.error());
  }
}

void ProposalHandler::run_attempt(const Plan& plan, Attempt& attempt, std::stop_token stop) {
  ChatRequest request = plan.request;
  request.messages = attempt.messages;
  request.seed = attempt.seed;
  Call call = plan.endpoint->call(request, *plan.ledger, stop);
  attempt.record = std::move(call.record);
  if (auto* failure = std::get_if<CallFailure>(&call.outcome)) {
    attempt.failure = std::move(*failure);
    return;
  }
  const auto& reply = std::get<ChatReply>(call.outcome);
  attempt.answer = reply.content;
  attempt.record->answer_digest = sha256_hex(reply.content);
  judge(plan, reply, attempt);
}

void ProposalHandler::run_attempts(const Plan& plan, std::vector<Attempt>& attempts,
                                   std::stop_token stop) {
  std::vector<std::jthread> threads;  // At most kVariantsMax; joined at the end of the scope.
  for (std::size_t i = 1; i < attempts.size(); ++i) {
    threads.emplace_back([&, i] { run_attempt(plan, attempts[i], stop); });
  }
  if (!attempts.empty()) run_attempt(plan, attempts.front(), stop);
}

std::vector<ProposalHandler::Attempt> ProposalHandler::make_follow_ups(
    const Plan& plan, const std::vector<Attempt>& attempts) {
  std::vector<Attempt> follow_ups;
  std::vector<CallRecord> done;
  for (const Attempt& attempt : attempts) {
    if (!attempt.files.empty()) return {};
    if (attempt.record) done.push_back(*attempt.record);
  }
  for (const Attempt& attempt : attempts) {
    if (!attempt.rejection || !can_be_mended(attempt.rejection->kind)) continue;
    Attempt next;
    next.seed = static_cast<std::int64_t>(
        Rng(static_cast<std::uint64_t>(attempt.seed)).split("follow-up").next() >> 1);
    next.messages =
        follow_up_messages(attempt.messages, attempt.answer, attempt.rejection->reason, next.seed);
    const std::int64_t tokens = estimate_tokens(next.messages);
    const std::int64_t output = plan.request.output_tokens;
    const auto in_flight = static_cast<int>(follow_ups.size());
    const bool has_room =
        with_margin(tokens) + output <= plan.endpoint->context_tokens() &&
        calls_within_reserve(*plan.endpoint, plan.proposal, tokens, output, done) > in_flight;
    if (has_room) follow_ups.push_back(std::move(next));
    if (follow_ups.size() == kFollowUpsMax) break;
  }
  return follow_ups;
}

void ProposalHandler::add_variants(const Plan& plan, const std::vector<Attempt>& attempts,
                                   ProposalReport& report) {
  std::set<std::string> seen;
  for (const Attempt& attempt : attempts) {
    if (attempt.files.empty()) continue;
    const auto tokens = source::token_digest(attempt.files, plan.task.language);
    if (!seen.insert(tokens.digest).second) {
      observer_.answer_judged(attempt.format, RejectionKind::duplicate);
      add_rejection(report, "the same program as another answer to this proposal");
      continue;
    }
    NewVariant variant{.token_digest = tokens.digest, .source_tokens = tokens.count};
    for (const auto& [path, content] : attempt.files) {
      variant.files[path] = sha256_hex(content);
      report.contents.push_back(content);
    }
    observer_.answer_judged(attempt.format, std::nullopt);
    variant.rationale = attempt.rationale;
    report.variants.push_back(std::move(variant));
  }
}

ProposalReport ProposalHandler::report_failed_plan(const Error& error) {
  ProposalReport report;
  // A prompt that is too long will not get shorter; what is unavailable may come back.
  if (error.code == Errc::exhausted) report.outcome = ProposalOutcome::rejected;
  log::error("proposal_failed", {{"cause", error.message}});
  add_rejection(report, error.message);
  return report;
}

std::vector<ProposalHandler::Attempt> ProposalHandler::converse(const Plan& plan,
                                                                std::stop_token stop) {
  const Rng rng(plan.proposal.seed);
  std::vector<Attempt> attempts(static_cast<std::size_t>(plan.calls));
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    attempts[i].seed = static_cast<std::int64_t>(rng.split(i).next() >> 1);
    attempts[i].messages = first_messages(plan.prompt, attempts[i].seed);
  }
  run_attempts(plan, attempts, stop);
  if (stop.stop_requested()) return attempts;
  std::vector<Attempt> follow_ups = make_follow_ups(plan, attempts);
  run_attempts(plan, follow_ups, stop);
  std::move(follow_ups.begin(), follow_ups.end(), std::back_inserter(attempts));
  return attempts;
}

ProposalReport ProposalHandler::conclude(const Plan& plan, const std::vector<Attempt>& attempts) {
  ProposalReport report;
  std::set<RejectionKind> rejections;
  bool has_no_quota = false;
  for (const Attempt& attempt : attempts) {
    if (attempt.record) report.calls.push_back(*attempt.record);
    const bool is_answered = attempt.record && !attempt.record->answer_digest.empty();
    if (is_answered) report.contents.push_back(attempt.answer);
    if (attempt.rejection) {
      rejections.insert(attempt.rejection->kind);
      observer_.answer_judged(attempt.format, attempt.rejection->kind);
      add_rejection(report, attempt.rejection->reason);
    }
    if (attempt.failure) {
      has_no_quota = has_no_quota || attempt.failure->kind == FailureKind::no_quota;
      add_rejection(report, "call failed: " + attempt.failure->message);
    }
  }
  add_variants(plan, attempts, report);
  if (attempts.empty()) {
    report.outcome = ProposalOutcome::rejected;
    add_rejection(report, "one call may need more than what is reserved for the proposal");
  } else if (!report.variants.empty()) {
    report.outcome = ProposalOutcome::success;
  } else {
    report.outcome = outcome_without_variants(has_no_quota, rejections);
  }
  return report;
}

Result<ProposalReport> ProposalHandler::handle(const Proposal& proposal, CallLedger& ledger,
                                               const OnPhase& on_phase, std::stop_token stop) {
  on_phase("fetch");
  const auto time = time_for_calls(proposal.time_max);
  const StopAfter limit(clock_, time, stop);
  ReservedLedger reserved(ledger, proposal.tokens_reserved, proposal.cost_reserved_micro_usd);
  auto plan = make_plan(proposal, limit.token());
  const bool is_cancelled = !plan && plan.error().code == Errc::cancelled;
  if (is_cancelled && stop.stop_requested()) return fail(std::move(plan).error());
  ProposalReport report;
  if (plan) {
    plan->ledger = &reserved;
    on_phase("call");
    const std::vector<Attempt> attempts = converse(*plan, limit.token());
    const bool has_answer = std::any_of(attempts.begin(), attempts.end(), [](const Attempt& a) {
      return a.record && !a.record->answer_digest.empty();
    });
    if (stop.stop_requested() && !has_answer) {
      return fail(Errc::cancelled, "stopped before there was an answer");
    }
    const bool is_over = limit.is_over();
    report = conclude(*plan, attempts);
    if (is_over) {
      add_rejection(report, "the time for the calls was over: seconds=" +
                                std::to_string(time->count() / 1000));
    }
  } else {
    report = report_failed_plan(plan.error());
  }
  observer_.proposal_finished(proposal.operation, report.outcome);
  return report;
}

}  // namespace cambrian::codegen
