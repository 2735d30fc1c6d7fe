// Parts of other programs of the same task: whole functions, a share of what differs, constants.
#include <algorithm>
#include <cmath>
#include <map>

#include "codegen-client/model_server/mutation/line_diff.hpp"
#include "codegen-client/model_server/mutation/number_role.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

/// The second parent where there is one, most of the time; else any inspiration.
const Code* draw_donor(const Context& context) {
  if (context.donors.empty()) return nullptr;
  if (context.rng.chance(0.6)) return &context.donors.front();
  return &context.rng.pick(context.donors);
}

std::size_t offset_of_line(const std::vector<std::string_view>& lines, std::size_t line,
                           const std::string& text) {
  return line < lines.size() ? static_cast<std::size_t>(lines[line].data() - text.data())
                             : text.size();
}

std::string joined(const std::vector<std::string_view>& lines, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) text += lines[i];
  return text;
}

}  // namespace

std::optional<Mutation> take_function(const Context& context) {
  const Code* donor = draw_donor(context);
  if (donor == nullptr) return std::nullopt;
  struct Pair {
    const Function* own;
    const Function* other;
  };
  std::vector<Pair> pairs;
  for (const Function& own : context.code.functions()) {
    if (!context.code.is_editable(own.begin, own.end)) continue;
    const std::string_view body(context.code.text().data() + own.begin, own.end - own.begin);
    for (const Function& other : donor->functions()) {
      const std::string_view text(donor->text().data() + other.begin, other.end - other.begin);
      const bool is_same_name =
          donor->at(other.name) == context.code.at(own.name) && other.owner == own.owner;
      // What only the donor defines cannot be named here.
      const bool needs_block =
          text.find("Residual") != std::string_view::npos && !context.code.contains("Residual");
      if (is_same_name && !needs_block && text != body) pairs.push_back({&own, &other});
    }
  }
  if (pairs.empty()) return std::nullopt;
  const Pair& pair = context.rng.pick(pairs);
  std::string text = donor->text().substr(pair.other->begin, pair.other->end - pair.other->begin);
  return Mutation{
      .edits = {{pair.own->begin, pair.own->end, std::move(text)}},
      .note = "take " + std::string(context.code.at(pair.own->name)) + "() from another program"};
}

std::optional<Mutation> take_changes(const Context& context) {
  const Code* donor = draw_donor(context);
  if (donor == nullptr) return std::nullopt;
  const auto own = split_lines(context.code.text());
  const auto other = split_lines(donor->text());
  Mutation mutation;
  const double share = 0.3 + 0.4 * context.rng.uniform();
  auto hunks = diff_lines(own, other);
  std::size_t taken = 0;
  const std::size_t sure = hunks.empty() ? 0 : context.rng.below(hunks.size());
  for (std::size_t i = 0; i < hunks.size(); ++i) {
    const Hunk& hunk = hunks[i];
    const std::size_t begin = offset_of_line(own, hunk.before_begin, context.code.text());
    const std::size_t end = offset_of_line(own, hunk.before_end, context.code.text());
    const bool is_drawn = context.rng.chance(share) || i == sure;
    if (!is_drawn || !context.code.is_editable(begin, end)) continue;
    std::string text = joined(other, hunk.after_begin, hunk.after_end);
    if (text.find("EVOLVE-BLOCK") != std::string::npos) continue;
    mutation.edits.push_back({begin, end, std::move(text)});
    ++taken;
  }
  if (taken == 0) return std::nullopt;
  mutation.note = "take " + std::to_string(taken) + " of " + std::to_string(hunks.size()) +
                  " differences from another program";
  return mutation;
}

std::optional<Mutation> take_constants(const Context& context) {
  const Code* donor = draw_donor(context);
  if (donor == nullptr) return std::nullopt;
  std::map<std::string, double> values;
  for (const NumberSite& site : find_numbers(*donor)) {
    if (!site.name.empty()) values.emplace(site.name, site.literal.value);
  }
  Mutation mutation;
  for (const NumberSite& site : find_numbers(context.code)) {
    const auto found = values.find(site.name);
    if (found == values.end() || found->second == site.literal.value) continue;
    if (!context.rng.chance(0.5)) continue;
    double value = found->second;
    // Between two good values lies often a better one.
    if (value > 0 && site.literal.value > 0 && context.rng.chance(0.4)) {
      value = std::sqrt(value * site.literal.value);
    }
    const std::string text = format_like(site.literal, value);
    if (text == context.code.at(site.token)) continue;
    mutation.edits.push_back(replace(context.code, {site.token, site.token + 1}, text));
    mutation.note += (mutation.note.empty() ? "take " : ", ") + site.name + " = " + text;
  }
  if (mutation.edits.empty()) return std::nullopt;
  mutation.note += " from another program";
  return mutation;
}

}  // namespace cambrian::codemodel
