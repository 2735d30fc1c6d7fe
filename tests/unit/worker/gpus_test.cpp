#include "worker/adapters/sandbox/gpus.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::worker {
namespace {

TEST_CASE("parse_gpus: reads what nvidia-smi prints", "[unit][worker]") {
  const auto gpus = parse_gpus("0, NVIDIA H100 80GB HBM3, 81559\n1, Odd, Name, 24576\n");
  REQUIRE(gpus.size() == 2);
  CHECK(gpus[0].id == "0");
  CHECK(gpus[0].name == "NVIDIA H100 80GB HBM3");
  CHECK(gpus[0].memory_bytes == std::int64_t{81559} << 20);
  CHECK(gpus[1].name == "Odd, Name");
}

TEST_CASE("parse_gpus: skips lines that are no GPU", "[unit][worker]") {
  CHECK(parse_gpus("").empty());
  CHECK(parse_gpus("No devices were found\n").empty());
  CHECK(parse_gpus("0, Broken, [N/A]\n").empty());
}

}  // namespace
}  // namespace cambrian::worker
