#include <cmath>
#include <cstdint>
#include <string>

#include "cambrian/spec/v1/task.pb.h"
#include "common/task/names.hpp"
#include "tests/fuzz/file_check.hpp"
#include "worker/adapters/grpc/convert.hpp"

using namespace cambrian;
using spec::v1::TaskManifest;

namespace {

constexpr std::size_t kInputBytesMax = 64 << 10;

void check_accepted(const TaskManifest& manifest) {
  CAMBRIAN_ASSERT(task::is_resource_name(manifest.name()));
  CAMBRIAN_ASSERT(manifest.objectives_size() > 0 && manifest.candidate().evolve_size() > 0);
  for (const std::string& path : manifest.candidate().evolve()) {
    CAMBRIAN_ASSERT(task::is_inner_path(path));
  }
  for (const std::string& path : manifest.judge().sources()) {
    CAMBRIAN_ASSERT(task::is_inner_path(path) && !path.starts_with("seed/"));
  }
  for (const auto& objective : manifest.objectives()) {
    CAMBRIAN_ASSERT(std::isfinite(objective.minimum()) && std::isfinite(objective.maximum()) &&
                    std::isfinite(objective.target()));
  }
  for (const auto& feature : manifest.features()) {
    CAMBRIAN_ASSERT(std::isfinite(feature.maximum() - feature.minimum()));
  }
  for (const auto& [name, value] : manifest.parameters()) {
    CAMBRIAN_ASSERT(task::is_identifier(name) && std::isfinite(value));
  }
}

/// A worker takes what the service took, and nothing is without a limit.
void check_worker(const TaskManifest& manifest) {
  spec::v1::TaskBundle bundle;
  *bundle.mutable_manifest() = manifest;
  const auto task = worker::from_proto(bundle, "digest", {});
  CAMBRIAN_ASSERT(task.has_value());
  const worker::Limits& limits = (*task)->manifest.limits;
  constexpr std::chrono::hours kDay(24);
  CAMBRIAN_ASSERT(limits.compile_time.count() > 0 && limits.compile_time <= kDay);
  CAMBRIAN_ASSERT(limits.run_time.count() > 0 && limits.run_time <= kDay);
  CAMBRIAN_ASSERT(limits.memory_bytes > 0 && limits.disk_bytes > 0 && limits.log_bytes > 0);
  CAMBRIAN_ASSERT(limits.processes > 0 && limits.source_bytes > 0 && limits.cpus > 0);
  CAMBRIAN_ASSERT(limits.gpus >= 0);
}

void check(const TaskManifest& manifest, const config::Document& document, std::string_view text) {
  const auto problems = task::check_manifest(manifest);
  fuzz::check_problems(problems, document, text);
  if (!problems.empty()) return;
  check_accepted(manifest);
  check_worker(manifest);
}

}  // namespace

/// task.yaml as a person writes it, and as it comes over the wire: whatever is accepted keeps every
/// bound, and whatever is not is explained.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kInputBytesMax) return 0;
  fuzz::silence_protobuf();
  const std::string input(reinterpret_cast<const char*>(data), size);
  TaskManifest manifest;
  const config::Document document = config::read_yaml("task.yaml", input, manifest);
  fuzz::check_document(document, input);
  if (document.is_ok()) {
    check(manifest, document, input);
    // The same over the wire.
    TaskManifest read;
    CAMBRIAN_ASSERT(read.ParseFromString(manifest.SerializeAsString()));
    CAMBRIAN_ASSERT(task::check_manifest(read).size() == task::check_manifest(manifest).size());
  }
  if (TaskManifest wire; wire.ParseFromString(input)) check(wire, {}, "");
  return 0;
}
