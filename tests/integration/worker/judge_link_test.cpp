#include <catch2/catch_test_macros.hpp>
#include <chrono>

#include "cambrian/frame.hpp"
#include "common/digest/sha256.hpp"
#include "worker/adapters/judge/frame_link.hpp"

using namespace cambrian::worker;
using std::chrono::milliseconds;

namespace {

/// What the worker makes of one message of a judge.
cambrian::Result<std::optional<JudgeMessage>> heard(const cambrian::Message& message) {
  auto ends = FrameLinks().make_link();
  REQUIRE(ends);
  cambrian::Channel judge{cambrian::Descriptor(ends->second.release())};
  judge.send(message, std::chrono::steady_clock::now() + milliseconds(5000));
  return ends->first->receive(milliseconds(1000));
}

cambrian::Message result_with(cambrian::JsonObject metrics, const std::string& digest) {
  cambrian::Message result("result");
  result.members["outcome"] = "success";
  result.members["metrics"] = std::move(metrics);
  result.members["behaviour_digest"] = digest;
  return result;
}

}  // namespace

TEST_CASE("judge link: a digest is a SHA-256, whatever the judge wrote", "[integration][worker]") {
  const auto digest = [](const std::string& text) {
    const auto message = heard(result_with({{"score", 1.0}}, text));
    REQUIRE(message);
    return std::get<Verdict>(**message).behaviour_digest;
  };
  const std::string sha256(64, 'a');
  CHECK(digest(sha256) == sha256);
  CHECK(digest("").empty());
  CHECK(digest("left, left, right") == cambrian::sha256_hex("left, left, right"));
}

TEST_CASE("judge link: more metrics than a coordinator takes are the judge's failure",
          "[integration][worker]") {
  cambrian::JsonObject metrics;
  for (int i = 0; i < 256; ++i) metrics["m" + std::to_string(i)] = i;
  CHECK(heard(result_with(metrics, "")));
  metrics["one_more"] = 1;
  const auto refused = heard(result_with(metrics, ""));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "the judge gave too many metrics: metrics=257 metrics_max=256");
  CHECK_FALSE(heard(result_with({{std::string(257, 'x'), 1.0}}, "")));
}

TEST_CASE("judge link: progress is a fraction, a step and a loss, or none of them",
          "[integration][worker]") {
  const auto training = [](cambrian::JsonObject members) {
    members["name"] = "progress";
    const auto message = heard(cambrian::Message("event", std::move(members)));
    REQUIRE(message);
    return std::get<JudgeEvent>(**message).training;
  };
  CHECK(training({{"fraction", 0.5}}).fraction == 0.5);
  CHECK_FALSE(training({{"fraction", -1e300}}).is_known());
  CHECK_FALSE(training({{"fraction", 1.5}}).is_known());
  // As the SDK's judges say it.
  const auto known = training({{"step", 12}, {"loss", 0.25}});
  CHECK(known.step == 12);
  CHECK(known.loss == 0.25);
  CHECK_FALSE(known.fraction);
  CHECK_FALSE(training({{"step", -1}, {"loss", "none"}}).is_known());
  CHECK_FALSE(training({}).is_known());
}

TEST_CASE("judge link: a rung has a number and a value, or is none", "[integration][worker]") {
  const auto rungs = [](cambrian::JsonObject members) {
    members["name"] = "rung";
    const auto message = heard(cambrian::Message("event", std::move(members)));
    REQUIRE(message);
    return std::get<JudgeEvent>(**message).training.rungs;
  };
  const auto good = rungs({{"rung", 1}, {"value", 0.25}});
  REQUIRE(good.size() == 1);
  CHECK(good[0].rung == 1);
  CHECK(good[0].value == 0.25);
  CHECK(rungs({{"rung", -1}, {"value", 0.25}}).empty());
  CHECK(rungs({{"rung", std::int64_t{1} << 40}, {"value", 0.25}}).empty());
  CHECK(rungs({{"rung", 1}}).empty());
  CHECK(rungs({{"rung", 1}, {"value", "good"}}).empty());
}

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

TEST_CASE("judge link: what a judge keeps, the judges of the same task get, and nobody else",
          "[integration][worker]") {
  FrameLinks links;
  const auto deadline = [] { return std::chrono::steady_clock::now() + milliseconds(5000); };
  // A judge of this task looks for a key, and keeps a tensor under it where it finds none.
  const auto ask = [&](const std::string& digest, const std::string& key, std::uint8_t value) {
    auto ends = links.make_link();
    REQUIRE(ends);
    cambrian::Channel judge{cambrian::Descriptor(ends->second.release())};
    auto task = std::make_shared<Task>();
    task->digest = digest;
    EvaluationRequest request;
    request.task = task;
    REQUIRE(ends->first->begin(request));
    judge.receive(deadline());
    cambrian::JsonObject members;
    members["key"] = key;
    judge.send(cambrian::Message("find_kept", members), deadline());
    REQUIRE(ends->first->receive(milliseconds(1000)));
    const cambrian::Message kept = judge.receive(deadline(), {.descriptors = true});
    CHECK(kept.type == "kept");
    if (!kept.tensors.empty()) return int{kept.tensor("labels").values<std::uint8_t>()[0]};
    cambrian::Message keep("keep", std::move(members));
    keep.tensors.push_back(cambrian::make_shared_tensor(
        "labels", cambrian::DType::u8, {1}, [&](std::byte* out) { *out = std::byte{value}; }));
    judge.send(keep, deadline());
    REQUIRE(ends->first->receive(milliseconds(1000)));
    return -1;
  };
  CHECK(ask("a", "data", 7) == -1);
  CHECK(ask("a", "data", 8) == 7);
  CHECK(ask("a", "other data", 9) == -1);
  CHECK(ask("b", "data", 10) == -1);
  CHECK(ask("b", "data", 11) == 10);
}

TEST_CASE("kept tensors: the longest unused go first, and none is too large",
          "[integration][worker]") {
  KeptTensors kept(3000);
  const auto of_bytes = [](std::int64_t bytes) {
    return std::vector{
        cambrian::make_shared_tensor("x", cambrian::DType::u8, {bytes}, [](std::byte*) {})};
  };
  kept.keep("a", of_bytes(1000));
  kept.keep("b", of_bytes(1000));
  kept.keep("a", of_bytes(10));
  CHECK(kept.bytes() == 2000);
  CHECK(kept.find("a").at(0).size() == 1000);
  kept.keep("c", of_bytes(1500));
  CHECK(kept.find("b").empty());
  CHECK_FALSE(kept.find("a").empty());
  kept.keep("d", of_bytes(3001));
  CHECK(kept.find("d").empty());
  CHECK(kept.bytes() == 2500);
}
