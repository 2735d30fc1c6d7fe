#include "cli/commands/progress_line.hpp"

#include <cstdio>

#include "cli/commands/campaign_view.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"

namespace cambrian::cli {

bool StatusLine::draw(std::string_view text) {
  if (!session_.terminal().err.is_terminal) return false;
  // A line that wraps could not be drawn over. The width is stdout's, and unknown in a pipe.
  constexpr int kUsualColumns = 80;
  const int columns = session_.terminal().columns;
  const auto width = static_cast<std::size_t>((columns > 0 ? columns : kUsualColumns) - 1);
  std::fprintf(stderr, "\r\x1b[K%s", cut_to_width(text, width).c_str());
  std::fflush(stderr);
  is_open_ = true;
  return true;
}

void StatusLine::close() {
  if (is_open_) session_.note("");
  is_open_ = false;
}

void ProgressLine::show(const user::v1::Campaign& campaign) {
  eta_.update(campaign);
  const std::string line = progress_line(campaign, eta_);
  if (line_.draw(line)) return;
  constexpr std::int64_t kEvery = 10;
  const std::int64_t step = campaign.consumption().evaluations() / kEvery;
  const bool is_new =
      step != step_ || campaign.best_variant() != best_ || campaign.state() != state_;
  if (!is_new) return;
  step_ = step;
  best_ = campaign.best_variant();
  state_ = campaign.state();
  session_.note(line);
}

void CountProgress::show(std::int64_t done) {
  constexpr std::chrono::milliseconds kRedraw{200};
  constexpr std::chrono::seconds kFirst{1};
  constexpr std::chrono::seconds kPlainEvery{10};
  const auto now = Clock::now();
  const bool is_terminal = session_.terminal().err.is_terminal;
  if (done <= 0 || now - began_ < kFirst) return;
  if (now - shown_ < (is_terminal ? kRedraw : std::chrono::milliseconds(kPlainEvery))) return;
  shown_ = now;
  const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_);
  const std::string text = what_ + " " + std::to_string(done) + "/" + std::to_string(total_) +
                           " · ETA " + format_duration(spent * (total_ - done) / done);
  if (!line_.draw(text)) session_.note(text);
}

}  // namespace cambrian::cli
