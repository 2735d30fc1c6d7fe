#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include "cambrian/tensor.hpp"

namespace cambrian::worker {

/// Sealed memory that judges of a task made for the judges after them: prepared data are then in
/// memory once, whoever maps them. Bounded; what was not asked for the longest time goes first, and
/// lives on where it is still mapped. Threads: any.
class KeptTensors {
 public:
  explicit KeptTensors(std::size_t bytes_max = kKeptBytesMax) : bytes_max_(bytes_max) {}

  static constexpr std::size_t kKeptBytesMax = std::size_t{1} << 30;
  static constexpr std::size_t kEntriesMax = 64;

  /// Empty: there are none.
  std::vector<cambrian::Tensor> find(const std::string& key);
  /// What has a key already stays as it is, and what is larger than everything that may be kept is
  /// not. All of them must lie in sealed memory.
  void keep(const std::string& key, std::vector<cambrian::Tensor> tensors);
  std::size_t bytes();

 private:
  struct Entry {
    std::string key;
    std::size_t bytes = 0;
    std::vector<cambrian::Tensor> tensors;
  };

  const std::size_t bytes_max_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // The latest first.
  std::size_t bytes_ = 0;
};

}  // namespace cambrian::worker
