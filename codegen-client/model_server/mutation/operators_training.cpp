// How a network is trained: optimiser, schedule, loss, data. Each operator knows the idiom in C++
// and in Python; the places are found by training_site.hpp.
#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/layer.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"
#include "codegen-client/model_server/mutation/training_site.hpp"

namespace cambrian::codemodel {
namespace {

struct Recipe {
  std::string_view type;
  double rate_low;
  double rate_high;
  std::string_view cpp;     ///< Chain behind the options.
  std::string_view python;  ///< Keywords behind the rate.
};
constexpr std::array<Recipe, 6> kRecipes = {{
    {"Adam", 5e-4, 6e-3, "", ""},
    {"AdamW", 5e-4, 6e-3, "", ""},
    {"AdamW", 8e-4, 8e-3, ".weight_decay(0.02)", ", weight_decay=0.02"},
    {"Adam", 8e-4, 8e-3, ".betas(std::make_tuple(0.9, 0.98))", ", betas=(0.9, 0.98)"},
    {"SGD", 0.02, 0.2, ".momentum(0.9).nesterov(true)", ", momentum=0.9, nesterov=True"},
    {"RMSprop", 5e-4, 4e-3, "", ""},
}};

std::string optimizer_prefix(const Code& code, const OptimizerSite& site) {
  return site.call.begin < site.call.name ? code.text_of({site.call.begin, site.call.name}) : "";
}

/// Edits that give the optimiser another rate: at the constant that it names, or in its options.
/// `rate_text` becomes what the options hold.
void set_rate(const Code& code, const OptimizerSite& site, double rate, std::string& rate_text,
              std::vector<Edit>& edits) {
  const auto constant = find_constant(code, site.rate);
  rate_text = constant ? site.rate : format_real(rate);
  if (constant) edits.push_back(replace(code, {*constant, *constant + 1}, format_real(rate)));
}

/// Edits that give a rate written as a number a name, so that schedule and optimiser share it.
std::string name_rate(const Code& code, const OptimizerSite& site, std::vector<Edit>& edits) {
  const std::string name = "learning_rate";
  if (!parse_literal(site.rate) || code.contains(name)) return site.rate;
  for (std::size_t i = site.settings.begin; i < site.settings.end; ++i) {
    if (!code.is(i, site.rate)) continue;
    edits.push_back(replace(code, {i, i + 1}, name));
    edits.push_back(insert_before(code, code.statement(site.call.name),
                                  code.is_python()
                                      ? name + " = " + site.rate
                                      : "const double " + name + " = " + site.rate + ";"));
    return name;
  }
  return site.rate;
}

/// `training.progress()` in the language of the program.
std::string progress_of(const LoopSite& loop) { return loop.training + ".progress()"; }

std::string schedule(const Code& code, const std::string& p, Rng& rng, std::string& name) {
  const std::string cosine = code.is_python() ? "math.cos" : "std::cos";
  const std::string exponential = code.is_python() ? "math.exp" : "std::exp";
  const std::string smaller = code.is_python() ? "min" : "std::min";
  const bool may_use_math = !code.is_python() || code.contains("math");
  switch (rng.below(6)) {
    case 0:
      if (!may_use_math) break;
      name = "cosine";
      return "0.5 * (1.0 + " + cosine + "(3.14159265 * " + p + "))";
    case 1: name = "one-cycle"; return smaller + "(" + p + " / 0.2, (1.0 - " + p + ") / 0.8)";
    case 2:
      name = "stepwise";
      return code.is_python() ? "(1.0 if " + p + " < 0.6 else 0.25 if " + p + " < 0.85 else 0.05)"
                              : "(" + p + " < 0.6 ? 1.0 : " + p + " < 0.85 ? 0.25 : 0.05)";
    case 3:
      if (!may_use_math) break;
      name = "exponential";
      return exponential + "(-4.0 * " + p + ")";
    case 4: name = "late linear"; return smaller + "(1.0, 2.0 * (1.0 - " + p + "))";
    default: break;
  }
  name = "linear";
  return "(1.0 - " + p + ")";
}

bool has_token(const Code& code, TokenRange range, std::initializer_list<std::string_view> words) {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    if (std::find(words.begin(), words.end(), code.at(i)) != words.end()) return true;
  }
  return false;
}

/// The statement in a loop that draws `inputs`, so that these may be changed behind it.
std::optional<TokenRange> find_batch(const Code& code, const LoopSite& loop) {
  for (std::size_t i = loop.head.end; i < loop.step.begin; ++i) {
    if (!code.is(i, "inputs")) continue;
    const TokenRange statement = code.statement(i);
    bool is_assigned = true;
    for (std::size_t k = statement.begin; k < i; ++k) is_assigned &= !code.is(k, "=");
    if (has_token(code, {statement.begin, i}, {"const"})) continue;
    for (std::size_t k = i; is_assigned && k < statement.end; ++k) {
      if (code.is(k, "=")) return statement;
    }
  }
  return std::nullopt;
}

struct Place {
  OptimizerSite optimizer;
  LoopSite loop;
};

std::optional<Place> find_place(const Context& context) {
  auto optimizer = find_optimizer(context.code);
  if (!optimizer) return std::nullopt;
  auto loop = find_loop(context.code, *optimizer);
  if (!loop) return std::nullopt;
  return Place{std::move(*optimizer), std::move(*loop)};
}

bool has_text(const Code& code, std::string_view text) {
  return code.text().find(text) != std::string::npos;
}

/// What is kept in a variable of the function is not saved with a training that is interrupted: it
/// begins anew then, where the program does not say otherwise.
void drop_resumable(const Code& code, std::vector<Edit>& edits) {
  for (const Call& call : code.calls({"make_resumable"})) {
    const TokenRange statement = code.statement(call.name);
    edits.push_back({code.line_begin(code.token(statement.begin).begin),
                     code.line_end(code.token(statement.end - 1).end), ""});
  }
}

}  // namespace

