#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian {
namespace {

struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("blob-test-" + std::to_string(::getpid()));
  TemporaryFolder() { std::filesystem::remove_all(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

TEST_CASE("BlobCache: drops the least recently used content first", "[unit][blob]") {
  const TemporaryFolder folder;
  auto cache = BlobCache::open(folder.path, 10);
  REQUIRE(cache);
  REQUIRE((*cache)->store(sha256_hex("aaaa"), "aaaa"));
  REQUIRE((*cache)->store(sha256_hex("bbbb"), "bbbb"));
  CHECK((*cache)->find(sha256_hex("aaaa")) == "aaaa");
  REQUIRE((*cache)->store(sha256_hex("cccc"), "cccc"));
  CHECK((*cache)->find(sha256_hex("aaaa")) == "aaaa");
  CHECK_FALSE((*cache)->find(sha256_hex("bbbb")));
  CHECK((*cache)->find(sha256_hex("cccc")) == "cccc");
}

TEST_CASE("BlobCache: a content larger than the cache neither stays nor pushes others out",
          "[unit][blob]") {
  const TemporaryFolder folder;
  auto cache = BlobCache::open(folder.path, 10);
  REQUIRE(cache);
  REQUIRE((*cache)->store(sha256_hex("aaaa"), "aaaa"));
  const std::string large(11, 'x');
  CHECK((*cache)->store(sha256_hex(large), large));
  CHECK_FALSE((*cache)->find(sha256_hex(large)));
  CHECK((*cache)->find(sha256_hex("aaaa")) == "aaaa");
}

TEST_CASE("BlobCache: never hands out damaged content, and survives a restart", "[unit][blob]") {
  const TemporaryFolder folder;
  const auto digest = sha256_hex("content");
  {
    auto cache = BlobCache::open(folder.path, 100);
    REQUIRE(cache);
    REQUIRE((*cache)->store(digest, "content"));
  }
  auto cache = BlobCache::open(folder.path, 100);
  REQUIRE(cache);
  CHECK((*cache)->find(digest) == "content");
  std::ofstream(folder.path / digest) << "damaged";
  CHECK_FALSE((*cache)->find(digest));
  CHECK_FALSE(std::filesystem::exists(folder.path / digest));
}

TEST_CASE("BlobCache: a folder that cannot be made is an error", "[unit][blob]") {
  CHECK(BlobCache::open("/proc/no/such", 1).error().code == Errc::unavailable);
}

}  // namespace
}  // namespace cambrian
