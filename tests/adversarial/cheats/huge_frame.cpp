// expect: bad_output
// Announces a payload of an exabyte.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::string bytes = frame("{}");
  const std::uint64_t payload = std::uint64_t{1} << 60;
  bytes.replace(8, 8, reinterpret_cast<const char*>(&payload), 8);
  put(3, bytes);
  return honest(question);
}
