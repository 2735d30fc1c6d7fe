#include "worker/adapters/judge/kept_tensors.hpp"

#include <algorithm>

namespace cambrian::worker {

std::vector<cambrian::Tensor> KeptTensors::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  if (found == entries_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found);
  return found->tensors;
}

void KeptTensors::keep(const std::string& key, std::vector<cambrian::Tensor> tensors) {
  Entry entry{key, 0, std::move(tensors)};
  for (const cambrian::Tensor& tensor : entry.tensors) entry.bytes += tensor.storage()->size();
  const std::lock_guard lock(mutex_);
  if (entry.bytes > bytes_max_ || std::ranges::find(entries_, key, &Entry::key) != entries_.end()) {
    return;
  }
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  while (bytes_ > bytes_max_ || entries_.size() > kEntriesMax) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

std::size_t KeptTensors::bytes() {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace cambrian::worker
