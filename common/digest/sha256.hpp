#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace cambrian {

/// SHA-256 in 64 lower case hex digits: the name of every content in the system.
std::string sha256_hex(std::string_view content);

/// True for 64 lower case hex digits.
bool is_sha256_hex(std::string_view text);

/// SHA-256 of content that comes in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::string_view piece);
  /// The digest in hex. The object must not be used afterwards.
  std::string finish_hex();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

/// Collects named values into one digest. Names and lengths go in too, so that ("ab", "c") and
/// ("a", "bc") differ: what a result key must have.
class KeyDigest {
 public:
  KeyDigest& add(std::string_view name, std::string_view value);
  std::string finish_hex() { return sha_.finish_hex(); }

 private:
  Sha256 sha_;
};

}  // namespace cambrian
