// Where this process may make control groups.
#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "worker/adapters/sandbox/control_groups.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// Version 2 as a controller, in the lines of /proc/self/cgroup and here.
constexpr const char* kUnified = "";

/// A hierarchy of groups in the file system.
struct Hierarchy {
  fs::path folder;
  std::string root;  ///< The group that the folder shows.
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream input(text);
  for (std::string part; std::getline(input, part, ',');) parts.push_back(part);
  return parts;
}

// By controller. A later line hides an earlier one at the same place.
std::map<std::string, Hierarchy> read_mounts(const fs::path& path) {
  std::map<std::string, Hierarchy> mounts;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash));
    std::istringstream behind(line.substr(dash + 3));
    std::string skipped, root, folder, type, source, options;
    before >> skipped >> skipped >> skipped >> root >> folder;
    behind >> type >> source >> options;
    if (type == "cgroup2") mounts[kUnified] = {folder, root};
    if (type != "cgroup") continue;
    for (const std::string& option : split(options)) mounts[option] = {folder, root};
  }
  return mounts;
}

// The group of this process, by controller.
std::map<std::string, std::string> read_own_groups(const fs::path& path) {
  std::map<std::string, std::string> groups;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) groups[kUnified] = group;
    for (const std::string& controller : split(controllers)) groups[controller] = group;
  }
  return groups;
}

class Places {
 public:
  explicit Places(const GroupSources& sources)
      : mounts_(read_mounts(sources.mounts)), own_(read_own_groups(sources.own)) {}

  // Empty where there is none.
  fs::path folder(const std::string& controller) const {
    const auto mount = mounts_.find(controller);
    const auto own = own_.find(controller);
    if (mount == mounts_.end() || own == own_.end()) return {};
    std::string inner = own->second;
    const std::string& root = mount->second.root;
    if (root != "/" && inner.starts_with(root)) inner.erase(0, root.size());
    while (inner.starts_with('/')) inner.erase(0, 1);
    const fs::path folder = inner.empty() ? mount->second.folder : mount->second.folder / inner;
    std::error_code error;
    return fs::is_directory(folder, error) ? folder : fs::path();
  }

 private:
  std::map<std::string, Hierarchy> mounts_;
  std::map<std::string, std::string> own_;
};

std::vector<std::string> read_words(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(word);
  return words;
}

}  // namespace

std::vector<fs::path> GroupPlaces::folders() const {
  std::vector<fs::path> all;
  for (const fs::path& folder : {memory, pids, cpu}) {
    const bool is_new = std::find(all.begin(), all.end(), folder) == all.end();
    if (!folder.empty() && is_new) all.push_back(folder);
  }
  return all;
}

Result<GroupPlaces> find_group_places(const GroupSources& sources) {
  const Places places(sources);
  if (fs::path folder = places.folder(kUnified); !folder.empty()) {
    // A worker that began here, or in a group that systemd made for it (DelegateSubgroup), has
    // moved out of the way of its sandboxes.
    if (folder.filename() == kWorkerGroup) folder = folder.parent_path();
    const auto controllers = read_words(folder / "cgroup.controllers");
    const auto has = [&controllers](const char* name) {
      return std::find(controllers.begin(), controllers.end(), name) != controllers.end();
    };
    if (has("memory") && has("pids")) {
      return GroupPlaces{.is_unified = true,
                         .memory = folder,
                         .pids = folder,
                         .cpu = has("cpu") ? folder : fs::path()};
    }
  }
  GroupPlaces old{.is_unified = false,
                  .memory = places.folder("memory"),
                  .pids = places.folder("pids"),
                  .cpu = places.folder("cpu")};
  if (!old.memory.empty() && !old.pids.empty()) return old;
  return fail(Errc::not_found,
              "the controllers memory and pids are not here; with systemd: Delegate=yes");
}

}  // namespace cambrian::worker
