#include "worker/adapters/sandbox/gpus.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::worker {
namespace {

using Ids = std::vector<std::string>;

// As nvidia-smi prints them: one GPU with two instances, one partitioned without any.
constexpr const char* kQuery =
    "0, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, Disabled, 81559, NVIDIA H100 80GB HBM3\n"
    "1, GPU-8932f937-d72c-4106-c12f-20bd9faed9f6, Enabled, 40960, NVIDIA A100-SXM4-40GB\n"
    "2, GPU-89320000-d72c-4106-c12f-20bd9faed9f7, [N/A], 24576, Odd, Name\n"
    "3, GPU-00000000-d72c-4106-c12f-20bd9faed9f8, Enabled, 40960, NVIDIA A100-SXM4-40GB\n";
constexpr const char* kList =
    "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)\n"
    "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-8932f937-d72c-4106-c12f-20bd9faed9f6)\n"
    "  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)\n"
    "  MIG 1g.5gb+me   Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)\n"
    "GPU 2: Odd, Name (UUID: GPU-89320000-d72c-4106-c12f-20bd9faed9f7)\n"
    "GPU 3: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-d72c-4106-c12f-20bd9faed9f8)\n";

const std::string kFirst = "GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f";
const std::string kLargeInstance = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd";
const std::string kSmallInstance = "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d";
const std::string kThird = "GPU-89320000-d72c-4106-c12f-20bd9faed9f7";

Ids ids_of(const std::vector<GpuDevice>& gpus) {
  Ids ids;
  for (const GpuDevice& gpu : gpus) ids.push_back(gpu.id);
  return ids;
}

Ids visible(const std::string& variable) {
  return ids_of(visible_gpus(parse_gpus(kQuery, kList), variable));
}

TEST_CASE("parse_gpus: reads what nvidia-smi prints", "[unit][worker]") {
  const auto gpus = parse_gpus(kQuery, kList);
  REQUIRE(ids_of(gpus) == Ids{kFirst, kLargeInstance, kSmallInstance, kThird});
  CHECK(gpus[0].name == "NVIDIA H100 80GB HBM3");
  CHECK(gpus[0].memory_bytes == std::int64_t{81559} << 20);
  CHECK(gpus[1].name == "NVIDIA A100-SXM4-40GB MIG 3g.20gb");
  CHECK(gpus[1].memory_bytes == std::int64_t{20} << 30);
  CHECK(gpus[1].index == "1");
  CHECK(gpus[2].memory_bytes == std::int64_t{5} << 30);
  CHECK(gpus[3].name == "Odd, Name");
}

TEST_CASE("parse_gpus: skips lines that are no GPU", "[unit][worker]") {
  CHECK(parse_gpus("", "").empty());
  CHECK(parse_gpus("No devices were found\n", "").empty());
  CHECK(parse_gpus("0, , , ,\n", kList).empty());
}

TEST_CASE("visible_gpus: takes indices, UUIDs, their beginnings and instances", "[unit][worker]") {
  CHECK(visible("2,0") == Ids{kThird, kFirst});
  CHECK(visible(kThird) == Ids{kThird});
  CHECK(visible("GPU-5c89") == Ids{kFirst});
  CHECK(visible(kSmallInstance + ", " + kFirst) == Ids{kSmallInstance, kFirst});
  CHECK(visible("1") == Ids{kLargeInstance, kSmallInstance});
  CHECK(visible("GPU-8932f937") == Ids{kLargeInstance, kSmallInstance});
  CHECK(visible("0,0") == Ids{kFirst});
}

TEST_CASE("visible_gpus: ends at the first entry that names none", "[unit][worker]") {
  CHECK(visible("").empty());
  CHECK(visible("-1").empty());
  CHECK(visible("NoDevFiles").empty());
  CHECK(visible("0,7,2") == Ids{kFirst});
  // Two GPUs begin so.
  CHECK(visible("GPU-8932").empty());
  CHECK(visible("MIG-").empty());
}

}  // namespace
}  // namespace cambrian::worker
