#include "codegen-client/model_server/mutation/literal.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace cambrian::codemodel {

std::optional<Literal> parse_literal(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != '\'' && c != '_') digits += c;
  }
  if (digits.size() > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e' &&
      digits[1] != 'f' && digits[1] != 'F') {
    return std::nullopt;
  }
  Literal literal;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, literal.value);
  if (error != std::errc{} || !std::isfinite(literal.value)) return std::nullopt;
  literal.suffix.assign(rest, end);
  if (literal.suffix.find_first_not_of("fFuUlLzZ") != std::string::npos) return std::nullopt;
  const std::string_view number(digits.data(), static_cast<std::size_t>(rest - digits.data()));
  literal.is_real = number.find_first_of(".eE") != std::string_view::npos ||
                    literal.suffix.find_first_of("fF") != std::string::npos;
  return literal;
}

std::string format_real(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  std::string text = buffer;
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string format_exact(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, error == std::errc{} ? end : buffer);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string format_like(const Literal& literal, double value) {
  if (literal.is_real) return format_real(value) + literal.suffix;
  return std::to_string(std::llround(value)) + literal.suffix;
}

}  // namespace cambrian::codemodel
