#include "cli/dev/services.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "common/digest/sha256.hpp"

namespace cambrian::cli::dev {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEmbeddedModel = "cambrian-mutator";

bool uses_embedded_model(const EnvironmentOptions& options) {
  return options.base_url.empty() && options.codegen_config.empty();
}

std::vector<std::string> program_names(const EnvironmentOptions& options) {
  std::vector<std::string> names{"cambrian-coordinator", "cambrian-codegen", "cambrian-worker"};
  if (uses_embedded_model(options)) names.emplace_back("cambrian-codemodel");
  return names;
}

int slots_of(const EnvironmentOptions& options) {
  if (options.slots > 0) return options.slots;
  const int cores = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U));
  return std::max(cores / std::max(options.workers, 1), 1);
}

}  // namespace

std::vector<Service> make_services(const EnvironmentOptions& options, const Layout& layout,
                                   const Addresses& addresses, const std::string& database) {
  const auto program = [&](const char* name) { return (options.programs / name).string(); };
  std::vector<Service> services;
  services.push_back(
      {.name = "coordinator",
       .arguments = {program("cambrian-coordinator"), "--listen", addresses.coordinator,
                     "--metrics-listen", addresses.metrics, "--database", database,
                     "--address-file", layout.address_file("coordinator")},
       .readiness = Readiness::address_file,
       .stop_timeout = std::chrono::seconds(15),
       .needs = {"postgres"}});
  Service codegen{
      .name = "codegen",
      .arguments = {program("cambrian-codegen"), "--coordinator", addresses.coordinator},
      .needs = {"coordinator"},
      .is_agent = true};
  if (uses_embedded_model(options)) {
    services.push_back(
        {.name = "codemodel",
         .arguments = {program("cambrian-codemodel"), "--listen", addresses.code_model,
                       "--address-file", layout.address_file("codemodel")},
         .readiness = Readiness::address_file,
         .needs = {}});
    codegen.needs.emplace_back("codemodel");
    codegen.arguments.insert(
        codegen.arguments.end(),
        {"--base-url", "http://" + addresses.code_model + "/v1", "--model", kEmbeddedModel});
  } else if (!options.codegen_config.empty()) {
    codegen.arguments.insert(codegen.arguments.end(), {"--config", options.codegen_config});
  } else {
    codegen.arguments.insert(codegen.arguments.end(),
                             {"--base-url", options.base_url, "--model", options.model});
    if (!options.key_file.empty()) {
      codegen.arguments.insert(codegen.arguments.end(), {"--key-file", options.key_file});
    }
  }
  services.push_back(codegen);
  for (int i = 1; i <= options.workers; ++i) {
    const std::string name = "worker-" + std::to_string(i);
    Service worker{.name = name,
                   .arguments = {program("cambrian-worker"), "--coordinator", addresses.coordinator,
                                 "--slots", std::to_string(slots_of(options)), "--name", name},
                   .needs = {"coordinator"},
                   .is_agent = true};
    if (!options.worker_config.empty()) {
      worker.arguments.insert(worker.arguments.end(), {"--config", options.worker_config});
    }
    services.push_back(worker);
  }
  return services;
}

std::string fingerprint(const EnvironmentOptions& options) {
  KeyDigest key;
  key.add("workers", std::to_string(options.workers)).add("slots", std::to_string(options.slots));
  key.add("listen", options.listen).add("base_url", options.base_url);
  key.add("model", options.model);
  std::vector<fs::path> files{options.codegen_config, options.worker_config, options.key_file};
  for (const std::string& name : program_names(options)) files.push_back(options.programs / name);
  files.push_back(options.programs / "cambrian");
  for (const fs::path& file : files) {
    struct stat info{};
    const bool is_there = !file.empty() && stat(file.c_str(), &info) == 0;
    key.add("file", file.string());
    key.add("size", is_there ? std::to_string(info.st_size) : "");
    key.add("time", is_there ? std::to_string(info.st_mtim.tv_sec) + "." +
                                   std::to_string(info.st_mtim.tv_nsec)
                             : "");
  }
  return key.finish_hex();
}

std::vector<std::string> missing_programs(const EnvironmentOptions& options) {
  std::vector<std::string> missing = program_names(options);
  std::erase_if(missing, [&](const std::string& name) {
    return access((options.programs / name).c_str(), X_OK) == 0;
  });
  return missing;
}

}  // namespace cambrian::cli::dev
