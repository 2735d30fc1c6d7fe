#pragma once

namespace cambrian::coordinator::postgres {

/// What leases evaluations to a worker, for the test that pins its plan: a copy there would prove
/// nothing. Parameters: agent's id and name, lease and attempt in milliseconds, its runtimes,
/// sandbox level and GPUs, how many items, campaigns that had their turn.
extern const char* const kClaimEvaluations;

}  // namespace cambrian::coordinator::postgres
