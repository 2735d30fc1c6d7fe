#include "common/config/reader.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

#include "common/base/utf8.hpp"
#include "common/config/nearest.hpp"
#include "common/config/value.hpp"
#include "common/config/yaml_tree.hpp"

namespace cambrian::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

std::string to_upper(std::string_view text) {
  std::string result;
  for (const char c : text) {
    result += c == '-' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return result;
}

std::string to_lower(std::string_view text) {
  std::string result;
  for (const char c : text) result += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

/// `POLICY_` for Policy, `SANDBOX_LEVEL_` for SandboxLevel: what all its values begin with.
std::string enum_prefix(const EnumDescriptor* type) {
  std::string prefix;
  for (const char c : type->name()) {
    if (c >= 'A' && c <= 'Z' && !prefix.empty()) prefix += '_';
    prefix += to_upper(std::string_view(&c, 1));
  }
  return prefix + '_';
}

/// Names as people write them; the zero value means "not set" and is not among them.
std::vector<std::string> short_names(const EnumDescriptor* type) {
  const std::string prefix = enum_prefix(type);
  std::vector<std::string> names;
  for (int i = 0; i < type->value_count(); ++i) {
    const EnumValueDescriptor* value = type->value(i);
    if (value->number() == 0) continue;
    std::string_view name = value->name();
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    names.push_back(to_lower(name));
  }
  return names;
}

const EnumValueDescriptor* find_enum_value(const EnumDescriptor* type, std::string_view text) {
  const std::string name = to_upper(text);
  const EnumValueDescriptor* value = type->FindValueByName(name);
  if (value == nullptr) value = type->FindValueByName(enum_prefix(type) + name);
  return value != nullptr && value->number() != 0 ? value : nullptr;
}

std::string join(const std::vector<std::string>& parts) {
  std::string result;
  for (const std::string& part : parts) result += (result.empty() ? "" : ", ") + part;
  return result;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShownMax = 60;
  return '"' + std::string(utf8_prefix(text, kShownMax)) + (text.size() > kShownMax ? "…" : "") +
         '"';
}

std::string kind_of(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null: return "nothing";
    case YamlNode::Kind::scalar: return in_quotes(node.scalar);
    case YamlNode::Kind::sequence: return "a list";
    case YamlNode::Kind::map: return "a map";
  }
  return "nothing";
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

template <class To, class From>
std::optional<To> narrow(std::optional<From> value) {
  if (!value || *value < static_cast<From>(std::numeric_limits<To>::min()) ||
      *value > static_cast<From>(std::numeric_limits<To>::max())) {
    return std::nullopt;
  }
  return static_cast<To>(*value);
}

bool is_duration(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type()->full_name() == "google.protobuf.Duration";
}

/// Walks the YAML tree and the descriptor together.
class Reader {
 public:
  explicit Reader(Document& document) : document_(document) {}

  void read_root(const YamlNode& node, Message& message) {
    if (node.kind == YamlNode::Kind::null) return;
    read_message(node, "", message);
  }

 private:
  void problem(const YamlNode& node, const std::string& path, std::string message,
               std::string fix = "") {
    document_.add({path, node.place, std::move(message), std::move(fix)});
  }

  void read_message(const YamlNode& node, const std::string& path, Message& message) {
    if (node.kind != YamlNode::Kind::map) {
      problem(
          node, path,
          (path.empty() ? std::string("the file") : path) + " must be a map, not " + kind_of(node),
          "write one \"name: value\" a line");
      return;
    }
    std::set<std::string> seen;
    for (const auto& [key, value] : node.entries) {
      if (!is_new_key(key, path, seen)) continue;
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key.scalar);
      if (field == nullptr) {
        unknown_field(key, path, message.GetDescriptor());
        continue;
      }
      const std::string field_path = path.empty() ? key.scalar : path + "." + key.scalar;
      document_.remember(field_path,
                         value.kind == YamlNode::Kind::scalar ? value.place : key.place);
      read_field(key, value, field_path, field, message);
    }
  }

  bool is_new_key(const YamlNode& key, const std::string& path, std::set<std::string>& seen) {
    if (key.kind != YamlNode::Kind::scalar) {
      problem(key, path, "a key must be a word, not " + kind_of(key));
      return false;
    }
    if (!seen.insert(key.scalar).second) {
      problem(key, path, "duplicate key " + in_quotes(key.scalar) + in(path),
              "remove one of the two");
      return false;
    }
    return true;
  }

  static std::string in(const std::string& path) { return path.empty() ? "" : " in " + path; }

  void unknown_field(const YamlNode& key, const std::string& path, const Descriptor* type) {
    std::vector<std::string> names;
    for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
    const auto nearest = nearest_name(key.scalar, names);
    problem(key, path, "unknown field " + in_quotes(key.scalar) + in(path),
            nearest ? "did you mean " + in_quotes(*nearest) + "?" : "known fields: " + join(names));
  }

  void read_field(const YamlNode& key, const YamlNode& value, const std::string& path,
                  const FieldDescriptor* field, Message& message) {
    const Reflection* reflection = message.GetReflection();
    if (field->is_map()) {
      read_map(value, path, field, message);
    } else if (field->is_repeated()) {
      read_list(value, path, field, message);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !is_duration(field)) {
      // An empty section whose lines are all commented out is no error.
      if (value.kind != YamlNode::Kind::null) {
        read_message(value, path, *reflection->MutableMessage(&message, field));
      }
    } else if (value.kind == YamlNode::Kind::null) {
      problem(key, path, path + " has no value",
              "write " + expectation(field) + ", or remove the line");
    } else {
      read_single(value, path, field, message);
    }
  }

  void read_list(const YamlNode& node, const std::string& path, const FieldDescriptor* field,
                 Message& message) {
    if (node.kind == YamlNode::Kind::null) return;
    if (node.kind != YamlNode::Kind::sequence) {
      problem(node, path, path + " must be a list, not " + kind_of(node),
              node.kind == YamlNode::Kind::scalar ? "write [" + node.scalar + "]" : "");
      return;
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const YamlNode& item = node.items[i];
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      document_.remember(item_path, item.place);
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !is_duration(field)) {
        read_message(item, item_path, *message.GetReflection()->AddMessage(&message, field));
      } else {
        read_single(item, item_path, field, message);
      }
    }
  }

  void read_map(const YamlNode& node, const std::string& path, const FieldDescriptor* field,
                Message& message) {
    if (node.kind == YamlNode::Kind::null) return;
    if (node.kind != YamlNode::Kind::map) {
      problem(node, path, path + " must be a map, not " + kind_of(node),
              "write one \"name: value\" a line");
      return;
    }
    const FieldDescriptor* value_field = field->message_type()->map_value();
    std::set<std::string> seen;
    for (const auto& [key, value] : node.entries) {
      if (!is_new_key(key, path, seen)) continue;
      const std::string entry_path = path + "." + key.scalar;
      document_.remember(entry_path,
                         value.kind == YamlNode::Kind::scalar ? value.place : key.place);
      Message* entry = message.GetReflection()->AddMessage(&message, field);
      read_single(key, entry_path, field->message_type()->map_key(), *entry);
      read_field(key, value, entry_path, value_field, *entry);
    }
  }

  /// One scalar, set in a singular field or added to a repeated one.
  void read_single(const YamlNode& node, const std::string& path, const FieldDescriptor* field,
                   Message& message) {
    if (node.kind != YamlNode::Kind::scalar) {
      problem(node, path, path + " must be " + expectation(field) + ", not " + kind_of(node));
      return;
    }
    if (!store(node.scalar, field, message)) bad_value(node, path, field);
  }

  void bad_value(const YamlNode& node, const std::string& path, const FieldDescriptor* field) {
    std::string fix = "write " + expectation(field);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const auto names = short_names(field->enum_type());
      const auto nearest = nearest_name(node.scalar, names);
      fix = nearest ? "did you mean " + in_quotes(*nearest) + "?" : "one of " + join(names);
    }
    problem(node, path, path + " cannot be " + in_quotes(node.scalar), std::move(fix));
  }

  static bool is_size(const FieldDescriptor* field) {
    return field->name().ends_with("_bytes") && field->cpp_type() == FieldDescriptor::CPPTYPE_INT64;
  }

  static std::string expectation(const FieldDescriptor* field) {
    if (is_duration(field)) return "a time with a unit such as 90s, 10m or 1h30m";
    if (is_size(field)) return "a size such as 64KiB or 16GiB";
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64: return "a whole number";
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64: return "a whole number, not negative";
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT: return "a number or a share such as 25%";
      case FieldDescriptor::CPPTYPE_BOOL: return "true or false";
      case FieldDescriptor::CPPTYPE_ENUM: return "one of " + join(short_names(field->enum_type()));
      case FieldDescriptor::CPPTYPE_STRING: return "a text";
      case FieldDescriptor::CPPTYPE_MESSAGE: return "a map";
    }
    return "a value";
  }

  template <class Set, class Add, class Value>
  static bool put(const FieldDescriptor* field, Set set, Add add, const Value& value) {
    if (!value) return false;
    if (field->is_repeated()) {
      add(*value);
    } else {
      set(*value);
    }
    return true;
  }

  static bool store(const std::string& text, const FieldDescriptor* field, Message& message) {
    const Reflection* r = message.GetReflection();
    // One pair of calls for each type: reflection has no generic setter.
#define CAMBRIAN_PUT(Type, value)                                      \
  put(                                                                 \
      field, [&](const auto& v) { r->Set##Type(&message, field, v); }, \
      [&](const auto& v) { r->Add##Type(&message, field, v); }, value)
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return CAMBRIAN_PUT(Int32, narrow<std::int32_t>(parse_integer(text)));
      case FieldDescriptor::CPPTYPE_INT64:
        return CAMBRIAN_PUT(Int64, is_size(field) ? parse_bytes(text) : parse_integer(text));
      case FieldDescriptor::CPPTYPE_UINT32:
        return CAMBRIAN_PUT(UInt32, narrow<std::uint32_t>(parse_unsigned(text)));
      case FieldDescriptor::CPPTYPE_UINT64: return CAMBRIAN_PUT(UInt64, parse_unsigned(text));
      case FieldDescriptor::CPPTYPE_DOUBLE: return CAMBRIAN_PUT(Double, parse_double(text));
      case FieldDescriptor::CPPTYPE_BOOL: return CAMBRIAN_PUT(Bool, parse_bool(text));
      case FieldDescriptor::CPPTYPE_STRING: return CAMBRIAN_PUT(String, std::optional(text));
      case FieldDescriptor::CPPTYPE_ENUM: return store_enum(text, field, message);
      case FieldDescriptor::CPPTYPE_MESSAGE: return store_duration(text, field, message);
      case FieldDescriptor::CPPTYPE_FLOAT: return false;
    }
#undef CAMBRIAN_PUT
    return false;
  }

  static bool store_enum(const std::string& text, const FieldDescriptor* field, Message& message) {
    const EnumValueDescriptor* value = find_enum_value(field->enum_type(), text);
    if (value == nullptr) return false;
    if (field->is_repeated()) {
      message.GetReflection()->AddEnum(&message, field, value);
    } else {
      message.GetReflection()->SetEnum(&message, field, value);
    }
    return true;
  }

  static bool store_duration(const std::string& text, const FieldDescriptor* field,
                             Message& message) {
    const auto nanoseconds = parse_duration_ns(text);
    if (!nanoseconds) return false;
    const Reflection* reflection = message.GetReflection();
    Message* target = field->is_repeated() ? reflection->AddMessage(&message, field)
                                           : reflection->MutableMessage(&message, field);
    auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(target);
    if (duration == nullptr) return false;
    duration->set_seconds(*nanoseconds / kNanosecondsPerSecond);
    duration->set_nanos(static_cast<std::int32_t>(*nanoseconds % kNanosecondsPerSecond));
    return true;
  }

  Document& document_;
};

/// `spec.budget["x"]` as `budget.x`: the server names the fields of its request, map keys quoted.
std::string normalized_path(std::string_view path) {
  for (const std::string_view prefix : {"spec.", "bundle.manifest.", "manifest."}) {
    if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
  }
  std::string result;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i).starts_with("[\"")) {
      result += '.';
      ++i;
    } else if (path.substr(i).starts_with("\"]")) {
      ++i;
    } else {
      result += path[i];
    }
  }
  return result;
}

}  // namespace

