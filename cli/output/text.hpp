#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cambrian::cli {

/// Up to five significant digits: `0.87312`, `1.5`, `12345`, `1.2e-05`.
std::string format_number(double value);
/// The same with a sign: `+0.0412`.
std::string format_delta(double value);
/// `0.822 ±0.018`: a mean and half of its interval, with the digits that the interval leaves.
std::string format_estimate(double mean, double half);
/// A difference of means whose wider interval has this half.
std::string format_delta(double value, double half);
/// A name and what it is. Fields without a value are left out.
struct Field {
  std::string name;
  std::string value;
};
/// One line for each field, the values below each other.
std::string format_fields(const std::vector<Field>& fields);
/// An absent value is `-`.
std::string format_optional(std::optional<double> value);
/// `950`, `12.3k`, `4.56M`.
std::string format_count(std::int64_t value);
/// Two largest units: `45s`, `1m20s`, `3h05m`, `2d4h`; below 10 s with a decimal.
std::string format_duration(std::chrono::milliseconds duration);
/// Millionths of a US dollar as `$1.25`.
std::string format_cost(std::int64_t micro_usd);
/// Time since then, `-` for an absent time stamp.
std::string format_age(const google::protobuf::Timestamp& time,
                       std::chrono::system_clock::time_point now);

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration);
double to_seconds(const google::protobuf::Duration& duration);

/// `POLICY_HILL_CLIMB` as `hill_climb`: an enum's name without its prefix, in lower case.
std::string short_enum(const std::string& name, const std::string& prefix);

}  // namespace cambrian::cli
