#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace cambrian::coordinator::wire {

/// Calls of one token: so many a second on average, and a second's worth of them at once (token
/// bucket). One thread.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimit(int per_second) : per_second_(per_second) {}

  /// Empty: the call may go on, and was counted. Else the time after which one more may.
  std::optional<std::chrono::milliseconds> take(const std::string& token, Clock::time_point now) {
    if (buckets_.size() >= kBucketsMax) forget_full(now);
    auto& bucket = buckets_.try_emplace(token, Bucket{per_second_, now}).first->second;
    bucket.left = left_at(bucket, now);
    bucket.since = now;
    if (bucket.left < 1) {
      const std::chrono::duration<double> missing((1 - bucket.left) / per_second_);
      return std::chrono::ceil<std::chrono::milliseconds>(missing);
    }
    bucket.left -= 1;
    return std::nullopt;
  }

  static constexpr std::size_t kBucketsMax = 4'096;

 private:
  struct Bucket {
    double left = 0;
    Clock::time_point since;
  };

  double left_at(const Bucket& bucket, Clock::time_point now) const {
    const std::chrono::duration<double> passed = now - bucket.since;
    return std::min(per_second_, bucket.left + passed.count() * per_second_);
  }

  /// A full bucket is as good as none.
  void forget_full(Clock::time_point now) {
    std::erase_if(buckets_,
                  [&](const auto& entry) { return left_at(entry.second, now) >= per_second_; });
  }

  double per_second_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace cambrian::coordinator::wire
