#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator::postgres {

/// Agents without work that said the same a moment ago: to hear it again needs no look at the
/// database. What is asked of them through another coordinator they learn that much later; they
/// get no work meanwhile. One thread.
class NotedAgents {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kAgentsMax = 16'384;

  /// What the database said to an equal report. Empty: ask it.
  std::optional<SyncState> find(const AgentReport& report, Clock::time_point now) const {
    const auto found = notes_.find(report.agent.agent_id);
    if (found == notes_.end() || found->second.end <= now) return std::nullopt;
    if (found->second.digest != digest_of(report)) return std::nullopt;
    return found->second.state;
  }

  void note(const AgentReport& report, const SyncState& state, Clock::time_point end) {
    if (notes_.size() >= kAgentsMax) {
      const auto now = Clock::now();
      std::erase_if(notes_, [now](const auto& one) { return one.second.end <= now; });
    }
    notes_[report.agent.agent_id] = {.digest = digest_of(report), .state = state, .end = end};
  }

  void forget(const std::string& agent_id) { notes_.erase(agent_id); }
  void forget_all() { notes_.clear(); }

 private:
  struct Note {
    std::size_t digest = 0;
    SyncState state;
    Clock::time_point end;
  };

  static std::size_t digest_of(const AgentReport& report) {
    return std::hash<std::string>()(report.agent.name + '\n' + word(report.agent.kind) + '\n' +
                                    to_json(report.agent).dump() +
                                    (report.is_draining ? "\ndraining" : ""));
  }

  std::map<std::string, Note> notes_;
};

}  // namespace cambrian::coordinator::postgres
