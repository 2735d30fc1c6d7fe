#pragma once

#include <optional>
#include <string>
#include <vector>

/// The sources of one compile as a text: the worker writes it, the compile server reads it in its
/// sandbox.
namespace cambrian::worker {

struct ArchivedFile {
  std::string path;  ///< Relative, without . and .. parts.
  std::string content;
};

inline constexpr std::size_t kArchiveBytesMax = 16 << 20;

std::string write_archive(const std::vector<ArchivedFile>& files);
/// Nothing when it is damaged.
std::optional<std::vector<ArchivedFile>> read_archive(const std::string& text);

/// Exit codes of a compile in a fork.
inline constexpr int kCompiled = 0;
inline constexpr int kCompileFailed = 1;
/// What the source needs is not known here; the compiler knows.
inline constexpr int kCompileUnsupported = 86;

}  // namespace cambrian::worker
