#include "worker/adapters/toolchain/source_folder.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeedPrefix = "seed/";

bool is_inner(const fs::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  return std::none_of(path.begin(), path.end(),
                      [](const fs::path& part) { return part == ".." || part == "."; });
}

Status write_failed(const fs::path& path, int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT;
  return fail(is_full ? Errc::exhausted : Errc::unavailable,
              std::string(is_full ? "disk is full" : "file was not written") +
                  ": path=" + path.string() + " error=" + std::strerror(error));
}

Status write_file(const fs::path& path, const FileToWrite& file) {
  const Descriptor out(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) return write_failed(path, errno);
  std::string_view rest = *file.content;
  while (!rest.empty()) {
    const ssize_t count = write(out.get(), rest.data(), rest.size());
    if (count < 0 && errno != EINTR) return write_failed(path, errno);
    if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
  }
  if (fchmod(out.get(), file.is_executable ? 0755 : 0644) != 0) return write_failed(path, errno);
  return {};
}

}  // namespace

Result<std::vector<FileToWrite>> candidate_files(const EvaluationRequest& request) {
  std::map<std::string, FileToWrite> files;
  for (const TaskFile& file : request.task->files) {
    if (!file.path.starts_with(kSeedPrefix)) continue;
    const std::string path = file.path.substr(kSeedPrefix.size());
    files[path] = {path, &file.content, file.executable};
  }
  const auto& evolve = request.task->manifest.candidate.evolve;
  for (const SourceFile& source : request.sources) {
    if (std::find(evolve.begin(), evolve.end(), source.path) == evolve.end()) {
      return fail(Errc::invalid_argument,
                  "the task does not let this file change: file=" + source.path);
    }
    files[source.path].path = source.path;
    files[source.path].content = &source.content;
  }
  std::vector<FileToWrite> sorted;
  for (auto& [path, file] : files) sorted.push_back(std::move(file));
  return sorted;
}

std::vector<FileToWrite> task_files(const Task& task) {
  std::vector<FileToWrite> files;
  for (const TaskFile& file : task.files) {
    files.push_back({file.path, &file.content, file.executable});
  }
  return files;
}

Status write_files(const fs::path& folder, const std::vector<FileToWrite>& files) {
  std::error_code error;
  const auto readable = fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                        fs::perms::others_read | fs::perms::others_exec;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, readable, error);
  if (error) return write_failed(folder, error.value());
  for (const FileToWrite& file : files) {
    const fs::path inner(file.path);
    if (!is_inner(inner)) {
      return fail(Errc::invalid_argument, "path leaves its folder: path=" + file.path);
    }
    fs::path parent = folder;
    for (const fs::path& part : inner.parent_path()) {
      parent /= part;
      if (fs::create_directory(parent, error)) fs::permissions(parent, readable, error);
      if (error) return write_failed(parent, error.value());
    }
    CAMBRIAN_TRY_STATUS(write_file(folder / inner, file));
  }
  return {};
}

Result<std::int64_t> built_file_size(const fs::path& folder, const std::string& name) {
  const Descriptor parent(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const Descriptor file(
      static_cast<int>(syscall(SYS_openat2, parent.get(), name.c_str(), &how, sizeof how)));
  if (!file && errno == ENOENT) return fail(Errc::not_found, "nothing was built: file=" + name);
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(Errc::invalid_argument, "what was built is not a regular file: file=" + name);
  }
  return info.st_size;
}

}  // namespace cambrian::worker
