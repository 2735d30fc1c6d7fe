#include "common/digest/token.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "common/base/assert.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian {
namespace {

constexpr std::string_view kPrefix = "cbt_";
constexpr std::size_t kIdBytes = 8;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kIdDigits = 2 * kIdBytes;
constexpr std::size_t kTokenSize = kPrefix.size() + kIdDigits + 1 + 2 * kSecretBytes;

std::string random_hex(std::size_t count) {
  std::array<unsigned char, kSecretBytes> bytes{};
  CAMBRIAN_ASSERT(count <= bytes.size());
  CAMBRIAN_ASSERT(RAND_bytes(bytes.data(), static_cast<int>(count)) == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return hex;
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

NewToken make_token() {
  NewToken token;
  token.id = random_hex(kIdBytes);
  token.text = Secret(std::string(kPrefix) + token.id + "_" + random_hex(kSecretBytes));
  token.sha256 = token_digest(token.text.reveal());
  return token;
}

std::optional<std::string> token_id(std::string_view text) {
  if (text.size() != kTokenSize || !text.starts_with(kPrefix)) return std::nullopt;
  const auto id = text.substr(kPrefix.size(), kIdDigits);
  const auto rest = text.substr(kPrefix.size() + kIdDigits);
  if (!is_hex(id) || rest.front() != '_' || !is_hex(rest.substr(1))) return std::nullopt;
  return std::string(id);
}

std::string mask_tokens(std::string text) {
  constexpr std::string_view kMask = "[redacted]";
  constexpr auto kShown = kPrefix.size() + kIdDigits + 1;
  for (auto at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + 1)) {
    if (!token_id(std::string_view(text).substr(at, kTokenSize))) continue;
    text.replace(at + kShown, kTokenSize - kShown, kMask);
  }
  return text;
}

std::string token_digest(std::string_view text) { return sha256_hex(text); }

bool is_same_digest(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace cambrian
