// Networks written as members and a forward function: widths that several layers share, activations
// that are called, new members, and the leap to a list of layers that the other operators know.
#include <algorithm>
#include <array>
#include <map>

#include "codegen-client/model_server/mutation/layer.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "codegen-client/model_server/mutation/network_builder.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

constexpr double kMultiplicationsMax = 1.5e6;

/// Arguments of layers that hold sizes, outside of lists of layers.
struct SizeUse {
  std::size_t token = 0;
  double value = 0;
  bool is_output = false;
  bool is_linear = false;  ///< Of a Linear: a width, not a number of channels.
};

/// In the order of the layers; `is_hidden` leaves out what the task gives the first and takes from
/// the last one.
std::vector<SizeUse> find_sizes(const Code& code, bool is_hidden) {
  std::vector<SizeUse> uses;
  const auto add = [&](const Call& call, std::size_t argument_index, bool is_output) {
    const TokenRange argument = call.arguments[argument_index];
    const bool is_literal = argument.begin + 1 == argument.end && code.is_number(argument.begin);
    const auto literal = is_literal ? parse_literal(code.at(argument.begin)) : std::nullopt;
    if (!literal || literal->is_real) return;
    uses.push_back({.token = argument.begin,
                    .value = literal->value,
                    .is_output = is_output,
                    .is_linear = code.at(call.name).starts_with("Linear")});
  };
  auto layers =
      code.calls({"Linear", "LinearOptions", "Conv1d", "Conv1dOptions", "Conv2d", "Conv2dOptions"});
  std::erase_if(layers, [](const Call& call) { return call.arguments.size() < 2; });
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!is_hidden || i > 0) add(layers[i], 0, false);
    if (!is_hidden || i + 1 < layers.size()) add(layers[i], 1, true);
  }
  for (const Call& call : code.calls({"BatchNorm1d", "BatchNorm2d"})) {
    if (!call.arguments.empty()) add(call, 0, false);
  }
  return uses;
}

/// A class that is a module and has a forward function with one input.
struct ModuleSite {
  TokenRange head;        ///< From `struct` to the opening brace, or the Python class line.
  std::size_t begin = 0;  ///< First byte of its inside.
  std::size_t end = 0;    ///< Byte behind its inside.
  const Function* forward = nullptr;
  std::string name;
  std::string prefix;  ///< `nn::`, `torch::nn::` or `nn.`.
  std::string input;   ///< Name of forward's parameter.
};

std::optional<ModuleSite> find_module(const Code& code) {
  for (const Function& function : code.functions()) {
    if (!code.is(function.name, "forward") || function.owner.empty()) continue;
    if (function.owner == "ResidualImpl" || function.owner == "Residual" || code.is_python()) {
      continue;
    }
    const auto parameters = code.split(function.open, function.close);
    const std::size_t brace = code.token(function.name).parent;
    if (parameters.size() != 1 || brace == kNone || !code.is_block(brace)) continue;
    ModuleSite site;
    site.forward = &function;
    site.name = function.owner;
    site.head = {code.statement(brace).begin, brace + 1};
    site.begin = code.token(brace).end;
    site.end = code.token(code.token(brace).partner).begin;
    site.input = std::string(code.at(parameters[0].end - 1));
    for (std::size_t i = site.head.begin; i < brace; ++i) {
      if (!code.is(i, "Module")) continue;
      std::size_t from = i;
      while (code.is(from - 1, "::")) from -= 2;
      site.prefix = from < i ? code.text_of({from, i}) : "";
    }
    if (!site.prefix.empty() && code.is_editable(site.begin, site.end)) return site;
  }
  return std::nullopt;
}