std::optional<Mutation> swap_optimizer(const Context& context) {
  const auto site = find_optimizer(context.code);
  if (!site) return std::nullopt;
  const Recipe& recipe = kRecipes[context.rng.below(kRecipes.size())];
  if (recipe.type == site->type && context.rng.chance(0.7)) return std::nullopt;
  const double rate =
      recipe.rate_low * std::pow(recipe.rate_high / recipe.rate_low, context.rng.uniform());
  Mutation mutation;
  std::string rate_text;
  set_rate(context.code, *site, rate, rate_text, mutation.edits);
  const std::string prefix = optimizer_prefix(context.code, *site);
  const std::string type(recipe.type);
  mutation.edits.push_back(replace(context.code, {site->call.name, site->call.name + 1}, type));
  mutation.edits.push_back(
      replace(context.code, site->settings,
              context.code.is_python()
                  ? "lr=" + rate_text + std::string(recipe.python)
                  : prefix + type + "Options(" + rate_text + ")" + std::string(recipe.cpp)));
  mutation.note = "train with " + type + " at a learning rate of " + format_real(rate) +
                  " instead of " + site->type;
  return mutation;
}

std::optional<Mutation> tune_optimizer(const Context& context) {
  const auto site = find_optimizer(context.code);
  if (!site || site->type == "Adagrad") return std::nullopt;
  struct Option {
    std::string_view type, cpp, python;
  };
  static constexpr std::array<Option, 7> kOptions = {{
      {"SGD", ".momentum(0.9)", "momentum=0.9"},
      {"SGD", ".momentum(0.95).nesterov(true)", "momentum=0.95, nesterov=True"},
      {"Adam", ".betas(std::make_tuple(0.9, 0.98))", "betas=(0.9, 0.98)"},
      {"AdamW", ".betas(std::make_tuple(0.9, 0.98))", "betas=(0.9, 0.98)"},
      {"AdamW", ".weight_decay(0.05)", "weight_decay=0.05"},
      {"SGD", ".weight_decay(5e-4)", "weight_decay=5e-4"},
      {"RMSprop", ".momentum(0.9)", "momentum=0.9"},
  }};
  const Option& option = kOptions[context.rng.below(kOptions.size())];
  const std::string_view word = option.python.substr(0, option.python.find('='));
  const std::string settings = context.code.text_of(site->settings);
  if (option.type != site->type || settings.find(word) != std::string::npos) return std::nullopt;
  Mutation mutation;
  if (context.code.is_python()) {
    mutation.edits = {
        replace(context.code, site->settings, settings + ", " + std::string(option.python))};
  } else {
    const std::string options = optimizer_prefix(context.code, *site) + site->type + "Options(";
    mutation.edits = {replace(context.code, site->settings,
                              options + site->rate + ")" + site->extra + std::string(option.cpp))};
  }
  mutation.note = "give " + site->type + " " + std::string(option.python);
  return mutation;
}

