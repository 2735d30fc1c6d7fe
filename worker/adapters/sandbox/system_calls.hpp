#pragma once

#include <span>

/// Names of system calls, as libseccomp knows them. What an architecture does not have is left out.
namespace cambrian::worker {

/// Calls that no model, compiler or judge needs, and that have carried kernel bugs, see or change
/// other processes, or reach around a namespace.
std::span<const char* const> refused_calls();

/// What an ordinary program needs: files, memory, threads, processes, signals, time, and the
/// sockets that it was given. Judges have these and no more.
std::span<const char* const> common_calls();

/// What builds need beside: links, owners and pipes with a name.
std::span<const char* const> build_calls();

}  // namespace cambrian::worker
