#include "cli/commands/event_stream.hpp"

#include <csignal>
#include <ctime>
#include <thread>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"

namespace cambrian::cli {
namespace {

using user::v1::CampaignService;

/// One connection: reads until the stream ends. `last` moves with every event.
grpc::Status read_once(CampaignService::Stub& stub, const user::v1::WatchEventsRequest& request,
                       std::stop_token stop, std::int64_t& last, const OnEvent& on_event) {
  grpc::ClientContext context;
  // A stream has no end of its own; a dead server is found by keepalive.
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const auto reader = stub.WatchEvents(&context, request);
  user::v1::WatchEventsResponse response;
  while (reader->Read(&response)) {
    if (response.event().sequence() <= last) continue;
    last = response.event().sequence();
    on_event(response.event());
  }
  return reader->Finish();
}

}  // namespace

Status read_history(Session& session, const std::string& campaign, const OnEvent& on_event) {
  CAMBRIAN_TRY(const auto channel, session.channel());
  CampaignService::Stub stub(channel);
  user::v1::WatchEventsRequest request;
  request.set_campaign(campaign);
  request.set_is_history_only(true);
  std::int64_t last = 0;
  const grpc::Status status = read_once(stub, request, {}, last, on_event);
  if (!status.ok()) return fail(rpc::from_status(status));
  return {};
}

Status EventStream::follow(std::stop_token stop, const OnEvent& on_event,
                           const std::function<void(const std::string&)>& on_break) {
  CAMBRIAN_TRY(const auto channel, session_.channel());
  CampaignService::Stub stub(channel);
  rpc::Backoff backoff(
      static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
  std::string reason;
  auto last_success = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    user::v1::WatchEventsRequest request;
    request.set_campaign(campaign_);
    request.set_after(last_);
    const std::int64_t before = last_;
    const grpc::Status status = read_once(stub, request, stop, last_, on_event);
    if (status.ok()) return {};
    if (stop.stop_requested()) break;
    const bool can_retry = rpc::is_retryable(status.error_code()) ||
                           status.error_code() == grpc::StatusCode::CANCELLED;
    if (!can_retry) return fail(rpc::from_status(status));
    const auto now = std::chrono::steady_clock::now();
    if (last_ != before) {
      reason.clear();
      backoff.reset();
      last_success = now;
    }
    if (now - last_success > kPatience) return fail(rpc::from_status(status));
    if (status.error_message() != reason) on_break(status.error_message());
    reason = status.error_message();
    rpc::wait_unless_stopped(stop, backoff.next());
  }
  return fail(Errc::cancelled, "interrupted");
}

struct InterruptScope::State {
  sigset_t before{};
  std::jthread waiter;
};

InterruptScope::InterruptScope() : state_(std::make_unique<State>()) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &state_->before);
  state_->waiter = std::jthread([this, signals](const std::stop_token& done) {
    constexpr timespec kInterval{0, 100'000'000};
    while (!done.stop_requested()) {
      if (sigtimedwait(&signals, nullptr, &kInterval) > 0) stop_.request_stop();
    }
  });
}

InterruptScope::~InterruptScope() {
  state_->waiter.request_stop();
  state_->waiter.join();
  pthread_sigmask(SIG_SETMASK, &state_->before, nullptr);
}

}  // namespace cambrian::cli
