// Programs that construct something: helpers that a person would add to a plain construction (local
// search on circles), and steps on whole vectors of scores.
#include <algorithm>
#include <array>

#include "codegen-client/model_server/mutation/expression_site.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

/// A function that returns a local vector at its end: `return circles;`.
struct Construction {
  const Function* function = nullptr;
  TokenRange last;       ///< The statement `return NAME;`.
  std::string variable;  ///< NAME.
  std::string element;   ///< Circle of std::vector<Circle>.
  std::string seconds;   ///< Parameter with the time that may be used; empty: none.
};

std::optional<Construction> find_construction(const Code& code) {
  for (const Function& function : code.functions()) {
    if (!function.owner.empty() || function.body.empty()) continue;
    const TokenRange last = code.statement(function.body.end - 1);
    const bool returns_name = last.end - last.begin == 3 && code.is(last.begin, "return") &&
                              code.is_identifier(last.begin + 1);
    if (!returns_name || !code.is_editable(function.begin, function.end)) continue;
    Construction site{.function = &function,
                      .last = last,
                      .variable = std::string(code.at(last.begin + 1)),
                      .element = {},
                      .seconds = {}};
    const TokenRange whole = code.statement(function.name);
    for (std::size_t i = whole.begin; i + 3 < function.name; ++i) {
      const bool is_vector = code.is(i, "vector") && code.is(i + 1, "<") && code.is(i + 3, ">");
      if (is_vector) site.element = std::string(code.at(i + 2));
    }
    for (std::size_t i = function.open; i < function.close; ++i) {
      if (code.is(i, "seconds")) site.seconds = "seconds";
    }
    const auto variables = variables_of(code, function);
    const bool is_const =
        std::any_of(variables.begin(), variables.end(),
                    [&site](const Variable& v) { return v.name == site.variable && v.is_const; });
    if (!site.element.empty() && !is_const) return site;
  }
  return std::nullopt;
}

/// Circles have a centre and a radius.
bool has_circles(const Code& code, const Construction& site) {
  return site.element == "Circle" && !site.seconds.empty() && code.contains("Circle");
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Radii for fixed centres, and the sum. Also mends whatever overlaps.
constexpr std::string_view kFitRadii = R"(
// The largest radii that fit these centres, found by sweeps: never overlapping, never outside.
double fit_radii(std::vector<Circle>& circles) {
  const auto border = [](const Circle& c) {
    return std::max(0.0, std::min({c.x, c.y, 1 - c.x, 1 - c.y}));
  };
  const auto distance = [](const Circle& a, const Circle& b) {
    return std::hypot(a.x - b.x, a.y - b.y);
  };
  for (Circle& c : circles) c.r = std::min(std::max(c.r, 0.0), border(c));
  for (std::size_t i = 0; i < circles.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double room = distance(circles[i], circles[j]);
      const double sum = circles[i].r + circles[j].r;
      if (sum <= room) continue;
      circles[i].r *= room / sum;
      circles[j].r *= room / sum;
    }
  }
  double total = 0;
  for (std::size_t i = 0; i < circles.size(); ++i) {
    double radius = border(circles[i]);
    for (std::size_t j = 0; j < circles.size(); ++j) {
      if (j != i) radius = std::min(radius, distance(circles[i], circles[j]) - circles[j].r);
    }
    circles[i].r = std::max(0.0, radius - 1e-12);
    total += circles[i].r;
  }
  return total;
}
)";

constexpr std::string_view kClimb = R"(
// Moves one circle at a time, and keeps what does not make the sum of the radii smaller.
void climb(std::vector<Circle>& circles, double seconds) {
  const double first_step = STEP;
  const double last_step = 1e-4;
  const double greed = GREED;
  unsigned state = SEED;
  const auto uniform = [&state] {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 16777216.0;
  };
  const std::clock_t start = std::clock();
  double best = fit_radii(circles);
  double progress = 0;
  while (progress < 1) {
    progress = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / (0.8 * seconds);
    const double step = first_step * std::pow(last_step / first_step, std::min(progress, 1.0));
    for (int tries = 0; tries < 50; ++tries) {
      auto moved = circles;
      Circle& c = moved[static_cast<std::size_t>(uniform() * moved.size()) % moved.size()];
      c.x = std::clamp(c.x + step * (2 * uniform() - 1), 0.0, 1.0);
      c.y = std::clamp(c.y + step * (2 * uniform() - 1), 0.0, 1.0);
      for (Circle& other : moved) other.r *= greed;
      const double sum = fit_radii(moved);
      if (sum >= best) {
        best = sum;
        circles = moved;
      }
    }
  }
}
)";

