#include "cli/commands/campaign_follow.hpp"

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/campaign_view.hpp"
#include "cli/commands/event_stream.hpp"
#include "cli/commands/progress_line.hpp"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/output/terminal.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/config/value.hpp"
#include "common/rpc/backoff.hpp"

namespace cambrian::cli {
namespace {

using std::chrono::milliseconds;
using user::v1::Campaign;
using user::v1::CampaignService;

constexpr milliseconds kLookInterval{1000};
constexpr std::size_t kEventLines = 12;

struct FollowOptions {
  std::string name;
  std::int64_t after = 0;
  std::string timeout;
  std::string until = "ended";
};

std::string event_line(const user::v1::Event& event) {
  std::array<char, 16> clock{};
  const std::time_t seconds = event.time().seconds();
  std::tm local{};
  localtime_r(&seconds, &local);
  std::strftime(clock.data(), clock.size(), "%H:%M:%S", &local);
  return std::string(clock.data()) + "  " + std::to_string(event.sequence()) + "  " +
         printable(event.message().empty() ? event.type() : event.message());
}

/// The last events and the state of the campaign, drawn over themselves once a second. Only for
/// terminals.
class LiveView {
 public:
  explicit LiveView(const Session& session) : session_(session) { session.print("\x1b[?25l"); }
  ~LiveView() { session_.print("\x1b[?25h"); }
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  void draw(const Campaign& campaign, const EtaEstimator& eta, const std::deque<std::string>& lines,
            const std::string& notice) {
    // The window may have changed since the last drawing. A drawing that is higher than it could
    // not be drawn over.
    const TerminalSize size = terminal_size();
    const auto width = static_cast<std::size_t>(
        std::max((size.columns > 0 ? size.columns : session_.terminal().columns) - 1, 10));
    constexpr int kOtherLines = 5;  // Headline, best, rule, notice, cursor.
    const std::size_t room = size.rows > 0
                                 ? static_cast<std::size_t>(std::max(size.rows - kOtherLines, 1))
                                 : kEventLines;
    std::string text = campaign_headline(campaign, eta) + std::string(width, '-') + "\n";
    for (std::size_t i = lines.size() - std::min(lines.size(), room); i < lines.size(); ++i) {
      text += lines[i] + "\n";
    }
    if (!notice.empty()) text += notice + "\n";
    // Back to the first line of the last drawing, then everything anew: no line may wrap.
    std::string out = drawn_ > 0 ? "\x1b[" + std::to_string(drawn_) + "A\r" : "\r";
    out += "\x1b[J";
    drawn_ = 0;
    std::size_t start = 0;
    while (start < text.size()) {
      const std::size_t end = text.find('\n', start);
      out += cut_to_width(text.substr(start, end - start), width) + "\n";
      ++drawn_;
      start = end + 1;
    }
    session_.print(out);
    std::fflush(stdout);
  }

