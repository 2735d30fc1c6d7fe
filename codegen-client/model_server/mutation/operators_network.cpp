// Layers of a network: widths, depths, kinds. Each operator changes a list of layers; the sizes
// that follow from a change are mended, and what does not fit or costs too much is dropped.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "codegen-client/model_server/mutation/layer.hpp"
#include "codegen-client/model_server/mutation/network_builder.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

using Layers = std::vector<Layer>;

/// Multiplications for one example that a network made here may cost. A core does some 10^10 in a
/// second, three times that many are needed to learn from an example, and thousands of steps are
/// needed to learn anything.
constexpr double kNetworkMultiplicationsMax = 1.5e6;
constexpr std::size_t kLayersMax = 40;

constexpr std::array<std::string_view, 5> kActivationModules = {"ReLU", "GELU", "SiLU", "LeakyReLU",
                                                                "ELU"};

std::int64_t outputs_of(const Layer& layer) {
  return layer.arguments.size() > 1 ? std::atoll(layer.arguments[1].c_str()) : 0;
}

/// Position of the last sized layer: its outputs are what the task asks for.
std::size_t head_of(const Layers& layers) {
  for (std::size_t i = layers.size(); i-- > 0;) {
    if (is_sized(layers[i])) return i;
  }
  return layers.size();
}

std::vector<std::size_t> positions(const Layers& layers,
                                   const std::function<bool(std::size_t)>& is_wanted) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (is_wanted(i)) found.push_back(i);
  }
  return found;
}

/// Shape of an example in front of each layer, and behind the last one.
std::vector<Shape> shapes_of(const LayerList& list) {
  std::vector<Shape> shapes{list.input};
  for (std::size_t i = 1; i <= list.layers.size(); ++i) {
    Layers front(list.layers.begin(), list.layers.begin() + static_cast<std::ptrdiff_t>(i));
    const auto cost = mend_shapes(front, list.input);
    shapes.push_back(cost ? cost->output : Shape{});
  }
  return shapes;
}

void insert_at(Layers& layers, std::size_t position, Layer layer) {
  layers.insert(layers.begin() + static_cast<std::ptrdiff_t>(position), std::move(layer));
}

void erase_at(Layers& layers, std::size_t position) {
  layers.erase(layers.begin() + static_cast<std::ptrdiff_t>(position));
}

bool has_residual(const Layers& layers) {
  return std::any_of(layers.begin(), layers.end(),
                     [](const Layer& layer) { return layer.name == "Residual"; });
}

/// The class of the network: what a Residual needs is defined in front of it.
std::optional<TokenRange> enclosing_class(const Code& code, std::size_t token) {
  if (code.is_python()) {
    for (std::size_t i = token; i-- > 0;) {
      const bool is_top =
          code.is(i, "class") && code.line_begin(code.token(i).begin) == code.token(i).begin;
      if (is_top) return code.statement(i);
    }
    return std::nullopt;
  }
  for (std::size_t i = code.token(token).parent; i != kNone; i = code.token(i).parent) {
    if (!code.is_block(i)) continue;
    const TokenRange statement = code.statement(i);
    if (code.is(statement.begin, "struct") || code.is(statement.begin, "class")) return statement;
  }
  return std::nullopt;
}

constexpr std::string_view kCppResidual =
    "struct ResidualImpl : PREFIXModule {\n"
    "  PREFIXSequential body{nullptr};\n"
    "  explicit ResidualImpl(PREFIXSequential layers) { body = register_module(\"body\", layers); "
    "}\n"
    "  torch::Tensor forward(torch::Tensor x) { return x + body->forward(x); }\n"
    "};\n"
    "TORCH_MODULE(Residual);\n";
constexpr std::string_view kPythonResidual =
    "class Residual(PREFIXModule):\n"
    "    def __init__(self, body):\n"
    "        super().__init__()\n"
    "        self.body = body\n"
    "\n"
    "    def forward(self, x):\n"
    "        return x + self.body(x)\n";

bool defines_residual(const Code& code) {
  for (std::size_t i = 1; i < code.size(); ++i) {
    const bool is_class = code.is(i - 1, "struct") || code.is(i - 1, "class");
    if (is_class && (code.is(i, "ResidualImpl") || code.is(i, "Residual"))) return true;
  }
  return false;
}

