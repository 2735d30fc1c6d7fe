#include "worker/adapters/sandbox/gpus.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "worker/adapters/sandbox/spawn.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;
using Gpus = std::vector<GpuDevice>;

constexpr std::chrono::seconds kToolTime(20);
constexpr const char* kQuery = "--query-gpu=index,uuid,mig.mode.current,memory.total,name";
constexpr int kQueryFields = 5;

std::string trim(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// At most `fields` of them: the last one keeps its commas.
std::vector<std::string> split(const std::string& text, int fields) {
  std::vector<std::string> parts;
  std::istringstream input(text);
  std::string part;
  while (static_cast<int>(parts.size()) + 1 < fields && std::getline(input, part, ',')) {
    parts.push_back(trim(part));
  }
  if (std::getline(input, part)) parts.push_back(trim(part));
  return parts;
}

std::int64_t to_number(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "1g.10gb", "1g.5gb+me": the memory stands in the name of the profile, rounded.
std::int64_t memory_of_profile(const std::string& profile) {
  const std::size_t end = profile.find("gb");
  const std::size_t start = profile.rfind('.', end);
  if (end == std::string::npos || start == std::string::npos) return 0;
  return to_number(profile.substr(start + 1, end - start - 1)) << 30;
}

struct Instance {
  std::string id;
  std::string profile;
};

// By the UUID of their GPU. Lines are `GPU 0: NAME (UUID: GPU-…)` and below it
// `  MIG 1g.10gb  Device 0: (UUID: MIG-…)`.
std::map<std::string, std::vector<Instance>> parse_instances(const std::string& list) {
  std::map<std::string, std::vector<Instance>> instances;
  std::istringstream lines(list);
  std::string gpu;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.rfind("UUID: ");
    if (at == std::string::npos) continue;
    const std::string id = trim(line.substr(at + 6, line.find(')', at) - at - 6));
    std::istringstream words(line);
    std::string kind, profile;
    words >> kind >> profile;
    if (kind == "GPU") gpu = id;
    if (kind == "MIG") instances[gpu].push_back({id, profile});
  }
  return instances;
}

// What one entry of a list of ids names: an index, a UUID, or the beginning of one UUID only. A
// partitioned GPU stands for its instances.
Gpus named(const Gpus& gpus, const std::string& entry) {
  Gpus matching;
  std::string whole;
  for (const GpuDevice& gpu : gpus) {
    const bool is_exact = entry == gpu.index || entry == gpu.id || entry == gpu.gpu;
    // A bare number is an index and never the beginning of a UUID.
    const bool is_beginning = entry.find('-') != std::string::npos &&
                              (gpu.id.starts_with(entry) || gpu.gpu.starts_with(entry));
    if (!is_exact && !is_beginning) continue;
    const bool is_instance_named = gpu.id != gpu.gpu && gpu.id.starts_with(entry);
    const std::string& what = is_instance_named ? gpu.id : gpu.gpu;
    if (!whole.empty() && whole != what) return {};
    whole = what;
    matching.push_back(gpu);
  }
  return matching;
}

bool contains(const Gpus& gpus, const std::string& id) {
  return std::ranges::any_of(gpus, [&id](const GpuDevice& gpu) { return gpu.id == id; });
}

// The kernel's number of a device file is not nvidia-smi's index.
std::map<std::string, std::string> read_minors(const fs::path& driver) {
  std::map<std::string, std::string> minors;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(driver / "gpus", error)) {
    std::ifstream information(entry.path() / "information");
    std::string uuid, minor;
    for (std::string line; std::getline(information, line);) {
      const std::size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      if (line.starts_with("GPU UUID")) uuid = trim(line.substr(colon + 1));
      if (line.starts_with("Device Minor")) minor = trim(line.substr(colon + 1));
    }
    if (!uuid.empty() && !minor.empty()) minors[uuid] = minor;
  }
  return minors;
}

Result<std::string> ask(const GpuSources& sources, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), sources.tool);
  auto text = capture(arguments, kToolTime);
  if (text) return text;
  return fail(text.error().code, "the GPUs of this machine do not answer: " + text.error().message +
                                     " (try it by hand; --gpus none does without them)");
}

}  // namespace

GpuSources GpuSources::of_this_machine() {
  GpuSources sources;
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) sources.visible = visible;
  return sources;
}

Gpus parse_gpus(const std::string& query, const std::string& list) {
  const auto instances = parse_instances(list);
  Gpus gpus;
  std::istringstream lines(query);
  for (std::string line; std::getline(lines, line);) {
    const auto fields = split(line, kQueryFields);
    if (fields.size() != kQueryFields || fields[1].empty()) continue;
    const GpuDevice gpu{.id = fields[1],
                        .gpu = fields[1],
                        .index = fields[0],
                        .name = fields[4],
                        .memory_bytes = to_number(fields[3]) << 20,
                        .device_file = {}};
    if (fields[2] != "Enabled") {
      gpus.push_back(gpu);
      continue;
    }
    // As a whole it cannot be used, and without instances not at all.
    const auto found = instances.find(gpu.id);
    if (found == instances.end()) continue;
    for (const Instance& instance : found->second) {
      gpus.push_back(gpu);
      gpus.back().id = instance.id;
      gpus.back().name += " MIG " + instance.profile;
      gpus.back().memory_bytes = memory_of_profile(instance.profile);
    }
  }
  return gpus;
}

Gpus visible_gpus(const Gpus& found, const std::string& variable) {
  Gpus visible;
  std::istringstream entries(variable);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const Gpus gpus = named(found, trim(entry));
    if (gpus.empty()) break;
    for (const GpuDevice& gpu : gpus) {
      if (!contains(visible, gpu.id)) visible.push_back(gpu);
    }
  }
  return visible;
}

Result<Gpus> find_gpus(const std::string& selection, const GpuSources& sources) {
  const bool wants_all = selection.empty() || selection == "all";
  const bool has_driver = access(sources.tool.c_str(), X_OK) == 0 && fs::exists(sources.driver);
  if (selection == "none" || (wants_all && !has_driver)) return Gpus();
  CAMBRIAN_TRY(const std::string query, ask(sources, {kQuery, "--format=csv,noheader,nounits"}));
  CAMBRIAN_TRY(const std::string list, ask(sources, {"-L"}));
  Gpus found = parse_gpus(query, list);
  const auto minors = read_minors(sources.driver);
  for (GpuDevice& gpu : found) {
    const auto minor = minors.find(gpu.gpu);
    gpu.device_file = "/dev/nvidia" + (minor == minors.end() ? gpu.index : minor->second);
  }
  if (sources.visible) found = visible_gpus(found, *sources.visible);
  if (wants_all) return found;
  Gpus wanted;
  std::istringstream ids(selection);
  for (std::string id; std::getline(ids, id, ',');) {
    const Gpus gpus = named(found, trim(id));
    if (gpus.empty()) {
      return fail(Errc::invalid_argument,
                  "no such GPU, or more than one: id=" + trim(id) +
                      (sources.visible ? " CUDA_VISIBLE_DEVICES=" + *sources.visible : ""));
    }
    for (const GpuDevice& gpu : gpus) {
      if (!contains(wanted, gpu.id)) wanted.push_back(gpu);
    }
  }
  return wanted;
}

}  // namespace cambrian::worker
