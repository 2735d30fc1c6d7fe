#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// A file to be written below a folder.
struct FileToWrite {
  std::string path;  ///< Relative, with forward slashes.
  const std::string* content = nullptr;
  bool is_executable = false;
};

/// The seed folder with the variant's files in place of the seed's, sorted by path. The request
/// must outlive the answer. Errors: invalid_argument for files that the task does not let change.
Result<std::vector<FileToWrite>> candidate_files(const EvaluationRequest& request);

/// Every file of the task folder.
std::vector<FileToWrite> task_files(const Task& task);

/// Writes files into a folder that nobody else has seen yet, readable by everybody, whatever the
/// umask. Errors: invalid_argument for a path that leaves the folder; exhausted when the disk is
/// full; unavailable when it does not take them.
Status write_files(const std::filesystem::path& folder, const std::vector<FileToWrite>& files);

/// Size of a regular file that a build left, opened without following links below `folder`.
/// Errors: not_found when there is none, invalid_argument when it is something else.
Result<std::int64_t> built_file_size(const std::filesystem::path& folder, const std::string& name);

}  // namespace cambrian::worker
