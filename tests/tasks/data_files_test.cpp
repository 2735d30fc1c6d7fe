#include "cambrian/data_files.hpp"

#include <zlib.h>

#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian {
namespace {

std::filesystem::path write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string idx(const std::string& data, std::uint8_t rows, std::uint8_t columns) {
  std::string out = {
      0, 0, 8, 2, 0, 0, 0, static_cast<char>(rows), 0, 0, 0, static_cast<char>(columns)};
  return out + data;
}

std::string npy(const std::string& header, const std::string& data) {
  std::string out = "\x93NUMPY";
  out += {1, 0, static_cast<char>(header.size()), 0};
  return out + header + data;
}

}  // namespace

TEST_CASE("read_idx: reads plain and compressed files", "[unit][sdk]") {
  const tasks::WorkFolder work;
  const std::string content = idx("abcdef", 2, 3);
  const Tensor plain = read_idx(write_file(work.path() / "a", content));
  CHECK(plain.shape() == Shape{2, 3});
  CHECK(plain.values<std::uint8_t>()[5] == 'f');
  const auto packed = work.path() / "b.gz";
  const gzFile file = ::gzopen(packed.c_str(), "wb");
  REQUIRE(::gzwrite(file, content.data(), static_cast<unsigned>(content.size())) > 0);
  ::gzclose(file);
  CHECK(read_idx(packed).values<std::uint8_t>()[5] == 'f');
  // Cut off: the end of a gzip file holds its check sum.
  std::filesystem::resize_file(packed, std::filesystem::file_size(packed) - 6);
  CHECK_THROWS_AS(read_idx(packed), std::runtime_error);
}

TEST_CASE("read_idx: refuses what does not fit its header", "[unit][sdk]") {
  const tasks::WorkFolder work;
  for (const std::string& content :
       {std::string(), std::string("abc"), idx("abcde", 2, 3), idx("abcdefg", 2, 3),
        std::string("\0\0\x0d\1\0\0\0\1abcd", 12)}) {
    CHECK_THROWS_AS(read_idx(write_file(work.path() / "a", content)), std::runtime_error);
  }
  CHECK_THROWS_AS(read_idx(work.path() / "missing"), std::runtime_error);
}

TEST_CASE("read_npy: reads NumPy's header", "[unit][sdk]") {
  const tasks::WorkFolder work;
  const std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1), }\n";
  const Tensor tensor =
      read_npy(write_file(work.path() / "a", npy(header, std::string("\1\0\0\0\2\0\0\0", 8))));
  CHECK(tensor.shape() == Shape{2, 1});
  CHECK(to_integers(tensor) == std::vector<std::int64_t>{1, 2});
  CHECK(to_floats(tensor) == std::vector<float>{1, 2});
}

TEST_CASE("read_npy: refuses other layouts and wrong sizes", "[unit][sdk]") {
  const tasks::WorkFolder work;
  const std::string four(4, '\0');
  for (const char* header : {"{'descr': '<i4', 'fortran_order': True, 'shape': (1,), }",
                             "{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }",
                             "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                             "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
                             "{'descr': '<i4', 'fortran_order': False, 'shape': (-1,), }",
                             "{'descr': '<i4', 'fortran_order': False}", "{}"}) {
    INFO(header);
    CHECK_THROWS_AS(read_npy(write_file(work.path() / "a", npy(header, four))), std::runtime_error);
  }
}

}  // namespace cambrian
