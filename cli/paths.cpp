#include "cli/paths.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

fs::path home() {
  if (const std::string value = environment("HOME"); !value.empty()) return value;
  const passwd* entry = getpwuid(getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

/// The specification says that relative values are to be ignored.
fs::path xdg(const char* name, const char* below_home) {
  const fs::path value = environment(name);
  return (value.is_absolute() ? value : home() / below_home) / "cambrian";
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path config_file_path() {
  if (const std::string value = environment("CAMBRIAN_CONFIG"); !value.empty()) return value;
  return xdg("XDG_CONFIG_HOME", ".config") / "config.yaml";
}

fs::path dev_directory() {
  if (const std::string value = environment("CAMBRIAN_DEV_DIRECTORY"); !value.empty()) {
    return fs::absolute(value);
  }
  return xdg("XDG_DATA_HOME", ".local/share") / "dev";
}

fs::path demo_directory() { return dev_directory().parent_path() / "demo"; }

std::string program_call() {
  const std::string call = environment("CAMBRIAN_PROGRAM");
  return call.empty() ? "cambrian" : call;
}

fs::path program_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path("/usr/bin") : self.parent_path();
}

}  // namespace cambrian::cli
