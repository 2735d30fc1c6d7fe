#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

namespace cambrian::coordinator::postgres {

/// Ends waits on sockets from outside. libpq waits for an answer for as long as the connection
/// stands, and that of a server that hangs (stopped, or behind a link that swallows everything)
/// stands for ever; the server's own time-outs do not help where the server does not run. At its
/// deadline a watched socket is shut down, and whoever waits on it fails at once.
///
/// Any thread. One thread of its own, which sleeps until the next deadline.
class SocketWatch {
 public:
  using Clock = std::chrono::steady_clock;

  SocketWatch();
  /// No watch may be left.
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

 private:
  struct Entry {
    int socket = -1;  // Of our own: the other's number may be closed and given to somebody else.
    Clock::time_point deadline;
    bool is_cut = false;
  };

 public:
  /// Watches a socket for as long as it lives.
  class Scope {
   public:
    Scope(SocketWatch& watch, int socket, Clock::time_point deadline);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    /// True when the socket was shut down by the watch.
    bool is_cut() const;

   private:
    SocketWatch& watch_;
    std::list<Entry>::iterator place_;
  };

  /// Shuts down every socket that is watched, now and from now on: at the end of the program.
  void cut_all();
  bool is_cutting_all() const;

 private:
  void run();
  static void cut(Entry& entry);

  mutable std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  std::list<Entry> entries_;
  Clock::time_point wake_at_ = Clock::time_point::max();
  bool is_cutting_all_ = false;
  bool is_over_ = false;
  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace cambrian::coordinator::postgres
