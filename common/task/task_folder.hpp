#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "cambrian/spec/v1/task.pb.h"
#include "common/base/result.hpp"
#include "common/config/reader.hpp"

namespace cambrian::task {

/// Limits of a task folder.
inline constexpr int kFilesMax = 1000;
inline constexpr std::size_t kTaskFileBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kTaskBytesMax = std::size_t{64} << 20;
/// Largest source that a variant may have, unless limits.source_bytes says otherwise.
inline constexpr std::int64_t kSourceBytesDefault = 64 * 1024;

/// A task folder that was read and checked.
struct LoadedTask {
  spec::v1::TaskBundle bundle;
  std::string digest;            ///< bundle_digest(bundle).
  std::filesystem::path folder;  ///< Absolute, without links.
  /// Content of every file of the bundle by its path.
  std::map<std::string, std::string> contents;

  /// Where an evolvable file of the seed lies: `priority.cpp` gives FOLDER/seed/priority.cpp.
  std::filesystem::path seed_path(const std::string& evolve) const {
    return folder / "seed" / evolve;
  }
};

/// What came of reading a folder: the task, or a document with all problems.
struct TaskReading {
  config::Document document;
  std::optional<LoadedTask> task;
};

/// Reads FOLDER/task.yaml strictly, checks it and the files that it names, and packs the folder.
/// An error only where the folder or task.yaml cannot be read; `path` may also name task.yaml.
Result<TaskReading> read_task_folder(const std::filesystem::path& path);

/// The same for callers that need no places: every problem is one invalid_argument whose message is
/// the rendered list.
Result<LoadedTask> load_task_folder(const std::filesystem::path& path);

/// SHA-256 of the deterministic serialisation, in hex: the name of a task.
std::string bundle_digest(const spec::v1::TaskBundle& bundle);

/// The same bytes for equal messages, in every process.
std::string serialize(const google::protobuf::Message& message);

/// What is stored as the blob of bundle_digest.
inline std::string serialize_bundle(const spec::v1::TaskBundle& bundle) {
  return serialize(bundle);
}

}  // namespace cambrian::task
