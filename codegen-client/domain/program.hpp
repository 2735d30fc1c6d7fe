#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/source/language.hpp"

/// The vocabulary of proposals: values only.
namespace cambrian::codegen {

using source::Language;

/// Contents by path.
using Files = std::map<std::string, std::string>;

enum class Operator { diff, rewrite, crossover, repair, simplify, explain };

constexpr std::string_view to_string(Operator operation) {
  switch (operation) {
    case Operator::diff: return "diff";
    case Operator::rewrite: return "rewrite";
    case Operator::crossover: return "crossover";
    case Operator::repair: return "repair";
    case Operator::simplify: return "simplify";
    case Operator::explain: return "explain";
  }
  return "diff";
}

struct Objective {
  std::string metric{};
  bool is_maximized = true;
};

/// What a prompt says about a task.
struct Task {
  std::string name{};
  std::string description{};
  std::vector<Objective> objectives{};
  std::vector<std::string> evolve{};  ///< Paths of the files that may change.
  Language language = Language::cpp;
  std::int64_t source_bytes_max = 0;  ///< Of each file.
};

/// A variant as a prompt shows it.
struct Program {
  std::int64_t variant = 0;
  Files files{};  ///< Every file that may change.
  std::map<std::string, double> metrics{};
  std::string outcome{};  ///< How its evaluation ended, in one word.
  std::string diagnostics{};
};

/// A variant that became the best of its campaign.
struct Gain {
  std::int64_t variant = 0;
  double before = 0;  ///< Score of the best before it.
  double after = 0;
  std::string change{};  ///< What the model said of it; may be empty.
};

}  // namespace cambrian::codegen