std::optional<Mutation> add_schedule(const Context& context) {
  const Code& code = context.code;
  const auto place = find_place(context);
  if (!place || place->loop.training.empty()) return std::nullopt;
  std::string name;
  const std::string factor = schedule(code, progress_of(place->loop), context.rng, name);
  Mutation mutation{.edits = {}, .note = "let the learning rate follow a " + name + " schedule"};
  const std::string rate = name_rate(code, place->optimizer, mutation.edits);
  for (std::size_t i = place->loop.head.begin; i < code.size(); ++i) {
    const bool is_cpp_setter = code.is(i, "set_lr") && code.is(i + 1, "(");
    const bool is_python_setter = code.is(i, "\"lr\"") && code.is(i + 2, "=");
    if (!is_cpp_setter && !is_python_setter) continue;
    const TokenRange old = is_cpp_setter ? TokenRange{i + 2, code.token(i + 1).partner}
                                         : TokenRange{i + 3, code.statement(i).end};
    if (old.empty() || !code.is_editable(old)) return std::nullopt;
    mutation.edits.push_back(replace(code, old, rate + " * " + factor));
    return mutation;
  }
  if (code.is_python()) {
    mutation.edits.push_back(insert_before(code, place->loop.step,
                                           "for group in " + place->optimizer.variable +
                                               ".param_groups:\n    group[\"lr\"] = " + rate +
                                               " * " + factor));
  } else {
    mutation.edits.push_back(
        insert_before(code, place->loop.step,
                      "for (auto& group : " + place->optimizer.variable + ".param_groups()) {\n" +
                          "  group.options().set_lr(" + rate + " * " + factor + ");\n}"));
  }
  // A rate that falls may begin higher.
  const auto constant = find_constant(code, rate);
  if (constant && context.rng.chance(0.4)) {
    if (const auto literal = parse_literal(code.at(*constant)); literal && literal->is_real) {
      mutation.edits.push_back(
          replace(code, {*constant, *constant + 1}, format_like(*literal, 2 * literal->value)));
    }
  }
  return mutation;
}

std::optional<Mutation> change_loss(const Context& context) {
  const Code& code = context.code;
  static const std::vector<std::string> kShares = {"0.03", "0.05", "0.1"};
  for (const Call& call : code.calls({"cross_entropy"})) {
    if (call.arguments.size() != 2) continue;
    const std::string share = context.rng.pick(kShares);
    const std::string prefix = code.text_of({call.begin, call.name});
    const std::string extra =
        code.is_python()
            ? ", label_smoothing=" + share
            : ", " + prefix + "CrossEntropyFuncOptions().label_smoothing(" + share + ")";
    const std::size_t at = code.token(call.close).begin;
    return Mutation{.edits = {{at, at, extra}}, .note = "smooth the labels by " + share};
  }
  for (const Call& call : code.calls({"mse_loss", "l1_loss", "smooth_l1_loss"})) {
    if (call.arguments.size() != 2) continue;
    static const std::vector<std::string> kLosses = {"mse_loss", "smooth_l1_loss", "l1_loss"};
    const std::string loss = context.rng.pick(kLosses);
    if (code.is(call.name, loss)) continue;
    return Mutation{.edits = {replace(code, {call.name, call.name + 1}, loss)},
                    .note = "minimise " + loss};
  }
  return std::nullopt;
}

std::optional<Mutation> augment_data(const Context& context) {
  const Code& code = context.code;
  const auto place = find_place(context);
  if (!place) return std::nullopt;
  const auto batch = find_batch(code, place->loop);
  if (!batch) return std::nullopt;
  const auto lists = find_layer_lists(code);
  const bool is_picture = !lists.empty() && lists[0].input.size() == 3;
  const bool is_signal = !lists.empty() && !is_picture && lists[0].input.back() >= 16;
  const bool is_cpp = !code.is_python();
  std::string line;
  std::string note;
  const std::uint64_t kind = context.rng.below(3);
  if (kind == 0 && is_picture) {
    note = "mirror half of the pictures";
    line = is_cpp ? "inputs = torch::where(torch::rand({inputs.size(0), 1, 1, 1}, "
                    "inputs.device()) < 0.5, inputs.flip({3}), inputs);"
                  : "inputs = torch.where(torch.rand(inputs.shape[0], 1, 1, 1, "
                    "device=inputs.device) < 0.5, inputs.flip(3), inputs)";
  } else if (kind == 1 && (is_picture || is_signal)) {
    note = "shift the inputs by up to one place";
    const std::string low =
        is_cpp ? "torch::randint(-1, 2, {1}).item<int64_t>()" : "int(torch.randint(-1, 2, (1,)))";
    const std::string roll = is_cpp ? "torch::roll" : "torch.roll";
    if (is_picture) {
      line = "inputs = " + roll + "(inputs, " + (is_cpp ? "{" : "(") + low + ", " + low +
             (is_cpp ? "}, {2, 3});" : "), (2, 3))");
    } else {
      line = "inputs = " + roll + "(inputs, " + low + ", -1)" + (is_cpp ? ";" : "");
    }
  } else {
    static const std::vector<std::string> kNoise = {"0.02", "0.05", "0.1"};
    const std::string size = context.rng.pick(kNoise);
    note = "add noise of " + size + " to the inputs";
    line = "inputs = inputs + " + size + " * torch" + (is_cpp ? "::" : ".") + "randn_like(inputs)" +
           (is_cpp ? ";" : "");
  }
  const std::string_view mark = std::string_view(line).substr(0, 24);
  if (has_text(code, mark)) return std::nullopt;
  return Mutation{.edits = {insert_after(code, *batch, line)}, .note = note};
}