constexpr std::string_view kDescend = R"(
// Starts again and again from shaken centres, and lets the circles grow while overlaps push them
// apart: gradient steps on the sum of the radii with a penalty that becomes harder.
void descend(std::vector<Circle>& circles, double seconds) {
  const int rounds = ROUNDS;
  const double rate = RATE;
  const double shake = SHAKE;
  unsigned state = SEED;
  const auto uniform = [&state] {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 16777216.0;
  };
  const std::clock_t start = std::clock();
  double best = fit_radii(circles);
  double used = 0;
  while (used < 0.8 * seconds) {
    auto trial = circles;
    for (Circle& c : trial) {
      c.x = std::clamp(c.x + shake * (2 * uniform() - 1), 0.01, 0.99);
      c.y = std::clamp(c.y + shake * (2 * uniform() - 1), 0.01, 0.99);
    }
    for (int round = 0; round < rounds && used < 0.85 * seconds; ++round) {
      const double progress = static_cast<double>(round) / rounds;
      const double step = rate * (1 - progress) + 1e-5;
      const double hardness = 5 * std::pow(60.0, progress);
      auto slope = trial;
      for (std::size_t i = 0; i < trial.size(); ++i) {
        const Circle& a = trial[i];
        const double left = std::max(0.0, a.r - a.x), right = std::max(0.0, a.x + a.r - 1);
        const double low = std::max(0.0, a.r - a.y), high = std::max(0.0, a.y + a.r - 1);
        slope[i].x = hardness * (left - right);
        slope[i].y = hardness * (low - high);
        slope[i].r = 1 - hardness * (left + right + low + high);
      }
      for (std::size_t i = 0; i < trial.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          const double dx = trial[i].x - trial[j].x, dy = trial[i].y - trial[j].y;
          const double room = std::hypot(dx, dy) + 1e-12;
          const double overlap = trial[i].r + trial[j].r - room;
          if (overlap <= 0) continue;
          const double push = hardness * overlap;
          slope[i].x += push * dx / room;
          slope[i].y += push * dy / room;
          slope[j].x -= push * dx / room;
          slope[j].y -= push * dy / room;
          slope[i].r -= push;
          slope[j].r -= push;
        }
      }
      for (std::size_t i = 0; i < trial.size(); ++i) {
        trial[i].x = std::clamp(trial[i].x + step * slope[i].x, 0.0, 1.0);
        trial[i].y = std::clamp(trial[i].y + step * slope[i].y, 0.0, 1.0);
        trial[i].r = std::clamp(trial[i].r + step * slope[i].r, 0.0, 0.5);
      }
      if (round % 32 == 0) {
        used = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      }
    }
    const double sum = fit_radii(trial);
    if (sum > best) {
      best = sum;
      circles = trial;
    }
  }
}
)";

/// Adds functions in front of the construction and a call of `name` before its end.
Mutation add_helper(const Code& code, const Construction& site, std::string_view name,
                    std::string helper) {
  std::string text;
  if (code.text().find("<ctime>") == std::string::npos) text += "#include <ctime>\n";
  if (!code.contains("fit_radii")) text += kFitRadii;
  text += helper + "\n";
  const std::size_t at = code.line_begin(site.function->begin);
  const std::string share = code.contains("clock") ? "0.4 * " : "";
  return {.edits = {{at, at, text},
                    insert_before(code, site.last,
                                  std::string(name) + "(" + site.variable + ", " + share +
                                      site.seconds + ");")},
          .note = {}};
}

std::string random_seed(Rng& rng) { return std::to_string(rng.between(1, 9999)) + "u"; }

}  // namespace

std::optional<Mutation> add_climb(const Context& context) {
  const auto site = find_construction(context.code);
  if (!site || !has_circles(context.code, *site) || context.code.contains("climb")) {
    return std::nullopt;
  }
  static const std::vector<std::string> kSteps = {"0.02", "0.05", "0.1", "0.2"};
  static const std::vector<std::string> kGreeds = {"1.0", "0.98", "0.9", "0.5"};
  std::string helper(kClimb);
  replace_all(helper, "STEP", context.rng.pick(kSteps));
  replace_all(helper, "GREED", context.rng.pick(kGreeds));
  replace_all(helper, "SEED", random_seed(context.rng));
  Mutation mutation = add_helper(context.code, *site, "climb", std::move(helper));
  mutation.note = "improve the packing by moving one circle at a time";
  return mutation;
}

