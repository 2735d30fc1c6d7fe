#pragma once

#include <filesystem>
#include <string>

namespace cambrian::cli {

/// `${XDG_CONFIG_HOME:-~/.config}/cambrian/config.yaml`, or CAMBRIAN_CONFIG.
std::filesystem::path config_file_path();
/// `${XDG_DATA_HOME:-~/.local/share}/cambrian/dev`, or CAMBRIAN_DEV_DIRECTORY.
std::filesystem::path dev_directory();
/// The folder of `cambrian demo`, beside that of `dev up`.
std::filesystem::path demo_directory();
/// How people call this program, for hints: CAMBRIAN_PROGRAM, which scripts/cambrian sets, else
/// cambrian.
std::string program_call();
/// The folder of this executable: its siblings are the other programs.
std::filesystem::path program_folder();
/// Value of an environment variable; empty where it is not set.
std::string environment(const char* name);

}  // namespace cambrian::cli
