#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "worker/ports/gpu_watch.hpp"

namespace cambrian::worker {

/// Lends GPUs, each to one candidate at a time, and looks at each before it is lent again: one that
/// is in trouble is lent to nobody until nothing is wrong with it any more. Threads: any.
class GpuPool {
 public:
  /// A GPU that got into trouble, or with an empty text one that is well again. Must not block.
  using OnChange = std::function<void(const std::string& gpu, const std::string& trouble)>;

  /// Looks at all of them, which may last some seconds. `watch`, which must outlive the pool, may
  /// be null: then nothing is ever wrong.
  explicit GpuPool(const std::vector<std::string>& ids, GpuWatch* watch = nullptr,
                   OnChange on_change = nullptr)
      : total_(ids.size()), watch_(watch), on_change_(std::move(on_change)) {
    give_back(ids);
  }

  /// GPUs on loan: they go back when it is destroyed, which may last some seconds.
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
  /// Nothing when this machine has fewer that are well, or `stop` was asked for.
  std::optional<Loan> borrow(int count, std::stop_token stop) {
    const auto wanted = static_cast<std::size_t>(count);
    std::unique_lock lock(mutex_);
    const auto is_hopeless = [&] { return wanted > total_ - in_trouble_.size(); };
    const bool is_settled =
        changed_.wait(lock, stop, [&] { return is_hopeless() || free_.size() >= wanted; });
    if (!is_settled || is_hopeless()) return std::nullopt;
    std::vector<std::string> ids(free_.end() - count, free_.end());
    free_.resize(free_.size() - wanted);
    return std::optional<Loan>(std::in_place, *this, std::move(ids));
  }

  /// What is wrong, by GPU; those that nothing is wrong with are left out.
  std::map<std::string, std::string> in_trouble() const {
    const std::lock_guard lock(mutex_);
    return in_trouble_;
  }

  /// Looks at those in trouble again. May last some seconds for each; one call at a time.
  void look_again() {
    for (const auto& [id, trouble] : in_trouble()) settle(id, watch_->find_trouble(id));
  }

 private:
  void give_back(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      settle(id, watch_ != nullptr ? watch_->find_trouble(id) : std::string());
    }
  }

  // Of a GPU that nobody has.
  void settle(const std::string& id, const std::string& trouble) {
    bool is_change = false;
    {
      const std::lock_guard lock(mutex_);
      if (trouble.empty()) {
        is_change = in_trouble_.erase(id) > 0;
        free_.push_back(id);
      } else {
        is_change = std::exchange(in_trouble_[id], trouble).empty();
      }
      changed_.notify_all();
    }
    if (is_change && on_change_) on_change_(id, trouble);
  }

  mutable std::mutex mutex_;  // Guards free_ and in_trouble_.
  std::condition_variable_any changed_;
  std::vector<std::string> free_;
  std::map<std::string, std::string> in_trouble_;
  const std::size_t total_;
  GpuWatch* const watch_;
  const OnChange on_change_;
};

}  // namespace cambrian::worker
