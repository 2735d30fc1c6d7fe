#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace cambrian::worker {

/// Lends GPUs, each to one candidate at a time. Threads: any.
class GpuPool {
 public:
  explicit GpuPool(std::vector<std::string> ids) : free_(ids), total_(ids.size()) {}

  /// GPUs on loan: they go back when it is destroyed.
  class Loan {
   public:
    Loan(GpuPool& pool, std::vector<std::string> ids) : pool_(&pool), ids_(std::move(ids)) {}
    Loan(Loan&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), ids_(std::move(other.ids_)) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (pool_ != nullptr) pool_->give_back(ids_);
    }
    const std::vector<std::string>& ids() const { return ids_; }

   private:
    GpuPool* pool_;
    std::vector<std::string> ids_;
  };

  /// Waits until `count` GPUs are free, all at once, so that two waiters cannot block each other.
  /// Nothing when this machine has fewer, or `stop` was asked for.
  std::optional<Loan> borrow(int count, std::stop_token stop) {
    const auto wanted = static_cast<std::size_t>(count);
    if (wanted > total_) return std::nullopt;
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return free_.size() >= wanted; })) return std::nullopt;
    std::vector<std::string> ids(free_.end() - count, free_.end());
    free_.resize(free_.size() - wanted);
    return std::optional<Loan>(std::in_place, *this, std::move(ids));
  }

 private:
  void give_back(const std::vector<std::string>& ids) {
    const std::lock_guard lock(mutex_);
    free_.insert(free_.end(), ids.begin(), ids.end());
    changed_.notify_all();
  }

  std::mutex mutex_;  // Guards free_.
  std::condition_variable_any changed_;
  std::vector<std::string> free_;
  std::size_t total_;
};

}  // namespace cambrian::worker
