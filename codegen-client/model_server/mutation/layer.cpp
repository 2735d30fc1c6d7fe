#include "codegen-client/model_server/mutation/layer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {
namespace {

constexpr std::array<std::string_view, 11> kActivations = {"ReLU",     "GELU",      "SiLU", "Tanh",
                                                           "ELU",      "LeakyReLU", "SELU", "Mish",
                                                           "Softplus", "ReLU6",     "CELU"};
constexpr int kNestingMax = 3;
constexpr std::int64_t kSizeMax = 1 << 20;
/// No network has as many numbers for one example.
constexpr std::int64_t kElementsMax = std::int64_t{1} << 32;

bool is_one_of(std::string_view word, auto... names) { return ((word == names) || ...); }

std::optional<std::int64_t> whole(std::string_view text) {
  const auto literal = parse_literal(text);
  const bool fits = literal && !literal->is_real && literal->value >= 0 &&
                    literal->value < static_cast<double>(kSizeMax);
  return fits ? std::optional(static_cast<std::int64_t>(literal->value)) : std::nullopt;
}

std::optional<std::int64_t> whole_argument(const Layer& layer, std::size_t index) {
  return index < layer.arguments.size() ? whole(layer.arguments[index]) : std::nullopt;
}

/// An option of convolutions and pools, or its default; nothing when it is not a plain number.
std::optional<std::int64_t> whole_option(const Layer& layer, std::string_view key,
                                         std::size_t position, std::int64_t otherwise) {
  if (const std::string* text = layer.option(key)) return whole(*text);
  if (position < layer.arguments.size()) return whole(layer.arguments[position]);
  return otherwise;
}

/// Elements of a shape, at most kElementsMax: sizes come from a prompt.
std::int64_t product(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size != 0 && elements > kElementsMax / size) return kElementsMax;
    elements *= size;
  }
  return elements;
}

std::size_t rank_of(const Layer& layer) { return layer.name.ends_with("2d") ? 3 : 2; }

/// Walks one shape through layers.
class Walker {
 public:
  explicit Walker(Shape shape) : shape_(std::move(shape)) {}

  bool walk(std::vector<Layer>& layers, int depth) {
    return is_usable() && std::all_of(layers.begin(), layers.end(), [&](Layer& layer) {
             return step(layer, depth) && is_usable();
           });
  }

  Shape shape() const { return shape_; }
  double multiplications() const { return multiplications_; }

 private:
  bool is_usable() const { return !shape_.empty() && product(shape_) < kElementsMax; }

  bool step(Layer& layer, int depth) {
    if (is_activation(layer) || is_dropout(layer) || layer.name == "Identity") return true;
    if (layer.name == "Flatten") {
      shape_ = {product(shape_)};
      return layer.arguments.empty();
    }
    if (layer.name == "Unflatten") return unflatten(layer);
    if (layer.name == "Linear") return linear(layer);
    if (is_convolution(layer)) return convolve(layer);
    if (is_pooling(layer)) return pool(layer);
    if (is_normalisation(layer)) return normalise(layer);
    return layer.name == "Residual" && add_residual(layer, depth);
  }

  bool mend(Layer& layer, std::size_t index, std::int64_t wanted) {
    if (layer.arguments.size() <= index) return false;
    if (whole(layer.arguments[index]) != wanted) {
      layer.set_argument(index, std::to_string(wanted));
    }
    return true;
  }

  bool linear(Layer& layer) {
    const auto outputs = whole_argument(layer, 1);
    if (!outputs || *outputs < 1 || shape_.size() != 1) return false;
    if (!mend(layer, 0, shape_.back())) return false;
    multiplications_ += static_cast<double>(shape_.back()) * static_cast<double>(*outputs);
    shape_.back() = *outputs;
    return true;
  }

  bool convolve(Layer& layer) {
    const auto channels = whole_argument(layer, 1);
    const auto kernel = whole_option(layer, "kernel_size", 2, 0);
    const auto stride = whole_option(layer, "stride", 3, 1);
    const auto padding = whole_option(layer, "padding", 4, 0);
    if (shape_.size() != rank_of(layer) || !channels || *channels < 1 || !kernel || *kernel < 1 ||
        !stride || *stride < 1 || !padding || layer.option("groups") != nullptr ||
        layer.option("dilation") != nullptr) {
      return false;
    }
    const std::int64_t inputs = shape_[0];
    if (!mend(layer, 0, inputs) || !shrink(*kernel, *stride, *padding)) return false;
    shape_[0] = *channels;
    const double taps =
        std::pow(static_cast<double>(*kernel), static_cast<double>(shape_.size() - 1));
    multiplications_ += taps * static_cast<double>(inputs) * static_cast<double>(product(shape_));
    return true;
  }

