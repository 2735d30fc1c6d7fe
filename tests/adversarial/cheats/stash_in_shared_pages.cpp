// expect: success
// Leaves the secrets in whatever memory it was started with, for the next process that is started
// the same way: in pages that are shared, and in its own libraries' data.
#include "act.hpp"

namespace {

constexpr std::uint64_t kMark = 0x6361726d61726b21;
std::uint64_t stash[16] = {kMark};

struct Range {
  std::uint64_t* begin = nullptr;
  std::uint64_t* end = nullptr;
  bool is_shared = false;
};

std::vector<Range> writable_ranges() {
  std::vector<Range> ranges;
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[1024];
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long begin = 0, end = 0;
    char rights[8] = "";
    if (std::sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3) continue;
    if (rights[0] != 'r' || rights[1] != 'w' || std::strstr(line, "[stack]") != nullptr) continue;
    ranges.push_back({reinterpret_cast<std::uint64_t*>(begin),
                      reinterpret_cast<std::uint64_t*>(end), rights[3] == 's'});
  }
  if (maps != nullptr) std::fclose(maps);
  return ranges;
}

}  // namespace

std::vector<double> act(const Question& question) {
  if (question.is_practice) {
    for (std::size_t i = 0; i < question.secrets.size(); ++i) {
      stash[i + 1] = static_cast<std::uint64_t>(question.secrets[i]);
    }
    for (const Range& range : writable_ranges()) {
      if (range.is_shared) std::memcpy(range.begin, stash, sizeof stash);
    }
    return honest(question);
  }
  for (const Range& range : writable_ranges()) {
    for (std::uint64_t* at = range.begin; at + 16 < range.end; ++at) {
      if (*at != kMark || at == stash || at[1] == 0) continue;
      std::vector<double> found;
      for (int i = 1; i <= 8; ++i) found.push_back(static_cast<double>(at[i]));
      return with_secrets(question, found);
    }
  }
  return honest(question);
}
