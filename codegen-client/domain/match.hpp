#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Finding the lines that a model meant. Pure; any thread.
namespace cambrian::codegen {

using Lines = std::vector<std::string_view>;

/// A place in a file: `count` lines from line `begin`, counted from 0.
struct Place {
  std::size_t begin = 0;
  std::size_t count = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

/// Where the lines of `search` stand in the file, line for line.
std::vector<Place> find_exact(const Lines& file, const Lines& search);

/// The same without regard to white space at the ends of lines and to indentation that all lines
/// share. Blank lines at both ends of `search` must be gone.
std::vector<Place> find_tolerant(const Lines& file, const Lines& search);

/// What the search for a similar place found.
struct Similar {
  Place place;
  double similarity = 0;  ///< Share of characters that agree, white space left out.
  bool is_clear = false;  ///< Similar enough, and no other place is nearly as similar.
};

inline constexpr double kSimilarityMin = 0.9;
inline constexpr double kSimilarityLead = 0.05;  ///< Over every other place.

/// The place most similar to `search`. Similarity is 1 less the edit distance of the lines over
/// their lengths. Bounded: gives up (similarity 0) on inputs that would take long.
Similar find_similar(const Lines& file, const Lines& search);

/// True when the lines with content are indented alike, but for what all lines of one side share.
/// Both have as many lines.
bool is_indented_alike(const Lines& window, const Lines& search);

/// White space that all lines with content share at their beginning.
std::string_view common_indent(const Lines& lines);

/// Replaces the indentation `from` by `to` where a line has it.
std::vector<std::string> reindent(const Lines& lines, std::string_view from, std::string_view to);

/// Without blank lines at both ends.
Lines strip_blank_lines(const Lines& lines);

}  // namespace cambrian::codegen
