#pragma once

#include <atomic>
#include <memory>
#include <string>

namespace cambrian::test {

/// Stands between a program and a PostgreSQL on a Unix socket, and loses the answers to some
/// commits: the server has committed, the client sees a dead connection.
class CommitProxy {
 public:
  /// `server` is a connection string with `host=FOLDER`. Every `period`-th commit loses its answer.
  CommitProxy(const std::string& server, int period);
  ~CommitProxy();

  /// The same connection string, through the proxy.
  const std::string& connection() const;
  int answers_lost() const;
  /// From now on nothing is lost.
  void be_kind();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cambrian::test
