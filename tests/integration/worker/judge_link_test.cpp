#include <catch2/catch_test_macros.hpp>
#include <chrono>

#include "cambrian/frame.hpp"
#include "worker/adapters/judge/frame_link.hpp"

using namespace cambrian::worker;
using std::chrono::milliseconds;

TEST_CASE("judge link: messages that come at once are received one after the other",
          "[integration][worker]") {
  auto ends = FrameLinks().make_link();
  REQUIRE(ends);
  auto& [link, socket] = *ends;
  cambrian::Channel judge{cambrian::Descriptor(socket.release())};
  const auto deadline = std::chrono::steady_clock::now() + milliseconds(5000);
  cambrian::Message mark("event");
  mark.members["name"] = "judge_ready";
  judge.send(mark, deadline);
  judge.send(cambrian::Message("start_candidate"), deadline);

  const auto first = link->receive(milliseconds(1000));
  REQUIRE(first);
  REQUIRE(*first);
  CHECK(std::holds_alternative<JudgeEvent>(**first));
  const auto second = link->receive(milliseconds(1000));
  REQUIRE(second);
  REQUIRE(*second);
  CHECK(std::holds_alternative<StartCandidate>(**second));
  const auto nothing = link->receive(milliseconds(0));
  REQUIRE(nothing);
  CHECK_FALSE(*nothing);

  judge.close();
  CHECK_FALSE(link->receive(milliseconds(1000)));
}
