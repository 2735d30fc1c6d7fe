#include "worker/evaluation/text.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::worker {
namespace {

TEST_CASE("CappedLog: keeps everything below its limit", "[unit][worker]") {
  CappedLog log(100);
  log.append("one ");
  log.append("two");
  CHECK(log.text() == "one two");
  CHECK(log.bytes_total() == 7);
}

TEST_CASE("CappedLog: keeps head and tail and counts the rest", "[unit][worker]") {
  CappedLog log(10);
  for (int i = 0; i < 1000; ++i) log.append("abcdefghij");
  CHECK(log.bytes_total() == 10'000);
  CHECK(log.text() == "abcde\n[... 9990 bytes left out ...]\nfghij");
}

TEST_CASE("CappedLog: pieces and the whole give the same text", "[unit][worker]") {
  std::string whole;
  for (int i = 0; i < 500; ++i) whole += std::to_string(i) + "\n";
  for (const std::size_t piece : {1UL, 3UL, 7UL, 64UL, 5000UL}) {
    CappedLog at_once(64);
    at_once.append(whole);
    CappedLog in_pieces(64);
    for (std::size_t i = 0; i < whole.size(); i += piece) {
      in_pieces.append(std::string_view(whole).substr(i, piece));
    }
    CHECK(in_pieces.text() == at_once.text());
  }
}

TEST_CASE("sanitise: leaves valid text alone", "[unit][worker]") {
  const std::string text =
      "tab\tline\nGr\xC3\xB6\xC3\x9F"
      "e \xE2\x82\xAC \xF0\x9F\x98\x80";
  CHECK(sanitise(text) == text);
}

TEST_CASE("sanitise: replaces what is not UTF-8", "[unit][worker]") {
  CHECK(sanitise("\xC3") == "?");
  CHECK(sanitise("\xC0\xAF") == "??");
  CHECK(sanitise("\xED\xA0\x80") == "???");
  CHECK(sanitise("\xF4\x90\x80\x80") == "????");
  CHECK(sanitise(std::string_view("a\0b", 3)) == "a?b");
}

TEST_CASE("sanitise: drops terminal escapes and splits overwritten lines", "[unit][worker]") {
  CHECK(sanitise("\x1b[1;31mred\x1b[0m") == "red");
  CHECK(sanitise("10 %\r20 %\r\ndone") == "10 %\n20 %\ndone");
}

TEST_CASE("shorten: never leaves half of a character", "[unit][worker]") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\xE2\x82\xAC";
  for (std::size_t bytes = 60; bytes < 80; ++bytes) {
    const std::string cut = shorten(text, bytes);
    CHECK(cut.size() <= bytes);
    CHECK(sanitise(cut) == cut);
  }
  CHECK(shorten("short", 60) == "short");
  // Nor drops a text that has no ASCII in it.
  CHECK(shorten(text, 100).starts_with("\xE2\x82\xAC"));
  CHECK(shorten(text, 100).ends_with("\xE2\x82\xAC"));
}

TEST_CASE("scrub_paths: removes folders but not words that look alike", "[unit][worker]") {
  CHECK(scrub_paths("/src/a.cpp:1: in /src", {"/src"}) == "a.cpp:1: in ");
  CHECK(scrub_paths("/srcs/a.cpp x/src/b.cpp", {"/src"}) == "/srcs/a.cpp x/src/b.cpp");
  CHECK(scrub_paths("'/src/deep/a.cpp'", {"/src", "/src/deep"}) == "'a.cpp'");
  CHECK(scrub_paths("/ /usr", {"/", ""}) == "/ /usr");
}

}  // namespace
}  // namespace cambrian::worker
