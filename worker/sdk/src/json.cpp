#include "cambrian/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "worker/sdk/src/json_text.hpp"

namespace cambrian {
namespace {

using Nlohmann = nlohmann::json;

// Builds our values from the parser's events. A hostile text cannot make it recurse, and it stops
// at the first member that appears twice, which a tree builder would hide.
class Builder : public nlohmann::json_sax<Nlohmann> {
 public:
  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(std::int64_t value) override { return add(Json(value)); }
  bool number_unsigned(std::uint64_t value) override {
    if (value <= static_cast<std::uint64_t>(INT64_MAX)) return add(Json(value));
    return add(Json(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) override { return add(Json(value)); }
  bool string(std::string& value) override { return add(Json(std::move(value))); }
  bool binary(Nlohmann::binary_t&) override { return refuse("binary value"); }

  bool start_object(std::size_t) override { return open(Json(JsonObject())); }
  bool start_array(std::size_t) override { return open(Json(JsonArray())); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    const JsonObject& parent = *open_.back().value.object();
    if (parent.contains(name)) return refuse("duplicate member: " + name);
    open_.back().key = name;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return refuse("not JSON at byte " + std::to_string(position));
  }

  Json root;
  std::string error;

 private:
  struct Level {
    Json value;
    std::string key;
  };

  bool refuse(std::string reason) {
    if (error.empty()) error = std::move(reason);
    return false;
  }

  bool open(Json value) {
    if (open_.size() >= kJsonDepthMax) return refuse("nested too deeply");
    open_.push_back(Level{std::move(value), {}});
    return true;
  }

  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (open_.empty()) {
      root = std::move(value);
      return true;
    }
    Level& level = open_.back();
    if (JsonArray* array = level.value.array()) {
      array->push_back(std::move(value));
    } else {
      level.value.object()->insert_or_assign(level.key, std::move(value));
    }
    return true;
  }

  std::vector<Level> open_;
};

}  // namespace

struct JsonWriter {
  std::string& out;
  int depth = 0;

  void write(const Json& json) {
    if (depth > kJsonDepthMax) throw std::invalid_argument("JSON nested too deeply");
    std::visit(*this, json.value_);
  }

  void operator()(std::monostate) { out += "null"; }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) { append_number(value); }
  void operator()(double value) {
    if (!std::isfinite(value)) throw std::invalid_argument("JSON number is not finite");
    const std::size_t start = out.size();
    append_number(value);
    // Without it, who reads it would take it for an integer.
    if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
  }
  void operator()(const std::string& value) { append_quoted(out, value); }
  void operator()(const JsonArray& value) {
    out += '[';
    ++depth;
    for (const Json& item : value) {
      if (&item != &value.front()) out += ',';
      write(item);
    }
    --depth;
    out += ']';
  }
  void operator()(const JsonObject& value) {
    out += '{';
    ++depth;
    bool is_first = true;
    for (const auto& [name, item] : value) {
      if (!std::exchange(is_first, false)) out += ',';
      append_quoted(out, name);
      out += ':';
      write(item);
    }
    --depth;
    out += '}';
  }

 private:
  template <class T>
  void append_number(T value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
  }
};

void append_text(std::string& out, const Json& value, int depth) {
  JsonWriter{out, depth}.write(value);
}

void append_quoted(std::string& out, std::string_view text) {
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  if (std::ranges::all_of(text, is_plain)) {
    (out += '"').append(text) += '"';
  } else {
    out += Nlohmann(text).dump(-1, ' ', false, Nlohmann::error_handler_t::replace);
  }
}

std::optional<bool> Json::boolean() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  return std::nullopt;
}

std::optional<std::int64_t> Json::integer() const {
  if (const std::int64_t* value = std::get_if<std::int64_t>(&value_)) return *value;
  return std::nullopt;
}

std::optional<double> Json::number() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const auto value = integer()) return static_cast<double>(*value);
  return std::nullopt;
}

JsonObject parse_json_object(std::string_view text) {
  Builder builder;
  const bool complete = Nlohmann::sax_parse(text.begin(), text.end(), &builder);
  if (!complete) throw std::invalid_argument(builder.error);
  JsonObject* object = builder.root.object();
  if (object == nullptr) throw std::invalid_argument("not a JSON object");
  return std::move(*object);
}

std::string to_text(const JsonObject& object) {
  std::string text;
  JsonWriter{text}(object);
  return text;
}

}  // namespace cambrian