std::optional<Edit> define_residual(const Code& code, const LayerList& list) {
  const auto place = enclosing_class(code, list.open);
  if (!place) return std::nullopt;
  std::string text(code.is_python() ? kPythonResidual : kCppResidual);
  for (auto at = text.find("PREFIX"); at != std::string::npos; at = text.find("PREFIX")) {
    text.replace(at, 6, list.prefix);
  }
  return insert_before(code, *place, text + (code.is_python() ? "\n\n" : "\n"));
}

/// Prints a changed list; nothing when it does not fit. The head is never changed, so the output
/// is still what the task asks for.
std::optional<Mutation> finish(const Context& context, LayerList list, std::string note) {
  if (list.layers.size() > kLayersMax) return std::nullopt;
  const auto cost = mend_shapes(list.layers, list.input);
  if (!cost || cost->multiplications > kNetworkMultiplicationsMax) return std::nullopt;
  Mutation mutation{.edits = {}, .note = std::move(note)};
  mutation.edits.push_back({context.code.token(list.open).end, context.code.token(list.close).begin,
                            print_layers(list, context.code)});
  if (has_residual(list.layers) && !defines_residual(context.code)) {
    auto definition = define_residual(context.code, list);
    if (!definition) return std::nullopt;
    mutation.edits.push_back(std::move(*definition));
  }
  return mutation;
}

std::optional<LayerList> draw_list(const Context& context) {
  auto lists = find_layer_lists(context.code);
  if (lists.empty()) return std::nullopt;
  return std::move(lists[context.rng.below(lists.size())]);
}

}  // namespace

std::vector<Edit> mend_network(const Code& code) {
  std::vector<Edit> edits = mend_layer_lists(code);
  if (defines_residual(code)) return edits;
  for (const LayerList& list : find_layer_lists(code)) {
    if (!has_residual(list.layers)) continue;
    if (auto definition = define_residual(code, list)) edits.push_back(std::move(*definition));
    break;
  }
  return edits;
}

std::optional<Mutation> change_width(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const std::size_t head = head_of(list->layers);
  const auto hidden =
      positions(list->layers, [&](std::size_t i) { return is_sized(list->layers[i]) && i < head; });
  if (hidden.empty()) return std::nullopt;
  static constexpr std::array<double, 8> kFactors = {0.5, 0.7, 1.5, 2, 2, 3, 4, 8};
  Layer& layer = list->layers[context.rng.pick(hidden)];
  const std::int64_t before = outputs_of(layer);
  double factor = kFactors[context.rng.below(kFactors.size())];
  if (before >= 64 && factor > 3) factor = 2;
  const std::int64_t after = rounded_width(static_cast<double>(before) * factor);
  if (after == before) return std::nullopt;
  layer.set_argument(1, std::to_string(after));
  return finish(context, std::move(*list),
                "give a " + layer.name + " layer " + std::to_string(after) +
                    " outputs instead of " + std::to_string(before));
}

std::optional<Mutation> insert_layer(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const auto shapes = shapes_of(*list);
  const std::size_t head = head_of(list->layers);
  const auto places = positions(
      list->layers, [&](std::size_t i) { return i < head && is_activation(list->layers[i]); });
  if (places.empty()) return std::nullopt;
  const std::size_t at = context.rng.pick(places);
  const Shape& shape = shapes[at + 1];
  const double width = static_cast<double>(shape[0]) * (context.rng.chance(0.5) ? 1 : 0.6);
  const bool is_flat = shape.size() == 1;
  const std::int64_t outputs = rounded_width(std::max(width, 8.0));
  insert_at(list->layers, at + 1, Layer(list->layers[at]));
  insert_at(list->layers, at + 1,
            is_flat ? make_linear(outputs)
                    : make_convolution(shape, outputs, 3, context.rng.chance(0.4) ? 2 : 1));
  return finish(context, std::move(*list),
                "insert a layer with " + std::to_string(outputs) + " outputs");
}

std::optional<Mutation> remove_layer(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const std::size_t head = head_of(list->layers);
  const auto candidates = positions(list->layers, [&](std::size_t i) {
    const Layer& layer = list->layers[i];
    return i < head && (is_sized(layer) || is_normalisation(layer) || is_dropout(layer) ||
                        is_pooling(layer) || layer.name == "Residual");
  });
  if (candidates.empty()) return std::nullopt;
  const std::size_t at = context.rng.pick(candidates);
  const std::string name = list->layers[at].name;
  const bool was_sized = is_sized(list->layers[at]);
  erase_at(list->layers, at);
  // What normalised, bent or thinned the removed layer's outputs goes with it.
  while (was_sized && at < list->layers.size() &&
         (is_normalisation(list->layers[at]) || is_activation(list->layers[at]) ||
          is_dropout(list->layers[at]))) {
    erase_at(list->layers, at);
  }
  return finish(context, std::move(*list), "remove a " + name + " layer");
}

