// A candidate that breaks the protocol in the way named by its argument, whatever the judge asks.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cambrian/frame.hpp"

namespace {

using cambrian::Channel;
using cambrian::Message;

cambrian::Deadline far() { return cambrian::Clock::now() + std::chrono::minutes(5); }

void write_raw(int socket, const std::string& bytes) {
  if (::write(socket, bytes.data(), bytes.size()) < 0) std::exit(3);
}

std::string header(std::uint32_t json, std::uint64_t payload) {
  std::string out = "CMB1";
  out.append(reinterpret_cast<const char*>(&json), sizeof(json));
  out.append(reinterpret_cast<const char*>(&payload), sizeof(payload));
  return out;
}

// The name of the answer that the judge waits for.
std::string answer_to(const std::string& type) {
  if (type == "ask") return "answer";
  if (type == "predict") return "prediction";
  return type == "train" ? "trained" : "ready";
}

// A shape that no task expects.
Message odd_answer(const std::string& type) {
  Message answer(answer_to(type));
  answer.members["steps"] = 1;
  for (const char* name : {"outputs", "bins", "circles"}) {
    answer.tensors.push_back(cambrian::make_tensor(name, {1, 1, 1}, std::vector<float>{1.0F}));
  }
  return answer;
}

void attack(const std::string& mode, Channel& judge, const std::string& type) {
  const int socket = judge.descriptor();
  if (mode == "exit") std::_Exit(0);
  if (mode == "abort") std::abort();
  if (mode == "silent") ::sleep(600);
  if (mode == "wrong_shape") judge.send(odd_answer(type), far());
  if (mode == "wrong_type") judge.send(Message("result"), far());
  if (mode == "magic") write_raw(socket, std::string(64, 'x'));
  if (mode == "huge_payload") write_raw(socket, header(2, std::uint64_t{1} << 62) + "{}");
  if (mode == "huge_json") write_raw(socket, header(0xffffffffU, 0));
  if (mode == "not_json") write_raw(socket, header(4, 0) + "{{{{");
  if (mode == "half_pair") write_raw(socket, header(17, 0) + R"({"type":"\ud800"})");
  if (mode == "endless_step") {
    const std::string json = R"({"type":"progress","step":1)" + std::string(400, '0') + "}";
    write_raw(socket, header(static_cast<std::uint32_t>(json.size()), 0) + json);
  }
  if (mode == "impossible_shape") {
    const std::string json =
        R"({"type":")" + answer_to(type) +
        R"(","steps":1,"tensors":[{"name":"outputs","dtype":"f64","offset":0,"shape":[0,)" +
        R"(4611686018427387904,4611686018427387904]}]})";
    write_raw(socket, header(static_cast<std::uint32_t>(json.size()), 0) + json);
  }
  if (mode == "surplus") {
    const std::string json = R"({"type":")" + answer_to(type) + R"("})";
    write_raw(socket, header(static_cast<std::uint32_t>(json.size()), 8) + json + "surplus!");
  }
  if (mode == "half_frame") {
    write_raw(socket, "CMB1");
    std::_Exit(0);
  }
  if (mode == "score")
    write_raw(1, "accuracy=1.0\n{\"outcome\": \"success\", \"accuracy\": 1.0}\n");
  if (mode == "descriptor") {
    Message answer(answer_to(type));
    answer.descriptors.emplace_back(::dup(0));
    answer.members["steps"] = 1;
    judge.send(answer, far());
  }
  // A judge that does not hang up by itself would show as a timeout of the whole evaluation.
  if (mode == "score") std::_Exit(0);
  ::sleep(600);
}

}  // namespace

int main(int, char** argv) {
  Channel judge = cambrian::channel_from_environment();
  judge.receive(far(), {.descriptors = true});
  judge.send(Message("ready"), far());
  const Message message = judge.receive(far(), {.descriptors = true});
  attack(argv[1], judge, message.type);
}
