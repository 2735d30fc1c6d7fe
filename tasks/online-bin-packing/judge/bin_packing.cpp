// The judge of online bin packing: generates the instances, shows the candidate one item of each at
// a time, keeps its own account of every bin, and counts.
#include <algorithm>
#include <cambrian/judge.hpp>
#include <cambrian/rng.hpp>
#include <cmath>

namespace {

using cambrian::Failure;
using cambrian::Outcome;

constexpr double kAnswerSeconds = 10;

struct Family {
  int capacity = 100;
  bool is_weibull = true;
};

struct Instance {
  std::vector<int> items;
  // Room left in every bin that was ever named; others are unused.
  std::vector<int> room;

  std::int64_t bins_used(int capacity) const {
    return std::ranges::count_if(room, [&](int left) { return left < capacity; });
  }
  std::int64_t lower_bound(int capacity) const {
    std::int64_t sum = 0;
    for (const int item : items) sum += item;
    return (sum + capacity - 1) / capacity;
  }
};

// Weibull by inversion, rounded down and clipped; or every size with the same probability.
int draw_item(const Family& family, cambrian::Rng& rng) {
  constexpr double kShape = 3;
  constexpr double kScale = 45;
  if (!family.is_weibull) return static_cast<int>(rng.between(20, 100));
  const double value = kScale * std::pow(-std::log1p(-rng.uniform()), 1 / kShape);
  return static_cast<int>(std::clamp(std::floor(value), 1.0, 100.0));
}

std::vector<Instance> make_instances(const cambrian::Session& session, const Family& family) {
  const auto items = session.integer_parameter("items", 5000, 1, 1'000'000);
  const auto count = session.integer_parameter("instances", 5, 1, 1000);
  const bool is_sealed = session.evaluation().split == cambrian::Split::sealed;
  const auto rng =
      cambrian::Rng(session.evaluation().seed).split(is_sealed ? "sealed" : "validation");
  std::vector<Instance> instances(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < instances.size(); ++i) {
    cambrian::Rng own = rng.split(i);
    for (std::int64_t k = 0; k < items; ++k) instances[i].items.push_back(draw_item(family, own));
  }
  return instances;
}

// Puts the item where the candidate said, if it may go there.
void place(Instance& instance, int item, std::int32_t bin, int capacity) {
  if (bin < 0 || static_cast<std::size_t>(bin) >= 2 * instance.items.size() + 2) {
    throw Failure(Outcome::bad_output, "no such bin: bin=" + std::to_string(bin));
  }
  const auto index = static_cast<std::size_t>(bin);
  if (index >= instance.room.size()) instance.room.resize(index + 1, capacity);
  if (instance.room[index] < item) {
    throw Failure(Outcome::bad_output, "item does not fit: item=" + std::to_string(item) +
                                           " bin=" + std::to_string(bin) +
                                           " room=" + std::to_string(instance.room[index]));
  }
  instance.room[index] -= item;
}

void pack(cambrian::RemoteCandidate& candidate, std::vector<Instance>& instances, int capacity,
          cambrian::BehaviourDigest& digest) {
  const auto streams = static_cast<std::int64_t>(instances.size());
  const std::vector<cambrian::TensorSpec> specs = {{"bins", cambrian::DType::i32, {streams}},
                                                   {"scores", cambrian::DType::f64, {streams}}};
  std::vector<double> items(instances.size());
  for (std::size_t step = 0; step < instances.front().items.size(); ++step) {
    for (std::size_t i = 0; i < instances.size(); ++i) items[i] = instances[i].items[step];
    cambrian::Message question("ask");
    question.members["capacity"] = capacity;
    question.tensors.push_back(cambrian::make_tensor("items", {streams}, items));
    const cambrian::Message answer =
        candidate.ask(std::move(question), specs, cambrian::Seconds(kAnswerSeconds));
    const auto bins = answer.tensor("bins").values<std::int32_t>();
    for (std::size_t i = 0; i < instances.size(); ++i) {
      place(instances[i], instances[i].items[step], bins[i], capacity);
    }
    digest.add(bins);
  }
}

}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const bool is_weibull = session.integer_parameter("family", 0, 0, 1) == 0;
  const Family family{is_weibull ? 100 : 150, is_weibull};
  std::vector<Instance> instances = make_instances(session, family);

  BehaviourDigest digest;
  RemoteCandidate candidate = session.start_candidate("ask");
  pack(candidate, instances, family.capacity, digest);
  candidate.finish();

  std::vector<double> excess;
  double bins = 0;
  for (const Instance& instance : instances) {
    const auto used = static_cast<double>(instance.bins_used(family.capacity));
    const auto bound = static_cast<double>(instance.lower_bound(family.capacity));
    excess.push_back(100 * (used - bound) / bound);
    bins += used / static_cast<double>(instances.size());
  }
  const Mean mean = mean_of(excess);
  return {.metrics = {{"excess_percent", mean.value},
                      {"excess_percent_standard_error", mean.standard_error},
                      {"bins", bins}},
          .behaviour_digest = digest.finish_hex()};
}
