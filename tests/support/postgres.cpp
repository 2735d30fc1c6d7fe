#include "tests/support/postgres.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <pqxx/pqxx>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace cambrian::test {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kLookInterval{20};

std::string program(const std::string& name) {
  for (const char* folder : {"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin",
                             "/usr/lib/postgresql/15/bin", "/usr/bin", "/usr/local/bin"}) {
    const auto path = fs::path(folder) / name;
    if (fs::exists(path)) return path;
  }
  throw std::runtime_error("PostgreSQL is not installed: " + name + " was not found");
}

/// Whom PostgreSQL runs as where we are root.
const passwd* unprivileged_user() {
  for (const char* name : {"postgres", "nobody"}) {
    if (const auto* user = ::getpwnam(name)) return user;
  }
  throw std::runtime_error("there is neither a user postgres nor nobody to run PostgreSQL as");
}

/// Children of a process: PostgreSQL's leave its process group.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    pid_t pid = 0;
    pid_t found = 0;
    std::string name;
    char state = 0;
    if (file >> pid >> name >> state >> found && found == parent) children.push_back(pid);
  }
  return children;
}

/// Gone, or a zombie: either way it holds no memory any more.
bool has_ended(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string name;
  char state = 'Z';
  file >> pid >> name >> state;
  return state == 'Z' || state == 'X';
}

template <class Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kLookInterval);
  }
  return true;
}

}  // namespace

PrivatePostgres::PrivatePostgres() {
  auto pattern = (fs::temp_directory_path() / "cambrian-pg-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
  folder_ = pattern;
  if (::getuid() == 0) {
    const auto* user = unprivileged_user();
    if (::chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("chown failed: " + pattern);
    }
  }
  run_and_wait({program("initdb"), "--pgdata", folder_ / "data", "--username", "postgres", "--auth",
                "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C"});
  start();
}

PrivatePostgres::~PrivatePostgres() {
  if (pid_ > 0) {
    thaw();
    ::kill(pid_, SIGQUIT);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

PrivatePostgres& PrivatePostgres::shared() {
  static PrivatePostgres server;
  return server;
}

std::string PrivatePostgres::connection(const std::string& database) const {
  return "host=" + folder_.string() + " user=postgres dbname=" + database;
}

std::string PrivatePostgres::make_database() {
  const auto name = "test" + std::to_string(++databases_);
  pqxx::connection admin(connection("postgres"));
  pqxx::nontransaction(admin).exec("CREATE DATABASE " + name);
  return connection(name);
}

void PrivatePostgres::start() {
  const auto is_ready = [this] {
    std::ifstream file(folder_ / "data" / "postmaster.pid");
    std::string line;
    for (int i = 0; std::getline(file, line); ++i) {
      if (i == 7) return line.starts_with("ready");
    }
    return false;
  };
  std::vector<std::string> command = {program("postgres"), "-D", folder_ / "data", "-k", folder_};
  for (const auto& setting : settings_) command.insert(command.end(), {"-c", setting});
  pid_ = spawn(command);
  const bool has_started = wait_until([&] {
    // After a crash it refuses to start until the last of its old processes is gone.
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = spawn(command);
    return is_ready();
  });
  if (!has_started) throw std::runtime_error("PostgreSQL does not start:\n" + log());
}

void PrivatePostgres::stop() {
  ::kill(pid_, SIGINT);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void PrivatePostgres::crash() {
  ::kill(pid_, SIGSTOP);  // It makes no more children while they are counted.
  const auto children = children_of(pid_);
  ::kill(pid_, SIGKILL);
  for (const auto child : children) ::kill(child, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  // A new server refuses to start while a process of the old one holds its shared memory.
  for (const auto child : children) {
    if (!wait_until([child] { return has_ended(child); })) {
      throw std::runtime_error("a process of PostgreSQL does not end: " + std::to_string(child));
    }
  }
  fs::remove(folder_ / "data" / "postmaster.pid");
}

void PrivatePostgres::freeze() {
  ::kill(pid_, SIGSTOP);  // First: it makes no more children while they are counted.
  frozen_ = children_of(pid_);
  for (const auto child : frozen_) ::kill(child, SIGSTOP);
}

void PrivatePostgres::thaw() {
  for (const auto child : frozen_) ::kill(child, SIGCONT);
  frozen_.clear();
  ::kill(pid_, SIGCONT);
}

pid_t PrivatePostgres::spawn(const std::vector<std::string>& command) const {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const auto log_path = (folder_ / "log").string();
  const auto* user = ::getuid() == 0 ? unprivileged_user() : nullptr;
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child > 0) return child;
  if (user != nullptr && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
                          ::setuid(user->pw_uid) != 0)) {
    ::_exit(126);
  }
  // Cleared by setuid: only from here on does the server end with the test.
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent) ::_exit(126);
  const int log_file = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ::dup2(log_file, STDOUT_FILENO);
  ::dup2(log_file, STDERR_FILENO);
  if (::chdir("/") != 0) ::_exit(126);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

void PrivatePostgres::run_and_wait(const std::vector<std::string>& command) const {
  const pid_t child = spawn(command);
  int status = 0;
  const bool has_ended = wait_until([&] { return ::waitpid(child, &status, WNOHANG) == child; });
  if (!has_ended) ::kill(child, SIGKILL);
  if (!has_ended || status != 0) {
    throw std::runtime_error(command.front() + " failed:\n" + log());
  }
}

std::string PrivatePostgres::log() const {
  std::ostringstream text;
  text << std::ifstream(folder_ / "log").rdbuf();
  return text.str();
}

}  // namespace cambrian::test
