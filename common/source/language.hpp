#pragma once

#include <string_view>

namespace cambrian::source {

/// Language of evolvable files, as `language` of task.yaml names it.
enum class Language {
  cpp,
  python,
  other,  ///< Anything else: words between white space are its tokens.
};

constexpr Language language_from_name(std::string_view name) {
  if (name == "cpp") return Language::cpp;
  if (name == "python") return Language::python;
  return Language::other;
}

constexpr std::string_view to_string(Language language) {
  switch (language) {
    case Language::cpp: return "cpp";
    case Language::python: return "python";
    case Language::other: return "text";
  }
  return "text";
}

}  // namespace cambrian::source
