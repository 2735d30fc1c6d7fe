#include "coordinator/adapters/grpc/convert.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "common/base/limits.hpp"
#include "common/digest/sha256.hpp"
#include "common/task/names.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr std::size_t kAgentIdBytesMin = 8;
constexpr std::size_t kIdBytesMax = 64;
constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kRequestIdBytesMax = 128;
constexpr std::size_t kLimitGroupBytesMax = 512;
// However long an endpoint asks for: one client may not stop the others for a day.
constexpr milliseconds kPauseMax{900'000};
constexpr std::size_t kPhaseBytesMax = 32;
constexpr std::size_t kRationaleBytesMax = 2 * 1024;
constexpr std::size_t kRejectionBytesMax = 1024;
constexpr int kRejectionsMax = 16;
constexpr int kVariantsMax = 16;
constexpr int kFilesMax = 64;
constexpr int kCallsMax = 256;
constexpr int kContentsMax = 512;
constexpr int kMetricsMax = 256;
constexpr int kListMax = 64;
constexpr int kSlotsMax = 1024;
// Of one report: more is a mistake of the agent, and sums of these stay far from overflow.
constexpr std::int64_t kTokensMax = 1'000'000'000;
constexpr std::int64_t kCostMicroUsdMax = 1'000'000'000'000;
constexpr milliseconds kTimeMax = std::chrono::days(366);

class Checker {
 public:
  explicit Checker(Problems& problems) : problems_(problems) {}

  void require(bool is_good, std::string field, std::string description) {
    if (!is_good) problems_.push_back({std::move(field), std::move(description)});
  }
  std::string digest(const std::string& text, const std::string& field, bool may_be_empty) {
    require(is_sha256_hex(text) || (may_be_empty && text.empty()), field,
            "must be 64 lower case hex digits");
    return text;
  }
  std::int64_t count(std::int64_t number, std::int64_t number_max, const std::string& field) {
    require(number >= 0 && number <= number_max, field,
            "must be 0 to " + std::to_string(number_max));
    return number;
  }
  milliseconds time(const google::protobuf::Duration& duration, const std::string& field) {
    const auto value = from_proto(duration);
    require(value >= milliseconds(0) && value <= kTimeMax, field, "must be 0 to 366 days");
    return value;
  }

 private:
  Problems& problems_;
};

std::optional<search::Outcome> outcome_of(agent::v1::EvaluationOutcome outcome) {
  if (outcome < agent::v1::EVALUATION_OUTCOME_SUCCESS ||
      outcome > agent::v1::EVALUATION_OUTCOME_STOPPED_EARLY) {
    return std::nullopt;
  }
  return static_cast<search::Outcome>(outcome - agent::v1::EVALUATION_OUTCOME_SUCCESS);
}

std::optional<ProposalOutcome> outcome_of(agent::v1::ProposalOutcome outcome) {
  if (outcome < agent::v1::PROPOSAL_OUTCOME_SUCCESS ||
      outcome > agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE) {
    return std::nullopt;
  }
  return static_cast<ProposalOutcome>(outcome - agent::v1::PROPOSAL_OUTCOME_SUCCESS);
}

std::string runtime_word(spec::v1::Runtime runtime) {
  switch (runtime) {
    case spec::v1::RUNTIME_LIBTORCH: return "libtorch";
    case spec::v1::RUNTIME_CPP: return "cpp";
    case spec::v1::RUNTIME_PROCESS: return "process";
    default: return "";
  }
}

spec::v1::Runtime runtime_of(const std::string& word) {
  if (word == "libtorch") return spec::v1::RUNTIME_LIBTORCH;
  if (word == "cpp") return spec::v1::RUNTIME_CPP;
  return spec::v1::RUNTIME_PROCESS;
}

Lease lease_of(const agent::v1::Lease& lease) { return {ItemId{lease.item_id()}, lease.epoch()}; }

void lease_to_proto(const Lease& lease, agent::v1::Lease* message) {
  message->set_item_id(lease.item.value);
  message->set_epoch(lease.epoch);
}

AgentDescription description_of(const agent::v1::AgentDescription& agent, Checker& check) {
  check.require(
      agent.agent_id().size() >= kAgentIdBytesMin && agent.agent_id().size() <= kIdBytesMax,
      "agent.agent_id", "must have 8 to 64 characters");
  check.require(agent.agent_id().find('\0') == std::string::npos, "agent.agent_id",
                "must not have NUL");
  check.require(
      agent.kind() == agent::v1::AGENT_KIND_WORKER || agent.kind() == agent::v1::AGENT_KIND_CODEGEN,
      "agent.kind", "must be WORKER or CODEGEN");
  check.require(agent.protocol_version() == 1, "agent.protocol_version",
                "this coordinator speaks version 1");
  check.require(agent.slots() >= 0 && agent.slots() <= kSlotsMax, "agent.slots",
                "must be 0 to 1024");
  check.require(agent.gpus_size() <= kListMax && agent.models_size() <= kListMax &&
                    agent.runtimes_size() <= kListMax && agent.sandbox_walls_size() <= kListMax,
                "agent", "lists may have 64 entries");
  AgentDescription description{
      .agent_id = clean_text(agent.agent_id(), kIdBytesMax),
      .name = clean_text(agent.name().empty() ? agent.agent_id() : agent.name(), kNameBytesMax),
      .kind =
          agent.kind() == agent::v1::AGENT_KIND_CODEGEN ? AgentKind::codegen : AgentKind::worker,
      .version = clean_text(agent.version(), kNameBytesMax),
      .protocol_version = agent.protocol_version(),
      .slots = agent.slots(),
      .runtimes = {},
      .sandbox_level = agent.sandbox_level(),
      .gpus = {},
      .broken_gpus = {},
      .models = {},
      .toolchain = clean_text(agent.toolchain(), 4 * kNameBytesMax),
      .sandbox_walls = {},
      .trouble = clean_text(agent.trouble(), kNameBytesMax)};
  for (const auto runtime : agent.runtimes()) {
    auto text = runtime_word(static_cast<spec::v1::Runtime>(runtime));
    if (!text.empty()) description.runtimes.push_back(std::move(text));
  }
  for (const auto& gpu : agent.gpus()) {
    auto& list = gpu.trouble().empty() ? description.gpus : description.broken_gpus;
    list.push_back({.id = clean_text(gpu.id(), kNameBytesMax),
                    .name = clean_text(gpu.name(), kNameBytesMax),
                    .memory_bytes = gpu.memory_bytes(),
                    .trouble = clean_text(gpu.trouble(), kNameBytesMax)});
  }
  for (const auto& model : agent.models()) {
    description.models.push_back(clean_text(model, kNameBytesMax));
  }
  for (const auto& wall : agent.sandbox_walls()) {
    description.sandbox_walls.push_back(clean_text(wall, kNameBytesMax));
  }
  return description;
}

void description_to_proto(const AgentDescription& agent, agent::v1::AgentDescription* message) {
  message->set_agent_id(agent.agent_id);
  message->set_name(agent.name);
  message->set_kind(agent.kind == AgentKind::worker ? agent::v1::AGENT_KIND_WORKER
                                                    : agent::v1::AGENT_KIND_CODEGEN);
  message->set_version(agent.version);
  message->set_protocol_version(agent.protocol_version);
  message->set_slots(agent.slots);
  for (const auto& runtime : agent.runtimes) message->add_runtimes(runtime_of(runtime));
  message->set_sandbox_level(static_cast<spec::v1::SandboxLevel>(agent.sandbox_level));
  for (const auto* list : {&agent.gpus, &agent.broken_gpus}) {
    for (const auto& gpu : *list) {
      auto* added = message->add_gpus();
      added->set_id(gpu.id);
      added->set_name(gpu.name);
      added->set_memory_bytes(gpu.memory_bytes);
      added->set_trouble(gpu.trouble);
    }
  }
  for (const auto& model : agent.models) message->add_models(model);
  message->set_toolchain(agent.toolchain);
  for (const auto& wall : agent.sandbox_walls) message->add_sandbox_walls(wall);
  message->set_trouble(agent.trouble);
}

std::map<std::string, double> timings_of(const agent::v1::Timings& timings) {
  std::map<std::string, double> result;
  const auto add = [&](const char* phase, bool is_set, const google::protobuf::Duration& time) {
    if (is_set) {
      result[phase] = static_cast<double>(time.seconds()) * 1e3 + time.nanos() / 1e6;
    }
  };
  add("fetch", timings.has_fetch(), timings.fetch());
  add("compile", timings.has_compile(), timings.compile());
  add("start", timings.has_start(), timings.start());
  add("first_step", timings.has_first_step(), timings.first_step());
  add("train", timings.has_train(), timings.train());
  add("judge", timings.has_judge(), timings.judge());
  add("total", timings.has_total(), timings.total());
  return result;
}

void timings_to_proto(const std::map<std::string, double>& timings, agent::v1::Timings* message) {
  for (const auto& [phase, time_ms] : timings) {
    const auto* field = agent::v1::Timings::descriptor()->FindFieldByName(phase);
    if (field == nullptr) continue;
    auto* sub = message->GetReflection()->MutableMessage(message, field);
    auto& duration = dynamic_cast<google::protobuf::Duration&>(*sub);
    const auto nanoseconds = std::llround(time_ms * 1e6);
    duration.set_seconds(nanoseconds / 1'000'000'000);
    duration.set_nanos(static_cast<int>(nanoseconds % 1'000'000'000));
  }
}

std::map<std::string, double> metrics_of(const agent::v1::EvaluationResult& result,
                                         Checker& check) {
  std::map<std::string, double> metrics;
  check.require(result.metrics_size() <= kMetricsMax, "result.metrics", "at most 256");
  for (const auto& [name, value] : result.metrics()) {
    check.require(std::isfinite(value), "result.metrics", "must be finite: " + name);
    metrics[clean_text(name, kNameBytesMax)] = value;
  }
  return metrics;
}

EvaluationResult result_of(const agent::v1::EvaluationResult& result, Checker& check) {
  const auto outcome = outcome_of(result.outcome());
  check.require(outcome.has_value(), "result.outcome", "must be set");
  EvaluationResult value;
  value.outcome = outcome.value_or(search::Outcome::infrastructure);
  value.metrics = metrics_of(result, check);
  value.diagnostics = clean_text(result.diagnostics(), kDiagnosticsBytesMax);
  value.log = clean_text(result.log(), kLogBytesMax);
  value.timings_ms = timings_of(result.timings());
  const auto& usage = result.usage();
  value.cpu_time_ms = check.time(usage.cpu_time(), "result.usage.cpu_time").count();
  value.gpu_time_ms = check.time(usage.gpu_time(), "result.usage.gpu_time").count();
  value.memory_peak_bytes =
      check.count(usage.memory_peak_bytes(), std::numeric_limits<std::int64_t>::max(),
                  "result.usage.memory_peak_bytes");
  value.result_key = check.digest(result.result_key(), "result.result_key", true);
  value.behaviour_digest = check.digest(result.behaviour_digest(), "result.behaviour_digest", true);
  value.is_cached = result.is_cached();
  // A word of a later worker that nobody here knows is as good as none.
  const std::string& evaluator = result.evaluator();
  if (evaluator == "compile" || evaluator == "warm") value.evaluator = evaluator;
  value.is_resumed = result.is_resumed();
  const bool is_stopped_early = value.outcome == search::Outcome::stopped_early;
  check.require(is_stopped_early || !result.has_time_saved(), "result.time_saved",
                "is only for STOPPED_EARLY");
  value.time_saved_ms = check.time(result.time_saved(), "result.time_saved").count();
  return value;
}

ProposedVariant variant_of(const agent::v1::ProposedVariant& variant, const std::string& field,
                           Checker& check) {
  ProposedVariant value;
  check.require(variant.files_size() >= 1 && variant.files_size() <= kFilesMax, field + ".files",
                "must be 1 to 64");
  for (const auto& file : variant.files()) {
    const auto place = field + ".files[" + std::to_string(value.files.size()) + "]";
    check.require(task::is_inner_path(file.path()), place + ".path",
                  "is not a path inside the seed folder");
    value.files.push_back(
        {.path = file.path(), .sha256 = check.digest(file.sha256(), place + ".sha256", false)});
  }
  value.token_digest = check.digest(variant.token_digest(), field + ".token_digest", false);
  value.source_tokens = check.count(variant.source_tokens(), kTokensMax, field + ".source_tokens");
  value.rationale = clean_text(variant.rationale(), kRationaleBytesMax);
  return value;
}

ModelCall call_of(const agent::v1::ModelCall& call, const std::string& field, Checker& check) {
  ModelCall value;
  value.model = clean_text(call.model(), kNameBytesMax);
  value.endpoint = clean_text(call.endpoint(), kNameBytesMax);
  value.prompt_tokens = check.count(call.prompt_tokens(), kTokensMax, field + ".prompt_tokens");
  value.completion_tokens =
      check.count(call.completion_tokens(), kTokensMax, field + ".completion_tokens");
  value.cost_micro_usd =
      check.count(call.cost_micro_usd(), kCostMicroUsdMax, field + ".cost_micro_usd");
  value.latency = check.time(call.latency(), field + ".latency");
  if (call.has_time_to_first_token()) {
    value.time_to_first_token =
        check.time(call.time_to_first_token(), field + ".time_to_first_token");
  }
  value.retries = call.retries();
  value.finish_reason = clean_text(call.finish_reason(), kIdBytesMax);
  value.prompt_digest = check.digest(call.prompt_digest(), field + ".prompt_digest", true);
  value.answer_digest = check.digest(call.answer_digest(), field + ".answer_digest", true);
  value.is_outcome_unknown = call.is_outcome_unknown();
  value.cached_prompt_tokens =
      check.count(call.cached_prompt_tokens(), kTokensMax, field + ".cached_prompt_tokens");
  value.reasoning_tokens =
      check.count(call.reasoning_tokens(), kTokensMax, field + ".reasoning_tokens");
  value.request_id = clean_text(call.request_id(), kRequestIdBytesMax);
  return value;
}

void work_to_proto(const EvaluationWork& work, agent::v1::EvaluationWork* message) {
  message->set_task_digest(work.task_digest);
  for (const auto& file : work.files) to_proto(file, message->add_files());
  message->set_split(to_proto(work.split));
  message->set_seed(work.seed);
  message->mutable_parameters()->insert(work.parameters.begin(), work.parameters.end());
  message->set_judge_secret(work.judge_secret);
  message->set_checkpoint(work.checkpoint);
  message->mutable_rungs()->Add(work.rungs.begin(), work.rungs.end());
}

void context_to_proto(const ProgramContext& context, agent::v1::ProgramContext* message) {
  message->set_variant(context.variant);
  for (const auto& file : context.files) to_proto(file, message->add_files());
  message->mutable_metrics()->insert(context.metrics.begin(), context.metrics.end());
  if (context.outcome) message->set_outcome(to_proto(*context.outcome));
  message->set_diagnostics(context.diagnostics);
}

void work_to_proto(const ProposalWork& work, agent::v1::ProposalWork* message) {
  message->set_task_digest(work.task_digest);
  message->set_operator_(to_proto(work.operation));
  for (const auto& one : work.parents) context_to_proto(one, message->add_parents());
  for (const auto& one : work.inspirations) context_to_proto(one, message->add_inspirations());
  for (const auto& one : work.failures) context_to_proto(one, message->add_failures());
  message->set_seed(work.seed);
  message->set_variants(work.variants);
  message->set_model(work.model);
  if (work.temperature) message->set_temperature(*work.temperature);
  message->set_output_tokens(work.output_tokens);
  message->set_instructions(work.instructions);
  message->set_tokens_reserved(work.tokens_reserved);
  message->set_cost_reserved_micro_usd(work.cost_reserved_micro_usd);
  for (const auto& gain : work.gains) {
    auto* added = message->add_gains();
    added->set_variant(gain.variant);
    added->set_before(gain.before);
    added->set_after(gain.after);
    added->set_change(gain.change);
  }
  message->set_order(work.order);
}

}  // namespace

std::string clean_text(const std::string& text, std::size_t bytes_max) {
  std::string clean = text.substr(0, bytes_max);
  // A cut within a character would not be UTF-8.
  if (text.size() > bytes_max) {
    while (!clean.empty() && (static_cast<unsigned char>(text[clean.size()]) & 0xC0U) == 0x80U) {
      clean.pop_back();
    }
  }
  for (auto& c : clean) {
    if (c == '\0') c = ' ';
  }
  return clean;
}

milliseconds from_proto(const google::protobuf::Duration& duration) {
  // Ten thousand years, as the type itself allows: more would not fit into milliseconds.
  constexpr std::int64_t kSecondsMax = 315'576'000'000;
  const auto seconds = std::clamp<std::int64_t>(duration.seconds(), -kSecondsMax, kSecondsMax);
  return milliseconds(seconds * 1000 + duration.nanos() / 1'000'000);
}

void to_proto(milliseconds duration, google::protobuf::Duration* message) {
  message->set_seconds(duration.count() / 1000);
  message->set_nanos(static_cast<int>(duration.count() % 1000) * 1'000'000);
}

void to_proto(Instant instant, google::protobuf::Timestamp* message) {
  const auto microseconds = instant.time_since_epoch().count();
  message->set_seconds(microseconds / 1'000'000);
  message->set_nanos(static_cast<int>(microseconds % 1'000'000) * 1000);
}

agent::v1::EvaluationOutcome to_proto(search::Outcome outcome) {
  return static_cast<agent::v1::EvaluationOutcome>(static_cast<int>(outcome) +
                                                   agent::v1::EVALUATION_OUTCOME_SUCCESS);
}

agent::v1::Split to_proto(search::Split split) {
  return split == search::Split::sealed ? agent::v1::SPLIT_SEALED : agent::v1::SPLIT_VALIDATION;
}

spec::v1::Operator to_proto(search::Operator operation) {
  return static_cast<spec::v1::Operator>(static_cast<int>(operation) + spec::v1::OPERATOR_DIFF);
}

void to_proto(const SourceFile& file, agent::v1::SourceFile* message) {
  message->set_path(file.path);
  message->set_sha256(file.sha256);
}

AgentReport from_proto(const agent::v1::SyncRequest& request, Problems& problems) {
  Checker check(problems);
  AgentReport report;
  report.agent = description_of(request.agent(), check);
  check.require(request.running_size() + request.released_size() <= kLeasesMax, "running",
                "at most 1024 leases in one call");
  for (const auto& progress : request.running()) {
    auto& added = report.running.emplace_back(
        Progress{.lease = lease_of(progress.lease()),
                 .phase = clean_text(progress.phase(), kPhaseBytesMax)});
    if (progress.has_fraction() && std::isfinite(progress.fraction())) {
      added.fraction = progress.fraction();
    }
    if (progress.has_step() && progress.step() >= 0) added.step = progress.step();
    if (progress.has_loss() && std::isfinite(progress.loss())) added.loss = progress.loss();
    check.require(progress.rungs_size() <= kRungsMax, "running.rungs", "at most 16");
    for (const auto& [rung, value] : progress.rungs()) {
      check.require(rung >= 0 && std::isfinite(value), "running.rungs",
                    "must have numbers from 0 and finite values");
      added.rungs.push_back({.rung = rung, .value = value});
    }
  }
  for (const auto& release : request.released()) {
    check.require(release.reason() == agent::v1::RELEASE_REASON_SHUTDOWN ||
                      release.reason() == agent::v1::RELEASE_REASON_UNABLE,
                  "released.reason", "must be SHUTDOWN or UNABLE");
    report.released.push_back(
        {.lease = lease_of(release.lease()),
         .reason = release.reason() == agent::v1::RELEASE_REASON_UNABLE ? ReleaseReason::unable
                                                                        : ReleaseReason::shutdown,
         .checkpoint = check.digest(release.checkpoint(), "released.checkpoint", true)});
  }
  check.require(request.wanted() >= 0 && request.wanted() <= kWantedMax, "wanted",
                "must be 0 to 64");
  report.wanted = request.wanted();
  report.wait_max = from_proto(request.wait_max());
  check.require(report.wait_max >= milliseconds(0) && report.wait_max <= milliseconds(30'000),
                "wait_max", "must be 0 to 30 s");
  report.is_draining = request.is_draining();
  return report;
}

EvaluationResult from_proto(const agent::v1::EvaluationResult& result, Problems& problems) {
  Checker check(problems);
  return result_of(result, check);
}

WorkReport from_proto(const agent::v1::FinishEvaluationRequest& request, Problems& problems) {
  Checker check(problems);
  return {.agent_id = clean_text(request.agent_id(), kIdBytesMax),
          .lease = lease_of(request.lease()),
          .result = result_of(request.result(), check)};
}

WorkReport from_proto(const agent::v1::FinishProposalRequest& request, Problems& problems) {
  Checker check(problems);
  const auto& result = request.result();
  const auto outcome = outcome_of(result.outcome());
  check.require(outcome.has_value(), "result.outcome", "must be set");
  check.require(result.variants_size() <= kVariantsMax, "result.variants", "at most 16");
  check.require(result.calls_size() <= kCallsMax, "result.calls", "at most 256");
  ProposalResult value;
  value.outcome = outcome.value_or(ProposalOutcome::infrastructure);
  for (int i = 0; i < result.variants_size(); ++i) {
    value.variants.push_back(
        variant_of(result.variants(i), "result.variants[" + std::to_string(i) + "]", check));
  }
  for (int i = 0; i < result.calls_size(); ++i) {
    value.calls.push_back(
        call_of(result.calls(i), "result.calls[" + std::to_string(i) + "]", check));
  }
  for (int i = 0; i < std::min(result.rejections_size(), kRejectionsMax); ++i) {
    value.rejections.push_back(clean_text(result.rejections(i), kRejectionBytesMax));
  }
  check.require(result.contents_size() <= kContentsMax, "result.contents", "at most 512");
  std::size_t bytes = 0;
  for (const auto& content : result.contents()) bytes += content.size();
  check.require(bytes <= static_cast<std::size_t>(kReportContentsBytesMax), "result.contents",
                "at most 1 MiB together");
  value.contents.assign(result.contents().begin(), result.contents().end());
  return {.agent_id = clean_text(request.agent_id(), kIdBytesMax),
          .lease = lease_of(request.lease()),
          .result = std::move(value)};
}

CallBegin from_proto(const agent::v1::BeginCallRequest& request, Problems& problems) {
  Checker check(problems);
  check.require(request.number() > 0, "number", "must be positive");
  const auto& limits = request.limits();
  const auto is_limit = [](double number) { return std::isfinite(number) && number >= 0; };
  check.require(is_limit(limits.requests_per_minute()), "limits.requests_per_minute",
                "must be finite and not negative");
  check.require(is_limit(limits.tokens_per_minute()), "limits.tokens_per_minute",
                "must be finite and not negative");
  check.require(limits.parallel() >= 0, "limits.parallel", "must not be negative");
  check.require(!request.has_limits() ||
                    (!limits.group().empty() && limits.group().size() <= kLimitGroupBytesMax),
                "limits.group", "must have 1 to 512 characters");
  return {.key = {.agent_id = clean_text(request.agent_id(), kIdBytesMax),
                  .lease = lease_of(request.lease()),
                  .number = request.number()},
          .call = call_of(request.call(), "call", check),
          .limits = {.group = clean_text(limits.group(), kLimitGroupBytesMax),
                     .requests_per_minute = limits.requests_per_minute(),
                     .tokens_per_minute = limits.tokens_per_minute(),
                     .parallel = limits.parallel()}};
}

CallEnd from_proto(const agent::v1::EndCallRequest& request, Problems& problems) {
  Checker check(problems);
  check.require(request.number() > 0, "number", "must be positive");
  return {.key = {.agent_id = clean_text(request.agent_id(), kIdBytesMax),
                  .lease = lease_of(request.lease()),
                  .number = request.number()},
          .call = call_of(request.call(), "call", check),
          .pause = std::clamp(from_proto(request.pause()), milliseconds(0), kPauseMax)};
}

void to_proto(const SyncAnswer& answer, agent::v1::SyncResponse* message) {
  for (const auto& assignment : answer.assignments) {
    auto* added = message->add_assignments();
    lease_to_proto(assignment.lease, added->mutable_lease());
    to_proto(assignment.attempt_budget, added->mutable_attempt_budget());
    if (const auto* evaluation = std::get_if<EvaluationWork>(&assignment.work)) {
      work_to_proto(*evaluation, added->mutable_evaluation());
    } else {
      work_to_proto(std::get<ProposalWork>(assignment.work), added->mutable_proposal());
    }
  }
  for (const auto& lease : answer.cancelled) lease_to_proto(lease, message->add_cancelled());
  for (const auto& lease : answer.stopped) lease_to_proto(lease, message->add_stopped());
  to_proto(answer.lease_duration, message->mutable_lease_duration());
  to_proto(answer.next_sync, message->mutable_next_sync());
  message->set_should_drain(answer.should_drain);
  message->set_contents_bytes_max(kReportContentsBytesMax);
}

void to_proto(const AgentRecord& record, user::v1::Worker* message) {
  description_to_proto(record.description, message->mutable_description());
  message->set_state(static_cast<user::v1::WorkerState>(static_cast<int>(record.state) +
                                                        user::v1::WORKER_STATE_ALIVE));
  message->set_leases(record.leases);
  message->set_attempts_finished(record.attempts_finished);
  message->set_jumps_disputed(record.jumps_disputed);
  message->set_quarantine_evidence(record.quarantine_evidence);
  to_proto(record.created_at, message->mutable_create_time());
  to_proto(record.last_sync_at, message->mutable_last_sync_time());
  for (const auto& progress : record.running) {
    auto* added = message->add_running();
    lease_to_proto(progress.lease, added->mutable_lease());
    added->set_phase(progress.phase);
    if (progress.fraction) added->set_fraction(*progress.fraction);
    if (progress.step) added->set_step(*progress.step);
    if (progress.loss) added->set_loss(*progress.loss);
  }
}

void to_proto(const EvaluationResult& result, agent::v1::EvaluationResult* message) {
  message->set_outcome(to_proto(result.outcome));
  message->mutable_metrics()->insert(result.metrics.begin(), result.metrics.end());
  message->set_diagnostics(result.diagnostics);
  message->set_log(result.log);
  timings_to_proto(result.timings_ms, message->mutable_timings());
  auto* usage = message->mutable_usage();
  to_proto(milliseconds(result.cpu_time_ms), usage->mutable_cpu_time());
  to_proto(milliseconds(result.gpu_time_ms), usage->mutable_gpu_time());
  usage->set_memory_peak_bytes(result.memory_peak_bytes);
  message->set_result_key(result.result_key);
  message->set_behaviour_digest(result.behaviour_digest);
  message->set_is_cached(result.is_cached);
  message->set_evaluator(result.evaluator);
  message->set_is_resumed(result.is_resumed);
  if (result.outcome == search::Outcome::stopped_early) {
    to_proto(milliseconds(result.time_saved_ms), message->mutable_time_saved());
  }
}

}  // namespace cambrian::coordinator::wire
