#include "worker/agent_command.hpp"

#include <fcntl.h>
#include <google/protobuf/util/time_util.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "common/agent/agent.hpp"
#include "common/blob/blob_client.hpp"
#include "common/config/reader.hpp"
#include "common/log/log.hpp"
#include "common/metrics/metrics.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/security.hpp"
#include "worker/adapters/grpc/convert.hpp"
#include "worker/adapters/sandbox/gpus.hpp"
#include "worker/evaluation_handler.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;
using google::protobuf::util::TimeUtil;

constexpr const char* kCoordinatorDefault = "127.0.0.1:7070";
constexpr std::int64_t kBlobCacheBytes = std::int64_t{256} << 20;
constexpr int kBlobFoldersMax = 256;
constexpr std::size_t kDigestLetters = 12;
// How often GPUs in trouble are looked at again.
constexpr std::chrono::seconds kGpuInterval(30);
// How often the disk is looked at.
constexpr std::chrono::seconds kDiskInterval(5);

std::string default_name() {
  char host[256] = "worker";
  gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(getpid());
}

/// A folder for blobs that no other worker of this cache uses.
struct BlobFolder {
  Descriptor lock;
  fs::path path;
};

Result<BlobFolder> lock_blob_folder(const fs::path& cache) {
  for (int i = 0; i < kBlobFoldersMax; ++i) {
    const fs::path path = cache / ("blobs-" + std::to_string(i));
    const std::string name = path.string() + ".lock";
    Descriptor lock(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return BlobFolder{std::move(lock), path};
  }
  return fail(Errc::unavailable, "no free folder for blobs: cache=" + cache.string());
}

agent::v1::AgentDescription describe(const config::v1::WorkerConfig& config, Workshop& workshop,
                                     const std::vector<GpuDevice>& gpus) {
  agent::v1::AgentDescription description;
  description.set_kind(agent::v1::AGENT_KIND_WORKER);
  description.set_name(config.name().empty() ? default_name() : config.name());
  description.set_version(CAMBRIAN_VERSION);
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const int slots = gpus.empty() ? std::max(1, cores) : static_cast<int>(gpus.size());
  description.set_slots(config.slots() > 0 ? config.slots() : std::min(slots, kSlotsMax));
  description.add_runtimes(spec::v1::RUNTIME_CPP);
  description.add_runtimes(spec::v1::RUNTIME_PROCESS);
  if (workshop.toolchain().has_libtorch()) {
    description.add_runtimes(spec::v1::RUNTIME_LIBTORCH);
  }
  description.set_sandbox_level(to_proto(workshop.sandbox_level()));
  for (const std::string& wall : workshop.sandbox_walls()) description.add_sandbox_walls(wall);
  // The digest covers the SDK, too: results are found again under this text.
  description.set_toolchain(workshop.toolchain().versions() + "; build " +
                            workshop.toolchain().digest().substr(0, kDigestLetters));
  for (const GpuDevice& gpu : gpus) {
    auto& added = *description.add_gpus();
    added.set_id(gpu.id);
    added.set_name(gpu.name);
    added.set_memory_bytes(gpu.memory_bytes);
  }
  return description;
}

agent::AgentOptions agent_options(const config::v1::WorkerConfig& config) {
  agent::AgentOptions options;
  const auto milliseconds = [](const google::protobuf::Duration& duration) {
    return std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(duration));
  };
  options.drain_timeout = milliseconds(config.drain_timeout());
  if (config.has_idle_exit()) options.idle_exit = milliseconds(config.idle_exit());
  if (config.has_lifetime_max()) options.lifetime_max = milliseconds(config.lifetime_max());
  return options;
}

// The first evaluation would wait for it; until there is one, the machine has nothing else to do.
void warm_up(Toolchain& toolchain, std::stop_token stop) {
  for (const bool libtorch : {true, false}) {
    if (stop.stop_requested() || (libtorch && !toolchain.has_libtorch())) continue;
    const auto made = toolchain.precompiled_header(toolchain.compile_options(libtorch), stop);
    if (!made && made.error().code != Errc::cancelled) {
      log::warn("precompiled_header_failed", {{"cause", made.error().message}});
    }
  }
}

