#pragma once

#include <cstdint>
#include <filesystem>

namespace cambrian::worker {

/// True when the files below the folder hold more than so many bytes, or are more than a bounded
/// number. For folders that untrusted code writes into: follows no links, goes only so deep.
bool is_folder_larger(const std::filesystem::path& folder, std::int64_t bytes);

}  // namespace cambrian::worker
