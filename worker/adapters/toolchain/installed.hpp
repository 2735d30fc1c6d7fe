#pragma once

#include <filesystem>
#include <string>

namespace cambrian::worker {

/// What Debian packages this machine has that can change a result: compiler, linker, the libraries
/// that candidates are linked with, Python and what candidates import. One line each, sorted:
/// `NAME VERSION`. Empty where the system has no packages of this kind. Blocks for some 10 ms.
std::string package_versions(const std::filesystem::path& status = "/var/lib/dpkg/status");

/// Name, size and time of the libraries in a folder, one line each, sorted.
std::string library_files(const std::filesystem::path& folder);

}  // namespace cambrian::worker
