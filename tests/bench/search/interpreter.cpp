#include "tests/bench/search/interpreter.hpp"

#include <algorithm>
#include <cmath>

#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::bench {

using codemodel::Code;
using codemodel::Expression;
using codemodel::Function;
using codemodel::TokenRange;

enum class Interpreter::Operation {
  negate,
  invert,
  either,
  both,
  equal,
  differs,
  less,
  less_equal,
  add,
  subtract,
  multiply,
  divide,
  choose,
  absolute,
  root,
  logarithm,
  logarithm_1p,
  logarithm_2,
  exponential,
  tangent,
  power,
  smaller,
  larger,
  floor,
  ceiling,
  cube_root,
  sine,
  cosine,
  hypotenuse,
  clamp,
  previous,
};

namespace {

// Columns that are there from the start.
constexpr std::size_t kItem = 0;
constexpr std::size_t kRoom = 1;
constexpr std::size_t kIndex = 2;
constexpr std::size_t kCount = 3;
constexpr std::size_t kRoomBefore = 4;
constexpr std::size_t kRoomBehind = 5;
constexpr std::size_t kLargestRoom = 6;
constexpr std::size_t kSmallestRoom = 7;
constexpr std::size_t kGivenColumns = 8;

// The statements that are read besides loops, as they stand.
constexpr std::string_view kScores = "std::vector<double> scores(bins.size());";
constexpr std::string_view kReturn = "return scores;";
constexpr std::string_view kLargest =
    "const double largest_bins = bins.empty() ? 0.0 : *std::max_element(bins.begin(), bins.end());";
constexpr std::string_view kSmallest =
    "const double smallest_bins = bins.empty() ? 0.0 : "
    "*std::min_element(bins.begin(), bins.end());";

}  // namespace

/// A loop over all bins, or from the last down to the second one.
struct Interpreter::Loop {
  std::string index;  ///< Its variable.
  bool is_downward = false;
  TokenRange body;
  std::size_t end = 0;  ///< The token behind it.

  /// The loop that begins at this token.
  static std::optional<Loop> find(const Code& code, std::size_t begin);
};

std::optional<Interpreter::Loop> Interpreter::Loop::find(const Code& code, std::size_t begin) {
  const std::size_t close = code.token(begin + 1).partner;
  if (!code.is(begin, "for") || close == codemodel::kNone) return std::nullopt;
  Loop loop;
  // for (std::size_t NAME = ...
  loop.index = code.at(begin + 5);
  const std::string& i = loop.index;
  const std::string head = code.text_of({begin + 2, close});
  const auto upward = [&](const char* vector) {
    return "std::size_t " + i + " = 0; " + i + " < " + vector + ".size(); ++" + i;
  };
  loop.is_downward = head == "std::size_t " + i + " = scores.size(); " + i + "-- > 1;";
  if (!loop.is_downward && head != upward("bins") && head != upward("scores")) return std::nullopt;
  if (code.is(close + 1, "{")) {
    loop.body = {close + 2, code.token(close + 1).partner};
    loop.end = loop.body.end + 1;
  } else {
    loop.body = code.statement(close + 1);
    loop.body.begin = close + 1;
    loop.end = loop.body.end;
  }
  return loop;
}

std::size_t Interpreter::put(Operation operation, std::initializer_list<std::size_t> operands) {
  Instruction instruction{operation, columns_.size(), {}};
  std::ranges::copy(operands, instruction.operands);
  columns_.emplace_back();
  instructions_.push_back(instruction);
  return instruction.result;
}

std::size_t Interpreter::constant(double value) {
  const auto found = constants_.find(value);
  if (found != constants_.end()) return found->second;
  columns_.emplace_back();
  return constants_[value] = columns_.size() - 1;
}

std::optional<std::size_t> Interpreter::compile_terminal(const std::string& text) {
  const auto named = names_.find(text);
  if (named == names_.end()) return std::nullopt;
  return named->second;
}

