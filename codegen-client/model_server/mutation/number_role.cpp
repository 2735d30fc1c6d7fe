#include "codegen-client/model_server/mutation/number_role.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace cambrian::codemodel {
namespace {

struct Hint {
  std::string_view part;
  Role role;
};

/// In order: the first part found in the name, without case and underscores, decides.
constexpr std::array<Hint, 55> kHints = {{
    {"seed", Role::fixed},
    {"class", Role::fixed},
    {"input", Role::fixed},
    {"output", Role::fixed},
    {"image", Role::fixed},
    {"pixel", Role::fixed},
    {"side", Role::fixed},
    {"vocab", Role::fixed},
    {"label", Role::fixed},
    {"padding", Role::fixed},
    {"stride", Role::fixed},
    {"dim", Role::fixed},
    {"circles", Role::fixed},
    {"device", Role::fixed},
    {"learningrate", Role::learning_rate},
    {"setlr", Role::learning_rate},
    {"maxlr", Role::learning_rate},
    {"baselr", Role::learning_rate},
    {"peak", Role::learning_rate},
    {"weightdecay", Role::decay},
    {"epsilon", Role::decay},
    {"clip", Role::decay},
    {"decay", Role::decay},
    {"momentum", Role::probability},
    {"beta", Role::probability},
    {"dropout", Role::probability},
    {"smoothing", Role::probability},
    {"probability", Role::probability},
    {"warmup", Role::probability},
    {"fraction", Role::probability},
    {"ratio", Role::probability},
    {"batch", Role::batch},
    {"hidden", Role::width},
    {"width", Role::width},
    {"units", Role::width},
    {"channel", Role::width},
    {"filter", Role::width},
    {"neuron", Role::width},
    {"embed", Role::width},
    {"feature", Role::width},
    {"epoch", Role::count},
    {"step", Role::count},
    {"layer", Role::count},
    {"depth", Role::count},
    {"block", Role::count},
    {"iteration", Role::count},
    {"restart", Role::count},
    {"round", Role::count},
    {"sweep", Role::count},
    {"trial", Role::count},
    {"attempt", Role::count},
    {"rate", Role::learning_rate},
    {"noise", Role::real},
    {"scale", Role::real},
    {"temperature", Role::real},
}};

std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

Role role_of_callee(std::string_view callee, std::size_t argument) {
  if (callee.starts_with("Dropout") || callee == "dropout") return Role::probability;
  static constexpr std::array<std::string_view, 6> kOptimizers = {
      "SGDOptions", "AdamOptions", "AdamWOptions", "RMSpropOptions", "AdagradOptions", "set_lr"};
  if (std::find(kOptimizers.begin(), kOptimizers.end(), callee) != kOptimizers.end()) {
    return argument == 0 ? Role::learning_rate : Role::fixed;
  }
  static constexpr std::array<std::string_view, 5> kOptimizerTypes = {"SGD", "Adam", "AdamW",
                                                                      "RMSprop", "Adagrad"};
  if (std::find(kOptimizerTypes.begin(), kOptimizerTypes.end(), callee) != kOptimizerTypes.end()) {
    return argument == 1 ? Role::learning_rate : Role::fixed;
  }
  // Constructors of layers take sizes, and sizes are not for this operator: BatchNorm1d(64).
  if (!callee.empty() && callee[0] >= 'A' && callee[0] <= 'Z') return Role::fixed;
  return role_of_name(callee);
}

class Finder {
 public:
  explicit Finder(const Code& code)
      : code_(code), is_neural_(code.contains("torch") || code.contains("nn")) {}

  std::vector<NumberSite> run() {
    std::vector<NumberSite> found;
    for (std::size_t i = 0; i < code_.size(); ++i) {
      if (!code_.is_number(i) || !code_.is_editable({i, i + 1})) continue;
      const auto literal = parse_literal(code_.at(i));
      if (!literal) continue;
      NumberSite site{.token = i, .literal = *literal, .role = Role::fixed, .name = {}};
      judge(site);
      if (site.role != Role::fixed) found.push_back(std::move(site));
    }
    return found;
  }

