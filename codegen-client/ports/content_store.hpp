#pragma once

#include <stop_token>
#include <string>

#include "codegen-client/domain/program.hpp"
#include "common/base/result.hpp"

namespace cambrian::codegen {

/// Tasks and contents, both by digest. All methods block and may be called from any thread.
/// Errors of all: not_found; unavailable when the store cannot be reached, after retries;
/// cancelled when stopped; internal for contents that do not fit their digest.
class ContentStore {
 public:
  virtual ~ContentStore() = default;

  virtual Result<Task> get_task(const std::string& digest, std::stop_token stop) = 0;
  virtual Result<std::string> get_content(const std::string& sha256, std::stop_token stop) = 0;
};

}  // namespace cambrian::codegen
