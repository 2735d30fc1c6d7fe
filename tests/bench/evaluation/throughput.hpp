#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "worker/assembly.hpp"

namespace cambrian::bench {

/// Evaluates all requests in `slots` slots at once, as a worker does: how many an hour, and the
/// share of the slots' time that candidates trained. `idle_bytes` is the memory of the warm
/// evaluators before, for what a slot adds.
Result<nlohmann::json> measure_throughput(worker::Workshop& workshop,
                                          const std::vector<worker::EvaluationRequest>& requests,
                                          int slots, std::int64_t idle_bytes);

/// Seconds from the call to the end of a sandboxed /usr/bin/true: the median of many.
Result<nlohmann::json> measure_sandbox(worker::Sandbox& sandbox);

double median(std::vector<double> values);

}  // namespace cambrian::bench
