#pragma once

#include <optional>
#include <string_view>

#include "codegen-client/domain/edit.hpp"
#include "codegen-client/domain/proposal.hpp"

namespace cambrian::codegen {

/// Is told what happened, for metrics. Called from any thread; must not block.
class Observer {
 public:
  virtual ~Observer() = default;

  /// One sending of a call ended, or was given up before it was sent. `model` is the one that was
  /// asked for; `sending` holds what it alone took, and in `retries` how many came before it.
  /// `failure` is absent for an answer.
  virtual void sending_finished(std::string_view model, const CallRecord& sending,
                                std::optional<FailureKind> failure) = 0;
  /// Requests to an endpoint are let through again, or held back.
  virtual void availability_changed(std::string_view endpoint, bool is_available) = 0;
  /// `rejection` is absent when the answer made a variant.
  virtual void answer_judged(EditFormat format, std::optional<RejectionKind> rejection) = 0;
  virtual void proposal_finished(Operator operation, ProposalOutcome outcome) = 0;
};

}  // namespace cambrian::codegen