std::optional<std::size_t> Interpreter::compile_call(const Expression& tree) {
  using enum Operation;
  static const std::map<std::string, std::pair<Operation, std::size_t>> kCalls = {
      {"abs", {absolute, 1}},    {"fabs", {absolute, 1}},      {"sqrt", {root, 1}},
      {"log", {logarithm, 1}},   {"log1p", {logarithm_1p, 1}}, {"log2", {logarithm_2, 1}},
      {"exp", {exponential, 1}}, {"tanh", {tangent, 1}},       {"pow", {power, 2}},
      {"min", {smaller, 2}},     {"max", {larger, 2}},         {"floor", {Operation::floor, 1}},
      {"ceil", {ceiling, 1}},    {"cbrt", {cube_root, 1}},     {"sin", {sine, 1}},
      {"cos", {cosine, 1}},      {"hypot", {hypotenuse, 2}},   {"clamp", {Operation::clamp, 3}}};
  std::string name = tree.text.substr(0, tree.text.find('<'));
  if (name.starts_with("std::")) name = name.substr(5);
  const auto call = kCalls.find(name);
  if (call == kCalls.end() || call->second.second != tree.children.size()) return std::nullopt;
  std::size_t operands[3] = {};
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    const auto operand = compile(tree.children[i]);
    if (!operand) return std::nullopt;
    operands[i] = *operand;
  }
  return put(call->second.first, {operands[0], operands[1], operands[2]});
}

std::optional<std::size_t> Interpreter::compile(const Expression& tree) {
  using enum Operation;
  using Kind = Expression::Kind;
  if (tree.kind == Kind::number) {
    const auto literal = codemodel::parse_literal(tree.text);
    if (!literal) return std::nullopt;
    return constant(literal->value);
  }
  if (tree.kind == Kind::terminal) return compile_terminal(tree.text);
  if (tree.kind == Kind::call) return compile_call(tree);
  std::size_t operands[3] = {};
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    const auto operand = compile(tree.children[i]);
    if (!operand) return std::nullopt;
    operands[i] = *operand;
  }
  const auto [a, b, c] = operands;
  if (tree.kind == Kind::conditional) return put(choose, {a, b, c});
  if (tree.kind == Kind::unary) {
    if (tree.text == "+") return a;
    return put(tree.text == "!" ? invert : negate, {a});
  }
  if (tree.text == ">") return put(less, {b, a});
  if (tree.text == ">=") return put(less_equal, {b, a});
  static const std::map<std::string, Operation> kBinary = {
      {"||", either},     {"&&", both},          {"==", equal},   {"!=", differs}, {"<", less},
      {"<=", less_equal}, {"+", Operation::add}, {"-", subtract}, {"*", multiply}, {"/", divide}};
  const auto known = kBinary.find(tree.text);
  if (known == kBinary.end()) return std::nullopt;
  return put(known->second, {a, b});
}

/// What is done with the value before: nothing for `=`. Empty for what sets nothing.
std::optional<std::optional<Interpreter::Operation>> Interpreter::find_assignment(
    std::string_view text) {
  if (text == "=") return std::optional<Operation>();
  if (text == "+=") return std::optional(Operation::add);
  if (text == "-=") return std::optional(Operation::subtract);
  if (text == "*=") return std::optional(Operation::multiply);
  if (text == "/=") return std::optional(Operation::divide);
  return std::nullopt;
}

/// What an index means in this loop; names of the loops before are forgotten.
void Interpreter::name_given(const Loop& loop) {
  const std::string& i = loop.index;
  std::erase_if(names_, [](const auto& name) {
    return name.second != kLargestRoom && name.second != kSmallestRoom;
  });
  names_["item"] = kItem;
  names_["bins[" + i + "]"] = kRoom;
  names_[i] = kIndex;
  names_["static_cast<double>(" + i + ")"] = kIndex;
  names_["bins.size()"] = kCount;
  names_["static_cast<double>(bins.size())"] = kCount;
  names_["bins[std::max<std::size_t>(" + i + ", 1) - 1]"] = kRoomBefore;
  names_["bins[std::min<std::size_t>(" + i + " + 1, bins.size() - 1)]"] = kRoomBehind;
  if (loop.is_downward) names_["scores[" + i + " - 1]"] = put(Operation::previous, {scores_});
}

