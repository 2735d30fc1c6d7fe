#include "cli/output/table.hpp"

#include <algorithm>

#include "cli/output/terminal.hpp"
#include "common/base/assert.hpp"

namespace cambrian::cli {
namespace {

constexpr std::size_t kGap = 2;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// Control characters of ASCII, and of Latin-1 in UTF-8 (0xC2 0x80 to 0xC2 0x9F): a terminal obeys
/// both.
std::string without_controls(std::string_view text, std::string_view kept) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 || byte == 0x7f) && kept.find(text[i]) == std::string_view::npos) {
      result += ' ';
    } else if (byte == 0xc2 && i + 1 < text.size() &&
               static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      result += ' ';
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

std::string cut_to_width(std::string_view text, std::size_t columns) {
  if (columns == 0 || display_width(text) <= columns) return std::string(text);
  std::size_t end = 0;
  for (std::size_t shown = 0; end < text.size(); ++end) {
    if (!is_continuation(text[end]) && ++shown == columns) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string printable(std::string_view text) { return without_controls(text, ""); }

std::string printable_lines(std::string_view text) { return without_controls(text, "\n\t"); }

void Table::add(std::vector<std::string> cells) {
  CAMBRIAN_ASSERT(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::render(const Style& style) const {
  std::vector<std::size_t> shown;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].is_wide && !style.wide) continue;
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    shown.push_back(i);
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const std::string& cell = cell_of(shown[i]);
      const std::string blanks(widths[i] - display_width(cell), ' ');
      text += columns_[shown[i]].is_right ? blanks + cell : cell + blanks;
      if (i + 1 < shown.size()) text += std::string(kGap, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return cut_to_width(text, static_cast<std::size_t>(std::max(style.columns, 0)));
  };
  std::string result =
      styled(line([&](std::size_t i) -> const std::string& { return columns_[i].title; }), "1",
             style.color) +
      "\n";
  for (const auto& row : rows_) {
    result += line([&](std::size_t i) -> const std::string& { return row[i]; }) + "\n";
  }
  return result;
}

}  // namespace cambrian::cli
