#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace cambrian::codegen {

/// How an answer writes its changes.
enum class EditFormat { none, search_replace, unified_diff, whole_file };

constexpr std::string_view to_string(EditFormat format) {
  switch (format) {
    case EditFormat::none: return "none";
    case EditFormat::search_replace: return "search_replace";
    case EditFormat::unified_diff: return "unified_diff";
    case EditFormat::whole_file: return "whole_file";
  }
  return "none";
}

enum class RejectionKind {
  no_edit,        ///< The answer contains none.
  malformed,      ///< An edit that begins but does not end, or is not understood.
  truncated,      ///< The token limit cut the answer.
  refused,        ///< The model or its content filter refused.
  no_match,       ///< The text to replace is not in the file.
  ambiguous,      ///< It is there more than once.
  outside_block,  ///< The change reaches outside the EVOLVE-BLOCK marks, or changes them.
  unknown_file,   ///< The file is not one that may change.
  too_large,      ///< A file became too large.
  unchanged,      ///< Nothing but layout and comments changed.
  duplicate,      ///< The same program as another answer of this proposal.
};

constexpr std::string_view to_string(RejectionKind kind) {
  switch (kind) {
    case RejectionKind::no_edit: return "no_edit";
    case RejectionKind::malformed: return "malformed";
    case RejectionKind::truncated: return "truncated";
    case RejectionKind::refused: return "refused";
    case RejectionKind::no_match: return "no_match";
    case RejectionKind::ambiguous: return "ambiguous";
    case RejectionKind::outside_block: return "outside_block";
    case RejectionKind::unknown_file: return "unknown_file";
    case RejectionKind::too_large: return "too_large";
    case RejectionKind::unchanged: return "unchanged";
    case RejectionKind::duplicate: return "duplicate";
  }
  return "malformed";
}

inline constexpr std::size_t kRejectionBytesMax = 1024;
inline constexpr std::size_t kRationaleBytesMax = 2048;
/// Edits in one answer.
inline constexpr std::size_t kEditsMax = 64;

/// Why an answer is of no use. The reason goes back to the model: one line, at most
/// kRejectionBytesMax bytes.
struct Rejection {
  RejectionKind kind = RejectionKind::malformed;
  std::string reason{};
};

template <class T>
using Judged = tl::expected<T, Rejection>;

tl::unexpected<Rejection> reject(RejectionKind kind, std::string_view reason);

/// Replaces some lines of a file, or a whole file.
struct Edit {
  std::string path{};                 ///< Empty: not named; good enough when one file may change.
  std::string search{};               ///< Lines as the model saw them. Unused for whole files.
  std::string replace{};              ///< What comes in their place, or the whole file.
  std::optional<std::size_t> line{};  ///< Where a unified diff says that it is, from 1.
};

/// What was read out of a model's answer.
struct Answer {
  EditFormat format = EditFormat::none;
  std::vector<Edit> edits{};  ///< At least one.
  std::string rationale{};    ///< Text outside of the edits, valid UTF-8.
};

/// Reads the edits of an answer whose thoughts were taken out. SEARCH/REPLACE blocks win over
/// unified diffs, and these over whole files. `paths` are the files that may change: a line with
/// nothing but one of them names the file of what follows, like `File: PATH`.
/// docs/prompt-format.md describes the forms. Any input is accepted; linear time.
Judged<Answer> parse_answer(std::string_view content, const std::vector<std::string>& paths);

}  // namespace cambrian::codegen