bool Interpreter::read_loop(const Code& code, const Loop& loop) {
  name_given(loop);
  const std::size_t before = scores_;
  const std::string element = "scores[" + loop.index + "]";
  for (std::size_t i = loop.body.begin; i < loop.body.end;) {
    // `const double name = value;`, `double name = value;` or `scores[i] += value;`.
    const bool is_score = code.text_of({i, i + 4}) == element;
    const std::size_t name = is_score ? i : i + (code.is(i, "const") ? 2 : 1);
    if (!is_score && !code.is(name - 1, "double")) return false;
    const std::size_t assign = is_score ? i + 4 : name + 1;
    std::size_t end = assign;
    while (end < loop.body.end && !code.is(end, ";")) ++end;
    const auto operation = find_assignment(code.at(assign));
    if (end >= loop.body.end || !operation || (!is_score && *operation)) return false;
    const auto tree = codemodel::parse_expression(code, {assign + 1, end});
    if (!tree) return false;
    const auto value = compile(*tree);
    if (!value) return false;
    if (!is_score) {
      names_[std::string(code.at(name))] = *value;
    } else {
      scores_ = *operation ? put(**operation, {scores_, *value}) : *value;
    }
    i = end + 1;
  }
  // The first bin is not in a loop that goes down to the second one.
  if (loop.is_downward) scores_ = put(Operation::choose, {kIndex, scores_, before});
  return true;
}

std::optional<Interpreter> Interpreter::read(const std::string& program) {
  const auto code = Code::parse(program, source::Language::cpp);
  if (!code) return std::nullopt;
  const auto function = std::ranges::find_if(
      code->functions(), [&](const Function& one) { return code->is(one.name, "priority"); });
  if (function == code->functions().end()) return std::nullopt;
  Interpreter made;
  made.columns_.resize(kGivenColumns);
  made.scores_ = made.constant(0);
  for (std::size_t i = function->body.begin; i < function->body.end;) {
    if (code->is(i, "for")) {
      const auto loop = Loop::find(*code, i);
      if (!loop || !made.read_loop(*code, *loop)) return std::nullopt;
      i = loop->end;
      continue;
    }
    const TokenRange statement = code->statement(i);
    const std::string text = code->text_of(statement);
    if (text == kLargest) {
      made.names_["largest_bins"] = kLargestRoom;
    } else if (text == kSmallest) {
      made.names_["smallest_bins"] = kSmallestRoom;
    } else if (text != kScores && text != kReturn) {
      return std::nullopt;
    }
    i = statement.end;
  }
  return made;
}

