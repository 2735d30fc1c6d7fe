#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"
#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// What the kernel says of control groups. Tests name other files.
struct GroupSources {
  std::filesystem::path mounts = "/proc/self/mountinfo";
  std::filesystem::path own = "/proc/self/cgroup";
};

/// Group below its own one that a worker moves into where version 2 wants that.
inline constexpr const char* kWorkerGroup = "cambrian-worker";

/// Where groups for sandboxes can be made: of version 2 one folder, of version 1 one for each
/// controller, and several controllers may share one.
struct GroupPlaces {
  bool is_unified = false;  ///< Version 2.
  std::filesystem::path memory;
  std::filesystem::path pids;
  std::filesystem::path cpu;  ///< Empty: processor time cannot be limited.

  /// Each folder once, that of the memory first.
  std::vector<std::filesystem::path> folders() const;
};

/// The worker's own groups: version 2 where it has the memory and the pids controller, else version
/// 1. Errors: not_found with what is missing.
Result<GroupPlaces> find_group_places(const GroupSources& sources);

/// What the processes of one group may have together.
struct GroupLimits {
  std::int64_t memory_bytes = 0;
  int processes = 0;
  int cores = 0;  ///< 0: all.
};

/// A control group for one sandbox. Destroying it kills what is left in it and removes it, which
/// may last some seconds. Threads: any, one at a time.
class ControlGroup {
 public:
  /// At places that do not exist yet. Errors: unavailable and denied when the kernel refuses it.
  static Result<std::unique_ptr<ControlGroup>> make(const GroupPlaces& places,
                                                    const GroupLimits& limits);
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  /// A process of one thread that writes "0" into each of these enters the group, whatever its own
  /// rights are.
  const std::vector<Descriptor>& doors() const { return doors_; }
  /// What the kernel has counted so far.
  GroupEvents events() const;

 private:
  explicit ControlGroup(GroupPlaces places) : places_(std::move(places)) {}

  GroupPlaces places_;
  std::vector<Descriptor> doors_;
};

/// Makes control groups below a folder that this process alone uses, and that is removed with it.
/// What a killed worker left is removed when the next one begins. Threads: any.
class ControlGroups {
 public:
  /// Below the worker's own group. With version 2 the worker may have to move into a group below
  /// it, because one that has groups with limits may hold no process itself. Errors: not_found
  /// where there are none, denied where the worker may not make any, unavailable.
  static Result<std::unique_ptr<ControlGroups>> open(const GroupSources& sources = {});
  ~ControlGroups();

  /// Errors: those of ControlGroup::make.
  Result<std::unique_ptr<ControlGroup>> make(const GroupLimits& limits);
  /// Descriptors that each group has.
  int door_count() const { return static_cast<int>(places_.folders().size()); }
  /// For people: "control group v1: memory, swap, processes, processor".
  std::string text() const;

 private:
  ControlGroups(GroupPlaces places, Descriptor lock)
      : places_(std::move(places)), lock_(std::move(lock)) {}

  GroupPlaces places_;
  Descriptor lock_;  // Held as long as the folder is somebody's.
  std::atomic<unsigned> made_ = 0;
};

}  // namespace cambrian::worker
