#include "cli/dev/layout.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/digest/sha256.hpp"

namespace cambrian::cli::dev {
namespace {

namespace fs = std::filesystem;

/// sun_path has 108 bytes with its end; PostgreSQL's socket adds "/.s.PGSQL.5432.lock".
constexpr std::size_t kRunPathBytesMax = 107 - 20;
constexpr std::uintmax_t kFreeBytesMin = 200'000'000;

Status create_folder(const fs::path& path, mode_t mode) {
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (error) {
    return fail(Errc::unavailable,
                "cannot create the folder " + path.string() + ": " + error.message());
  }
  if (access(path.c_str(), W_OK | X_OK) != 0) {
    return fail(Errc::unavailable, "cannot write to the folder " + path.string());
  }
  // A folder that was there keeps its rights: somebody may have named /tmp.
  if (is_new) fs::permissions(path, static_cast<fs::perms>(mode), error);
  return {};
}

/// /tmp belongs to everybody: a folder that another user made there first is not ours.
Status check_owner(const fs::path& path) {
  struct stat info{};
  const bool is_folder = lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  const auto is_of = [&info](const char* name) {
    const passwd* user = getpwnam(name);
    return user != nullptr && info.st_uid == user->pw_uid;
  };
  // Root may have given it to the user who runs PostgreSQL.
  const bool is_given = geteuid() == 0 && (is_of("postgres") || is_of("nobody"));
  if (!is_folder || (info.st_uid != geteuid() && !is_given)) {
    return fail(Errc::conflict,
                "the folder for sockets belongs to somebody else: " + path.string());
  }
  return {};
}

}  // namespace

Layout make_layout(const fs::path& directory) {
  Layout layout;
  layout.directory = fs::absolute(directory).lexically_normal();
  if (!layout.directory.has_filename()) layout.directory = layout.directory.parent_path();
  layout.run = layout.directory / "run";
  if (layout.run.string().size() > kRunPathBytesMax) {
    layout.run = "/tmp/cambrian-" + std::to_string(geteuid()) + "-" +
                 sha256_hex(layout.directory.string()).substr(0, 12);
  }
  return layout;
}

Status create_folders(const Layout& layout) {
  constexpr mode_t kPrivate = 0700;
  CAMBRIAN_TRY_STATUS(create_folder(layout.directory, kPrivate));
  CAMBRIAN_TRY_STATUS(create_folder(layout.logs(), kPrivate));
  CAMBRIAN_TRY_STATUS(create_folder(layout.run, kPrivate));
  CAMBRIAN_TRY_STATUS(check_owner(layout.run));
  std::error_code error;
  const fs::space_info space = fs::space(layout.directory, error);
  if (!error && space.available < kFreeBytesMin) {
    return fail(Errc::exhausted, "the disk is full: " + layout.directory.string() + " has " +
                                     std::to_string(space.available / 1'000'000) +
                                     " MB left, 200 MB are needed");
  }
  return {};
}

}  // namespace cambrian::cli::dev
