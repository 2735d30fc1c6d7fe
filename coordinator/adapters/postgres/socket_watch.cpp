#include "coordinator/adapters/postgres/socket_watch.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/assert.hpp"

namespace cambrian::coordinator::postgres {

SocketWatch::SocketWatch() : thread_([this] { run(); }) {}

SocketWatch::~SocketWatch() {
  {
    const std::lock_guard lock(mutex_);
    CAMBRIAN_ASSERT(entries_.empty());
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

SocketWatch::Scope::Scope(SocketWatch& watch, int socket, Clock::time_point deadline)
    : watch_(watch) {
  // Without a number left there is nothing to shut down later: better at once.
  const int own = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  const std::lock_guard lock(watch_.mutex_);
  place_ = watch_.entries_.insert(watch_.entries_.end(), {own, deadline, false});
  if (own < 0) {
    ::shutdown(socket, SHUT_RDWR);
    place_->is_cut = true;
  } else if (watch_.is_cutting_all_) {
    cut(*place_);
  } else if (deadline < watch_.wake_at_) {
    watch_.wake_at_ = deadline;
    watch_.changed_.notify_all();
  }
}

SocketWatch::Scope::~Scope() {
  const std::lock_guard lock(watch_.mutex_);
  if (place_->socket >= 0) ::close(place_->socket);
  watch_.entries_.erase(place_);
}

bool SocketWatch::Scope::is_cut() const {
  const std::lock_guard lock(watch_.mutex_);
  return place_->is_cut;
}

void SocketWatch::cut_all() {
  const std::lock_guard lock(mutex_);
  is_cutting_all_ = true;
  for (auto& entry : entries_) cut(entry);
}

bool SocketWatch::is_cutting_all() const {
  const std::lock_guard lock(mutex_);
  return is_cutting_all_;
}

void SocketWatch::cut(Entry& entry) {
  if (entry.is_cut) return;
  ::shutdown(entry.socket, SHUT_RDWR);
  entry.is_cut = true;
}

void SocketWatch::run() {
  std::unique_lock lock(mutex_);
  while (!is_over_) {
    const auto now = Clock::now();
    wake_at_ = Clock::time_point::max();
    for (auto& entry : entries_) {
      if (entry.deadline <= now) {
        cut(entry);
      } else {
        wake_at_ = std::min(wake_at_, entry.deadline);
      }
    }
    if (wake_at_ == Clock::time_point::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, wake_at_);
    }
  }
}

}  // namespace cambrian::coordinator::postgres
