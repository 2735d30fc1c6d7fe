#include "codegen-client/model_server/mutation/network_builder.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace cambrian::codemodel {
namespace {

/// Shorter inputs are tables, not signals: their neighbours have nothing to do with each other.
constexpr std::int64_t kSignalLengthMin = 24;

/// Log-uniform between two sizes.
std::int64_t random_width(double low, double high, Rng& rng) {
  return rounded_width(low * std::pow(high / low, rng.uniform()));
}

}  // namespace

std::int64_t rounded_width(double width) {
  const double unit = width >= 48 ? 16 : width >= 16 ? 8 : 2;
  return std::max<std::int64_t>(2, static_cast<std::int64_t>(std::round(width / unit) * unit));
}

Layer random_activation(Rng& rng) {
  static constexpr std::array<std::string_view, 4> kOthers = {"GELU", "SiLU", "LeakyReLU", "ELU"};
  if (rng.chance(0.5)) return make_layer("ReLU");
  return make_layer(std::string(kOthers[rng.below(kOthers.size())]));
}

Layer make_unflatten(std::int64_t length, bool is_python) {
  const std::string sizes = "1, " + std::to_string(length);
  return make_layer("Unflatten", {"1", is_python ? "(" + sizes + ")" : "{" + sizes + "}"});
}

std::vector<Layer> random_network(const Shape& input, bool is_python, Rng& rng, std::string& note) {
  std::vector<Layer> layers;
  const Layer activation = random_activation(rng);
  const bool has_norm = rng.chance(0.4);
  // The rank of the normalisation is mended with the sizes.
  const auto finish_stage = [&] {
    if (has_norm) layers.push_back(make_layer("BatchNorm1d", {"1"}));
    layers.push_back(activation);
  };
  const bool is_signal = input.size() == 1 && input[0] >= kSignalLengthMin;
  const bool has_place = input.size() > 1 || is_signal;
  const bool has_convolutions = has_place && rng.chance(0.65);
  if (has_convolutions) {
    if (is_signal) layers.push_back(make_unflatten(input[0], is_python));
    const Shape shape = is_signal ? Shape{1, input[0]} : input;
    const bool is_picture = shape.size() == 3;
    double channels = static_cast<double>(random_width(6, is_picture ? 24 : 48, rng));
    for (int stage = static_cast<int>(rng.between(1, 3)); stage > 0; --stage) {
      layers.push_back(
          make_convolution(shape, rounded_width(channels), rng.chance(0.35) ? 5 : 3, 2));
      finish_stage();
      note += " convolution " + std::to_string(rounded_width(channels)) + ",";
      channels *= 1 + rng.uniform();
    }
  }
  if (input.size() > 1 || has_convolutions) layers.push_back(make_layer("Flatten"));
  double width = static_cast<double>(random_width(input.size() > 1 ? 32 : 16, 320, rng));
  for (int stage = static_cast<int>(rng.between(has_convolutions ? 0 : 1, 2)); stage > 0; --stage) {
    layers.push_back(make_linear(rounded_width(width)));
    finish_stage();
    note += " linear " + std::to_string(rounded_width(width)) + ",";
    width *= 0.4 + 0.6 * rng.uniform();
  }
  if (note.ends_with(',')) note.pop_back();
  return layers;
}

}  // namespace cambrian::codemodel
