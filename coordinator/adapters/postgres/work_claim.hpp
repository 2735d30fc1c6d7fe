#pragma once

namespace cambrian::coordinator::postgres {

/// What finds evaluations for workers, for the test that pins its plan: a copy there would prove
/// nothing. Parameters: ids of the agents, their runtimes, sandbox level and GPUs, how many items,
/// campaigns that had their turn, the first item to look at of each of them.
extern const char* const kPickEvaluations;

}  // namespace cambrian::coordinator::postgres
