#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cambrian::cli {

/// A table for people: `NAME  STATE  EVALUATIONS`. No lines, two blanks between columns.
class Table {
 public:
  struct Column {
    std::string title;
    bool is_right = false;  ///< Numbers stand at the right.
    bool is_wide = false;   ///< Only with -o wide.
  };

  /// How it is printed.
  struct Style {
    bool wide = false;
    bool color = false;  ///< Bold titles.
    int columns = 0;     ///< Lines are cut to this width; 0: not at all.
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell for each column. Line breaks and control characters become blanks: cells may hold
  /// text of a model.
  void add(std::vector<std::string> cells);
  bool is_empty() const { return rows_.empty(); }
  std::string render(const Style& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Number of characters that a UTF-8 text takes on a terminal, wide characters not considered.
std::size_t display_width(std::string_view text);

/// At most `columns` characters of a text, with `…` where something was cut.
std::string cut_to_width(std::string_view text, std::size_t columns);

/// `text` without control characters: safe for a terminal, whoever wrote it.
std::string printable(std::string_view text);

/// The same for a text of several lines: line breaks and tabs stay.
std::string printable_lines(std::string_view text);

}  // namespace cambrian::cli
