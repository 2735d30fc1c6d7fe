#include "common/config/nearest.hpp"

#include <algorithm>
#include <vector>

namespace cambrian {
namespace {

constexpr std::size_t kNameBytesMax = 128;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

/// `maxTokens`, `max-tokens` and `MAX_TOKENS` are the same name to a person.
std::string normalized(std::string_view name) {
  std::string result;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (is_upper(c)) {
      if (i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z') result += '_';
      result += static_cast<char>(c - 'A' + 'a');
    } else {
      result += c == '-' ? '_' : c;
    }
  }
  return result;
}

/// Optimal string alignment distance in three rows.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates) {
  if (name.empty() || name.size() > kNameBytesMax) return std::nullopt;
  const std::string wanted = normalized(name);
  std::optional<std::string> best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kNameBytesMax) continue;
    const std::size_t d = distance(wanted, normalized(candidate));
    const std::size_t allowed =
        std::max<std::size_t>(1, std::max(wanted.size(), candidate.size()) / 3);
    if (d <= allowed && (!best || d < best_distance)) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace cambrian
