#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

/// One question. In the practice `secrets` are what the exam will ask for; there they are zero.
struct Question {
  std::vector<double> inputs;
  std::vector<double> secrets;
  bool is_practice = false;
  std::uint64_t seed = 0;  ///< Of the candidate's Setup.
};

/// Twice the inputs, and then guesses of the secrets.
std::vector<double> act(const Question& question);

/// What an honest program answers: twice the inputs, and nothing for the rest.
inline std::vector<double> honest(const Question& question) {
  std::vector<double> answers;
  for (const double input : question.inputs) answers.push_back(2 * input);
  answers.resize(2 * question.inputs.size(), 0.0);
  return answers;
}

/// The honest answers, and these as secrets.
inline std::vector<double> with_secrets(const Question& question, std::vector<double> secrets) {
  std::vector<double> answers = honest(question);
  secrets.resize(question.inputs.size(), 0.0);
  std::copy(secrets.begin(), secrets.end(), answers.begin() + static_cast<long>(secrets.size()));
  return answers;
}

/// A frame of the protocol as bytes.
inline std::string frame(const std::string& json) {
  std::string bytes = "CMB1";
  const auto length = static_cast<std::uint32_t>(json.size());
  const std::uint64_t payload = 0;
  bytes.append(reinterpret_cast<const char*>(&length), 4);
  bytes.append(reinterpret_cast<const char*>(&payload), 8);
  return bytes + json;
}

inline std::string winning_frame() {
  return frame(R"({"type":"result","outcome":"success","metrics":{"score":1,"leaked":0},)"
               R"("diagnostics":"","behaviour_digest":""})");
}

inline void put(int descriptor, const std::string& bytes) {
  if (write(descriptor, bytes.data(), bytes.size()) < 0) errno = 0;
}

/// Takes memory and writes into it, which no optimiser may leave out. Null where it is refused.
inline void* take(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory != nullptr) std::memset(memory, 1, bytes);
  asm volatile("" : : "r"(memory) : "memory");
  return memory;
}

/// Prints the first bytes of a file, where it can be opened.
inline void print_file(const std::string& path) {
  char buffer[4096];
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  if (file < 0) return;
  const ssize_t count = read(file, buffer, sizeof buffer);
  if (count > 0) put(1, std::string(buffer, static_cast<std::size_t>(count)) + "\n");
  close(file);
}
