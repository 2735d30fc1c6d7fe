#include "common/digest/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "common/base/assert.hpp"

namespace cambrian {

Sha256::Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  CAMBRIAN_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::update(std::string_view piece) {
  CAMBRIAN_ASSERT(EVP_DigestUpdate(context_.get(), piece.data(), piece.size()) == 1);
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  CAMBRIAN_ASSERT(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(std::size_t{2} * size);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

std::string sha256_hex(std::string_view content) {
  Sha256 sha;
  sha.update(content);
  return sha.finish_hex();
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

KeyDigest& KeyDigest::add(std::string_view name, std::string_view value) {
  for (const std::string_view part : {name, value}) {
    sha_.update(std::to_string(part.size()) + ":");
    sha_.update(part);
  }
  return *this;
}

}  // namespace cambrian