std::optional<Mutation> add_descent(const Context& context) {
  const auto site = find_construction(context.code);
  if (!site || !has_circles(context.code, *site) || context.code.contains("descend")) {
    return std::nullopt;
  }
  static const std::vector<std::string> kRounds = {"500", "1000", "2000", "4000"};
  static const std::vector<std::string> kRates = {"0.002", "0.005", "0.01"};
  static const std::vector<std::string> kShakes = {"0.05", "0.1", "0.2", "0.4"};
  std::string helper(kDescend);
  replace_all(helper, "ROUNDS", context.rng.pick(kRounds));
  replace_all(helper, "RATE", context.rng.pick(kRates));
  replace_all(helper, "SHAKE", context.rng.pick(kShakes));
  replace_all(helper, "SEED", random_seed(context.rng));
  Mutation mutation = add_helper(context.code, *site, "descend", std::move(helper));
  mutation.note = "let the circles grow and push each other apart, from many starts";
  return mutation;
}

std::optional<Mutation> adjust_scores(const Context& context) {
  const Code& code = context.code;
  const auto site = find_construction(code);
  if (!site || site->element != "double") return std::nullopt;
  const std::string& v = site->variable;
  std::string lines;
  std::string note;
  if (context.rng.chance(0.5)) {
    note = "compare each value with the one before it";
    lines = "for (std::size_t k = " + v + ".size(); k-- > 1;) " + v + "[k] -= " + v + "[k - 1];";
  } else {
    static const std::vector<std::string> kSlopes = {"1e-3", "1e-2", "0.1"};
    note = "prefer what comes first among equals";
    lines = "for (std::size_t k = 0; k < " + v + ".size(); ++k) " + v +
            "[k] -= " + context.rng.pick(kSlopes) + " * static_cast<double>(k);";
  }
  if (code.text().find(lines) != std::string::npos) return std::nullopt;
  return Mutation{.edits = {insert_before(code, site->last, lines)}, .note = note};
}

std::optional<Mutation> add_aggregate(const Context& context) {
  const Code& code = context.code;
  const auto site = find_construction(code);
  if (!site || code.text().find("<algorithm>") == std::string::npos) return std::nullopt;
  const auto variables = variables_of(code, *site->function);
  std::vector<std::string> vectors;
  for (const Variable& variable : variables) {
    const bool is_parameter = variable.token < site->function->body.begin;
    if (is_parameter && variable.kind == ValueKind::real_vector) vectors.push_back(variable.name);
  }
  if (vectors.empty()) return std::nullopt;
  const std::string source = context.rng.pick(vectors);
  const bool is_largest = context.rng.chance(0.6);
  const std::string name = (is_largest ? "largest_" : "smallest_") + source;
  if (code.contains(name)) return std::nullopt;
  const std::string declaration = "const double " + name + " = " + source +
                                  ".empty() ? 0.0 : *std::" + (is_largest ? "max" : "min") +
                                  "_element(" + source + ".begin(), " + source + ".end());";
  const TokenRange first = code.statement(site->function->body.begin);
  Mutation mutation{.edits = {insert_before(code, first, declaration)},
                    .note = "look at the " + name};
  // Used at once in one result, so that it makes a difference.
  auto sites = find_expression_sites(code);
  // In this function alone: nowhere else can it be named.
  std::erase_if(sites, [&site](const ExpressionSite& s) {
    return !s.is_result || s.function != site->function;
  });
  if (sites.empty()) return std::nullopt;
  const ExpressionSite& target = context.rng.pick(sites);
  const auto terms = terms_at(code, target);
  if (terms.empty()) return std::nullopt;
  Expression deviation = binary("-", terminal(name), context.rng.pick(terms));
  Expression copy = deviation;
  if (context.rng.chance(0.5)) deviation = binary("*", std::move(deviation), std::move(copy));
  if (context.rng.chance(0.4)) {
    deviation = guarded_quotient(std::move(deviation), context.rng.pick(terms));
  }
  static constexpr std::array<const char*, 2> kSigns = {"+", "-"};
  const Expression changed =
      binary(kSigns[context.rng.below(2)], target.tree, std::move(deviation));
  mutation.edits.push_back(replace(code, target.range, print(changed)));
  return mutation;
}

}  // namespace cambrian::codemodel
