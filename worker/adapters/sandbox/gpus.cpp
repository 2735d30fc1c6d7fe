#include "worker/adapters/sandbox/gpus.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <sstream>

#include "worker/adapters/sandbox/spawn.hpp"

namespace cambrian::worker {
namespace {

constexpr const char* kTool = "/usr/bin/nvidia-smi";
constexpr std::chrono::seconds kToolTime(20);

std::string trim(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::vector<GpuDevice> parse_gpus(const std::string& text) {
  std::vector<GpuDevice> gpus;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // The name may hold a comma; index and memory cannot.
    const std::size_t first = line.find(',');
    const std::size_t last = line.rfind(',');
    if (first == std::string::npos || first == last) continue;
    const std::string memory = trim(line.substr(last + 1));
    std::int64_t mebibytes = 0;
    const auto read = std::from_chars(memory.data(), memory.data() + memory.size(), mebibytes);
    if (read.ec != std::errc()) continue;
    gpus.push_back({trim(line.substr(0, first)), trim(line.substr(first + 1, last - first - 1)),
                    mebibytes << 20});
  }
  return gpus;
}

Result<std::vector<GpuDevice>> find_gpus(const std::string& selection) {
  const bool wants_all = selection.empty() || selection == "all";
  if (selection == "none" || (wants_all && access(kTool, X_OK) != 0)) {
    return std::vector<GpuDevice>();
  }
  CAMBRIAN_TRY(const std::string text, capture({kTool, "--query-gpu=index,name,memory.total",
                                                "--format=csv,noheader,nounits"},
                                               kToolTime));
  std::vector<GpuDevice> found = parse_gpus(text);
  if (wants_all) return found;
  std::vector<GpuDevice> wanted;
  std::istringstream ids(selection);
  for (std::string id; std::getline(ids, id, ',');) {
    const auto at = std::find_if(found.begin(), found.end(),
                                 [&id](const GpuDevice& gpu) { return gpu.id == trim(id); });
    if (at == found.end()) return fail(Errc::invalid_argument, "no such GPU: id=" + trim(id));
    wanted.push_back(*at);
  }
  return wanted;
}

}  // namespace cambrian::worker