std::optional<Mutation> normalise_inputs(const Context& context) {
  const Code& code = context.code;
  for (const Function& function : code.functions()) {
    if (!code.is(function.name, "forward") || function.body.empty()) continue;
    // The inputs of a residual block are no inputs of the network.
    if (function.owner == "ResidualImpl" || function.owner == "Residual") continue;
    const auto parameters = code.split(function.open, function.close);
    const std::size_t own = code.is_python() ? 1 : 0;
    if (parameters.size() <= own || !code.is_editable(function.body)) continue;
    // What is const cannot be set, and what is a reference belongs to the caller.
    if (has_token(code, parameters[own], {"const", "&"})) continue;
    const std::string name(code.is_python() ? code.at(parameters[own].begin)
                                            : code.at(parameters[own].end - 1));
    if (has_text(code, name + " = (" + name)) continue;
    struct Scale {
      std::string_view mean, deviation;
    };
    static constexpr std::array<Scale, 3> kScales = {
        {{"0.29", "0.35"}, {"0.5", "0.5"}, {"0.13", "0.31"}}};
    const Scale& scale = kScales[context.rng.below(kScales.size())];
    const std::string statement = name + " = (" + name + " - " + std::string(scale.mean) + ") / " +
                                  std::string(scale.deviation);
    Mutation mutation{.edits = {}, .note = "shift and scale the inputs to a mean near zero"};
    if (code.is_python()) {
      mutation.edits.push_back(insert_before(code, code.statement(function.body.begin), statement));
    } else {
      const std::size_t at = code.token(function.body.begin).begin;
      const std::size_t line = code.line_begin(at);
      const bool has_line = code.token(function.body.begin - 1).end <= line;
      mutation.edits.push_back(has_line ? Edit{line, line, code.indentation(at) + statement + ";\n"}
                                        : Edit{at, at, statement + "; "});
    }
    return mutation;
  }
  return std::nullopt;
}

std::optional<Mutation> initialise_weights(const Context& context) {
  const Code& code = context.code;
  const auto site = find_optimizer(code);
  if (!site || has_text(code, "init::") || has_text(code, "init.")) return std::nullopt;
  const bool is_orthogonal = context.rng.chance(0.3);
  const std::string function = is_orthogonal ? "orthogonal_" : "kaiming_normal_";
  const std::string lines =
      code.is_python()
          ? "for parameter in " + site->parameters +
                ":\n    if parameter.dim() > 1:\n        torch.nn.init." + function + "(parameter" +
                (is_orthogonal ? "" : ", nonlinearity=\"relu\"") + ")"
          : "for (auto& parameter : " + site->parameters +
                ") {\n  if (parameter.dim() > 1) torch::nn::init::" + function + "(parameter" +
                (is_orthogonal ? "" : ", 0.0, torch::kFanIn, torch::kReLU") + ");\n}";
  return Mutation{.edits = {insert_before(code, code.statement(site->call.name), lines)},
                  .note = "start from weights by " + function};
}

std::optional<Mutation> clip_gradients(const Context& context) {
  const Code& code = context.code;
  const auto place = find_place(context);
  if (!place || has_text(code, "clip_grad_norm_")) return std::nullopt;
  const std::string limit = context.rng.chance(0.5) ? "1.0" : "0.5";
  const std::string line = code.is_python() ? "torch.nn.utils.clip_grad_norm_(" +
                                                  place->optimizer.parameters + ", " + limit + ")"
                                            : "torch::nn::utils::clip_grad_norm_(" +
                                                  place->optimizer.parameters + ", " + limit + ");";
  return Mutation{.edits = {insert_after(code, place->loop.backward, line)},
                  .note = "clip the norm of the gradients at " + limit};
}

