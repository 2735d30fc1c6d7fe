#include "codegen-client/model_server/chat/fault.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace cambrian::codemodel {
namespace {

struct Named {
  std::string_view name;
  Fault fault;
};

const std::array<Named, 15>& named_faults() {
  static const std::array<Named, 15> kNamed = {{
      {"429", {.kind = FaultKind::rate_limit, .status = 429, .retry_after = "0.05"}},
      {"429-date",
       {.kind = FaultKind::rate_limit,
        .status = 429,
        .retry_after = "Wed, 21 Oct 2015 07:28:00 GMT"}},
      {"429-long", {.kind = FaultKind::rate_limit, .status = 429, .retry_after = "3600"}},
      {"429-quota", {.kind = FaultKind::quota, .status = 429, .retry_after = {}}},
      {"slow", {.kind = FaultKind::slow, .retry_after = {}}},
      {"stall", {.kind = FaultKind::stall, .retry_after = {}}},
      {"cut", {.kind = FaultKind::cut, .retry_after = {}}},
      {"error-in-200", {.kind = FaultKind::error_in_200, .retry_after = {}}},
      {"error-in-stream", {.kind = FaultKind::error_in_stream, .retry_after = {}}},
      {"garbage", {.kind = FaultKind::garbage, .retry_after = {}}},
      {"truncated", {.kind = FaultKind::truncated, .retry_after = {}}},
      {"reasoning", {.kind = FaultKind::reasoning, .retry_after = {}}},
      {"empty", {.kind = FaultKind::empty, .retry_after = {}}},
      {"filtered", {.kind = FaultKind::filtered, .retry_after = {}}},
      {"no-usage", {.kind = FaultKind::no_usage, .retry_after = {}}},
  }};
  return kNamed;
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<Fault> parse_fault(std::string_view model) {
  constexpr std::string_view kPrefix = "fault-";
  if (!model.starts_with(kPrefix)) return std::nullopt;
  std::string_view name = model.substr(kPrefix.size());
  int times = -1;
  if (const auto colon = name.find(':'); colon != std::string_view::npos) {
    const auto count = whole_number(name.substr(colon + 1));
    if (!count || *count < 0) return std::nullopt;
    times = *count;
    name = name.substr(0, colon);
  }
  const auto& known = named_faults();
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const Named& n) { return n.name == name; });
  Fault fault;
  if (found != known.end()) {
    fault = found->fault;
  } else {
    const auto status = whole_number(name);
    if (!status || *status < 400 || *status > 599) return std::nullopt;
    fault.status = *status;
  }
  fault.times = times;
  return fault;
}

bool FaultCounter::is_due(const std::string& model, const Fault& fault) {
  if (fault.times < 0) return true;
  if (seen_.size() >= kNamesMax && !seen_.contains(model)) return false;
  return seen_[model]++ < fault.times;
}

}  // namespace cambrian::codemodel
