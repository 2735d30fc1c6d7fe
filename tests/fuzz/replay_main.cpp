#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/rng.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerInput = 300;

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

/// What a fuzzer does first: bytes changed, pieces cut out, doubled, and taken from other inputs.
std::string mutate(std::string input, const std::vector<std::string>& corpus, cambrian::Rng& rng) {
  for (std::uint64_t i = 1 + rng.below(4); i > 0; --i) {
    const std::size_t at = rng.below(input.size() + 1);
    const std::size_t length = rng.below(24);
    const std::string& other = rng.pick(corpus);
    switch (rng.below(4)) {
      case 0: input.insert(at, 1, static_cast<char>(rng.below(256))); break;
      case 1: input.erase(at, length); break;
      case 2: input.insert(at, input.substr(at, length)); break;
      default: input.insert(at, other.substr(rng.below(other.size() + 1), length)); break;
    }
  }
  return input;
}

}  // namespace

/// Replays a corpus folder: replay CORPUS. A broken invariant aborts.
int main(int argument_count, char** arguments) {
  if (argument_count != 2) return 2;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (corpus.empty()) return 2;
  const char* seed_text = std::getenv("CAMBRIAN_TEST_SEED");
  const std::uint64_t seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  cambrian::Rng rng(seed);
  for (const std::string& input : corpus) {
    run(input);
    for (int i = 0; i < kMutationsPerInput; ++i) run(mutate(input, corpus, rng));
  }
  std::printf("%zu inputs, %d mutations of each\n", corpus.size(), kMutationsPerInput);
  return 0;
}