/// Sizes in the comment in front of forward: what comes in and what goes out.
bool read_comment(const Code& code, const ModuleSite& site, Shape& input, std::int64_t& outputs,
                  std::string& comment) {
  const std::size_t from = code.text().rfind("// inputs: [", site.forward->begin);
  if (from == std::string::npos || from < site.begin) return false;
  const std::size_t line_end = code.line_end(from);
  comment = code.text().substr(from, line_end - from);
  std::vector<Shape> shapes;
  for (std::size_t at = comment.find('['); at != std::string::npos;
       at = comment.find('[', at + 1)) {
    Shape shape;
    std::size_t position = comment.find(',', at);
    const std::size_t close = comment.find(']', at);
    while (position < close) {
      shape.push_back(std::atoll(comment.c_str() + position + 1));
      position = comment.find(',', position + 1);
    }
    shapes.push_back(std::move(shape));
  }
  const auto is_positive = [](const Shape& shape) {
    return !shape.empty() && std::all_of(shape.begin(), shape.end(), [](auto n) { return n > 0; });
  };
  if (shapes.size() < 2 || !is_positive(shapes[0]) || shapes[1].size() != 1 ||
      !is_positive(shapes[1])) {
    return false;
  }
  input = shapes[0];
  outputs = shapes[1][0];
  return true;
}

struct AppliedLayer {
  TokenRange statement;
  std::string variable;    ///< What it sets.
  std::string activation;  ///< `torch::relu`, the callee around the layer.
  double width = 0;
};

/// Statements of forward such as `auto hidden = torch::relu(first->forward(inputs));`.
std::vector<AppliedLayer> find_applied(const Code& code, const ModuleSite& site) {
  std::vector<AppliedLayer> found;
  const auto sizes = find_sizes(code, /*is_hidden=*/false);
  for (std::size_t i = site.forward->body.begin; i < site.forward->body.end; ++i) {
    if (!code.is(i, "forward") || i < 2) continue;
    const std::string_view layer = code.at(i - 2);
    AppliedLayer applied;
    applied.statement = code.statement(i);
    bool is_const = false;
    for (std::size_t k = applied.statement.begin; k < i; ++k) {
      is_const = is_const || code.is(k, "const");
      if (code.is(k, "=") && code.is_identifier(k - 1)) applied.variable = code.at(k - 1);
      const bool is_call = code.is(k, "(") && code.is_identifier(k - 1);
      if (is_call && code.is(k - 1, "relu")) applied.activation = "torch::relu";
    }
    // The width is what the layer of this name was made with.
    for (const SizeUse& use : sizes) {
      const TokenRange maker = code.statement(use.token);
      const bool is_width = use.is_output && use.is_linear;
      if (is_width && code.is(maker.begin, layer)) applied.width = use.value;
    }
    if (!applied.variable.empty() && !is_const && applied.width > 0)
      found.push_back(std::move(applied));
  }
  return found;
}

}  // namespace

std::optional<Mutation> change_shared_width(const Context& context) {
  const auto lists = find_layer_lists(context.code);
  if (!lists.empty()) return std::nullopt;
  // A width that goes out of one layer and into another.
  std::map<double, int> roles;
  const auto sizes = find_sizes(context.code, /*is_hidden=*/true);
  for (const SizeUse& use : sizes) roles[use.value] |= use.is_output ? 1 : 2;
  std::vector<double> shared;
  for (const auto& [value, role] : roles) {
    if (role == 3) shared.push_back(value);
  }
  if (shared.empty()) return std::nullopt;
  const double before = context.rng.pick(shared);
  static constexpr std::array<double, 6> kFactors = {0.5, 0.75, 1.5, 2, 2, 3};
  const std::int64_t after = rounded_width(before * kFactors[context.rng.below(kFactors.size())]);
  Mutation mutation{.edits = {},
                    .note = "make the hidden layers " + std::to_string(after) +
                            " wide instead of " +
                            std::to_string(static_cast<std::int64_t>(before))};
  for (const SizeUse& use : sizes) {
    if (use.value != before) continue;
    mutation.edits.push_back(
        replace(context.code, {use.token, use.token + 1}, std::to_string(after)));
  }
  return mutation;
}

