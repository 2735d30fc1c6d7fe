#pragma once

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/utf8.hpp"
#include "common/config/reader.hpp"
#include "common/task/manifest.hpp"

namespace cambrian::fuzz {

/// Protobuf tells of each text that is not UTF-8; here these are most.
inline void silence_protobuf() {
  [[maybe_unused]] static const auto before = google::protobuf::SetLogHandler(nullptr);
}

/// What holds for every file that a person may write: each problem says something, lies in the
/// file, and can be shown. Text that is UTF-8 is not cut inside of a character.
inline void check_document(const config::Document& document, std::string_view text) {
  const auto lines = 1 + std::ranges::count(text, '\n');
  const bool is_text = is_valid_utf8(text);
  for (const config::Problem& problem : document.problems()) {
    CAMBRIAN_ASSERT(!problem.message.empty());
    CAMBRIAN_ASSERT(problem.place.line >= 0 && problem.place.width >= 0);
    // yaml-cpp takes a carriage return for the end of a line, too, and may stand behind the last.
    CAMBRIAN_ASSERT(problem.place.line <= lines + 1 + std::ranges::count(text, '\r'));
    CAMBRIAN_ASSERT(!is_text || is_valid_utf8(problem.message + problem.fix));
  }
  const std::string shown = document.render();
  CAMBRIAN_ASSERT(shown.empty() == document.is_ok());
  CAMBRIAN_ASSERT(!is_text || is_valid_utf8(shown));
}

/// Each of them names a field and says what is wrong with it, and finds its place in the file.
inline void check_problems(const std::vector<task::FieldProblem>& problems,
                           config::Document document, std::string_view text) {
  for (const task::FieldProblem& problem : problems) {
    CAMBRIAN_ASSERT(!problem.field.empty() && !problem.message.empty());
    document.add_field_problem(problem.field, problem.message, problem.fix);
  }
  check_document(document, text);
}

}  // namespace cambrian::fuzz
