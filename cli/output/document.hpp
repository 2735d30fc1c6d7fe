#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cambrian::cli {

/// The message as proto3 JSON with the field names of the .proto files and all defaults printed:
/// the contract for programs. `is_pretty` false: one line. Ends with a newline.
std::string to_json(const google::protobuf::Message& message, bool is_pretty = true);

/// The same content as YAML. `with_defaults` false leaves out fields that are not set, which is
/// what a campaign file wants.
std::string to_yaml(const google::protobuf::Message& message, bool with_defaults = true);

/// Any JSON value as YAML.
std::string json_to_yaml(const nlohmann::ordered_json& value);

}  // namespace cambrian::cli
