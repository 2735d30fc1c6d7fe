#include <catch2/catch_test_macros.hpp>
#include <set>
#include <sstream>

#include "common/digest/sha256.hpp"
#include "common/digest/token.hpp"

namespace cambrian {
namespace {

template <class T>
concept Printable = requires(std::ostringstream& out, const T& value) { out << value; };

TEST_CASE("make_token: draws tokens of one form that differ", "[unit][digest]") {
  STATIC_CHECK_FALSE(Printable<NewToken>);
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto token = make_token();
    const auto& text = token.text.reveal();
    CHECK(text.starts_with("cbt_" + token.id + "_"));
    CHECK(token_id(text) == token.id);
    CHECK(token.sha256 == sha256_hex(text));
    CHECK(seen.insert(text).second);
    CHECK(seen.insert(token.id).second);
  }
}

TEST_CASE("token_id: takes whole tokens only", "[unit][digest]") {
  const std::string good = "cbt_0123456789abcdef_" + std::string(64, 'a');
  CHECK(token_id(good) == "0123456789abcdef");
  for (const std::string& bad :
       {std::string(), std::string("cbt_"), good + "a", good.substr(1), " " + good.substr(0, 84),
        "cbt_0123456789abcdeF_" + std::string(64, 'a'),
        "cbt_0123456789abcdef-" + std::string(64, 'a'),
        "cbt_0123456789abcdef_" + std::string(63, 'a') + "g",
        "cbt-0123456789abcdef_" + std::string(64, 'a')}) {
    INFO(bad);
    CHECK_FALSE(token_id(bad).has_value());
  }
}

TEST_CASE("mask_tokens: leaves the public part of tokens only", "[unit][digest]") {
  const auto token = make_token();
  const auto& text = token.text.reveal();
  const auto masked = "cbt_" + token.id + "_[redacted]";
  CHECK(mask_tokens(text) == masked);
  CHECK(mask_tokens("a " + text + text + " b") == "a " + masked + masked + " b");
  CHECK(mask_tokens("cbt_ and no more") == "cbt_ and no more");
  CHECK(mask_tokens("") == "");
}

TEST_CASE("is_same_digest: compares all of both", "[unit][digest]") {
  const auto digest = sha256_hex("a");
  auto other = digest;
  other.back() = other.back() == '0' ? '1' : '0';
  CHECK(is_same_digest(digest, digest));
  CHECK_FALSE(is_same_digest(digest, other));
  CHECK_FALSE(is_same_digest(digest, digest.substr(1)));
  CHECK_FALSE(is_same_digest("", digest));
  CHECK(is_same_digest("", ""));
}

}  // namespace
}  // namespace cambrian