std::optional<Mutation> swap_called_activation(const Context& context) {
  const Code& code = context.code;
  static const std::vector<std::string_view> kCpp = {"relu", "gelu", "silu", "tanh", "selu"};
  static const std::vector<std::string_view> kPython = {"relu", "tanh", "selu"};
  const auto& names = code.is_python() ? kPython : kCpp;
  auto calls = code.calls(names);
  std::erase_if(calls, [&](const Call& call) { return call.begin == call.name; });
  if (calls.empty()) return std::nullopt;
  const std::string after(context.rng.pick(names));
  const bool changes_all = context.rng.chance(0.6);
  const std::size_t only = context.rng.below(calls.size());
  Mutation mutation{.edits = {}, .note = "bend with " + after};
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const bool is_same = code.is(calls[i].name, after);
    if (is_same || (!changes_all && i != only)) continue;
    mutation.edits.push_back(replace(code, {calls[i].name, calls[i].name + 1}, after));
  }
  if (mutation.edits.empty()) return std::nullopt;
  return mutation;
}

std::optional<Mutation> insert_member(const Context& context) {
  const Code& code = context.code;
  const auto site = find_module(code);
  if (!site || site->input.empty()) return std::nullopt;
  const auto applied = find_applied(code, *site);
  if (applied.empty()) return std::nullopt;
  const AppliedLayer& place = context.rng.pick(applied);
  const std::string width = std::to_string(static_cast<std::int64_t>(place.width));
  std::string name;
  for (int i = 1; name.empty() || code.contains(name); ++i) name = "extra" + std::to_string(i);
  const bool is_norm = context.rng.chance(0.3);
  const std::string type = site->prefix + (is_norm ? "BatchNorm1d" : "Linear");
  const std::string sizes = is_norm ? width : width + ", " + width;
  const std::string member = "  " + type + " " + name + "{register_module(\"" + name + "\", " +
                             type + "(" + sizes + "))};\n";
  const std::string& value = place.variable;
  std::string line = value + " = ";
  if (is_norm) {
    line += name + "->forward(" + value + ");";
  } else if (context.rng.chance(0.5)) {
    line += value + " + torch::relu(" + name + "->forward(" + value + "));";
  } else {
    line += "torch::relu(" + name + "->forward(" + value + "));";
  }
  const std::size_t at = code.line_begin(site->end);
  return Mutation{.edits = {insert_after(code, place.statement, line), {at, at, member}},
                  .note = is_norm ? "normalise " + value : "insert a layer of width " + width};
}

std::optional<Mutation> add_called_dropout(const Context& context) {
  const Code& code = context.code;
  const auto site = find_module(code);
  if (!site || code.contains("dropout")) return std::nullopt;
  const auto applied = find_applied(code, *site);
  if (applied.empty()) return std::nullopt;
  const AppliedLayer& place = context.rng.pick(applied);
  static const std::vector<std::string> kShares = {"0.05", "0.1", "0.2"};
  const std::string share = context.rng.pick(kShares);
  return Mutation{.edits = {insert_after(code, place.statement,
                                         place.variable + " = torch::dropout(" + place.variable +
                                             ", " + share + ", is_training());")},
                  .note = "add dropout of " + share};
}

std::optional<Mutation> rebuild_class(const Context& context) {
  const Code& code = context.code;
  if (!find_layer_lists(code).empty()) return std::nullopt;
  const auto site = find_module(code);
  Shape input;
  std::int64_t outputs = 0;
  std::string comment;
  if (!site || !read_comment(code, *site, input, outputs, comment)) return std::nullopt;
  std::string note = "write the network as a list of layers:";
  LayerList list{.open = site->head.begin,
                 .close = site->head.begin,
                 .prefix = site->prefix,
                 .input = input,
                 .layers = random_network(input, false, context.rng, note)};
  list.layers.push_back(make_linear(outputs));
  const auto cost = mend_shapes(list.layers, input);
  if (!cost || cost->multiplications > kMultiplicationsMax) return std::nullopt;
  const std::string text = "\n  " + site->prefix + "Sequential layers{nullptr};\n\n  " +
                           site->name + "() {\n    layers = register_module(\"layers\", " +
                           site->prefix + "Sequential(" + print_layers(list, code) +
                           "));\n  }\n\n  " + comment + "  torch::Tensor forward(torch::Tensor " +
                           site->input + ") { return layers->forward(" + site->input + "); }\n";
  return Mutation{.edits = {{site->begin, site->end, text}}, .note = std::move(note)};
}

}  // namespace cambrian::codemodel
