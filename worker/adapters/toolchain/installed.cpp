#include "worker/adapters/toolchain/installed.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <vector>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// How the names of packages begin. Which of them a machine has differs with its release.
constexpr std::array<std::string_view, 22> kPackages = {
    "clang-19", "libclang",    "libllvm19",     "lld-19",       "mold",        "binutils",
    "libc6",    "libgcc-",     "libstdc++",     "libgomp",      "libomp",      "libopenblas",
    "libblas3", "liblapack3",  "libtorch",      "libsleef",     "libprotobuf", "libcudart",
    "python3.", "libpython3.", "python3-numpy", "python3-torch"};

bool is_ours(std::string_view package) {
  return std::ranges::any_of(kPackages,
                             [&](std::string_view name) { return package.starts_with(name); });
}

// The rest of a line that begins with this; empty where it does not.
std::string_view after(std::string_view line, std::string_view begin) {
  return line.starts_with(begin) ? line.substr(begin.size()) : std::string_view();
}

std::string joined(std::vector<std::string>& lines) {
  std::ranges::sort(lines);
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

std::string package_versions(const fs::path& status) {
  std::vector<std::string> lines;
  std::ifstream file(status);
  std::string package;
  bool is_installed = false;
  for (std::string line; std::getline(file, line);) {
    if (const auto name = after(line, "Package: "); !name.empty()) package = name;
    if (const auto state = after(line, "Status: "); !state.empty()) {
      is_installed = state.ends_with(" installed");
    }
    const auto version = after(line, "Version: ");
    if (!version.empty() && is_installed && is_ours(package)) {
      lines.push_back(package + " " + std::string(version));
    }
  }
  return joined(lines);
}

std::string library_files(const fs::path& folder) {
  std::vector<std::string> lines;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    struct stat info{};
    const std::string name = entry.path().filename();
    if (name.find(".so") == std::string::npos || stat(entry.path().c_str(), &info) != 0) continue;
    lines.push_back(name + " " + std::to_string(info.st_size) + " " +
                    std::to_string(info.st_mtim.tv_sec));
  }
  return joined(lines);
}

}  // namespace cambrian::worker
