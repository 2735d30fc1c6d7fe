#pragma once

#include <string>
#include <vector>

#include "cambrian/spec/v1/task.pb.h"

namespace cambrian::task {

/// A field that breaks a rule.
struct FieldProblem {
  std::string field;    ///< Path below the manifest: `objectives[0].metric`.
  std::string message;  ///< What is wrong.
  std::string fix;      ///< What would be right; may be empty.

  friend bool operator==(const FieldProblem&, const FieldProblem&) = default;
};

/// Every rule of a manifest that can be checked without its files. Empty: the manifest is good.
std::vector<FieldProblem> check_manifest(const spec::v1::TaskManifest& manifest);

/// True for compiler options that a task may set: -O, -f, -m, -D and -W, without those that load
/// code, write files or reach the linker.
bool is_accepted_option(const std::string& option);

}  // namespace cambrian::task
