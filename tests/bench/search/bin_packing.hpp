#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cambrian::bench {

/// The task online-bin-packing without compiler, sandbox and judge: `priority.cpp` is interpreted.
/// The same rules on instances drawn alike, at a fiftieth of the processor time where these are
/// smaller, for searches that are to be compared with many seeds. What the interpreter does not
/// know counts as a program that does not compile.
class BinPacking {
 public:
  struct Family {
    bool is_weibull = true;
    int items = 5000;
    int instances = 5;
  };

  /// The instances follow from the seed.
  BinPacking(const Family& family, std::uint64_t seed);

  /// Excess bins in percent. Empty: it does not compile, or a score is not finite.
  std::optional<double> score(const std::string& program) const;

 private:
  int capacity_;
  std::vector<std::vector<int>> instances_;
};

}  // namespace cambrian::bench
