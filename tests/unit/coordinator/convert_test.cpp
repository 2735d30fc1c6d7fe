#include "coordinator/adapters/grpc/convert.hpp"

#include <catch2/catch_test_macros.hpp>

#include "common/base/limits.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;

namespace {

/// What the coordinator keeps of a report with texts of these lengths.
EvaluationResult kept(std::size_t diagnostics_bytes, std::size_t log_bytes) {
  agent::v1::FinishEvaluationRequest request;
  request.mutable_result()->set_outcome(agent::v1::EVALUATION_OUTCOME_CRASH);
  request.mutable_result()->set_diagnostics(std::string(diagnostics_bytes, 'd'));
  request.mutable_result()->set_log(std::string(log_bytes, 'l'));
  wire::Problems problems;
  const auto report = wire::from_proto(request, problems);
  REQUIRE(problems.empty());
  return std::get<EvaluationResult>(report.result);
}

}  // namespace

TEST_CASE("convert: texts of a result are cut at the limits that workers keep to",
          "[unit][coordinator]") {
  CHECK(kept(16'384, 65'536).diagnostics.size() == 16'384);
  CHECK(kept(16'384, 65'536).log.size() == 65'536);
  CHECK(kept(kDiagnosticsBytesMax + 1, 0).diagnostics.size() == 16'384);
  CHECK(kept(0, kLogBytesMax + 1).log.size() == 65'536);
}
