#include "cli/output/document.hpp"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "common/base/assert.hpp"

namespace cambrian::cli {
namespace {

using Json = nlohmann::ordered_json;

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

/// Sorts the entries of map fields, which protobuf prints in another order in each process. The
/// depth of our messages bounds the recursion.
void sort_maps(const Descriptor* type, Json& json) {
  for (auto& item : json.items()) {
    const FieldDescriptor* field = type->FindFieldByName(item.key());
    Json& value = item.value();
    if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const Descriptor* inner = field->message_type();
    if (field->is_map()) {
      const FieldDescriptor* mapped = inner->map_value();
      std::map<std::string, Json> sorted;
      for (auto& entry : value.items()) sorted[entry.key()] = entry.value();
      value = Json::object();
      for (auto& [key, one] : sorted) {
        if (mapped->message_type() != nullptr) sort_maps(mapped->message_type(), one);
        value[key] = std::move(one);
      }
    } else if (value.is_array()) {
      for (Json& one : value) {
        if (one.is_object()) sort_maps(inner, one);
      }
    } else if (value.is_object()) {
      sort_maps(inner, value);
    }
  }
}

Json to_value(const google::protobuf::Message& message, bool with_defaults) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = with_defaults;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  // It fails for an unknown Any only, and none of our messages has one.
  CAMBRIAN_ASSERT(status.ok());
  Json json = Json::parse(text);
  sort_maps(message.GetDescriptor(), json);
  return json;
}

/// True when a YAML reader takes the text for itself: no number, boolean, null or syntax.
bool is_plain(const std::string& text) {
  constexpr std::string_view kInner = "_-./+@ ";
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || text.size() > 80 || text.back() == ' ') return false;
  if (!is_letter(text.front()) && text.front() != '/') return false;
  if (!std::ranges::all_of(text, [&](char c) {
        return is_letter(c) || is_digit(c) || kInner.find(c) != std::string_view::npos;
      })) {
    return false;
  }
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    if (std::ranges::equal(text, std::string_view(word), {}, [](char c) {
          return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        })) {
      return false;
    }
  }
  return true;
}

/// Several lines as a literal block, which people can read and edit.
bool is_block(const std::string& text) {
  return text.find('\n') != std::string::npos && text.front() != ' ' && text.front() != '\n' &&
         !text.ends_with("\n\n") && std::ranges::all_of(text, [](char c) {
           return c == '\n' || static_cast<unsigned char>(c) >= 0x20;
         });
}

void write_string(const std::string& text, int indent, std::string& out) {
  if (is_plain(text)) {
    out += text + "\n";
  } else if (is_block(text)) {
    out += text.ends_with('\n') ? "|\n" : "|-\n";
    const std::string margin(static_cast<std::size_t>(indent), ' ');
    std::size_t start = 0;
    while (start < text.size()) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      if (end > start) out += margin + text.substr(start, end - start);
      out += '\n';
      start = end + 1;
    }
  } else {
    out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
}

std::string key_text(const std::string& key) {
  return is_plain(key) ? key : Json(key).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Writes a value that stands behind `key:` or `-`. The depth of our messages bounds the recursion.
void write_value(const Json& value, int indent, bool is_item, std::string& out) {
  if (value.is_string()) {
    out += ' ';
    write_string(value.get<std::string>(), indent, out);
  } else if (!value.is_structured() || value.empty()) {
    out += " " + value.dump() + "\n";
  } else {
    const std::string margin(static_cast<std::size_t>(indent), ' ');
    bool is_first = is_item;
    out += is_item ? " " : "\n";
    for (const auto& item : value.items()) {
      out += is_first ? "" : margin;
      is_first = false;
      out += value.is_array() ? "-" : key_text(item.key()) + ":";
      write_value(item.value(), indent + 2, value.is_array(), out);
    }
  }
}

}  // namespace

std::string to_json(const google::protobuf::Message& message, bool is_pretty) {
  return to_value(message, true).dump(is_pretty ? 2 : -1) + "\n";
}

std::string to_yaml(const google::protobuf::Message& message, bool with_defaults) {
  return json_to_yaml(to_value(message, with_defaults));
}

std::string json_to_yaml(const Json& value) {
  if (!value.is_structured() || value.empty()) return value.dump() + "\n";
  std::string out;
  for (const auto& item : value.items()) {
    out += value.is_array() ? "-" : key_text(item.key()) + ":";
    write_value(item.value(), 2, value.is_array(), out);
  }
  return out;
}

}  // namespace cambrian::cli
