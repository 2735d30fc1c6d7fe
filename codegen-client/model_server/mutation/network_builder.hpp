#pragma once

#include <string>
#include <vector>

#include "codegen-client/model_server/mutation/layer.hpp"
#include "common/base/rng.hpp"

namespace cambrian::codemodel {

/// A whole multiple of what hardware likes, near this width, at least 2.
std::int64_t rounded_width(double width);

/// ReLU most of the time: the cheapest, and rarely the worst.
Layer random_activation(Rng& rng);

/// `Unflatten(1, {1, 40})`, so that convolutions can look at a signal that comes flat.
Layer make_unflatten(std::int64_t length, bool is_python);

/// Layers from `input` up to the last hidden one, drawn at random: convolutions where the input is
/// a picture or a signal, then one or two linear layers. Sizes are still to be mended. `note` gets
/// what was built.
std::vector<Layer> random_network(const Shape& input, bool is_python, Rng& rng, std::string& note);

}  // namespace cambrian::codemodel