std::optional<Mutation> swap_activation(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const auto places =
      positions(list->layers, [&](std::size_t i) { return is_activation(list->layers[i]); });
  if (places.empty()) return std::nullopt;
  const Layer drawn =
      make_layer(std::string(kActivationModules[context.rng.below(kActivationModules.size())]));
  const bool changes_all = context.rng.chance(0.6);
  const std::size_t only = context.rng.pick(places);
  bool is_changed = false;
  for (const std::size_t i : places) {
    if (list->layers[i].name == drawn.name || (!changes_all && i != only)) continue;
    list->layers[i] = drawn;
    is_changed = true;
  }
  if (!is_changed) return std::nullopt;
  return finish(context, std::move(*list), "use " + drawn.name + " as activation");
}

std::optional<Mutation> add_normalisation(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  if (context.rng.chance(0.2) && !is_normalisation(list->layers.front())) {
    const char* name = list->input.size() == 3 ? "BatchNorm2d" : "BatchNorm1d";
    insert_at(list->layers, 0, make_layer(name, {"1"}));
    return finish(context, std::move(*list), "normalise the inputs");
  }
  const auto shapes = shapes_of(*list);
  const std::size_t head = head_of(list->layers);
  const auto places = positions(list->layers, [&](std::size_t i) {
    return i < head && is_sized(list->layers[i]) && !is_normalisation(list->layers[i + 1]);
  });
  if (places.empty()) return std::nullopt;
  const bool everywhere = context.rng.chance(0.5);
  const bool wants_layer_norm = context.rng.chance(0.3);
  const std::size_t only = context.rng.pick(places);
  std::string name;
  for (std::size_t k = places.size(); k-- > 0;) {
    const std::size_t i = places[k];
    if (!everywhere && i != only) continue;
    const Shape& shape = shapes[i + 1];
    const std::string size = std::to_string(shape[0]);
    if (shape.size() == 1 && wants_layer_norm) {
      name = "LayerNorm";
      insert_at(list->layers, i + 1,
                make_layer(name, {context.code.is_python() ? size : "{" + size + "}"}));
    } else {
      name = shape.size() == 3 ? "BatchNorm2d" : "BatchNorm1d";
      insert_at(list->layers, i + 1, make_layer(name, {size}));
    }
  }
  return finish(context, std::move(*list), "add " + name);
}

std::optional<Mutation> add_dropout(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const std::size_t head = head_of(list->layers);
  const auto places = positions(list->layers, [&](std::size_t i) {
    return i < head && is_activation(list->layers[i]) && !is_dropout(list->layers[i + 1]);
  });
  if (places.empty()) return std::nullopt;
  static const std::vector<std::string> kShares = {"0.05", "0.1", "0.2", "0.3"};
  const std::string share = context.rng.pick(kShares);
  const std::size_t at = context.rng.chance(0.6) ? places.back() : context.rng.pick(places);
  insert_at(list->layers, at + 1, make_layer("Dropout", {share}));
  return finish(context, std::move(*list), "add dropout of " + share);
}

std::optional<Mutation> add_residual(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const auto shapes = shapes_of(*list);
  const std::size_t head = head_of(list->layers);
  const auto places = positions(
      list->layers, [&](std::size_t i) { return i < head && is_activation(list->layers[i]); });
  if (places.empty()) return std::nullopt;
  const std::size_t at = context.rng.pick(places);
  const Shape& shape = shapes[at + 1];
  Layer block = make_layer("Residual");
  block.inner.push_back(shape.size() == 1 ? make_linear(shape[0])
                                          : make_convolution(shape, shape[0], 3, 1));
  if (context.rng.chance(0.4)) {
    block.inner.push_back(
        make_layer(shape.size() == 3 ? "BatchNorm2d" : "BatchNorm1d", {std::to_string(shape[0])}));
  }
  block.inner.push_back(Layer(list->layers[at]));
  insert_at(list->layers, at + 1, std::move(block));
  return finish(context, std::move(*list), "add a residual block");
}

