#include "common/log/log.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::log {
namespace {

TEST_CASE("format_line: quotes what is not plain and cuts what is long", "[unit][log]") {
  CHECK(format_line("lease_granted", {{"item", 42}, {"worker", "w3"}}) ==
        "event=lease_granted item=42 worker=w3");
  CHECK(format_line("e", {{"m", "a b"}, {"n", "x\"\n\x01"}, {"o", ""}}) ==
        "event=e m=\"a b\" n=\"x\\\"\\n\\x01\" o=\"\"");
  CHECK(format_line("e", {{"d_ms", std::chrono::seconds(2)}, {"r", 0.25}, {"b", true}}) ==
        "event=e d_ms=2000 r=0.25 b=true");
  CHECK(format_line("e", {{"v", std::string(10000, 'x')}}).size() < 5000);
}

TEST_CASE("level_of: an unknown word never silences errors", "[unit][log]") {
  CHECK(level_of("debug") == Level::debug);
  CHECK(level_of("info") == Level::info);
  CHECK(level_of("warn") == Level::warn);
  CHECK(level_of("error") == Level::error);
  for (const char* word : {"", "verbose", "ERROR", "off"}) CHECK(level_of(word) == Level::info);
}

}  // namespace
}  // namespace cambrian::log
