#include "worker/adapters/sandbox/folder_size.hpp"

#include <sys/stat.h>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr int kEntriesMax = 100'000;
constexpr int kDepthMax = 32;

}  // namespace

bool is_folder_larger(const fs::path& folder, std::int64_t bytes) {
  std::error_code error;
  std::int64_t total = 0;
  int entries = 0;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    struct stat info{};
    if (lstat(at->path().c_str(), &info) == 0) total += std::int64_t{info.st_blocks} * 512;
    if (++entries > kEntriesMax || at.depth() > kDepthMax || total > bytes) return true;
  }
  return false;
}

}  // namespace cambrian::worker
