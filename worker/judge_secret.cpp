#include "worker/judge_secret.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <format>
#include <fstream>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSecretBytes = 32;

Error failed(const fs::path& file, const std::string& cause) {
  return {Errc::unavailable, "no secret for judges: file=" + file.string() + " error=" + cause +
                                 " (CAMBRIAN_JUDGE_SECRET gives one)"};
}

Result<std::string> make_secret() {
  std::array<std::uint8_t, kSecretBytes> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(Errc::internal, "no random bytes");
  }
  std::string text;
  for (const std::uint8_t byte : bytes) text += std::format("{:02x}", byte);
  return text;
}

// Under another name first: whoever finds the file finds it whole, and the first one wins.
Status write_secret(const fs::path& file) {
  CAMBRIAN_TRY(const std::string secret, make_secret());
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  const std::string draft = file.string() + "." + std::to_string(getpid());
  const Descriptor out(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const auto size = static_cast<ssize_t>(secret.size());
  if (!out || write(out.get(), secret.data(), secret.size()) != size) {
    return fail(failed(file, std::strerror(errno)));
  }
  const bool is_linked = link(draft.c_str(), file.c_str()) == 0 || errno == EEXIST;
  const int cause = errno;
  unlink(draft.c_str());
  return is_linked ? Status() : Status(fail(failed(file, std::strerror(cause))));
}

}  // namespace

Result<std::string> read_judge_secret(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) CAMBRIAN_TRY_STATUS(write_secret(file));
  std::ifstream in(file);
  std::string secret;
  if (!(in >> secret) || secret.size() < kSecretBytes) {
    return fail(failed(file, "it cannot be read or is too short"));
  }
  return secret;
}

}  // namespace cambrian::worker
