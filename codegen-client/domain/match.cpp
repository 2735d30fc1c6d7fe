#include "codegen-client/domain/match.hpp"

#include <algorithm>
#include <map>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen {
namespace {

// A brace alone is similar to every other brace: too little to go by.
constexpr std::size_t kFuzzyCharactersMin = 16;
constexpr std::size_t kFuzzyComparisonsMax = 20'000'000;
constexpr std::size_t kFuzzyLineBytesMax = 256;

template <class Predicate>
std::vector<Place> find_windows(const Lines& file, std::size_t count, Predicate is_match) {
  std::vector<Place> places;
  if (count == 0 || count > file.size()) return places;
  for (std::size_t begin = 0; begin + count <= file.size(); ++begin) {
    if (is_match(begin)) places.push_back({.begin = begin, .count = count});
  }
  return places;
}

std::string squeeze(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c != ' ' && c != '\t' && c != '\r') out += c;
  }
  return out;
}

/// Levenshtein distance; lines that are too long differ wholly.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  if (a == b) return 0;
  if (a.size() > kFuzzyLineBytesMax || b.size() > kFuzzyLineBytesMax) {
    return std::max(a.size(), b.size());
  }
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

/// Compares a window of the file with the lines searched for.
class WindowScorer {
 public:
  WindowScorer(const Lines& file, const Lines& search) {
    for (const std::string_view line : file) file_.push_back(squeeze(line));
    for (const std::string_view line : search) search_.push_back(squeeze(line));
  }

  std::size_t characters() const {
    std::size_t sum = 0;
    for (const std::string& line : search_) sum += line.size();
    return sum;
  }

  double score(std::size_t begin) const {
    // Distances are dear: only where half of the lines are equal, or where there are few.
    constexpr std::size_t kFewLines = 3;
    std::size_t equal = 0;
    for (std::size_t i = 0; i < search_.size(); ++i) equal += file_[begin + i] == search_[i];
    if (search_.size() > kFewLines && equal * 2 < search_.size()) return 0;
    std::size_t distance = 0;
    std::size_t length = 0;
    for (std::size_t i = 0; i < search_.size(); ++i) {
      distance += edit_distance(file_[begin + i], search_[i]);
      length += std::max(file_[begin + i].size(), search_[i].size());
    }
    return length == 0 ? 0 : 1 - static_cast<double>(distance) / static_cast<double>(length);
  }

 private:
  std::vector<std::string> file_;
  std::vector<std::string> search_;
};

}  // namespace

std::vector<Place> find_exact(const Lines& file, const Lines& search) {
  return find_windows(file, search.size(), [&](std::size_t begin) {
    return std::equal(search.begin(), search.end(),
                      file.begin() + static_cast<std::ptrdiff_t>(begin));
  });
}

std::vector<Place> find_tolerant(const Lines& file, const Lines& search) {
  const std::string_view search_indent = common_indent(search);
  return find_windows(file, search.size(), [&](std::size_t begin) {
    // Cheap test first: most windows differ without their indentation already.
    for (std::size_t i = 0; i < search.size(); ++i) {
      if (trim(file[begin + i]) != trim(search[i])) return false;
    }
    const auto first = file.begin() + static_cast<std::ptrdiff_t>(begin);
    const Lines window(first, first + static_cast<std::ptrdiff_t>(search.size()));
    const std::string_view indent = common_indent(window);
    for (std::size_t i = 0; i < search.size(); ++i) {
      if (trim(search[i]).empty()) continue;
      const auto rest = trim_right(search[i]).substr(search_indent.size());
      if (trim_right(window[i]).substr(indent.size()) != rest) return false;
    }
    return true;
  });
}

Similar find_similar(const Lines& file, const Lines& search) {
  Similar best;
  if (search.empty() || search.size() > file.size() ||
      file.size() * search.size() > kFuzzyComparisonsMax) {
    return best;
  }
  const WindowScorer scorer(file, search);
  double second = 0;
  for (std::size_t begin = 0; begin + search.size() <= file.size(); ++begin) {
    const double score = scorer.score(begin);
    if (score > best.similarity) {
      second = best.similarity;
      best.similarity = score;
      best.place = {.begin = begin, .count = search.size()};
    } else {
      second = std::max(second, score);
    }
  }
  best.is_clear = scorer.characters() >= kFuzzyCharactersMin && best.similarity >= kSimilarityMin &&
                  best.similarity - second >= kSimilarityLead;
  return best;
}

bool is_indented_alike(const Lines& window, const Lines& search) {
  const auto indent_of = [](std::string_view line, std::string_view common) {
    const std::size_t end = std::min(line.find_first_not_of(" \t"), line.size());
    return line.substr(0, end).substr(std::min(common.size(), end));
  };
  // Of the lines that have content on both sides: else there is nothing to compare.
  Lines file_lines;
  Lines search_lines;
  for (std::size_t i = 0; i < search.size(); ++i) {
    if (trim(window[i]).empty() || trim(search[i]).empty()) continue;
    file_lines.push_back(window[i]);
    search_lines.push_back(search[i]);
  }
  const std::string_view file_common = common_indent(file_lines);
  const std::string_view search_common = common_indent(search_lines);
  return std::equal(file_lines.begin(), file_lines.end(), search_lines.begin(),
                    [&](std::string_view in_file, std::string_view searched) {
                      return indent_of(in_file, file_common) == indent_of(searched, search_common);
                    });
}

std::string_view common_indent(const Lines& lines) {
  std::string_view indent;
  bool is_first = true;
  for (const std::string_view line : lines) {
    const std::size_t end = line.find_first_not_of(" \t");
    if (trim(line).empty()) continue;
    const std::string_view own = line.substr(0, end);
    if (is_first) indent = own;
    is_first = false;
    const auto [a, b] = std::mismatch(indent.begin(), indent.end(), own.begin(), own.end());
    indent = indent.substr(0, static_cast<std::size_t>(a - indent.begin()));
  }
  return indent;
}

std::vector<std::string> reindent(const Lines& lines, std::string_view from, std::string_view to) {
  std::vector<std::string> out;
  for (const std::string_view line : lines) {
    const bool has_indent = line.starts_with(from) && !trim(line).empty();
    out.push_back(has_indent ? std::string(to) + std::string(line.substr(from.size()))
                             : std::string(line));
  }
  return out;
}

Lines strip_blank_lines(const Lines& lines) {
  const auto has_content = [](std::string_view line) { return !trim(line).empty(); };
  const auto begin = std::find_if(lines.begin(), lines.end(), has_content);
  const auto end = std::find_if(lines.rbegin(), lines.rend(), has_content).base();
  return begin < end ? Lines(begin, end) : Lines();
}

}  // namespace cambrian::codegen
