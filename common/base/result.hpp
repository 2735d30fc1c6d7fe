#pragma once

#include <tl/expected.hpp>

#include "common/base/error.hpp"

namespace cambrian {

/// A value, or the reason why there is none. Ignoring one is a compiler warning.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// The error side of any Result: `return fail(Errc::not_found, "no such task: name=" + name);`
inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace cambrian

#define CAMBRIAN_CONCAT_INNER(a, b) a##b
#define CAMBRIAN_CONCAT(a, b) CAMBRIAN_CONCAT_INNER(a, b)

// `CAMBRIAN_TRY(auto value, expression);` declares the value or returns the error. They are
// statements, not expressions: GCC 14 crashes on ({ }) in coroutines.
#define CAMBRIAN_TRY_IMPL(result, declaration, expression, ret) \
  auto result = (expression);                                   \
  if (!result) ret ::cambrian::fail(std::move(result).error()); \
  declaration = std::move(*result)
#define CAMBRIAN_CHECK_IMPL(result, expression, ret) \
  if (auto result = (expression); !result) ret ::cambrian::fail(std::move(result).error())

#define CAMBRIAN_TRY(declaration, expression) \
  CAMBRIAN_TRY_IMPL(CAMBRIAN_CONCAT(try_result_, __LINE__), declaration, expression, return)
#define CAMBRIAN_CO_TRY(declaration, expression) \
  CAMBRIAN_TRY_IMPL(CAMBRIAN_CONCAT(try_result_, __LINE__), declaration, expression, co_return)
// The same for a Status, which has no value to declare.
#define CAMBRIAN_TRY_STATUS(expression) \
  CAMBRIAN_CHECK_IMPL(CAMBRIAN_CONCAT(try_result_, __LINE__), expression, return)
#define CAMBRIAN_CO_TRY_STATUS(expression) \
  CAMBRIAN_CHECK_IMPL(CAMBRIAN_CONCAT(try_result_, __LINE__), expression, co_return)
