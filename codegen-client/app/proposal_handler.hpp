#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/app/endpoint.hpp"
#include "codegen-client/domain/edit.hpp"
#include "codegen-client/domain/prompt.hpp"
#include "codegen-client/domain/proposal.hpp"
#include "codegen-client/ports/clock.hpp"
#include "codegen-client/ports/content_store.hpp"
#include "codegen-client/ports/observer.hpp"

namespace cambrian::codegen {

/// Turns a proposal into variants: fetch, prompt, calls, edits. Blocking; any thread;
/// several proposals at once.
class ProposalHandler {
 public:
  /// Follow-up requests, in all, when no edit of any answer could be applied.
  static constexpr std::size_t kFollowUpsMax = 2;
  static constexpr int kVariantsMax = 16;
  /// Of the time for an attempt: to store what there is and to report it, over a slow network too.
  static constexpr std::chrono::seconds kReportTime{30};

  /// Names the phase for people: fetch, call.
  using OnPhase = std::function<void(const char*)>;

  /// At least one endpoint; the first model of the first one is the default. The references must
  /// outlive the handler.
  ProposalHandler(std::vector<Endpoint*> endpoints, ContentStore& store, Clock& clock,
                  Observer& observer);

  /// Never fails without a report, but for one error: cancelled, when it was stopped before
  /// anything was paid for. When the proposal's time is nearly over, what runs is given up, and the
  /// report says what there is.
  Result<ProposalReport> handle(const Proposal& proposal, CallLedger& ledger,
                                const OnPhase& on_phase, std::stop_token stop);

 private:
  struct Plan;
  struct Attempt;

  /// One that offers the model, better one whose circuit is closed; null when none offers it.
  Endpoint* choose_endpoint(const std::string& model) const;
  Result<Plan> make_plan(const Proposal& proposal, std::stop_token stop);
  Result<Program> fetch(const ProgramReference& reference, std::stop_token stop);
  Result<std::vector<Program>> fetch_all(const std::vector<ProgramReference>& references,
                                         std::stop_token stop);
  void run_attempts(const Plan& plan, std::vector<Attempt>& attempts, std::stop_token stop);
  void run_attempt(const Plan& plan, Attempt& attempt, std::stop_token stop);
  void judge(const Plan& plan, const ChatReply& reply, Attempt& attempt);
  std::vector<Attempt> make_follow_ups(const Plan& plan, const std::vector<Attempt>& attempts);
  void add_variants(const Plan& plan, const std::vector<Attempt>& attempts, ProposalReport& report);
  std::vector<Attempt> converse(const Plan& plan, std::stop_token stop);
  ProposalReport conclude(const Plan& plan, const std::vector<Attempt>& attempts);
  static ProposalReport report_failed_plan(const Error& error);

  std::vector<Endpoint*> endpoints_;
  ContentStore& store_;
  Clock& clock_;
  Observer& observer_;
};

}  // namespace cambrian::codegen
