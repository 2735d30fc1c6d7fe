#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.hpp"

namespace cambrian::worker {

/// The secret for evaluations without a coordinator, in place of the service's: what the file
/// holds. Where there is none, it is made with 256 random bits, readable by this user alone; so the
/// same seed gives the same metrics on this machine, and no candidate can draw the judge's data.
/// Errors: unavailable when the file cannot be made or read. Several processes may call it at once.
Result<std::string> read_judge_secret(const std::filesystem::path& file);

}  // namespace cambrian::worker
