#include "codegen-client/model_server/mutation/expression.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {
namespace {

using Kind = Expression::Kind;

constexpr std::array<std::string_view, 18> kFunctions = {
    "abs", "fabs", "sqrt",  "log",  "log1p", "log2", "exp", "tanh",  "pow",
    "min", "max",  "floor", "ceil", "cbrt",  "sin",  "cos", "hypot", "clamp"};

struct Level {
  std::string_view op;
  int precedence;
};
constexpr std::array<Level, 13> kBinary = {{{"||", 1},
                                            {"&&", 2},
                                            {"==", 3},
                                            {"!=", 3},
                                            {"<", 4},
                                            {">", 4},
                                            {"<=", 4},
                                            {">=", 4},
                                            {"+", 5},
                                            {"-", 5},
                                            {"*", 6},
                                            {"/", 6},
                                            {"%", 6}}};
constexpr int kUnaryPrecedence = 7;
constexpr int kPrimaryPrecedence = 8;

int precedence_of(std::string_view op) {
  const auto found =
      std::find_if(kBinary.begin(), kBinary.end(), [&](const Level& l) { return l.op == op; });
  return found == kBinary.end() ? 0 : found->precedence;
}

class Parser {
 public:
  Parser(const Code& code, TokenRange range)
      : code_(code), position_(range.begin), end_(range.end) {}

  std::optional<Expression> run() {
    auto tree = parse_conditional(0);
    if (!tree || position_ != end_) return std::nullopt;
    return tree;
  }

 private:
  bool at(std::string_view text) const { return position_ < end_ && code_.is(position_, text); }

  std::optional<Expression> parse_conditional(int depth) {
    auto condition = parse_binary(1, depth);
    if (!condition || !at("?")) return condition;
    ++position_;
    auto yes = parse_conditional(depth + 1);
    if (!yes || !at(":")) return std::nullopt;
    ++position_;
    auto no = parse_conditional(depth + 1);
    if (!no) return std::nullopt;
    return conditional(std::move(*condition), std::move(*yes), std::move(*no));
  }

  std::optional<Expression> parse_binary(int lowest, int depth) {
    if (depth > kExpressionDepthMax) return std::nullopt;
    auto left = parse_unary(depth);
    while (left && position_ < end_) {
      const std::string_view op = code_.at(position_);
      const int precedence = precedence_of(op);
      if (precedence < lowest || precedence == 0) break;
      ++position_;
      auto right = parse_binary(precedence + 1, depth + 1);
      if (!right) return std::nullopt;
      left = binary(std::string(op), std::move(*left), std::move(*right));
    }
    return left;
  }

  std::optional<Expression> parse_unary(int depth) {
    if (depth > kExpressionDepthMax) return std::nullopt;
    if (at("-") || at("+") || at("!")) {
      const std::string op(code_.at(position_++));
      auto child = parse_unary(depth + 1);
      if (!child) return std::nullopt;
      return unary(op, std::move(*child));
    }
    return parse_primary(depth);
  }

  std::optional<Expression> parse_primary(int depth) {
    if (position_ >= end_) return std::nullopt;
    if (code_.is_number(position_)) return number(std::string(code_.at(position_++)));
    if (at("(")) {
      const std::size_t close = code_.token(position_).partner;
      if (close == kNone || close >= end_) return std::nullopt;
      ++position_;
      auto inner = parse_conditional(depth + 1);
      if (!inner || position_ != close) return std::nullopt;
      ++position_;
      // `(a + b).norm()` is a terminal as a whole: rare, so it is not read.
      if (at(".") || at("->") || at("[") || at("(")) return std::nullopt;
      return inner;
    }
    return code_.is_identifier(position_) ? parse_name(depth) : std::nullopt;
  }

  /// `std::max<double>(a, b)`, `static_cast<double>(i)`, `bins[i]`, `box.size()`, `kLimit`.
  std::optional<Expression> parse_name(int depth) {
    const std::size_t begin = position_;
    std::size_t name = position_++;
    while (at("::") && position_ + 1 < end_ && code_.is_identifier(position_ + 1)) {
      name = position_ + 1;
      position_ += 2;
    }
    if (at("<")) skip_template_arguments();
    const bool is_known =
        std::find(kFunctions.begin(), kFunctions.end(), code_.at(name)) != kFunctions.end();
    if (is_known && at("(")) {
      const std::string callee = code_.text_of({begin, position_});
      if (auto known = parse_arguments(callee, depth)) return known;
      return std::nullopt;
    }
    for (;;) {
      if (at("(") || at("[")) {
        const std::size_t close = code_.token(position_).partner;
        if (close == kNone || close >= end_) return std::nullopt;
        position_ = close + 1;
      } else if ((at(".") || at("->")) && position_ + 1 < end_) {
        position_ += 2;
      } else {
        break;
      }
    }
    if (at("{") || at("++") || at("--")) return std::nullopt;
    return terminal(code_.text_of({begin, position_}));
  }

