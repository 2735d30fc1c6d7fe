#include <catch2/catch_test_macros.hpp>

#include "common/base/rng.hpp"
#include "common/config/nearest.hpp"
#include "common/config/value.hpp"

namespace cambrian::config {
namespace {

TEST_CASE("parse_duration_ns: reads units, alone and together", "[unit][config]") {
  CHECK(parse_duration_ns("90s") == 90'000'000'000);
  CHECK(parse_duration_ns("1h30m") == 5'400'000'000'000);
  CHECK(parse_duration_ns("1.5h") == 5'400'000'000'000);
  CHECK(parse_duration_ns("250ms") == 250'000'000);
  CHECK(parse_duration_ns("2d") == 172'800'000'000'000);
  CHECK(parse_duration_ns("0s") == 0);
  for (const char* bad :
       {"", "90", "s", "-5s", "5 s", "1h30", "5x", "1e3s", "nan", "99999999d", "."}) {
    INFO(bad);
    CHECK_FALSE(parse_duration_ns(bad));
  }
}

TEST_CASE("format_duration_ns: is read back to the same value", "[unit][config]") {
  CHECK(format_duration_ns(0) == "0s");
  CHECK(format_duration_ns(5'400'000'000'000) == "1h30m");
  CHECK(format_duration_ns(250'000'000) == "250ms");
  Rng rng(11);
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t value = rng.between(0, 800'000'000'000'000);
    INFO(value);
    CHECK(parse_duration_ns(format_duration_ns(value)) == value);
  }
}

TEST_CASE("parse_bytes: reads binary and decimal units", "[unit][config]") {
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("16GiB") == std::int64_t{16} << 30);
  CHECK(parse_bytes("1.5KiB") == 1536);
  CHECK(parse_bytes("10 MB") == 10'000'000);
  CHECK(parse_bytes("0") == 0);
  for (const char* bad : {"", "GiB", "1.5", "1.3KiB", "5gib", "9999999TiB", "1 GiB!", "1e3B"}) {
    INFO(bad);
    CHECK_FALSE(parse_bytes(bad));
  }
}

TEST_CASE("parse_double: reads shares and refuses what is not finite", "[unit][config]") {
  CHECK(parse_double("25%") == 0.25);
  CHECK(parse_double("-1e-3") == -0.001);
  CHECK(parse_double("+2") == 2.0);
  for (const char* bad : {"", "%", "nan", "inf", "1e999", "0x10", "1,5", "1 "}) {
    INFO(bad);
    CHECK_FALSE(parse_double(bad));
  }
}

TEST_CASE("parse_integer: refuses anything but a whole number in range", "[unit][config]") {
  CHECK(parse_integer("-42") == -42);
  CHECK(parse_unsigned("18446744073709551615") == 18446744073709551615U);
  for (const char* bad : {"", "1.0", "1e3", "9223372036854775808", "0x1", "1_000", "--1"}) {
    INFO(bad);
    CHECK_FALSE(parse_integer(bad));
  }
  CHECK_FALSE(parse_unsigned("-1"));
}

TEST_CASE("nearest_name: finds what was meant and stays silent otherwise", "[unit][config]") {
  const std::vector<std::string> names{"evaluations", "tokens", "cost_usd", "gpu_time",
                                       "wall_time"};
  CHECK(nearest_name("evaluatons", names) == "evaluations");
  CHECK(nearest_name("gpuTime", names) == "gpu_time");
  CHECK(nearest_name("wall-time", names) == "wall_time");
  CHECK(nearest_name("tokesn", names) == "tokens");
  CHECK_FALSE(nearest_name("colour", names));
  CHECK_FALSE(nearest_name("", names));
  CHECK_FALSE(nearest_name(std::string(1000, 'a'), names));
}

}  // namespace
}  // namespace cambrian::config