  /// Sizes behind a sliding window.
  bool shrink(std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    for (std::size_t i = 1; i < shape_.size(); ++i) {
      const std::int64_t room = shape_[i] + 2 * padding - kernel;
      if (room < 0) return false;
      shape_[i] = room / stride + 1;
    }
    return true;
  }

  bool pool(const Layer& layer) {
    if (shape_.size() != rank_of(layer)) return false;
    if (layer.name.starts_with("Adaptive")) {
      const auto size = whole_argument(layer, 0);
      if (!size || *size < 1) return false;
      for (std::size_t i = 1; i < shape_.size(); ++i) shape_[i] = *size;
      return true;
    }
    const auto kernel = whole_option(layer, "kernel_size", 0, 0);
    if (!kernel || *kernel < 1) return false;
    const auto stride = whole_option(layer, "stride", 1, *kernel);
    const auto padding = whole_option(layer, "padding", 2, 0);
    return stride && *stride > 0 && padding && shrink(*kernel, *stride, *padding);
  }

  bool normalise(Layer& layer) {
    if (layer.name == "LayerNorm") {
      if (shape_.size() != 1 || layer.arguments.empty()) return false;
      const std::string& size = layer.arguments[0];
      const std::string wanted = std::to_string(shape_.back());
      const auto first = size.find_first_of("0123456789");
      if (first == std::string::npos) return false;
      const auto last = size.find_last_of("0123456789");
      if (size.substr(first, last - first + 1) != wanted) {
        layer.set_argument(0, size.substr(0, first) + wanted + size.substr(last + 1));
      }
      return true;
    }
    // What was flat may have become a picture, and the other way round.
    const std::string name = shape_.size() == 3 ? "BatchNorm2d" : "BatchNorm1d";
    if (layer.name != name) {
      layer.name = name;
      layer.text.clear();
    }
    return mend(layer, 0, shape_[0]);
  }

  bool unflatten(const Layer& layer) {
    if (layer.arguments.size() != 2 || whole(layer.arguments[0]) != 1) return false;
    Shape shape;
    std::int64_t size = 0;
    bool in_number = false;
    for (const char c : layer.arguments[1]) {
      const bool is_digit = c >= '0' && c <= '9';
      if (is_digit) size = std::min(size * 10 + (c - '0'), kSizeMax);
      if (!is_digit && in_number) shape.push_back(std::exchange(size, 0));
      in_number = is_digit;
    }
    if (product(shape) != product(shape_) || shape.empty()) return false;
    shape_ = std::move(shape);
    return true;
  }

  /// What is added must have the shape of what it is added to.
  bool add_residual(Layer& layer, int depth) {
    if (depth >= kNestingMax || layer.inner.empty()) return false;
    const Shape outside = shape_;
    for (std::size_t i = layer.inner.size(); i-- > 0;) {
      Layer& last = layer.inner[i];
      if (!is_sized(last)) continue;
      const auto outputs = whole_argument(last, 1);
      if (outputs != outside[0]) {
        last.set_argument(1, std::to_string(outside[0]));
        layer.text.clear();
      }
      break;
    }
    if (!walk(layer.inner, depth + 1) || shape_ != outside) return false;
    const bool is_changed = std::any_of(layer.inner.begin(), layer.inner.end(),
                                        [](const Layer& inner) { return inner.text.empty(); });
    if (is_changed) layer.text.clear();
    return true;
  }

  Shape shape_;
  double multiplications_ = 0;
};

/// Reads layers from the arguments of a Sequential.
class Reader {
 public:
  explicit Reader(const Code& code) : code_(code) {}

