#pragma once

#include <string>
#include <vector>

#include "codegen-client/settings.hpp"

namespace cambrian::codegen {

/// What asking an endpoint about itself came to.
struct EndpointFinding {
  enum class Verdict { ok, warning, failure };

  std::string name{};
  std::string url{};  ///< Without secrets.
  Verdict verdict = Verdict::ok;
  std::string detail{};
  std::string fix{};  ///< What to do; empty when nothing is wrong.
};

/// Judges what the endpoint said: does it answer, take the key, list the models? A server without
/// a list is only warned of: some good ones have none.
EndpointFinding judge_probe(const EndpointSettings& settings, const std::string& url, bool has_key,
                            const openai::Probe& probe);

/// `cambrian-codegen probe`: asks GET /models of every endpoint, prints what it found, with
/// `is_json` as {"endpoints": [{name, url, verdict, detail, fix}]}. Never prints a key. Blocks.
/// Returns the exit code: 0, or 1 when an endpoint cannot be used.
int run_probe(std::vector<EndpointParts> parts, bool is_json);

/// The same output for a configuration that cannot be read.
int report_bad_configuration(const std::string& problem, bool is_json);

}  // namespace cambrian::codegen