std::optional<Mutation> average_weights(const Context& context) {
  const Code& code = context.code;
  const auto place = find_place(context);
  if (!place || has_text(code, "averages")) return std::nullopt;
  const std::string& parameters = place->optimizer.parameters;
  const std::string share = context.rng.chance(0.5) ? "0.02" : "0.005";
  Mutation mutation{.edits = {}, .note = "keep a moving average of the weights"};
  const std::string indentation = code.indentation(code.token(place->loop.head.begin).begin);
  const auto indented = [&](const std::string& line) { return indentation + line + "\n"; };
  if (code.is_python()) {
    mutation.edits = {insert_before(code, place->loop.head,
                                    "averages = [p.detach().clone() for p in " + parameters + "]"),
                      insert_after(code, place->loop.step,
                                   "with torch.no_grad():\n    for average, p in zip(averages, " +
                                       parameters + "):\n        average.lerp_(p, " + share + ")"),
                      {place->loop.end, place->loop.end,
                       indented("with torch.no_grad():") +
                           indented("    for average, p in zip(averages, " + parameters + "):") +
                           indented("        p.copy_(average)")}};
    drop_resumable(code, mutation.edits);
    return mutation;
  }
  const std::string walk = "for (std::size_t k = 0; k < averages.size(); ++k) ";
  mutation.edits = {
      insert_before(code, place->loop.head,
                    "std::vector<torch::Tensor> averages;\nfor (const auto& parameter : " +
                        parameters + ") averages.push_back(parameter.detach().clone());"),
      insert_after(code, place->loop.step,
                   "{\n  torch::NoGradGuard no_grad;\n  const auto weights = " + parameters +
                       ";\n  " + walk + "averages[k].lerp_(weights[k], " + share + ");\n}"),
      {place->loop.end, place->loop.end,
       indented("torch::NoGradGuard no_grad;") +
           indented("const auto weights = " + parameters + ";") +
           indented(walk + "weights[k].copy_(averages[k]);")}};
  drop_resumable(code, mutation.edits);
  return mutation;
}

std::optional<Mutation> shuffle_epochs(const Context& context) {
  const Code& code = context.code;
  const auto place = find_place(context);
  if (!place || has_text(code, "randperm")) return std::nullopt;
  for (const Call& call : code.calls({"sample"})) {
    const bool is_in_loop =
        place->loop.head.end <= call.begin && call.close < place->loop.step.begin;
    if (!is_in_loop || call.arguments.size() != 1 || call.begin + 2 != call.name) continue;
    const std::string data(code.at(call.begin));
    const std::string count = code.text_of(call.arguments[0]);
    const TokenRange batch = code.statement(call.name);
    Mutation mutation{.edits = {}, .note = "see every example once before any is seen again"};
    const std::string cpp_order = "torch::randperm(" + data +
                                  ".size(), torch::TensorOptions(torch::kInt64).device(" + data +
                                  ".inputs.device()))";
    if (code.is_python()) {
      mutation.edits = {insert_before(code, place->loop.head, "order, position = None, 0"),
                        insert_before(code, batch,
                                      "if order is None or position + " + count +
                                          " > len(order):\n    order = "
                                          "torch.randperm(len(" +
                                          data + ".inputs), device=" + data +
                                          ".inputs.device)\n    position = 0"),
                        replace(code, {call.begin, call.close + 1},
                                data + ".batch(order[position:position + " + count + "])"),
                        insert_after(code, batch, "position += " + count)};
    } else {
      mutation.edits = {
          insert_before(code, place->loop.head,
                        "torch::Tensor order = " + cpp_order + ";\nint64_t position = 0;"),
          insert_before(code, batch,
                        "if (position + " + count + " > " + data +
                            ".size()) {\n  order = " + cpp_order + ";\n  position = 0;\n}"),
          replace(code, {call.begin, call.close + 1},
                  data + ".batch(order.slice(0, position, position + " + count + "))"),
          insert_after(code, batch, "position += " + count + ";")};
    }
    drop_resumable(code, mutation.edits);
    return mutation;
  }
  return std::nullopt;
}

}  // namespace cambrian::codemodel
