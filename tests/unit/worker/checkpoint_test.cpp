#include "worker/evaluation/checkpoint.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cambrian::worker;

TEST_CASE("checkpoint: a content is read as it was written", "[unit][worker]") {
  const Checkpoint written{std::string(64, 'a'), std::string("CMB1\0\n\n", 7)};
  const auto read = read_checkpoint(to_content(written));
  REQUIRE(read);
  CHECK(read->result_key == written.result_key);
  CHECK(read->frame == written.frame);
}

TEST_CASE("checkpoint: what is something else is none", "[unit][worker]") {
  const std::string good = to_content({std::string(64, '0'), "x"});
  REQUIRE(read_checkpoint(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK_FALSE(read_checkpoint(good.substr(0, size)));
  }
  CHECK_FALSE(read_checkpoint("int main() {}\n"));
  CHECK_FALSE(read_checkpoint(to_content({std::string(64, 'g'), "x"})));
  CHECK_FALSE(read_checkpoint(to_content({std::string(63, '0'), "x"})));
  CHECK_FALSE(read_checkpoint("another" + good));
}