  std::optional<std::vector<Layer>> read(std::size_t open, std::size_t close, int depth) const {
    std::vector<Layer> layers;
    for (const TokenRange part : code_.split(open, close)) {
      auto layer = read_layer(part, depth);
      if (!layer) return std::nullopt;
      layers.push_back(std::move(*layer));
    }
    if (layers.empty()) return std::nullopt;
    return layers;
  }

 private:
  std::optional<Layer> read_layer(TokenRange part, int depth) const {
    std::size_t name = part.begin;
    while (name + 2 < part.end && (code_.is(name + 1, "::") || code_.is(name + 1, "."))) name += 2;
    const auto call = code_.call_at(name);
    if (!call || call->begin != part.begin || call->close + 1 != part.end) return std::nullopt;
    Layer layer;
    layer.name = std::string(code_.at(name));
    layer.text = code_.text_of(part);
    if (layer.name == "Residual") return read_residual(*call, std::move(layer), depth);
    if (code_.is_python()) return read_python(*call, std::move(layer));
    return read_cpp(*call, std::move(layer));
  }

  std::optional<Layer> read_residual(const Call& call, Layer layer, int depth) const {
    if (call.arguments.size() != 1 || depth >= kNestingMax) return std::nullopt;
    std::size_t name = call.arguments[0].begin;
    while (code_.is(name + 1, "::") || code_.is(name + 1, ".")) name += 2;
    const auto inner = code_.call_at(name);
    if (!inner || !code_.is(name, "Sequential")) return std::nullopt;
    auto layers = read(inner->open, inner->close, depth + 1);
    if (!layers) return std::nullopt;
    layer.inner = std::move(*layers);
    return layer;
  }

  std::optional<Layer> read_python(const Call& call, Layer layer) const {
    // What C++ has as options may stand without a name: one place for each makes both alike.
    static constexpr std::array<std::string_view, 4> kBehindKernel = {"stride", "padding",
                                                                      "dilation", "groups"};
    constexpr std::size_t kKernel = 2;
    std::size_t next = 0;
    for (const TokenRange argument : call.arguments) {
      const bool is_named = argument.begin + 1 < argument.end && code_.is(argument.begin + 1, "=");
      if (is_named) {
        layer.options.emplace_back(code_.at(argument.begin),
                                   code_.text_of({argument.begin + 2, argument.end}));
      } else if (is_convolution(layer) && layer.arguments.size() > kKernel) {
        if (next == kBehindKernel.size()) return std::nullopt;
        layer.options.emplace_back(kBehindKernel[next++], code_.text_of(argument));
      } else {
        layer.arguments.push_back(code_.text_of(argument));
      }
    }
    return layer;
  }

  std::optional<Layer> read_cpp(const Call& call, Layer layer) const {
    if (call.arguments.size() == 1) {
      const TokenRange only = call.arguments[0];
      std::size_t name = only.begin;
      while (name + 2 < only.end && code_.is(name + 1, "::")) name += 2;
      if (code_.at(name).ends_with("Options")) return read_options(name, only, std::move(layer));
    }
    for (const TokenRange argument : call.arguments) {
      layer.arguments.push_back(code_.text_of(argument));
    }
    return layer;
  }

  /// `nn::Conv2dOptions(1, 12, 5).stride(2).padding(2)`.
  std::optional<Layer> read_options(std::size_t name, TokenRange range, Layer layer) const {
    const auto call = code_.call_at(name);
    if (!call) return std::nullopt;
    for (const TokenRange argument : call->arguments) {
      layer.arguments.push_back(code_.text_of(argument));
    }
    std::size_t position = call->close + 1;
    while (position < range.end) {
      const bool is_option = code_.is(position, ".") && code_.is_identifier(position + 1) &&
                             code_.is(position + 2, "(");
      const std::size_t close = is_option ? code_.token(position + 2).partner : kNone;
      if (close == kNone || close >= range.end) return std::nullopt;
      layer.options.emplace_back(code_.at(position + 1), code_.text_of({position + 3, close}));
      position = close + 1;
    }
    return layer;
  }

  const Code& code_;
};

