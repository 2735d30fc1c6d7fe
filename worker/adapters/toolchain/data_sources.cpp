#include "worker/adapters/toolchain/data_sources.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "common/digest/sha256.hpp"
#include "worker/evaluation/compile_command.hpp"
#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kFilesMax = 10'000;

std::string with_hint(std::string message, const DataSource& source) {
  return source.hint.empty() ? message : message + " (" + source.hint + ")";
}

// Judges run as another user where the worker is root, so everybody must be able to read.
bool is_readable(const fs::path& path) {
  if (geteuid() != 0) return access(path.c_str(), R_OK) == 0;
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0;
}

}  // namespace

Result<std::vector<Mount>> DataSources::mounts(const std::vector<DataSource>& sources) {
  std::vector<Mount> mounts;
  for (const DataSource& source : sources) {
    CAMBRIAN_TRY(const std::string path, resolve(source));
    const std::string named = "data=" + source.name + " path=" + path;
    std::error_code error;
    if (!fs::exists(path, error)) {
      return fail(Errc::unavailable, with_hint("data are missing: " + named, source));
    }
    if (!is_readable(path)) {
      return fail(Errc::unavailable, "data are not readable by everybody: " + named);
    }
    if (!source.sha256.empty()) {
      CAMBRIAN_TRY(const std::string found, digest(path));
      if (found != source.sha256) {
        return fail(Errc::unavailable,
                    with_hint("data differ from what the task expects: " + named +
                                  " sha256=" + found + " expected=" + source.sha256,
                              source));
      }
    }
    mounts.push_back({path, std::string(kDataFolder) + "/" + source.name, false});
  }
  return mounts;
}

Result<std::vector<fs::path>> DataSources::hidden(const std::vector<DataSource>& sources) const {
  std::vector<fs::path> hidden;
  const auto hide = [&hidden](const std::string& path) {
    std::error_code error;
    // Where it really lies: a link to it may be anywhere.
    const fs::path real = fs::canonical(path, error);
    if (!error && real.string().starts_with("/usr/")) hidden.push_back(real);
  };
  for (const DataSource& source : sources) {
    CAMBRIAN_TRY(const std::string path, resolve(source));
    hide(path);
  }
  // Those of other tasks as well.
  for (const auto& [name, folder] : folders_) hide(folder);
  return hidden;
}

Result<std::string> DataSources::resolve(const DataSource& source) const {
  if (!source.path.starts_with("${")) return source.path;
  const std::size_t end = source.path.find('}');
  const std::string name = source.path.substr(2, end == std::string::npos ? end : end - 2);
  const auto found = folders_.find(name);
  if (end == std::string::npos || found == folders_.end()) {
    return fail(Errc::unavailable, with_hint("this worker has no data path of that name: data=" +
                                                 source.name + " data_paths." + name,
                                             source));
  }
  return found->second + source.path.substr(end + 1);
}

Result<std::string> DataSources::digest(const std::string& path) {
  if (!fs::is_directory(path)) return file_digest(path);
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator at(path, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    if (at->is_regular_file(error)) names.push_back(fs::relative(at->path(), path).string());
    if (names.size() > kFilesMax) {
      return fail(Errc::unavailable, "data have too many files to check: path=" + path);
    }
  }
  if (error) return fail(Errc::unavailable, "data are not readable: path=" + path);
  std::sort(names.begin(), names.end());
  // The same lines as `sha256sum` prints for the sorted names.
  Sha256 folder;
  for (const std::string& name : names) {
    CAMBRIAN_TRY(const std::string file, file_digest((fs::path(path) / name).string()));
    folder.update(file + "  " + name + "\n");
  }
  return folder.finish_hex();
}

Result<std::string> DataSources::file_digest(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) {
    return fail(Errc::unavailable, "data are not readable: path=" + path);
  }
  const std::string key = path + " " + std::to_string(info.st_size) + " " +
                          std::to_string(info.st_mtim.tv_sec) + "." +
                          std::to_string(info.st_mtim.tv_nsec);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
  }
  Sha256 digest;
  std::string buffer(kReadBytes, '\0');
  ssize_t count = 0;
  while ((count = read(file.get(), buffer.data(), buffer.size())) > 0) {
    digest.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
  }
  if (count < 0) return fail(Errc::unavailable, "data are not readable: path=" + path);
  const std::string hex = digest.finish_hex();
  const std::lock_guard lock(mutex_);
  known_[key] = hex;
  return hex;
}

}  // namespace cambrian::worker
