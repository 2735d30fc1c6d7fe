#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cambrian::codemodel {

/// A number as it is written: `0.01F`, `1e-3`, `64`, `1'000`.
struct Literal {
  double value = 0;
  bool is_real = false;  ///< Written with a point, an exponent or a suffix f.
  std::string suffix;    ///< Letters behind the digits: `f`, `U`, `LL`.
};

/// Nothing for hexadecimal, octal and binary numbers and user-defined suffixes.
std::optional<Literal> parse_literal(std::string_view text);

/// Three significant digits, and always recognisable as a real number: `0.03`, `2.0`, `1e-05`.
std::string format_real(double value);

/// As many digits as it takes to read the same value back, and recognisable as a real number.
std::string format_exact(double value);

/// The literal with another value, in the same kind and with the same suffix.
std::string format_like(const Literal& literal, double value);

}  // namespace cambrian::codemodel