Place Document::find_place(std::string_view path) const {
  std::string rest = normalized_path(path);
  while (!rest.empty()) {
    const auto found = places_.find(rest);
    if (found != places_.end()) return found->second;
    const std::size_t cut = rest.find_last_of(".[");
    rest.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

void Document::add_field_problem(std::string_view path, std::string message, std::string fix) {
  add({normalized_path(path), find_place(path), std::move(message), std::move(fix)});
}

Document read_yaml(std::string file_name, std::string text, google::protobuf::Message& message) {
  YamlTree tree = parse_yaml(text);
  Document document(std::move(file_name), std::move(text));
  for (Problem& problem : tree.problems) document.add(std::move(problem));
  // A tree with a syntax error is cut off somewhere: more messages about it would only confuse.
  if (document.is_ok()) Reader(document).read_root(tree.root, message);
  return document;
}

Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t bytes_max) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail(Errc::invalid_argument, "cannot read " + path.string() + ": it is a directory");
  }
  std::ifstream input(path, std::ios::binary);
  if (!input) {
    const int error = errno;
    return fail(error == ENOENT ? Errc::not_found : Errc::unavailable,
                "cannot read " + path.string() + ": " + std::strerror(error));
  }
  constexpr std::size_t kChunkBytes = 65536;
  std::string text;
  std::string chunk(kChunkBytes, '\0');
  // One byte more than allowed shows that there is more, without reading all of it.
  while (text.size() <= bytes_max && input) {
    input.read(chunk.data(), kChunkBytes);
    text.append(chunk, 0, static_cast<std::size_t>(input.gcount()));
  }
  if (input.bad()) {
    return fail(Errc::unavailable, "cannot read " + path.string() + ": " + std::strerror(errno));
  }
  if (text.size() > bytes_max) {
    return fail(Errc::invalid_argument, "cannot read " + path.string() + ": larger than " +
                                            std::to_string(bytes_max) + " bytes");
  }
  return text;
}

}  // namespace cambrian::config
