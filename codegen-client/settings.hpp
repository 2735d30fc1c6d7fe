#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cambrian/config/v1/config.pb.h"
#include "codegen-client/adapters/openai/openai_model.hpp"
#include "codegen-client/app/endpoint.hpp"
#include "common/base/result.hpp"
#include "common/base/secret.hpp"

namespace cambrian::codegen {

/// One endpoint, ready to be used.
struct EndpointParts {
  EndpointSettings settings{};
  openai::ModelOptions model{};
  Secret key{};
};

/// Reads and checks the endpoints of a configuration, keys included. Errors: invalid_argument with
/// every problem, one a line; no message contains a key.
Result<std::vector<EndpointParts>> read_endpoints(const config::v1::CodegenConfig& config);

/// The content of a key file without white space around it. Errors: not_found, unavailable, and
/// invalid_argument for an empty, a large or a strange one.
Result<Secret> read_key_file(const std::string& path);

}  // namespace cambrian::codegen
