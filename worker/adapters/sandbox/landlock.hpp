#pragma once

namespace cambrian::worker {

/// The version of Landlock that this kernel offers; 0: none.
int landlock_version();

/// What a restricted program may read of /proc.
enum class ProcView {
  machine,  ///< Facts about processor and memory; nothing about processes and mounts.
  all,      ///< Everything, as GPU drivers need it.
};

/// Restricts the calling process and its children for good, as a second wall behind the mounts:
/// files below / can be read and executed, those of writable mounts changed, and of /proc is seen
/// what `view` says. So /proc/self/mountinfo, which names folders of the host, cannot be opened.
/// Also no TCP, no abstract sockets and no signals out, where the kernel's version has that.
/// Needs no_new_privs. Returns 0 or an errno. One thread only.
int restrict_with_landlock(ProcView view);

}  // namespace cambrian::worker
