#include "cli/commands/progress_line.hpp"

#include <cstdio>

#include "cli/commands/campaign_view.hpp"
#include "cli/output/table.hpp"

namespace cambrian::cli {

void ProgressLine::close() {
  if (is_open_) session_.note("");
  is_open_ = false;
}

void ProgressLine::show(const user::v1::Campaign& campaign) {
  eta_.update(campaign);
  const std::string line = progress_line(campaign, eta_);
  if (session_.terminal().err.is_terminal) {
    // A line that wraps could not be drawn over. The width is stdout's, and unknown in a pipe.
    constexpr int kUsualColumns = 80;
    const int columns = session_.terminal().columns;
    const auto width = static_cast<std::size_t>((columns > 0 ? columns : kUsualColumns) - 1);
    std::fprintf(stderr, "\r\x1b[K%s", cut_to_width(line, width).c_str());
    std::fflush(stderr);
    is_open_ = true;
    return;
  }
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

}  // namespace cambrian::cli
