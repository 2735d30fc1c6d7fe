#include "codegen-client/model_server/mutation/training_site.hpp"

#include <algorithm>

namespace cambrian::codemodel {
namespace {

/// C++: `torch::optim::SGDOptions(rate).momentum(0.9)`, or the rate alone.
void read_cpp_settings(const Code& code, OptimizerSite& site) {
  std::size_t name = site.settings.begin;
  while (name + 2 < site.settings.end && code.is(name + 1, "::")) name += 2;
  if (!code.at(name).ends_with("Options")) {
    site.rate = code.text_of(site.settings);
    return;
  }
  const auto options = code.call_at(name);
  if (!options) return;
  if (!options->arguments.empty()) site.rate = code.text_of(options->arguments[0]);
  if (options->close + 1 < site.settings.end) {
    site.extra = code.text_of({options->close + 1, site.settings.end});
  }
}

void read_python_settings(const Code& code, OptimizerSite& site) {
  for (std::size_t i = 1; i < site.call.arguments.size(); ++i) {
    const TokenRange argument = site.call.arguments[i];
    const bool is_named = argument.begin + 1 < argument.end && code.is(argument.begin + 1, "=");
    if (!is_named && i == 1) site.rate = code.text_of(argument);
    if (is_named && code.is(argument.begin, "lr")) {
      site.rate = code.text_of({argument.begin + 2, argument.end});
    }
  }
}

/// The statement `NAME.method(…)` inside a function.
std::optional<TokenRange> find_call_of(const Code& code, TokenRange body, std::string_view object,
                                       std::string_view method) {
  for (std::size_t i = body.begin; i + 3 < body.end; ++i) {
    const bool is_object = object.empty() ? code.is_identifier(i) : code.is(i, object);
    if (is_object && (code.is(i + 1, ".") || code.is(i + 1, "->")) && code.is(i + 2, method) &&
        code.is(i + 3, "(")) {
      return code.statement(i);
    }
  }
  return std::nullopt;
}

/// A parameter of the function that tells the progress.
std::string find_training(const Code& code, const Function& function) {
  for (const TokenRange parameter : code.split(function.open, function.close)) {
    for (std::size_t i = parameter.begin; i < parameter.end; ++i) {
      const bool is_typed = code.is(i, "Training") && i + 1 < parameter.end;
      if (is_typed) return std::string(code.at(parameter.end - 1));
    }
    if (code.is_python() && code.is(parameter.begin, "training")) return "training";
  }
  return {};
}

/// The innermost loop around a statement.
std::optional<TokenRange> find_head(const Code& code, TokenRange body, std::size_t token,
                                    std::size_t& end) {
  if (!code.is_python()) {
    for (std::size_t i = code.token(token).parent; i != kNone && i > body.begin;
         i = code.token(i).parent) {
      if (!code.is_block(i) || !code.is(i - 1, ")")) continue;
      const std::size_t open = code.token(i - 1).partner;
      if (open == kNone || open == 0) continue;
      if (!code.is(open - 1, "while") && !code.is(open - 1, "for")) continue;
      end = code.line_end(code.token(code.token(i).partner).end);
      return TokenRange{open - 1, i + 1};
    }
    return std::nullopt;
  }
  const auto column = [&](std::size_t i) {
    return code.token(i).begin - code.line_begin(code.token(i).begin);
  };
  const std::size_t own = column(code.statement(token).begin);
  for (std::size_t i = token; i-- > body.begin;) {
    const bool is_loop = code.is(i, "while") || code.is(i, "for");
    if (!is_loop || column(i) >= own || code.statement(i).begin != i) continue;
    std::size_t last = token;
    while (last < body.end && column(code.statement(last).begin) > column(i)) {
      last = std::max(code.statement(last).end, last + 1);
    }
    end = code.line_end(code.token(last - 1).end);
    return code.statement(i);
  }
  return std::nullopt;
}

}  // namespace

std::optional<OptimizerSite> find_optimizer(const Code& code) {
  for (const Call& call : code.calls({"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"})) {
    if (call.arguments.size() < 2) continue;
    OptimizerSite site;
    site.call = call;
    site.type = std::string(code.at(call.name));
    site.parameters = code.text_of(call.arguments[0]);
    site.settings = {call.arguments[1].begin, call.close};
    if (code.is_python()) {
      const TokenRange statement = code.statement(call.name);
      if (code.is(statement.begin + 1, "=")) site.variable = std::string(code.at(statement.begin));
      read_python_settings(code, site);
    } else {
      if (code.is_identifier(call.open - 1) && call.open - 1 != call.name) {
        site.variable = std::string(code.at(call.open - 1));
      }
      read_cpp_settings(code, site);
    }
    if (!site.rate.empty() && !site.variable.empty()) return site;
  }
  return std::nullopt;
}

std::optional<LoopSite> find_loop(const Code& code, const OptimizerSite& optimizer) {
  const Function* function = code.function_around(optimizer.call.name);
  if (function == nullptr) return std::nullopt;
  LoopSite loop;
  const auto step = find_call_of(code, function->body, optimizer.variable, "step");
  const auto backward = find_call_of(code, function->body, {}, "backward");
  if (!step || !backward) return std::nullopt;
  const auto head = find_head(code, function->body, step->begin, loop.end);
  if (!head) return std::nullopt;
  loop.head = *head;
  loop.step = *step;
  loop.backward = *backward;
  loop.training = find_training(code, *function);
  return loop;
}

std::optional<std::size_t> find_constant(const Code& code, std::string_view name) {
  for (std::size_t i = 0; i + 2 < code.size(); ++i) {
    const bool is_set =
        code.is(i, name) && (code.is(i + 1, "=") || code.is(i + 1, "{")) && code.is_number(i + 2);
    const bool is_whole = code.is_python() || code.is(i + 3, ";") || code.is(i + 3, "}");
    if (is_set && is_whole && code.is_editable({i, i + 3})) return i + 2;
  }
  return std::nullopt;
}

}  // namespace cambrian::codemodel
