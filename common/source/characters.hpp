#pragma once

/// What a byte of a program's text may be, for C++ and Python alike. Independent of the locale.
namespace cambrian::source {

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }
constexpr bool is_newline(char c) { return c == '\n' || c == '\r'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Bytes of UTF-8 sequences count as letters.
constexpr bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_name(char c) { return is_name_start(c) || is_digit(c); }

}  // namespace cambrian::source