// Looks whether there is room for what compiles write; apart from what talks to the coordinator,
// for a disk of the network may hang.
class DiskWatch {
 public:
  explicit DiskWatch(const Workshop& workshop) : workshop_(workshop) { look(); }

  void look_at_times(std::stop_token stop) {
    while (rpc::wait_unless_stopped(stop, kDiskInterval)) look();
  }
  bool is_full() const { return is_full_; }

 private:
  void look() {
    const Status room = workshop_.check_room();
    const bool is_full = !room && room.error().code == Errc::exhausted;
    if (is_full_.exchange(is_full) == is_full) return;
    if (is_full) {
      log::error("worker_takes_no_work", {{"cause", room.error().message}});
    } else {
      log::info("worker_takes_work_again");
    }
  }

  const Workshop& workshop_;
  std::atomic<bool> is_full_ = false;
};

// A worker without room asks for no work: what it took, it would only hand back.
void tell_disk(bool is_full, std::int64_t room_wanted, agent::v1::AgentDescription& description) {
  description.clear_trouble();
  if (!is_full) return;
  description.set_slots(0);
  description.set_trouble("its disk is full: less than " + std::to_string(room_wanted >> 20) +
                          " MiB are left for its cache");
}

// What the coordinator is told of GPUs in trouble: with a slot for each GPU there are fewer slots.
void tell_gpu_trouble(const std::map<std::string, std::string>& in_trouble, int slots,
                      bool has_slot_for_each, agent::v1::AgentDescription& description) {
  for (auto& gpu : *description.mutable_gpus()) {
    const auto found = in_trouble.find(gpu.id());
    gpu.set_trouble(found == in_trouble.end() ? "" : found->second);
  }
  const int lost = has_slot_for_each ? static_cast<int>(in_trouble.size()) : 0;
  description.set_slots(std::max(0, slots - lost));
}

void look_again_at_times(GpuPool& pool, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  while (!never.wait_for(lock, stop, kGpuInterval, [&stop] { return stop.stop_requested(); })) {
    pool.look_again();
  }
}

Result<int> run(const config::v1::WorkerConfig& config, const Places& places) {
  CAMBRIAN_TRY(const std::vector<GpuDevice> gpus, find_gpus(config.gpus()));
  std::vector<std::string> ids;
  for (const GpuDevice& gpu : gpus) ids.push_back(gpu.id);
  const auto gpu_watch = open_gpu_watch(ids);
  CAMBRIAN_TRY(const auto workshop, Workshop::open(places));
  workshop->set_gpu_watch(gpu_watch.get());
  agent::AgentOptions options = agent_options(config);
  options.description = describe(config, *workshop, gpus);

  metrics::Registry registry;
  WorkerMetrics metrics(registry, options.description.slots());
  if (!config.metrics_listen().empty()) {
    CAMBRIAN_TRY(const int port, registry.serve(config.metrics_listen()));
    log::info("metrics_served", {{"address", config.metrics_listen()}, {"port", port}});
  }
  CAMBRIAN_TRY(const auto channel,
               rpc::make_channel(config.coordinator(), rpc::security_of(config)));
  CAMBRIAN_TRY(const BlobFolder folder, lock_blob_folder(places.cache));
  CAMBRIAN_TRY(auto cache, BlobCache::open(folder.path, kBlobCacheBytes));
  BlobClient blobs(channel, std::move(cache));
  GpuPool pool(ids, gpu_watch.get(), [&](const std::string& gpu, const std::string& trouble) {
    metrics.count_gpu(!trouble.empty());
    if (trouble.empty()) return log::info("gpu_returned", {{"gpu", gpu}});
    log::error("gpu_quarantined", {{"gpu", gpu}, {"trouble", trouble}});
  });
  DiskWatch disk(*workshop);
  options.refresh = [&pool, &disk, &workshop, slots = options.description.slots(),
                     has_slot_for_each = config.slots() == 0](auto& description) {
    tell_gpu_trouble(pool.in_trouble(), slots, has_slot_for_each, description);
    tell_disk(disk.is_full(), workshop->room_wanted(), description);
  };
  EvaluationHandler handler(blobs, workshop->evaluator(), pool, metrics);
  log::info("worker_ready", {{"coordinator", config.coordinator()},
                             {"sandbox", to_string(workshop->sandbox_level())},
                             {"toolchain", workshop->toolchain().versions()},
                             {"gpus", gpus.size()}});
  const std::jthread warming(
      [&workshop](std::stop_token stop) { warm_up(workshop->toolchain(), stop); });
  const std::jthread watching([&disk](std::stop_token stop) { disk.look_at_times(stop); });
  const std::jthread looking([&pool](std::stop_token stop) { look_again_at_times(pool, stop); });
  agent::Agent agent(channel, std::move(options), [&](agent::Attempt& attempt) {
    auto handled = handler.handle(attempt);
    WarmTemplates* warm = workshop->warm_templates();
    if (warm != nullptr) metrics.set_warm_memory(warm->memory_bytes());
    return handled;
  });
  return agent.run();
}

}  // namespace

