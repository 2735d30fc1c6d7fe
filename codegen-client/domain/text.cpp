#include "codegen-client/domain/text.hpp"

#include <algorithm>

#include "common/base/utf8.hpp"

namespace cambrian::codegen {
namespace {

constexpr std::string_view kBlank = " \t\r\n\v\f";

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

}  // namespace

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_sequence_length(text.substr(i));
    out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(i, length);
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string_view truncate_utf8(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (byte_at(text, end) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::string to_one_line(std::string_view text, std::size_t bytes_max) {
  std::string line = to_valid_utf8(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') c = ' ';
  }
  return std::string(truncate_utf8(line, bytes_max));
}

std::string shorten_middle(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  const std::size_t half = bytes_max / 2;
  const std::string_view head = truncate_utf8(text, half);
  std::size_t tail = text.size() - half;
  while (tail < text.size() && (byte_at(text, tail) & 0xc0) == 0x80) ++tail;
  return std::string(head) + "\n[" + std::to_string(tail - head.size()) + " bytes left out]\n" +
         std::string(text.substr(tail));
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view trim_right(std::string_view text) {
  const std::size_t end = text.find_last_not_of(kBlank);
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

std::string_view trim(std::string_view text) {
  text = trim_right(text);
  const std::size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace cambrian::codegen