  /// Only `<` names, `::`, `*` and commas `>` followed by a bracket: else it is "less than".
  void skip_template_arguments() {
    std::size_t i = position_ + 1;
    while (i < end_ &&
           (code_.is_identifier(i) || code_.is(i, "::") || code_.is(i, ",") || code_.is(i, "*"))) {
      ++i;
    }
    if (i < end_ && i > position_ + 1 && code_.is(i, ">") && code_.is(i + 1, "(")) {
      position_ = i + 1;
    }
  }

  std::optional<Expression> parse_arguments(const std::string& callee, int depth) {
    const std::size_t close = code_.token(position_).partner;
    if (close == kNone || close >= end_) return std::nullopt;
    std::vector<Expression> arguments;
    ++position_;
    while (position_ < close) {
      auto argument = parse_conditional(depth + 1);
      if (!argument) return std::nullopt;
      arguments.push_back(std::move(*argument));
      if (position_ == close) break;
      if (!at(",")) return std::nullopt;
      ++position_;
    }
    position_ = close + 1;
    if (arguments.empty() || at(".")) return std::nullopt;
    return call(callee, std::move(arguments));
  }

  const Code& code_;
  std::size_t position_;
  std::size_t end_;
};

int precedence_of(const Expression& node) {
  switch (node.kind) {
    case Kind::conditional: return 0;
    case Kind::binary: return precedence_of(node.text);
    case Kind::unary: return kUnaryPrecedence;
    default: return kPrimaryPrecedence;
  }
}

void print_to(const Expression& node, std::string& out);

void print_child(const Expression& child, int lowest, std::string& out) {
  const bool in_brackets = precedence_of(child) < lowest;
  if (in_brackets) out += '(';
  print_to(child, out);
  if (in_brackets) out += ')';
}

void print_to(const Expression& node, std::string& out) {
  switch (node.kind) {
    case Kind::number:
    case Kind::terminal: out += node.text; return;
    case Kind::unary: {
      out += node.text;
      // `--x` would be a decrement.
      print_child(node.children[0], kUnaryPrecedence + 1, out);
      return;
    }
    case Kind::binary: {
      const int own = precedence_of(node.text);
      print_child(node.children[0], own, out);
      out += ' ' + node.text + ' ';
      print_child(node.children[1], own + 1, out);
      return;
    }
    case Kind::call: {
      out += node.text + '(';
      for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (i > 0) out += ", ";
        print_to(node.children[i], out);
      }
      out += ')';
      return;
    }
    case Kind::conditional:
      print_child(node.children[0], 1, out);
      out += " ? ";
      print_child(node.children[1], 1, out);
      out += " : ";
      print_child(node.children[2], 1, out);
      return;
  }
}

std::optional<double> value_of(const Expression& node) {
  if (node.kind != Kind::number) return std::nullopt;
  const auto literal = parse_literal(node.text);
  return literal ? std::optional<double>(literal->value) : std::nullopt;
}

bool is_literally(const Expression& node, double value) {
  const auto own = value_of(node);
  return own && *own == value;
}

/// The number that two numbers make, exactly and of the same type; else the node as it is.
Expression folded(Expression node) {
  // Larger whole numbers may not fit their type.
  constexpr double kWholeMax = 1e9;
  if (node.children[0].kind != Kind::number || node.children[1].kind != Kind::number) return node;
  const auto a = parse_literal(node.children[0].text);
  const auto b = parse_literal(node.children[1].text);
  if (!a || !b || !a->suffix.empty() || !b->suffix.empty()) return node;
  double value = 0;
  if (node.text == "+") {
    value = a->value + b->value;
  } else if (node.text == "-") {
    value = a->value - b->value;
  } else if (node.text == "*") {
    value = a->value * b->value;
  } else {
    return node;
  }
  if (!std::isfinite(value) || value < 0) return node;
  if (a->is_real || b->is_real) return number(format_exact(value));
  return value > kWholeMax ? node : number(std::to_string(std::llround(value)));
}

