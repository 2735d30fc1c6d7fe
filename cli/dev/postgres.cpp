#include "cli/dev/postgres.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

#include "cli/dev/process.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli::dev {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kInitTimeout{60};
constexpr std::chrono::seconds kProbeTimeout{5};
constexpr std::chrono::seconds kPostgresOrphanTimeout{20};
constexpr std::size_t kServerErrorBytesMax = 2000;
/// Line of postmaster.pid with the state, from PostgreSQL 10 on; pg_ctl reads the same.
constexpr int kStatusLine = 8;
/// nobody's number on every Debian; the name does not matter inside of the namespace.
constexpr const char* kMappedUser = "65534";
constexpr const char* kRole = "cambrian";
constexpr const char* kDatabase = "cambrian";

bool has_programs(const fs::path& folder) {
  return access((folder / "initdb").c_str(), X_OK) == 0 &&
         access((folder / "postgres").c_str(), X_OK) == 0;
}

std::optional<fs::path> find_programs() {
  std::istringstream path(environment("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    if (!folder.empty() && has_programs(folder)) return folder;
  }
  for (const char* version : {"17", "18", "16", "15"}) {
    fs::path folder = fs::path("/usr/lib/postgresql") / version / "bin";
    if (has_programs(folder)) return folder;
  }
  return std::nullopt;
}

/// Where setpriv, unshare and the like are.
std::string tool(const std::string& name) {
  for (const char* folder : {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return name;
}

bool runs(const std::vector<std::string>& command, const fs::path& log) {
  // `cambrian doctor` asks before the first `dev up` has made the folders.
  const fs::path output = fs::exists(log.parent_path()) ? log : "/dev/null";
  const auto code =
      run({.arguments = command, .environment = {}, .log = output, .folder = "/"}, kProbeTimeout);
  return code && *code == 0;
}

std::string line_of_file(const fs::path& path, int number) {
  std::ifstream input(path);
  std::string line;
  for (int i = 0; i < number; ++i) {
    if (!std::getline(input, line)) return "";
  }
  line.erase(line.find_last_not_of(" \r") + 1);
  return line;
}

}  // namespace

Result<Postgres> Postgres::find(const Layout& layout) {
  Postgres postgres(layout);
  const auto programs = find_programs();
  if (!programs) {
    return fail(Errc::not_found,
                "PostgreSQL is not installed: neither PATH nor /usr/lib/postgresql has initdb and "
                "postgres; install it with: apt-get install postgresql-17");
  }
  postgres.programs_ = *programs;
  if (geteuid() == 0) CAMBRIAN_TRY_STATUS(postgres.choose_owner());
  return postgres;
}

Status Postgres::choose_owner() {
  const std::vector<std::string> in_namespace{tool("unshare"), "--user",
                                              std::string("--map-user=") + kMappedUser,
                                              std::string("--map-group=") + kMappedUser, "--"};
  struct stat info{};
  const bool is_others = stat(layout_.data().c_str(), &info) == 0 && info.st_uid != 0;
  std::vector<std::string> probe = in_namespace;
  probe.push_back((programs_ / "postgres").string());
  probe.emplace_back("--version");
  if (!is_others && runs(probe, layout_.log_of("postgres-setup"))) {
    prefix_ = in_namespace;
    return {};
  }
  const passwd* user = is_others ? getpwuid(info.st_uid) : getpwnam("postgres");
  if (user == nullptr) user = getpwnam("nobody");
  if (user == nullptr)
    return fail(Errc::conflict,
                "PostgreSQL cannot run as root, and there is "
                "neither a user postgres nor nobody");
  owner_ = user->pw_name;
  prefix_ = {tool("setpriv"), "--reuid=" + owner_, "--regid=" + std::to_string(user->pw_gid),
             "--clear-groups", "--"};
  std::vector<std::string> enter = prefix_;
  enter.insert(enter.end(), {tool("test"), "-x", layout_.directory.string()});
  // The folders are root's and closed to others; so far only the way to them is asked for.
  if (fs::exists(layout_.directory)) {
    fs::permissions(layout_.directory, fs::perms::others_exec, fs::perm_options::add);
  }
  if (!runs(enter, layout_.log_of("postgres-setup"))) {
    return fail(Errc::conflict,
                "PostgreSQL cannot run as root, and the user " + owner_ + " cannot enter " +
                    layout_.directory.string() +
                    "; choose a folder outside of /root, for example: cambrian dev up --directory "
                    "/var/lib/cambrian");
  }
  return {};
}

std::vector<std::string> Postgres::as_owner(std::vector<std::string> command) const {
  command.insert(command.begin(), prefix_.begin(), prefix_.end());
  return command;
}

Status Postgres::run_step(const std::vector<std::string>& command) const {
  const fs::path log = layout_.log_of("postgres-setup");
  const auto code = run({.arguments = as_owner(command),
                         .environment = {{"LC_ALL", "C.UTF-8"}},
                         .log = log,
                         .folder = "/"},
                        kInitTimeout);
  if (!code) return fail(code.error());
  if (*code == 0) return {};
  return fail(Errc::unavailable, command[0] + " failed with code " + std::to_string(*code) +
                                     "; the end of " + log.string() + ":\n" +
                                     tail_of(log, kServerErrorBytesMax));
}

Status Postgres::create_if_missing() const {
  std::error_code error;
  if (fs::exists(layout_.data() / "PG_VERSION", error)) return {};
  const fs::path partial = layout_.directory / "postgres.partial";
  fs::remove_all(partial, error);
  fs::remove(layout_.log_of("postgres-setup"), error);
  if (!fs::create_directory(partial, error)) {
    return fail(Errc::unavailable, "cannot create " + partial.string() + ": " + error.message());
  }
  fs::permissions(partial, fs::perms::owner_all, error);
  CAMBRIAN_TRY_STATUS(give_to_owner(partial));
  CAMBRIAN_TRY_STATUS(run_step({(programs_ / "initdb").string(), "--pgdata=" + partial.string(),
                                std::string("--username=") + kRole, "--auth=trust", "--no-locale",
                                "--encoding=UTF8", "--no-instructions"}));
  // The server in single-user mode reads commands from its input: no second program is needed.
  CAMBRIAN_TRY_STATUS(run_step({"/bin/sh", "-c",
                                std::string("echo 'CREATE DATABASE ") + kDatabase +
                                    "' | exec \"$0\" --single -D \"$1\" postgres",
                                (programs_ / "postgres").string(), partial.string()}));
  fs::rename(partial, layout_.data(), error);
  if (error) return fail(Errc::unavailable, "cannot rename " + partial.string());
  return {};
}

Status Postgres::give_to_owner(const fs::path& folder) const {
  if (owner_.empty()) return {};
  const passwd* user = getpwnam(owner_.c_str());
  if (user != nullptr && chown(folder.c_str(), user->pw_uid, user->pw_gid) == 0) return {};
  return fail(Errc::unavailable, "cannot give " + folder.string() + " to the user " + owner_);
}

Status Postgres::clean_up() const {
  CAMBRIAN_TRY_STATUS(give_to_owner(layout_.run));
  const fs::path pid_file = layout_.data() / "postmaster.pid";
  const std::string text = line_of_file(pid_file, 1);
  if (text.empty()) return {};
  const auto process = find_process(static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10)));
  std::error_code error;
  const fs::path program =
      process ? fs::read_symlink("/proc/" + text + "/exe", error).filename() : fs::path();
  if (process && program == "postgres" && line_of_file(pid_file, 2) == layout_.data().string()) {
    send_signal(*process, SIGINT);
    if (!wait_for_end(*process, kPostgresOrphanTimeout)) {
      send_signal(*process, SIGQUIT);
      if (!wait_for_end(*process, kPostgresOrphanTimeout)) {
        return fail(Errc::conflict, "an old PostgreSQL does not end: pid=" + text);
      }
    }
    return {};
  }
  // The number belongs to another program by now; PostgreSQL would refuse to start.
  fs::remove(pid_file, error);
  return {};
}

std::vector<std::string> Postgres::server_command() const {
  return as_owner({(programs_ / "postgres").string(), "-D", layout_.data().string(), "-k",
                   layout_.run.string(), "-c", "listen_addresses=", "-c",
                   "unix_socket_permissions=0700", "-c", "max_connections=100", "-c",
                   "logging_collector=off", "-c", "log_checkpoints=off"});
}

bool Postgres::is_ready() const {
  return line_of_file(layout_.data() / "postmaster.pid", kStatusLine) == "ready";
}

std::string Postgres::connection_string() const {
  return "host=" + layout_.run.string() + " dbname=" + kDatabase + " user=" + kRole;
}

}  // namespace cambrian::cli::dev
