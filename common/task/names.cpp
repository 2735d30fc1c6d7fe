#include "common/task/names.hpp"

#include <algorithm>

namespace cambrian::task {
namespace {

constexpr std::size_t kNameBytesMax = 63;
constexpr std::size_t kPathBytesMax = 200;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

bool is_path_part(std::string_view part) {
  if (part.empty() || part == "." || part == ".." || part.front() == '-') return false;
  return std::ranges::all_of(
      part, [](char c) { return is_letter(c) || is_lower_or_digit(c) || is_one_of(c, "._+-=@,"); });
}

}  // namespace

bool is_resource_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && is_lower_or_digit(text.front()) &&
         is_lower_or_digit(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && is_letter(text.front()) &&
         std::ranges::all_of(text, [](char c) {
           return is_letter(c) || is_lower_or_digit(c) || is_one_of(c, "_.-");
         });
}

bool is_inner_path(std::string_view text) {
  if (text.size() > kPathBytesMax) return false;
  while (true) {
    const std::size_t slash = text.find('/');
    if (!is_path_part(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

}  // namespace cambrian::task
