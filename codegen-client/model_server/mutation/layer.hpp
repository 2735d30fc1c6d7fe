#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codegen-client/model_server/mutation/code.hpp"

namespace cambrian::codemodel {

/// Sizes of one example behind a layer: [channels, height, width], [channels, length] or
/// [features].
using Shape = std::vector<std::int64_t>;

/// One layer of an `nn::Sequential`.
struct Layer {
  std::string name;                    ///< Linear, Conv2d, ReLU, Residual, ….
  std::vector<std::string> arguments;  ///< Positional ones, also those of the options in C++.
  std::vector<std::pair<std::string, std::string>> options;  ///< stride, padding, ….
  std::vector<Layer> inner;  ///< Of a Residual: the layers whose result is added.
  std::string text;          ///< As it stands in the program; empty once it was changed or made.

  /// The option or nullptr.
  const std::string* option(std::string_view key) const;
  void set_option(const std::string& key, std::string value);
  void set_argument(std::size_t index, std::string value);
};

/// The layers of a network as the program lists them.
struct LayerList {
  std::size_t open = 0;  ///< Brackets of nn::Sequential( … ).
  std::size_t close = 0;
  std::string prefix;  ///< `nn::`, `torch::nn::` or `nn.`.
  Shape input;         ///< Sizes of one example that goes in.
  std::vector<Layer> layers;
};

/// Every list of layers in evolvable text whose shapes are understood; the ones inside of other
/// lists belong to these.
std::vector<LayerList> find_layer_lists(const Code& code);

/// What a list needs and makes.
struct LayerCost {
  Shape output;
  double multiplications = 0;  ///< For one example.
};

/// Walks the shapes through the layers and mends the sizes that depend on the layer before:
/// inputs of Linear and Conv, sizes of normalisations, the last layer inside of a Residual.
/// Nothing when the layers do not fit: a convolution on flat data, a kernel that is too large, a
/// layer that is not known.
std::optional<LayerCost> mend_shapes(std::vector<Layer>& layers, Shape input);

/// Edits that make the sizes in lists of layers fit again, after parts of two programs were put
/// together. Lists that fit, and lists that cannot be mended, stay as they are.
std::vector<Edit> mend_layer_lists(const Code& code);

/// The text between the brackets of nn::Sequential, one layer a line.
std::string print_layers(const LayerList& list, const Code& code);

// What kind of layer it is.
bool is_sized(const Layer& layer);  ///< Linear, Conv1d, Conv2d.
bool is_convolution(const Layer& layer);
bool is_activation(const Layer& layer);
bool is_normalisation(const Layer& layer);
bool is_pooling(const Layer& layer);
bool is_dropout(const Layer& layer);

Layer make_layer(std::string name, std::vector<std::string> arguments = {});
Layer make_linear(std::int64_t outputs);
/// A convolution of the right rank for this shape; the padding keeps the size at stride 1.
Layer make_convolution(const Shape& shape, std::int64_t channels, std::int64_t kernel,
                       std::int64_t stride);

}  // namespace cambrian::codemodel
