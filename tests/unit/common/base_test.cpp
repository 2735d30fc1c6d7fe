#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

#include "common/base/result.hpp"
#include "common/base/rng.hpp"
#include "common/base/utf8.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian {
namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return fail(Errc::invalid_argument, std::string("not a digit: ") + c);
  return c - '0';
}

Result<int> sum_of_digits(std::string_view text) {
  int sum = 0;
  for (const char c : text) {
    CAMBRIAN_TRY(const int digit, parse_digit(c));
    sum += digit;
  }
  return sum;
}

Status only_digits(std::string_view text) {
  CAMBRIAN_TRY_STATUS(sum_of_digits(text));
  return {};
}

TEST_CASE("Result: hands the first error to the caller", "[unit][base]") {
  CHECK(sum_of_digits("123") == 6);
  CHECK(only_digits("123"));
  REQUIRE_FALSE(sum_of_digits("1x3"));
  CHECK(sum_of_digits("1x3").error() == Error{Errc::invalid_argument, "not a digit: x"});
  CHECK_FALSE(only_digits("y"));
}

TEST_CASE("Rng: repeats its sequence for a seed on every platform", "[unit][base]") {
  Rng rng(42);
  CHECK(rng.next() == 0x15780b2e0c2ec716U);
  CHECK(rng.next() == 0x6104d9866d113a7eU);
}

TEST_CASE("Rng: split depends on seed and label only", "[unit][base]") {
  Rng a(7);
  const std::uint64_t before = a.split("parents").next();
  a.next();
  CHECK(a.split("parents").next() == before);
  CHECK(a.split("operators").next() != before);
  CHECK(a.split(1).next() != a.split(2).next());
  CHECK(Rng(8).split("parents").next() != before);
}

TEST_CASE("Rng: draws have the range and the moments they claim", "[unit][base]") {
  Rng rng(1);
  std::set<std::int64_t> seen;
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    seen.insert(rng.between(-2, 2));
    const double u = rng.uniform();
    REQUIRE((u >= 0 && u < 1));
    const double z = rng.normal();
    sum += z;
    squares += z * z;
  }
  CHECK(seen == std::set<std::int64_t>{-2, -1, 0, 1, 2});
  CHECK(std::abs(sum / kDraws) < 0.03);
  CHECK(std::abs(squares / kDraws - 1) < 0.05);
}

TEST_CASE("Rng: weighted never draws a zero weight", "[unit][base]") {
  Rng rng(3);
  const std::vector<double> weights{0, 1, 0, 3};
  int last = 0;
  for (int i = 0; i < 4000; ++i) {
    const auto index = rng.weighted(weights);
    REQUIRE((index == 1 || index == 3));
    last += index == 3;
  }
  CHECK(std::abs(last - 3000) < 150);
}

TEST_CASE("utf8: a text is cut between two characters", "[unit][base]") {
  const std::string text = "a\xC3\xA4\xF0\x9F\x98\x80";
  CHECK(utf8_prefix(text, 0).empty());
  CHECK(utf8_prefix(text, 1) == "a");
  CHECK(utf8_prefix(text, 2) == "a");
  CHECK(utf8_prefix(text, 3) == "a\xC3\xA4");
  CHECK(utf8_prefix(text, 6) == "a\xC3\xA4");
  CHECK(utf8_prefix(text, 7) == text);
  CHECK(utf8_prefix(text, 100) == text);
}

TEST_CASE("utf8: only the well-formed sequences count", "[unit][base]") {
  CHECK(is_valid_utf8(""));
  CHECK(is_valid_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"));
  for (const std::string bad : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80",
                                "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "\xE2\x82"}) {
    CHECK_FALSE(is_valid_utf8("a" + bad));
    CHECK(utf8_sequence_length(bad) == 0);
  }
  CHECK(utf8_sequence_length("") == 0);
}

TEST_CASE("sha256_hex: gives the published digests", "[unit][base]") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(is_sha256_hex(sha256_hex("abc")));
  CHECK_FALSE(is_sha256_hex("BA7816"));
}

TEST_CASE("KeyDigest: parts cannot run into each other", "[unit][base]") {
  CHECK(KeyDigest().add("a", "bc").finish_hex() != KeyDigest().add("ab", "c").finish_hex());
}

}  // namespace
}  // namespace cambrian