 private:
  const Session& session_;
  int drawn_ = 0;
};

/// What the thread that reads events and the one that draws share.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> lines;
  std::string notice;
  bool is_done = false;
  Status result;
};

Result<Campaign> get_campaign(Session& session, const std::string& name) {
  user::v1::GetCampaignRequest request;
  request.set_name(name);
  CAMBRIAN_TRY(auto response, session.call(&CampaignService::Stub::GetCampaign, request));
  return response.campaign();
}

Status watch_on_terminal(Session& session, const std::string& name, std::int64_t after,
                         const InterruptScope& interrupt) {
  Shared shared;
  EventStream stream(session, name, after);
  std::jthread reader([&](const std::stop_token&) {
    Status result = stream.follow(
        interrupt.token(),
        [&](const user::v1::Event& event) {
          const std::lock_guard lock(shared.mutex);
          shared.lines.push_back(event_line(event));
          if (shared.lines.size() > kEventLines) shared.lines.pop_front();
          shared.notice.clear();
        },
        [&](const std::string& reason) {
          const std::lock_guard lock(shared.mutex);
          shared.notice = "connection lost (" + printable(reason) + "), trying again …";
        });
    const std::lock_guard lock(shared.mutex);
    shared.result = std::move(result);
    shared.is_done = true;
    shared.changed.notify_all();
  });
  LiveView view(session);
  EtaEstimator eta;
  Campaign campaign;
  bool is_last = false;
  while (!is_last) {
    // A server that is away does not end the view: the reader decides when to give up.
    if (const auto now = get_campaign(session, name)) {
      campaign = *now;
      eta.update(campaign);
    }
    std::unique_lock lock(shared.mutex);
    view.draw(campaign, eta, shared.lines, shared.notice);
    is_last = shared.is_done;
    if (!is_last) shared.changed.wait_for(lock, kLookInterval, [&] { return shared.is_done; });
  }
  return shared.result;
}

Status watch_lines(Session& session, const std::string& name, std::int64_t after,
                   const InterruptScope& interrupt) {
  EventStream stream(session, name, after);
  const auto text_of = [&session](const user::v1::Event& event) {
    switch (session.format()) {
      case Format::json: return to_json(event, false);
      case Format::yaml: return "---\n" + to_yaml(event);
      case Format::name: return std::to_string(event.sequence()) + "\n";
      default: return event_line(event) + "\n";
    }
  };
  return stream.follow(
      interrupt.token(),
      [&](const user::v1::Event& event) {
        session.print(text_of(event));
        std::fflush(stdout);
      },
      [&](const std::string& reason) {
        session.note("connection lost (" + reason + "), trying again behind event " +
                     std::to_string(stream.last_sequence()));
      });
}

int run_watch(Session& session, const FollowOptions& options) {
  const InterruptScope interrupt;
  const auto known = get_campaign(session, options.name);
  if (!known)
    return session.fail(known.error(), "list them with: " + program_call() + " campaign list");
  const bool is_live = session.terminal().out.is_terminal && session.is_for_people();
  const Status status = is_live ? watch_on_terminal(session, options.name, options.after, interrupt)
                                : watch_lines(session, options.name, options.after, interrupt);
  if (interrupt.is_interrupted()) {
    session.note("the campaign goes on; stop it with: " + program_call() + " campaign stop " +
                 options.name);
    return to_int(ExitCode::interrupted);
  }
  if (!status) return session.fail(status.error());
  const auto campaign = get_campaign(session, options.name);
  if (campaign && session.is_for_people()) session.print("\n" + campaign_details(*campaign));
  return to_int(ExitCode::ok);
}

/// A campaign that ended without a score will never have a best one.
bool is_decided(const Campaign& campaign, const std::string& until) {
  return has_ended(campaign.state()) || (until == "best" && campaign.has_best_score());
}

int run_wait(Session& session, const FollowOptions& options) {
  const InterruptScope interrupt;
  milliseconds timeout{0};
  if (!options.timeout.empty()) {
    const auto parsed = config::parse_duration_ns(options.timeout);
    if (!parsed) {
      return session.fail(ExitCode::usage, "not a time: " + options.timeout,
                          "write --for 90s, 10m or 2h");
    }
    timeout = milliseconds(*parsed / 1'000'000);
  }
  ProgressLine progress(session);
  const auto result = wait_for_campaign(session, options.name, interrupt.token(), timeout,
                                        [&](const Campaign& campaign) {
                                          const bool is_done = is_decided(campaign, options.until);
                                          if (!is_done) progress.show(campaign);
                                          return is_done;
                                        });
  progress.close();
  if (!result) {
    if (interrupt.is_interrupted()) return to_int(ExitCode::interrupted);
    if (result.error().code == Errc::exhausted) {
      return session.fail(ExitCode::goal_not_reached, result.error().message,
                          "follow it: " + program_call() + " campaign watch " + options.name);
    }
    return session.fail(result.error());
  }
  if (session.format() == Format::name) {
    session.print(options.name + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*result);
  } else {
    session.print("campaign " + options.name + (has_ended(result->state()) ? " " : " is ") +
                  state_name(result->state()) + "\n");
  }
  if (result->state() == user::v1::CAMPAIGN_STATE_FAILED) {
    return session.fail(ExitCode::goal_not_reached,
                        "the campaign failed: " + failure_reason(session, *result));
  }
  if (options.until == "best" && !result->has_best_score()) {
    return session.fail(ExitCode::goal_not_reached, "the campaign ended without a score",
                        "see why: " + program_call() + " variant list " + options.name);
  }
  return to_int(ExitCode::ok);
}

}  // namespace

std::string failure_reason(Session& session, const Campaign& campaign) {
  if (campaign.has_best_variant()) return campaign.reason();
  user::v1::GetVariantRequest request;
  request.set_campaign(campaign.name());
  const auto seed = session.call(&user::v1::VariantService::Stub::GetVariant, request);
  if (!seed || seed->variant().diagnostics().empty()) return campaign.reason();
  return campaign.reason() + "\n" + seed->variant().diagnostics();
}

Result<Campaign> wait_for_campaign(Session& session, const std::string& name, std::stop_token stop,
                                   milliseconds timeout,
                                   const std::function<bool(const Campaign&)>& is_done) {
  const auto begin = std::chrono::steady_clock::now();
  auto last_answer = begin;
  while (!stop.stop_requested()) {
    auto campaign = get_campaign(session, name);
    const auto now = std::chrono::steady_clock::now();
    if (campaign) {
      last_answer = now;
      if (is_done(*campaign)) return campaign;
    } else if (exit_code_for(campaign.error().code) != ExitCode::unreachable ||
               now - last_answer > EventStream::kPatience) {
      return campaign;
    }
    if (timeout.count() > 0 && now - begin > timeout) {
      return fail(Errc::exhausted, "the time is over, and the campaign is still " +
                                       (campaign ? state_name(campaign->state()) : "unknown"));
    }
    rpc::wait_unless_stopped(stop, kLookInterval);
  }
  return fail(Errc::cancelled, "interrupted");
}

void add_campaign_follow_commands(Cli& cli, CLI::App* campaign) {
  auto watch_options = std::make_shared<FollowOptions>();
  CLI::App* watch =
      cli.add(campaign, "watch", "follow a campaign until it ends", "cambrian campaign watch NAME");
  watch->footer(
      "With -o json one document for each event, each on its line; -o yaml parts them by ---.\n" +
      watch->get_footer());
  watch->add_option("CAMPAIGN", watch_options->name, "name of the campaign")->required();
  watch->add_option("--after", watch_options->after, "begin behind this event")
      ->check(CLI::NonNegativeNumber);
  cli.on(watch, [watch_options](Session& session) { return run_watch(session, *watch_options); });
  auto wait_options = std::make_shared<FollowOptions>();
  CLI::App* wait = cli.add(campaign, "wait", "wait until a campaign ended",
                           "cambrian campaign wait NAME --for 10m");
  wait->add_option("CAMPAIGN", wait_options->name, "name of the campaign")->required();
  wait->add_option("--for", wait_options->timeout, "longest time, such as 90s or 2h; then exit 7");
  wait->add_option("--until", wait_options->until, "ended, or best: the first score")
      ->check(CLI::IsMember({"ended", "best"}));
  cli.on(wait, [wait_options](Session& session) { return run_wait(session, *wait_options); });
}

}  // namespace cambrian::cli