/// Every list in evolvable text that holds nothing but layers; `input` is still empty.
std::vector<LayerList> read_lists(const Code& code) {
  std::vector<LayerList> lists;
  for (const Call& call : code.calls({"Sequential"})) {
    const bool is_inner = std::any_of(lists.begin(), lists.end(), [&](const LayerList& list) {
      return list.open < call.open && call.close < list.close;
    });
    if (is_inner) continue;
    LayerList list{.open = call.open, .close = call.close, .prefix = {}, .input = {}, .layers = {}};
    if (call.begin < call.name) list.prefix = code.text_of({call.begin, call.name});
    auto layers = Reader(code).read(call.open, call.close, 0);
    if (!layers) continue;
    list.layers = std::move(*layers);
    lists.push_back(std::move(list));
  }
  return lists;
}

/// Sizes named in a comment such as `inputs: [batch, 1, 28, 28]`.
std::optional<Shape> shape_in_comment(const std::string& text) {
  const auto place = text.find("inputs: [");
  if (place == std::string::npos) return std::nullopt;
  const auto close = text.find(']', place);
  auto position = text.find(',', place);
  Shape shape;
  while (position < close && close != std::string::npos) {
    const auto next = std::min(text.find(',', position + 1), close);
    std::string_view number(text.data() + position + 1, next - position - 1);
    while (number.starts_with(' ')) number.remove_prefix(1);
    const auto size = whole(number);
    if (!size || *size < 1) return std::nullopt;
    shape.push_back(*size);
    position = next;
  }
  return shape.empty() ? std::nullopt : std::optional(shape);
}

/// What the first layer that names its input says.
std::optional<Shape> shape_of_first(const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) {
    const auto inputs = whole_argument(layer, 0);
    if (layer.name == "Linear" && inputs) {
      const auto side = std::llround(std::sqrt(static_cast<double>(*inputs)));
      const bool is_picture = layers.front().name == "Flatten" && side * side == *inputs;
      return is_picture ? Shape{1, side, side} : Shape{*inputs};
    }
    if (is_sized(layer) || is_pooling(layer)) return std::nullopt;
  }
  return std::nullopt;
}

/// Shapes that the input may have, the likeliest first.
std::vector<Shape> possible_shapes(const Code& code, const std::vector<Layer>& layers) {
  std::vector<Shape> shapes;
  if (auto shape = shape_in_comment(code.text())) {
    Shape with_channel = *shape;
    with_channel.insert(with_channel.begin(), 1);
    shapes.push_back(std::move(*shape));
    if (code.contains("unsqueeze")) shapes.push_back(std::move(with_channel));
  }
  if (auto shape = shape_of_first(layers)) shapes.push_back(std::move(*shape));
  return shapes;
}

/// The shape that makes every size in the list come out as it is written.
std::optional<Shape> fitting_shape(const Code& code, const std::vector<Layer>& layers) {
  for (const Shape& shape : possible_shapes(code, layers)) {
    std::vector<Layer> copy = layers;
    if (!mend_shapes(copy, shape)) continue;
    const bool is_untouched = std::none_of(copy.begin(), copy.end(),
                                           [](const Layer& layer) { return layer.text.empty(); });
    if (is_untouched) return shape;
  }
  return std::nullopt;
}

void print_layer(const Layer& layer, const std::string& prefix, bool is_python,
                 const std::string& indentation, std::string& out);

void print_lines(const std::vector<Layer>& layers, const std::string& prefix, bool is_python,
                 const std::string& indentation, std::string& out) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    out += '\n' + indentation;
    print_layer(layers[i], prefix, is_python, indentation, out);
    if (i + 1 < layers.size()) out += ',';
  }
}

void print_layer(const Layer& layer, const std::string& prefix, bool is_python,
                 const std::string& indentation, std::string& out) {
  if (!layer.text.empty()) {
    out += layer.text;
    return;
  }
  if (layer.name == "Residual") {
    out += "Residual(" + prefix + "Sequential(";
    print_lines(layer.inner, prefix, is_python, indentation + "    ", out);
    out += "))";
    return;
  }
  std::string arguments;
  for (const std::string& argument : layer.arguments) {
    arguments += (arguments.empty() ? "" : ", ") + argument;
  }
  if (is_python) {
    for (const auto& [key, value] : layer.options) {
      arguments += (arguments.empty() ? "" : ", ") + key + "=" + value;
    }
    out += prefix + layer.name + "(" + arguments + ")";
    return;
  }
  const bool needs_options =
      !layer.options.empty() || layer.name == "LayerNorm" || layer.name == "Unflatten";
  out += prefix + layer.name + "(";
  if (needs_options) out += prefix + layer.name + "Options(";
  out += arguments;
  if (needs_options) out += ")";
  for (const auto& [key, value] : layer.options) out += "." + key + "(" + value + ")";
  out += ")";
}

}  // namespace

