#include "worker/evaluation/checkpoint.hpp"

namespace cambrian::worker {
namespace {

constexpr std::string_view kHeading = "cambrian checkpoint 1\n";
// Hex digits of a SHA-256.
constexpr std::size_t kKeyBytes = 64;

}  // namespace

std::string to_content(const Checkpoint& checkpoint) {
  return std::string(kHeading) + checkpoint.result_key + "\n" + checkpoint.frame;
}

std::optional<Checkpoint> read_checkpoint(std::string_view content) {
  if (!content.starts_with(kHeading)) return std::nullopt;
  content.remove_prefix(kHeading.size());
  if (content.size() <= kKeyBytes + 1 || content[kKeyBytes] != '\n') return std::nullopt;
  const std::string_view key = content.substr(0, kKeyBytes);
  if (key.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  return Checkpoint{std::string(key), std::string(content.substr(kKeyBytes + 1))};
}

}  // namespace cambrian::worker