void Interpreter::carry_out(const Instruction& instruction, std::size_t size) {
  double* const to = columns_[instruction.result].data();
  const double* const a = columns_[instruction.operands[0]].data();
  const double* const b = columns_[instruction.operands[1]].data();
  const double* const c = columns_[instruction.operands[2]].data();
  const auto each = [to, size](auto&& value) {
    for (std::size_t i = 0; i < size; ++i) to[i] = value(i);
  };
  using enum Operation;
  switch (instruction.operation) {
    case negate: return each([=](std::size_t i) { return -a[i]; });
    case invert: return each([=](std::size_t i) { return a[i] == 0 ? 1.0 : 0.0; });
    case either: return each([=](std::size_t i) { return a[i] != 0 || b[i] != 0 ? 1.0 : 0.0; });
    case both: return each([=](std::size_t i) { return a[i] != 0 && b[i] != 0 ? 1.0 : 0.0; });
    case equal: return each([=](std::size_t i) { return a[i] == b[i] ? 1.0 : 0.0; });
    case differs: return each([=](std::size_t i) { return a[i] != b[i] ? 1.0 : 0.0; });
    case less: return each([=](std::size_t i) { return a[i] < b[i] ? 1.0 : 0.0; });
    case less_equal: return each([=](std::size_t i) { return a[i] <= b[i] ? 1.0 : 0.0; });
    case add: return each([=](std::size_t i) { return a[i] + b[i]; });
    case subtract: return each([=](std::size_t i) { return a[i] - b[i]; });
    case multiply: return each([=](std::size_t i) { return a[i] * b[i]; });
    case divide: return each([=](std::size_t i) { return a[i] / b[i]; });
    case choose: return each([=](std::size_t i) { return a[i] != 0 ? b[i] : c[i]; });
    case absolute: return each([=](std::size_t i) { return std::abs(a[i]); });
    case root: return each([=](std::size_t i) { return std::sqrt(a[i]); });
    case logarithm: return each([=](std::size_t i) { return std::log(a[i]); });
    case logarithm_1p: return each([=](std::size_t i) { return std::log1p(a[i]); });
    case logarithm_2: return each([=](std::size_t i) { return std::log2(a[i]); });
    case exponential: return each([=](std::size_t i) { return std::exp(a[i]); });
    case tangent: return each([=](std::size_t i) { return std::tanh(a[i]); });
    case power: return each([=](std::size_t i) { return std::pow(a[i], b[i]); });
    case smaller: return each([=](std::size_t i) { return std::min(a[i], b[i]); });
    case larger: return each([=](std::size_t i) { return std::max(a[i], b[i]); });
    case Operation::floor: return each([=](std::size_t i) { return std::floor(a[i]); });
    case ceiling: return each([=](std::size_t i) { return std::ceil(a[i]); });
    case cube_root: return each([=](std::size_t i) { return std::cbrt(a[i]); });
    case sine: return each([=](std::size_t i) { return std::sin(a[i]); });
    case cosine: return each([=](std::size_t i) { return std::cos(a[i]); });
    case hypotenuse: return each([=](std::size_t i) { return std::hypot(a[i], b[i]); });
    case Operation::clamp:
      return each([=](std::size_t i) { return std::min(std::max(a[i], b[i]), c[i]); });
    case previous: return each([=](std::size_t i) { return a[i > 0 ? i - 1 : 0]; });
  }
}

std::span<const double> Interpreter::run(double item, std::span<const double> bins) {
  const std::size_t size = bins.size();
  // Constant columns are filled when they grow; the others are written at each run.
  if (columns_[kIndex].size() < size) {
    for (Column& column : columns_) column.resize(2 * size);
    for (const auto& [value, column] : constants_) std::ranges::fill(columns_[column], value);
    for (std::size_t i = 0; i < 2 * size; ++i) columns_[kIndex][i] = static_cast<double>(i);
  }
  std::fill_n(columns_[kItem].begin(), size, item);
  std::fill_n(columns_[kCount].begin(), size, static_cast<double>(size));
  std::fill_n(columns_[kLargestRoom].begin(), size, std::ranges::max(bins));
  std::fill_n(columns_[kSmallestRoom].begin(), size, std::ranges::min(bins));
  std::ranges::copy(bins, columns_[kRoom].begin());
  columns_[kRoomBefore][0] = bins[0];
  std::copy_n(bins.begin(), size - 1, columns_[kRoomBefore].begin() + 1);
  std::copy(bins.begin() + 1, bins.end(), columns_[kRoomBehind].begin());
  columns_[kRoomBehind][size - 1] = bins[size - 1];
  for (const Instruction& instruction : instructions_) carry_out(instruction, size);
  return {columns_[scores_].data(), size};
}

}  // namespace cambrian::bench