const std::string* Layer::option(std::string_view key) const {
  for (const auto& [name_of, value] : options) {
    if (name_of == key) return &value;
  }
  return nullptr;
}

void Layer::set_option(const std::string& key, std::string value) {
  text.clear();
  for (auto& [name_of, old] : options) {
    if (name_of == key) {
      old = std::move(value);
      return;
    }
  }
  options.emplace_back(key, std::move(value));
}

void Layer::set_argument(std::size_t index, std::string value) {
  text.clear();
  if (index < arguments.size()) arguments[index] = std::move(value);
}

bool is_convolution(const Layer& layer) { return is_one_of(layer.name, "Conv1d", "Conv2d"); }
bool is_sized(const Layer& layer) { return layer.name == "Linear" || is_convolution(layer); }
bool is_activation(const Layer& layer) {
  return std::find(kActivations.begin(), kActivations.end(), layer.name) != kActivations.end();
}
bool is_normalisation(const Layer& layer) {
  return is_one_of(layer.name, "BatchNorm1d", "BatchNorm2d", "LayerNorm");
}
bool is_pooling(const Layer& layer) {
  return is_one_of(layer.name, "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d",
                   "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d",
                   "AdaptiveMaxPool2d");
}
bool is_dropout(const Layer& layer) {
  return is_one_of(layer.name, "Dropout", "Dropout1d", "Dropout2d", "AlphaDropout");
}

Layer make_layer(std::string name, std::vector<std::string> arguments) {
  Layer layer;
  layer.name = std::move(name);
  layer.arguments = std::move(arguments);
  return layer;
}

Layer make_linear(std::int64_t outputs) {
  return make_layer("Linear", {"1", std::to_string(outputs)});
}

Layer make_convolution(const Shape& shape, std::int64_t channels, std::int64_t kernel,
                       std::int64_t stride) {
  Layer layer = make_layer(shape.size() == 3 ? "Conv2d" : "Conv1d",
                           {"1", std::to_string(channels), std::to_string(kernel)});
  if (stride > 1) layer.set_option("stride", std::to_string(stride));
  if (kernel > 1) layer.set_option("padding", std::to_string(kernel / 2));
  return layer;
}

std::optional<LayerCost> mend_shapes(std::vector<Layer>& layers, Shape input) {
  Walker walker(std::move(input));
  if (!walker.walk(layers, 0)) return std::nullopt;
  return LayerCost{walker.shape(), walker.multiplications()};
}

std::vector<LayerList> find_layer_lists(const Code& code) {
  std::vector<LayerList> lists = read_lists(code);
  std::erase_if(lists, [&](LayerList& list) {
    const auto shape = fitting_shape(code, list.layers);
    if (shape) list.input = *shape;
    return !shape;
  });
  return lists;
}

std::vector<Edit> mend_layer_lists(const Code& code) {
  std::vector<Edit> edits;
  for (LayerList& list : read_lists(code)) {
    if (fitting_shape(code, list.layers)) continue;
    for (const Shape& shape : possible_shapes(code, list.layers)) {
      LayerList mended = list;
      if (!mend_shapes(mended.layers, shape)) continue;
      edits.push_back(
          {code.token(list.open).end, code.token(list.close).begin, print_layers(mended, code)});
      break;
    }
  }
  return edits;
}

std::string print_layers(const LayerList& list, const Code& code) {
  const std::string base = code.indentation(code.token(list.open).begin);
  // Layers stand where the first one stands now, when it has a line of its own.
  const std::size_t first = code.token(list.open + 1).begin;
  const bool has_line = code.line_begin(first) > code.token(list.open).begin;
  const std::string indentation = has_line && code.is(list.open, "(") ? code.indentation(first)
                                  : code.is_python()                  ? base + "    "
                                                                      : base + "        ";
  std::string out;
  print_lines(list.layers, list.prefix, code.is_python(), indentation, out);
  if (code.is_python()) out += "\n" + base;
  return out;
}

}  // namespace cambrian::codemodel