std::optional<Mutation> start_with_convolution(const Context& context) {
  auto list = draw_list(context);
  if (!list || list->layers.empty()) return std::nullopt;
  Layers& layers = list->layers;
  const bool has_picture = list->input.size() >= 2 && layers[0].name == "Flatten";
  const bool is_signal = list->input.size() == 1 && list->input[0] >= 16;
  const bool has_convolution = std::any_of(layers.begin(), layers.end(), is_convolution);
  if (has_convolution || (!has_picture && !is_signal)) return std::nullopt;
  const Shape shape = has_picture ? list->input : Shape{1, list->input[0]};
  const std::int64_t channels = rounded_width(static_cast<double>(context.rng.between(4, 16)));
  Layers front;
  if (!has_picture) {
    front.push_back(make_unflatten(list->input[0], context.code.is_python()));
  }
  front.push_back(make_convolution(shape, channels, context.rng.chance(0.5) ? 5 : 3, 2));
  front.push_back(random_activation(context.rng));
  if (context.rng.chance(0.5)) {
    front.push_back(make_layer(shape.size() == 3 ? "MaxPool2d" : "MaxPool1d", {"2"}));
  } else if (context.rng.chance(0.5)) {
    front.push_back(make_convolution(shape, 2 * channels, 3, 2));
    front.push_back(random_activation(context.rng));
  }
  if (!has_picture) front.push_back(make_layer("Flatten"));
  layers.insert(layers.begin(), front.begin(), front.end());
  return finish(context, std::move(*list),
                "look at the input by convolutions with " + std::to_string(channels) + " channels");
}

std::optional<Mutation> change_convolution(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const auto places =
      positions(list->layers, [&](std::size_t i) { return is_convolution(list->layers[i]); });
  if (places.empty()) return std::nullopt;
  const std::size_t at = context.rng.pick(places);
  Layer& layer = list->layers[at];
  if (context.rng.chance(0.5)) {
    static const std::vector<std::string> kKernels = {"3", "5", "7"};
    const std::string kernel = context.rng.pick(kKernels);
    if (layer.arguments.size() < 3 || layer.arguments[2] == kernel) return std::nullopt;
    layer.set_argument(2, kernel);
    layer.set_option("padding", std::to_string(std::atoll(kernel.c_str()) / 2));
    return finish(context, std::move(*list), "use a kernel of " + kernel);
  }
  const std::string* stride = layer.option("stride");
  const bool was_one = stride == nullptr || *stride == "1";
  layer.set_option("stride", was_one ? "2" : "1");
  // Pooling instead of a stride, and the other way round.
  if (!was_one && context.rng.chance(0.5)) {
    insert_at(list->layers, at + 1,
              make_layer(layer.name == "Conv2d" ? "MaxPool2d" : "MaxPool1d", {"2"}));
  }
  return finish(context, std::move(*list),
                was_one ? "stride over the picture by 2" : "look at every place of the picture");
}

std::optional<Mutation> change_pooling(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const auto shapes = shapes_of(*list);
  const auto pools =
      positions(list->layers, [&](std::size_t i) { return is_pooling(list->layers[i]); });
  if (!pools.empty() && context.rng.chance(0.5)) {
    Layer& pool = list->layers[context.rng.pick(pools)];
    const bool was_mean = pool.name.starts_with("Avg");
    if (!was_mean && !pool.name.starts_with("Max")) return std::nullopt;
    pool = make_layer((was_mean ? "Max" : "Avg") + pool.name.substr(3), {"2"});
    return finish(context, std::move(*list), "pool with " + pool.name);
  }
  const auto places = positions(list->layers, [&](std::size_t i) {
    return shapes[i + 1].size() > 1 && is_activation(list->layers[i]);
  });
  if (places.empty()) return std::nullopt;
  const std::size_t at = context.rng.pick(places);
  const std::string rank = shapes[at + 1].size() == 3 ? "2d" : "1d";
  const std::string name = (context.rng.chance(0.7) ? "MaxPool" : "AvgPool") + rank;
  insert_at(list->layers, at + 1, make_layer(name, {"2"}));
  return finish(context, std::move(*list), "pool with " + name);
}

std::optional<Mutation> rebuild_network(const Context& context) {
  auto list = draw_list(context);
  if (!list) return std::nullopt;
  const std::size_t head = head_of(list->layers);
  if (head >= list->layers.size() || list->layers[head].name != "Linear") return std::nullopt;
  std::string note = "build a new network:";
  Layers layers = random_network(list->input, context.code.is_python(), context.rng, note);
  layers.insert(layers.end(), list->layers.begin() + static_cast<std::ptrdiff_t>(head),
                list->layers.end());
  list->layers = std::move(layers);
  return finish(context, std::move(*list), std::move(note));
}

}  // namespace cambrian::codemodel
