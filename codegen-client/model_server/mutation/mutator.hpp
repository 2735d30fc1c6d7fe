#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/mutation/operator.hpp"
#include "common/base/result.hpp"

namespace cambrian::codemodel {

/// The evolvable files of one variant, by path.
struct Program {
  std::map<std::string, std::string> files;
  std::map<std::string, Language> languages;
};

/// A change that was tried before and failed.
struct Failure {
  std::string outcome;               ///< `compile_error`, `timeout`, ….
  std::vector<std::string> removed;  ///< Lines of the change, without blanks at their ends.
  std::vector<std::string> added;
};

enum class Task {
  diff,       ///< One to three operators.
  rewrite,    ///< Two to five operators: a leap.
  crossover,  ///< Parts of the donors first, then perhaps one more operator.
  simplify,   ///< One to three operators that leave fewer tokens.
};

struct MutationRequest {
  Program parent;
  std::vector<Program> donors;  ///< The second parent first, then inspirations.
  std::vector<Failure> failures;
  Task task = Task::diff;
  std::uint64_t seed = 0;
  /// Operators more than usual, 0 or more.
  int boldness = 0;
};

struct Proposal {
  std::map<std::string, std::string> files;  ///< The changed files in full.
  std::vector<std::string> notes;            ///< One clause for each operator.
  std::vector<std::string_view> operators;   ///< Their names.
};

/// Changes the parent. The same request gives the same proposal. Never gives back the parent, a
/// donor or a change listed among the failures.
/// Errors: invalid_argument for a program that cannot be read, not_found when no operator applies.
Result<Proposal> propose(const MutationRequest& request);

}  // namespace cambrian::codemodel