Result<config::v1::WorkerConfig> make_config(const AgentFlags& flags) {
  CAMBRIAN_TRY(auto config, config::read_config_file<config::v1::WorkerConfig>(flags.config_file));
  if (!flags.coordinator.empty()) config.set_coordinator(flags.coordinator);
  if (config.coordinator().empty()) config.set_coordinator(kCoordinatorDefault);
  if (!flags.name.empty()) config.set_name(flags.name);
  if (flags.slots > 0) config.set_slots(flags.slots);
  if (!flags.gpus.empty()) config.set_gpus(flags.gpus);
  if (!flags.metrics_listen.empty()) config.set_metrics_listen(flags.metrics_listen);
  if (flags.idle_exit_seconds > 0) {
    *config.mutable_idle_exit() =
        TimeUtil::MillisecondsToDuration(static_cast<std::int64_t>(flags.idle_exit_seconds * 1000));
  }
  if (!flags.evaluator.empty()) config.set_evaluator(flags.evaluator);
  if (config.evaluator().empty()) config.set_evaluator(flags.evaluator_default);
  if (config.evaluator() != "warm" && config.evaluator() != "compile") {
    return fail(Errc::invalid_argument, "evaluator must be warm or compile: " + config.evaluator());
  }
  for (const std::string& entry : flags.data) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      return fail(Errc::invalid_argument, "not NAME=FOLDER: data=" + entry);
    }
    (*config.mutable_data_paths())[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  if (config.slots() < 0 || config.slots() > kSlotsMax) {
    return fail(Errc::invalid_argument, "slots must be 0 to " + std::to_string(kSlotsMax));
  }
  if (config.cache_bytes() < 0) {
    return fail(Errc::invalid_argument, "cache_bytes must not be negative");
  }
  for (const auto& [name, path] : config.data_paths()) {
    if (!path.starts_with('/')) {
      return fail(Errc::invalid_argument, "data_paths." + name + " must be absolute: " + path);
    }
  }
  return config;
}

void apply_config(const config::v1::WorkerConfig& config, Places& places) {
  if (!config.cache_directory().empty()) places.cache = config.cache_directory();
  if (config.cache_bytes() > 0) places.cache_bytes = config.cache_bytes();
  places.evaluator = config.evaluator() == "warm" ? EvaluatorPath::warm : EvaluatorPath::compile;
  places.data_paths = {config.data_paths().begin(), config.data_paths().end()};
}

int run_agent(const config::v1::WorkerConfig& config, const Places& places) {
  const auto code = run(config, places);
  if (code) return *code;
  std::cerr << "error: " << code.error().message << '\n';
  return 1;
}

}  // namespace cambrian::worker
