#include <algorithm>

#include "common/digest/sha256.hpp"
#include "common/task/names.hpp"
#include "coordinator/adapters/grpc/convert.hpp"

// An archive as values. What it says is compared with its log later: here is seen to it that it can
// be said at all.
namespace cambrian::coordinator::wire {
namespace {

constexpr std::size_t kLineBytesMax = 1024;
constexpr std::size_t kTextBytesMax = 16 * 1024;
constexpr std::size_t kPayloadBytesMax = 1024 * 1024;
constexpr int kArchivedFilesMax = 64;

Instant instant_of(const google::protobuf::Timestamp& time) {
  constexpr std::int64_t kSecondsMax = 253'402'300'799;  // The year 9999.
  const auto seconds = std::clamp<std::int64_t>(time.seconds(), 0, kSecondsMax);
  return Instant(std::chrono::microseconds(seconds * 1'000'000 + time.nanos() / 1'000));
}

std::int64_t time_ms(const google::protobuf::Duration& duration) {
  return std::max<std::int64_t>(0, from_proto(duration).count());
}

class ArchiveReader {
 public:
  explicit ArchiveReader(Problems& problems) : problems_(problems) {}

  CampaignArchive read(const user::v1::CampaignArchive& archive) {
    CampaignArchive read{.record = campaign_of(archive.campaign()), .events = {}, .variants = {}};
    for (const auto& event : archive.events()) read.events.push_back(event_of(event));
    for (const auto& variant : archive.variants()) read.variants.push_back(variant_of(variant));
    return read;
  }

 private:
  void require(bool is_good, const std::string& field, const std::string& description) {
    // One of a kind is enough: an archive may have a million of each.
    const auto is_told = [&](const auto& problem) { return problem.field == "archive." + field; };
    if (is_good || std::ranges::any_of(problems_, is_told)) return;
    problems_.push_back({"archive." + field, description});
  }

  /// The enumerators of both sides have the same order; `first` is the one for 0.
  template <class Enum>
  Enum enumerator(int value, int first, int last, const std::string& field) {
    require(value >= first && value <= last, field, "is not known here: " + std::to_string(value));
    return static_cast<Enum>(std::clamp(value, first, last) - first);
  }

  Consumption consumption_of(const user::v1::Consumption& used) {
    Consumption value;
    value.evaluations = used.evaluations();
    value.evaluations_failed = used.evaluations_failed();
    value.evaluations_reused = used.evaluations_reused();
    value.evaluations_stopped_early = used.evaluations_stopped_early();
    value.time_saved_ms = time_ms(used.training_time_saved());
    value.final_evaluations = used.final_evaluations();
    value.proposals = used.proposals();
    value.proposals_failed = used.proposals_failed();
    value.duplicates = used.duplicates();
    value.tokens = used.tokens();
    value.cost_micro_usd = used.cost_micro_usd();
    value.gpu_time_ms = time_ms(used.gpu_time());
    value.cpu_time_ms = time_ms(used.cpu_time());
    value.running_ms = time_ms(used.wall_time());
    require(std::min({value.evaluations, value.evaluations_failed, value.evaluations_reused,
                      value.evaluations_stopped_early, value.final_evaluations, value.proposals,
                      value.proposals_failed, value.duplicates, value.tokens,
                      value.cost_micro_usd}) >= 0,
            "campaign.consumption", "must not be negative");
    return value;
  }

  CampaignRecord campaign_of(const user::v1::Campaign& campaign) {
    CampaignRecord record;
    record.name = campaign.name();
    record.state = enumerator<CampaignState>(campaign.state(), user::v1::CAMPAIGN_STATE_RUNNING,
                                             user::v1::CAMPAIGN_STATE_FAILED, "campaign.state");
    record.end_reason =
        enumerator<search::EndReason>(campaign.end_reason(), user::v1::END_REASON_UNSPECIFIED,
                                      user::v1::END_REASON_FAILURE, "campaign.end_reason");
    record.reason = clean_text(campaign.reason(), kTextBytesMax);
    record.created_at = instant_of(campaign.create_time());
    if (campaign.has_end_time()) record.ended_at = instant_of(campaign.end_time());
    require(record.ended_at.has_value(), "campaign.end_time", "the campaign has not ended");
    record.consumption = consumption_of(campaign.consumption());
    if (campaign.has_best_variant()) record.best_variant = campaign.best_variant();
    if (campaign.has_best_score()) record.best_score = campaign.best_score();
    if (campaign.has_seed_score()) record.seed_score = campaign.seed_score();
    if (campaign.has_noise_deviation()) record.noise_deviation = campaign.noise_deviation();
    record.last_sequence = campaign.last_sequence();
    return record;
  }

  EventRecord event_of(const user::v1::Event& event) {
    EventRecord record{.sequence = event.sequence(),
                       .time = instant_of(event.time()),
                       .type = clean_text(event.type(), kLineBytesMax),
                       .variant = {},
                       .message = clean_text(event.message(), kTextBytesMax),
                       .json = event.json()};
    if (event.has_variant()) record.variant = event.variant();
    // PostgreSQL stores no NUL, however it is written.
    require(record.json.size() <= kPayloadBytesMax && record.json.find('\0') == std::string::npos &&
                record.json.find("\\u0000") == std::string::npos,
            "events.json", "must be JSON of at most 1 MiB, without NUL");
    return record;
  }

  VariantRecord variant_of(const user::v1::Variant& variant) {
    VariantRecord record;
    record.number = variant.number();
    record.parents = {variant.parents().begin(), variant.parents().end()};
    if (variant.operator_() != spec::v1::OPERATOR_UNSPECIFIED) {
      record.operation =
          enumerator<search::Operator>(variant.operator_(), spec::v1::OPERATOR_DIFF,
                                       spec::v1::OPERATOR_EXPLAIN, "variants.operator");
    }
    record.state =
        enumerator<search::VariantState>(variant.state(), user::v1::VARIANT_STATE_PENDING,
                                         user::v1::VARIANT_STATE_DUPLICATE, "variants.state");
    record.metrics = {variant.metrics().begin(), variant.metrics().end()};
    if (variant.has_score()) record.score = variant.score();
    if (variant.has_island()) record.island = variant.island();
    if (variant.has_duplicate_of()) record.duplicate_of = variant.duplicate_of();
    require(variant.files_size() <= kArchivedFilesMax, "variants.files", "must be at most 64");
    for (const auto& file : variant.files()) {
      require(task::is_inner_path(file.path()) && is_sha256_hex(file.sha256()), "variants.files",
              "must have paths inside the seed folder, and digests");
      record.files.push_back({.path = file.path(), .sha256 = file.sha256()});
    }
    record.rationale = clean_text(variant.rationale(), kTextBytesMax);
    record.created_at = instant_of(variant.create_time());
    record.model = clean_text(variant.model(), kLineBytesMax);
    record.generation = variant.generation();
    record.confirmation = enumerator<search::Confirmation>(
        variant.confirmation(), user::v1::CONFIRMATION_UNSPECIFIED,
        user::v1::CONFIRMATION_UNCONFIRMED, "variants.confirmation");
    if (variant.has_jump_score()) record.jump_score = variant.jump_score();
    if (variant.has_second_score()) record.second_score = variant.second_score();
    for (const auto& one : variant.evaluations()) record.evaluations.push_back(evaluation_of(one));
    return record;
  }

  EvaluationRecord evaluation_of(const user::v1::Evaluation& evaluation) {
    require(evaluation.number() > 0, "variants.evaluations.number",
            "is missing: the export was made by an older version");
    require(evaluation.attempts() >= 0, "variants.evaluations.attempts", "must not be negative");
    EvaluationRecord record{.number = evaluation.number(),
                            .split = evaluation.split() == agent::v1::SPLIT_SEALED
                                         ? search::Split::sealed
                                         : search::Split::validation,
                            .seed = evaluation.seed(),
                            .is_final = evaluation.is_final(),
                            .is_confirmation = evaluation.is_confirmation(),
                            .result = {},
                            .agent = clean_text(evaluation.agent(), kLineBytesMax),
                            .finished_at = {},
                            .attempts = evaluation.attempts()};
    if (!evaluation.has_result()) return record;
    Problems problems;
    record.result = from_proto(evaluation.result(), problems);
    for (const auto& one : problems) require(false, "variants." + one.field, one.description);
    if (evaluation.has_finish_time()) record.finished_at = instant_of(evaluation.finish_time());
    return record;
  }

  Problems& problems_;
};

}  // namespace

CampaignArchive from_proto(const user::v1::CampaignArchive& archive, Problems& problems) {
  return ArchiveReader(problems).read(archive);
}

}  // namespace cambrian::coordinator::wire
