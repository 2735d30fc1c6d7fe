#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/source/language.hpp"

namespace cambrian::source {

/// So many constants of one program may be tuned: a search in more dimensions needs more
/// evaluations than a campaign has for it.
inline constexpr std::size_t kConstantsMax = 20;

/// A number in a program that may be tuned.
struct Constant {
  double value = 0;  ///< As it is written, within the bounds.
  double low = 0;    ///< Below `high`.
  double high = 0;
  bool is_logarithmic = false;  ///< Then `low` is positive.
  friend bool operator==(const Constant&, const Constant&) = default;
};

/// The numbers of a program that may be tuned, by path and in the order of the text, the first
/// `kConstantsMax`. Only what lies within EVOLVE-BLOCKs and outside comments, literals of text and
/// preprocessor directives.
///
/// **Marked.** A comment with the word `TUNE` marks the numbers before it on its line. It may be
/// followed by bounds and by `log`: `double rate = 0.1;  // TUNE [0.001, 1] log`. Bounds are those
/// of the number without a sign before it. Whole numbers stay whole. A mark that cannot be read
/// counts as one without bounds.
///
/// **Not marked.** Where no number of the program is marked, all that are written with a point or
/// an exponent may be tuned: whole numbers are counts and indices. Left out are those below 1e-6
/// and above 1e6, which guard divisions and stand for infinity.
///
/// Without bounds of its own a number ranges over a quarter to four times its value,
/// logarithmically, and zero from -1 to 1. Languages other than C++ and Python have no constants.
/// Linear time. A file whose marks of blocks are broken has none.
std::vector<Constant> find_constants(const std::map<std::string, std::string>& files,
                                     Language language);

/// The program with other values for what `find_constants` finds, written with six significant
/// digits; negative ones in parentheses. Errors: invalid_argument when their number is another one,
/// or a value is not finite.
Result<std::map<std::string, std::string>> replace_constants(
    const std::map<std::string, std::string>& files, Language language,
    std::span<const double> values);

}  // namespace cambrian::source
