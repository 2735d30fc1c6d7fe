#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cambrian/user/v1/campaign_service.pb.h"

namespace cambrian::cli {

/// When the first budget will be used up.
struct Eta {
  std::chrono::milliseconds remaining{0};
  std::string budget;  ///< Name of that budget: `evaluations`.
};

/// Estimates the end of a running campaign from what it used between two looks at it, smoothed: the
/// recent pace counts more than the old one.
class EtaEstimator {
 public:
  /// Takes a new look at the campaign. Looks less than a second apart are ignored.
  void update(const user::v1::Campaign& campaign);
  /// Nothing while the campaign does not run, or while nothing is known about its pace.
  std::optional<Eta> estimate() const;

 private:
  struct Pace {
    const char* budget = "";
    double used = 0;
    double limit = 0;
    double per_second = 0;
    double at_seconds = 0;     ///< Of the campaign's wall time, when `used` was looked at.
    double pause_seconds = 0;  ///< Between the last two looks that saw more used.
  };
  static constexpr int kBudgets = 4;

  user::v1::Campaign last_;
  Pace paces_[kBudgets];
  bool has_looked_ = false;
};

}  // namespace cambrian::cli
