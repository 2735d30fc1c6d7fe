#include "coordinator/journal/replay.hpp"

#include <algorithm>

#include "coordinator/ports/words.hpp"
#include "coordinator/search/settings.hpp"

namespace cambrian::coordinator::journal {
namespace {

/// Fields that a derived event has or lacks; one that is recorded must be derived too. Every other
/// field that is not derived is content, or comes from a newer version.
constexpr const char* kOptionalFields[] = {"proposal",     "operator", "island",
                                           "duplicate_of", "outcome",  "confirmation"};
constexpr std::string_view kDerivedTypes[] = {"variant_added",          "variant_settled",
                                              "confirmation_requested", "best_changed",
                                              "noise_measured",         "phase_changed"};
/// Told to users; the search neither hears of them nor causes them.
constexpr std::string_view kNoteTypes[] = {"work_waiting", "work_served", "hint_given"};

bool is_equal(const Json& derived, const Json& recorded) {
  for (const auto& [key, value] : derived.items()) {
    const auto found = recorded.find(key);
    if (found == recorded.end() || *found != value) return false;
  }
  return std::ranges::all_of(kOptionalFields, [&](const char* key) {
    return derived.contains(key) || !recorded.contains(key);
  });
}

std::string text_of(std::string_view type, const Json& json) {
  return std::string(type) + " " + json.dump();
}

Error bad_log(std::int64_t sequence, const std::string& what) {
  return {Errc::invalid_argument,
          "the log cannot be replayed: " + what + ": sequence=" + std::to_string(sequence)};
}

}  // namespace

Status Replay::take(std::int64_t sequence, std::string_view type, std::string_view json) {
  if (difference_) return {};
  if (sequence != sequence_ + 1) {
    return fail(bad_log(sequence, "events are missing behind " + std::to_string(sequence_)));
  }
  sequence_ = sequence;
  const bool is_first = sequence == 1;
  if (is_first != (type == "campaign_created")) {
    return fail(bad_log(sequence, "campaign_created must be the first event, and only that"));
  }
  try {
    const Json payload = Json::parse(json);
    if (is_first) CAMBRIAN_TRY_STATUS(begin(payload));
    if (is_input(type)) {
      take_input(event_from_json(type, payload));
    } else if (std::ranges::find(kDerivedTypes, type) != std::end(kDerivedTypes)) {
      compare(type, payload);
    } else if (std::ranges::find(kNoteTypes, type) == std::end(kNoteTypes)) {
      return fail(bad_log(sequence, "unknown type " + std::string(type)));
    }
  } catch (const std::exception& error) {
    return fail(bad_log(sequence, error.what()));
  }
  return {};
}

Status Replay::begin(const Json& created) {
  if (!created.contains("settings")) {
    return fail(bad_log(1, "the campaign was created by a version that did not record settings"));
  }
  auto settings = settings_from_json(created.at("settings"));
  if (const auto problems = search::validate(settings); !problems.empty()) {
    return fail(bad_log(1, problems.front().field + " " + problems.front().description));
  }
  search_.emplace(std::move(settings));
  return {};
}

void Replay::take_input(const search::Event& event) {
  ++inputs_;
  for (const auto& command : search_->handle(event)) {
    if (auto derived = derived_of(command)) expected_.push_back(std::move(*derived));
  }
}

void Replay::compare(std::string_view type, const Json& recorded) {
  if (expected_.empty()) {
    difference_ = Difference{sequence_, text_of(type, recorded), ""};
    return;
  }
  const Derived derived = std::move(expected_.front());
  expected_.pop_front();
  if (derived.type != type || !is_equal(derived.payload, recorded)) {
    difference_ =
        Difference{sequence_, text_of(type, recorded), text_of(derived.type, derived.payload)};
    return;
  }
  ++derived_;
  if (type != "phase_changed") return;
  const auto state = parse_word<CampaignState>(recorded.at("state").get<std::string>());
  has_ended_ = state && coordinator::has_ended(*state);
}

std::optional<double> Replay::best_score() const {
  const auto best = search_ ? search_->best() : std::nullopt;
  if (!best || best->violation != 0) return std::nullopt;
  return best->score;
}

void Replay::finish() {
  if (difference_ || expected_.empty() || !has_ended_) return;
  difference_ =
      Difference{sequence_, "", text_of(expected_.front().type, expected_.front().payload)};
}

}  // namespace cambrian::coordinator::journal