 private:
  void judge(NumberSite& site) const {
    const std::size_t i = site.token;
    if (is_structural(i) || is_guard(site)) return;
    site.role = named_role(i, site.name);
    const bool wants_whole =
        site.role == Role::batch || site.role == Role::width || site.role == Role::count;
    if (site.literal.is_real) {
      if (wants_whole || site.role == Role::integer) site.role = Role::real;
    } else if (!wants_whole && site.role != Role::fixed) {
      // A whole number beside tensors is most likely a shape; elsewhere it is fair game.
      site.role = is_neural_ && site.role != Role::learning_rate ? Role::fixed : Role::integer;
    }
    if (site.role == Role::integer && (site.literal.value < 2 || site.name.empty())) {
      site.role = Role::fixed;
    }
  }

  /// `+ 1e-6`: what keeps a quotient or a logarithm finite.
  bool is_guard(const NumberSite& site) const {
    constexpr double kGuardMax = 1e-5;
    return code_.is(site.token - 1, "+") && site.literal.value <= kGuardMax;
  }

  /// Indices, template arguments, loop heads, labels.
  bool is_structural(std::size_t i) const {
    const std::size_t parent = code_.token(i).parent;
    if (parent != kNone && code_.is(parent, "[") && !code_.is_python()) return true;
    if (parent != kNone && code_.is(parent, "(") && parent > 0 && code_.is(parent - 1, "for")) {
      return true;
    }
    if (code_.is(i - 1, "<") || code_.is(i - 1, "case")) return true;
    return code_.is(i - 1, "#include");
  }

  /// Adam's two rates of forgetting, however they are written: `betas=(0.9, 0.98)`,
  /// `.betas({0.9, 0.98})`, `.betas(std::make_tuple(0.9, 0.98))`. At one it never learns.
  bool is_beta(std::size_t i) const {
    std::size_t open = code_.token(i).parent;
    for (int level = 0; level < 2 && open != kNone && open > 1; ++level) {
      const std::size_t before = code_.is(open - 1, "=") ? open - 2 : open - 1;
      if (code_.is(before, "betas")) return true;
      open = code_.token(open).parent;
    }
    return false;
  }

  Role named_role(std::size_t i, std::string& name) const {
    if (is_beta(i)) {
      name = "beta";
      return Role::probability;
    }
    std::size_t before = i - 1;
    if (before < code_.size() && code_.is(before, "-")) --before;
    // `NAME = 3`, `NAME{3}`, keyword arguments.
    const bool is_assigned = code_.is(before, "=") || code_.is(before, "{");
    if (is_assigned && before > 0 && code_.is_identifier(before - 1)) {
      const std::size_t behind = i + 1;
      const bool is_whole = code_.is(behind, ";") || code_.is(behind, "}") ||
                            code_.is(behind, ",") || code_.is(behind, ")") || code_.is_python();
      name = std::string(code_.at(before - 1));
      if (is_whole) return role_of_name(name);
    }
    const std::size_t parent = code_.token(i).parent;
    if (parent != kNone && parent > 0 && code_.is(parent, "(") && code_.is_identifier(parent - 1)) {
      const auto parts = code_.split(
          parent, code_.token(parent).partner == kNone ? parent + 1 : code_.token(parent).partner);
      for (std::size_t k = 0; k < parts.size(); ++k) {
        const bool is_whole = parts[k].begin == i && parts[k].end == i + 1;
        if (!is_whole) continue;
        const Role role = role_of_callee(code_.at(parent - 1), k);
        if (name.empty()) name = std::string(code_.at(parent - 1));
        // Unknown functions take shapes and axes as whole numbers.
        return role;
      }
    }
    return Role::real;
  }

  const Code& code_;
  bool is_neural_;
};

}  // namespace

Role role_of_name(std::string_view name) {
  const std::string word = plain(name);
  if (word == "lr") return Role::learning_rate;
  if (word == "wd") return Role::decay;
  if (word == "p" || word == "n") return word == "p" ? Role::probability : Role::fixed;
  for (const Hint& hint : kHints) {
    if (word.find(hint.part) != std::string::npos) return hint.role;
  }
  return Role::real;
}

std::vector<NumberSite> find_numbers(const Code& code) { return Finder(code).run(); }

}  // namespace cambrian::codemodel