Expression simplified_binary(Expression node) {
  Expression& left = node.children[0];
  Expression& right = node.children[1];
  const std::string& op = node.text;
  if ((op == "+" || op == "-") && is_literally(right, 0)) return std::move(left);
  if (op == "+" && is_literally(left, 0)) return std::move(right);
  if ((op == "*" || op == "/") && is_literally(right, 1)) return std::move(left);
  if (op == "*" && is_literally(left, 1)) return std::move(right);
  if (op == "*" && (is_literally(left, 0) || is_literally(right, 0))) return number("0.0");
  if (op == "-" && left == right) return number("0.0");
  const bool is_negated = right.kind == Kind::unary && right.text == "-";
  if ((op == "+" || op == "-") && is_negated) {
    Expression inner = std::move(right.children[0]);
    return binary(op == "+" ? "-" : "+", std::move(left), std::move(inner));
  }
  return folded(std::move(node));
}

/// A case inside of the same case is decided already.
Expression simplified_conditional(Expression node) {
  for (std::size_t i = 1; i <= 2; ++i) {
    Expression& branch = node.children[i];
    if (branch.kind != Kind::conditional || !(branch.children[0] == node.children[0])) continue;
    Expression inner = std::move(branch.children[i]);
    branch = std::move(inner);
  }
  if (node.children[1] == node.children[2]) {
    Expression only = std::move(node.children[1]);
    return only;
  }
  return node;
}

}  // namespace

Expression number(std::string text) { return {Kind::number, std::move(text), {}}; }
Expression terminal(std::string text) { return {Kind::terminal, std::move(text), {}}; }

Expression unary(std::string op, Expression child) {
  Expression node{Kind::unary, std::move(op), {}};
  node.children.push_back(std::move(child));
  return node;
}

Expression binary(std::string op, Expression left, Expression right) {
  Expression node{Kind::binary, std::move(op), {}};
  node.children.push_back(std::move(left));
  node.children.push_back(std::move(right));
  return node;
}

Expression call(std::string function, std::vector<Expression> arguments) {
  return {Kind::call, std::move(function), std::move(arguments)};
}

Expression conditional(Expression condition, Expression yes, Expression no) {
  Expression node{Kind::conditional, {}, {}};
  node.children.push_back(std::move(condition));
  node.children.push_back(std::move(yes));
  node.children.push_back(std::move(no));
  return node;
}

Expression guarded_quotient(Expression left, Expression right) {
  const bool is_safe = right.kind == Kind::number && !is_literally(right, 0);
  if (is_safe) return binary("/", std::move(left), std::move(right));
  Expression guard = binary("+", call("std::abs", {std::move(right)}), number("1e-6"));
  return binary("/", std::move(left), std::move(guard));
}

std::optional<Expression> parse_expression(const Code& code, TokenRange range) {
  if (range.empty() || code.is_python()) return std::nullopt;
  if (range.end - range.begin > kExpressionTokensMax) return std::nullopt;
  return Parser(code, range).run();
}

std::string print(const Expression& expression) {
  std::string out;
  print_to(expression, out);
  return out;
}

std::size_t size_of(const Expression& expression) {
  std::size_t size = 1;
  for (const Expression& child : expression.children) size += size_of(child);
  return size;
}

bool is_boolean(const Expression& expression) {
  if (expression.kind == Kind::unary) return expression.text == "!";
  if (expression.kind != Kind::binary) return false;
  const int precedence = precedence_of(expression.text);
  return precedence >= 1 && precedence <= 4;
}

std::vector<Expression*> nodes(Expression& root) {
  std::vector<Expression*> found{&root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (Expression& child : found[i]->children) found.push_back(&child);
  }
  return found;
}

Expression simplified(const Expression& expression) {
  Expression node{expression.kind, expression.text, {}};
  // Whole numbers only: what is simplified may become a real.
  if (node.kind == Kind::binary && node.text == "%") return expression;
  for (const Expression& child : expression.children) node.children.push_back(simplified(child));
  if (node.kind == Kind::binary) return simplified_binary(std::move(node));
  if (node.kind == Kind::conditional) return simplified_conditional(std::move(node));
  const bool is_chosen =
      node.kind == Kind::call && node.children.size() == 2 && node.children[0] == node.children[1];
  if (is_chosen && (node.text.starts_with("std::max") || node.text.starts_with("std::min"))) {
    Expression inner = std::move(node.children[0]);
    return inner;
  }
  if (node.kind == Kind::unary && node.text == "-" && node.children[0].kind == Kind::unary &&
      node.children[0].text == "-") {
    Expression inner = std::move(node.children[0].children[0]);
    return inner;
  }
  return node;
}

}  // namespace cambrian::codemodel
