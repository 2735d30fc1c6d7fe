#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "common/base/result.hpp"

namespace cambrian::aio {

namespace asio = boost::asio;

/// A named, bounded set of threads for work that blocks: SQL, files, waiting for children. Calls
/// that find the queue full fail with `exhausted` instead of growing it.
class BlockingPool {
 public:
  /// `threads` at least 1; `pending_max` counts waiting and running calls together.
  BlockingPool(std::string name, std::size_t threads, std::size_t pending_max)
      : name_(std::move(name)), pending_max_(pending_max), pool_(threads) {}
  /// Waits for the calls that run.
  ~BlockingPool() { pool_.join(); }
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  const std::string& name() const { return name_; }
  std::size_t pending() const { return pending_; }
  asio::thread_pool::executor_type executor() { return pool_.get_executor(); }

  /// One place in the queue, given back when it goes.
  class Place {
   public:
    explicit Place(BlockingPool* pool) : pool_(pool) {}
    Place(Place&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (pool_ != nullptr) --pool_->pending_;
    }
    explicit operator bool() const { return pool_ != nullptr; }

   private:
    BlockingPool* pool_;
  };

  /// False when the queue is full.
  Place try_enter() {
    if (++pending_ <= pending_max_) return Place(this);
    --pending_;
    return Place(nullptr);
  }

 private:
  std::string name_;
  std::size_t pending_max_;
  std::atomic<std::size_t> pending_ = 0;
  asio::thread_pool pool_;
};

namespace detail {
/// Runs `work` on the executor and resumes on the caller's; what it throws comes out here. One
/// piece of code for all: what Asio makes for a coroutine is large.
asio::awaitable<void> run_on(asio::thread_pool::executor_type executor, std::function<void()> work);
}  // namespace detail

/// Runs `function`, which returns a Result, on the pool and resumes on the caller's executor.
/// Errors: `exhausted` when the pool's queue is full; else those of the function. The pool must
/// outlive the call.
template <class F>
asio::awaitable<std::invoke_result_t<F>> run_blocking(BlockingPool& pool, F function) {
  const auto place = pool.try_enter();
  if (!place) {
    co_return fail(Errc::exhausted, "too many calls are waiting: pool=" + pool.name());
  }
  struct Call {
    F function;
    std::optional<std::invoke_result_t<F>> result;
  };
  // Shared with the pool's thread, which may outlive a caller that ends with its executor.
  const auto call = std::make_shared<Call>(std::move(function), std::nullopt);
  std::function<void()> work = [call] { call->result.emplace(call->function()); };
  co_await detail::run_on(pool.executor(), std::move(work));
  co_return std::move(*call->result);
}

}  // namespace cambrian::aio
