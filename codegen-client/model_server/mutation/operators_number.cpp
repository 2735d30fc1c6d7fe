// Other numbers at the same places: learning rates and the like on a logarithmic scale, widths and
// batches in steps that hardware likes, everything else by a factor near one.
#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/number_role.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

constexpr double kWidthMax = 1024;
constexpr double kBatchMax = 1024;

double log_scaled(double value, double spread, double low, double high, Rng& rng) {
  double factor = std::exp(spread * rng.normal());
  // A step of a few percent drowns in the noise of a training.
  if (std::abs(std::log(factor)) < 0.2) factor = rng.chance(0.5) ? 1.35 : 0.74;
  return std::clamp(value * factor, low, high);
}

double other_probability(double value, Rng& rng) {
  if (value == 0) return 0.1;
  // 0.9, 0.99 and 0.999 are far apart: near one the distance to one is what counts.
  if (value > 0.5 && value < 1) return 1 - log_scaled(1 - value, 0.7, 0.002, 0.6, rng);
  return log_scaled(value, 0.6, 0.01, 0.8, rng);
}

double other_width(double value, Rng& rng) {
  static constexpr std::array<double, 6> kFactors = {0.5, 0.75, 1.5, 2, 2, 3};
  const double wanted = value * kFactors[rng.below(kFactors.size())];
  const double unit = wanted >= 32 ? 8 : wanted >= 8 ? 4 : 1;
  return std::clamp(std::round(wanted / unit) * unit, 2.0, std::max(value, kWidthMax));
}

double other_batch(double value, Rng& rng) {
  static constexpr std::array<double, 4> kFactors = {0.25, 0.5, 2, 4};
  return std::clamp(std::round(value * kFactors[rng.below(kFactors.size())]), 4.0,
                    std::max(value, kBatchMax));
}

double other_count(double value, Rng& rng) {
  if (value <= 4) return std::max(1.0, value + (rng.chance(0.7) ? 1 : -1));
  return std::max(1.0, std::round(log_scaled(value, 0.5, 1, 1e9, rng)));
}

double other_real(double value, Rng& rng) {
  static constexpr std::array<double, 4> kFromZero = {0.01, 0.1, 1, 10};
  if (value == 0) return kFromZero[rng.below(kFromZero.size())];
  return log_scaled(value, 0.5, 1e-12, 1e12, rng);
}

double other_value(const NumberSite& site, Rng& rng) {
  const double value = site.literal.value;
  switch (site.role) {
    case Role::learning_rate: return log_scaled(value, 0.9, 1e-5, 1.0, rng);
    case Role::decay: return value == 0 ? 1e-4 : log_scaled(value, 1.2, 1e-8, 10, rng);
    case Role::probability: return other_probability(value, rng);
    case Role::batch: return other_batch(value, rng);
    case Role::width: return other_width(value, rng);
    case Role::count: return other_count(value, rng);
    case Role::real: return other_real(value, rng);
    case Role::integer:
      return std::max(1.0,
                      rng.chance(0.5)
                          ? value + (rng.chance(0.5) ? 1 : -1)
                          : std::round(value * rng.pick(std::vector<double>{0.5, 0.75, 1.5, 2})));
    case Role::fixed: return value;
  }
  return value;
}

template <class Wanted>
std::optional<Mutation> change_one(const Context& context, Wanted is_wanted) {
  auto sites = find_numbers(context.code);
  std::erase_if(sites, [&](const NumberSite& site) { return !is_wanted(site); });
  if (sites.empty()) return std::nullopt;
  const NumberSite& site = context.rng.pick(sites);
  const std::string after = format_like(site.literal, other_value(site, context.rng));
  const std::string before(context.code.at(site.token));
  if (after == before) return std::nullopt;
  const std::string subject = site.name.empty() ? "the constant" : site.name;
  return Mutation{.edits = {replace(context.code, {site.token, site.token + 1}, after)},
                  .note = "set " + subject + " to " + after + " instead of " + before};
}

}  // namespace

std::optional<Mutation> change_number(const Context& context) {
  return change_one(context, [](const NumberSite&) { return true; });
}

std::optional<Mutation> change_learning_rate(const Context& context) {
  return change_one(context,
                    [](const NumberSite& site) { return site.role == Role::learning_rate; });
}

std::optional<Mutation> change_batch_size(const Context& context) {
  return change_one(context, [](const NumberSite& site) { return site.role == Role::batch; });
}

std::optional<Mutation> change_regularisation(const Context& context) {
  return change_one(context, [](const NumberSite& site) {
    return site.role == Role::decay || site.role == Role::probability;
  });
}

}  // namespace cambrian::codemodel
