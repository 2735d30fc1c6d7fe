#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cambrian {

class Json;
using JsonArray = std::vector<Json>;
using JsonObject = std::map<std::string, Json, std::less<>>;

/// One JSON value. It exists so that tasks compile against the SDK alone, without a JSON library.
class Json {
 public:
  Json() = default;
  Json(bool value) : value_(value) {}
  Json(std::integral auto value) : value_(static_cast<std::int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(JsonArray value) : value_(std::move(value)) {}
  Json(JsonObject value) : value_(std::move(value)) {}

  /// The value where it is of that kind, else nothing. `number` takes integers too; `integer` takes
  /// nothing but integers that were written without a fraction.
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer() const;
  std::optional<double> number() const;
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  const JsonArray* array() const { return std::get_if<JsonArray>(&value_); }
  const JsonObject* object() const { return std::get_if<JsonObject>(&value_); }
  JsonArray* array() { return std::get_if<JsonArray>(&value_); }
  JsonObject* object() { return std::get_if<JsonObject>(&value_); }

  friend bool operator==(const Json&, const Json&) = default;

 private:
  friend struct JsonWriter;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, JsonArray, JsonObject>
      value_;
};

/// Deepest nesting that is read or written.
inline constexpr int kJsonDepthMax = 32;

/// Reads one JSON object. Strict: one value and nothing behind it, no comments, no duplicate
/// members, valid UTF-8, finite numbers, nesting up to kJsonDepthMax.
/// Throws std::invalid_argument with the reason.
JsonObject parse_json_object(std::string_view text);

/// Writes an object on one line, members sorted by name. Invalid UTF-8 becomes U+FFFD.
/// Throws std::invalid_argument for numbers that are not finite: JSON has none.
std::string to_text(const JsonObject& object);

}  // namespace cambrian
