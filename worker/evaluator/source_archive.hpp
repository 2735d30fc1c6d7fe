#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The files of one fork as a text: the worker writes it, the fork unpacks it.
namespace cambrian::worker {

/// Both belong to somebody else.
struct ArchivedFile {
  std::string_view path;  ///< Relative, without . and .. parts.
  std::string_view content;
};

/// Larger programs are not for forks.
inline constexpr std::size_t kArchiveBytesMax = 64 << 20;

std::string write_archive(const std::vector<ArchivedFile>& files);
/// The files are parts of `text`. Nothing when it is damaged, or a path leaves its folder.
std::optional<std::vector<ArchivedFile>> read_archive(std::string_view text);

/// Where objects that need no compile lie among the sources of one. No task has such a folder.
inline constexpr std::string_view kFixedObjectFolder = "cambrian-fixed-objects";

/// Exit codes of a compile in a fork.
inline constexpr int kCompiled = 0;
inline constexpr int kCompileFailed = 1;
/// What the source needs is not known here; the compiler knows.
inline constexpr int kCompileUnsupported = 86;

}  // namespace cambrian::worker
