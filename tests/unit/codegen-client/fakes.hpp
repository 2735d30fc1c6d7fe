#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codegen-client/ports/call_ledger.hpp"
#include "codegen-client/ports/chat_model.hpp"
#include "codegen-client/ports/clock.hpp"
#include "codegen-client/ports/content_store.hpp"
#include "codegen-client/ports/observer.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian::codegen {

/// Time passes only while somebody waits.
class ManualClock : public Clock {
 public:
  SteadyTime now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  bool wait(std::chrono::nanoseconds duration, std::stop_token stop) override {
    if (stop.stop_requested()) return false;
    if (const auto action = std::exchange(on_next_wait, nullptr)) action();
    const std::lock_guard lock(mutex_);
    now_ += duration;
    return true;
  }

  std::function<void()> on_next_wait;  ///< What others do while somebody waits.

 private:
  mutable std::mutex mutex_;
  SteadyTime now_{std::chrono::hours(1)};
};

/// Gives prepared answers in order, then the last one again and again.
class ScriptedModel : public ChatModel {
 public:
  explicit ScriptedModel(std::deque<Sending> script) : script_(std::move(script)) {}

  Sending send(const ChatRequest& request, std::stop_token stop) override {
    const std::lock_guard lock(mutex_);
    requests.push_back(request);
    if (stop.stop_requested()) {
      return {.outcome = CallFailure{.kind = FailureKind::cancelled, .message = "stopped"}};
    }
    Sending sending = script_.front();
    if (script_.size() > 1) script_.pop_front();
    return sending;
  }

  std::optional<std::int64_t> context_tokens() const override { return context; }

  std::vector<ChatRequest> requests;  ///< Read it when no call runs.
  std::optional<std::int64_t> context;

 private:
  std::mutex mutex_;
  std::deque<Sending> script_;
};

inline Sending reply_of(const std::string& content, FinishReason reason = FinishReason::stop) {
  ChatReply reply{.content = content, .model = "m-2026", .finish_reason = reason};
  reply.usage = TokenUsage{.prompt_tokens = 1000, .completion_tokens = 100};
  return {.outcome = reply, .latency = std::chrono::milliseconds(20)};
}

inline Sending failure_of(FailureKind kind) {
  return {.outcome = CallFailure{.kind = kind, .message = "as scripted"}};
}

/// Keeps calls in memory, or refuses them.
class MemoryLedger : public CallLedger {
 public:
  Result<int> begin(const CallIntent& intent, std::stop_token) override {
    const std::lock_guard lock(mutex_);
    if (refusal) return fail(*refusal);
    begun.push_back(intent);
    return static_cast<int>(begun.size());
  }
  void end(int number, const CallRecord& record,
           std::optional<std::chrono::milliseconds> pause) override {
    const std::lock_guard lock(mutex_);
    ended[number] = record;
    pauses.push_back(pause);
  }

  std::optional<Error> refusal;
  std::vector<CallIntent> begun;
  std::map<int, CallRecord> ended;
  std::vector<std::optional<std::chrono::milliseconds>> pauses;

 private:
  std::mutex mutex_;
};

class RecordingObserver : public Observer {
 public:
  void sending_finished(std::string_view model, const CallRecord& sending,
                        std::optional<FailureKind> failure) override {
    const std::lock_guard lock(mutex_);
    models.emplace_back(model);
    sendings.emplace_back(sending, failure);
  }
  void availability_changed(std::string_view, bool is_available) override {
    is_endpoint_available = is_available;
  }
  void answer_judged(EditFormat, std::optional<RejectionKind> rejection) override {
    const std::lock_guard lock(mutex_);
    rejections.push_back(rejection);
  }
  void proposal_finished(Operator, ProposalOutcome outcome) override {
    const std::lock_guard lock(mutex_);
    outcomes.push_back(outcome);
  }

  std::vector<std::string> models;  ///< Asked for, one for each sending.
  std::vector<std::pair<CallRecord, std::optional<FailureKind>>> sendings;
  std::vector<std::optional<RejectionKind>> rejections;
  std::vector<ProposalOutcome> outcomes;
  std::atomic<bool> is_endpoint_available = true;

 private:
  std::mutex mutex_;
};

/// Contents in memory.
class MemoryStore : public ContentStore {
 public:
  Result<Task> get_task(const std::string& digest, std::stop_token) override {
    if (digest != "task") return fail(Errc::not_found, "no such task: digest=" + digest);
    return task;
  }
  Result<std::string> get_content(const std::string& sha256, std::stop_token stop) override {
    const std::lock_guard lock(mutex_);
    if (stop.stop_requested()) return fail(Errc::cancelled, "stopped");
    const auto found = contents.find(sha256);
    if (found == contents.end()) return fail(Errc::not_found, "no such content");
    return found->second;
  }

  std::string add(const std::string& content) {
    const std::string digest = sha256_hex(content);
    contents[digest] = content;
    return digest;
  }

  Task task;
  std::map<std::string, std::string> contents;

 private:
  std::mutex mutex_;
};

}  // namespace cambrian::codegen
