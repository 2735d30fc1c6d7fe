#pragma once

#include "worker/assembly.hpp"

namespace cambrian::worker {

/// `cambrian-worker probe`: what this machine can do, as JSON or as lines. Returns 0 when
/// candidates can be run here, 1 otherwise.
int run_probe(const Places& places, bool as_json);

}  // namespace cambrian::worker
