#pragma once

#include <map>
#include <memory>
#include <string>

#include "cambrian/agent/v1/work.pb.h"
#include "cambrian/spec/v1/task.pb.h"
#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// A task from its bundle. `contents` holds every file of it by path and is emptied. Errors:
/// invalid_argument for a manifest that breaks a rule: what comes over the wire is checked again.
Result<std::shared_ptr<const Task>> from_proto(const spec::v1::TaskBundle& bundle,
                                               const std::string& digest,
                                               std::map<std::string, std::string> contents);

Result<Split> from_proto(agent::v1::Split split);

spec::v1::SandboxLevel to_proto(SandboxLevel level);
agent::v1::EvaluationResult to_proto(const EvaluationResult& result);

}  // namespace cambrian::worker
