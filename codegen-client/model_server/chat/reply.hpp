#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cambrian::codemodel {

/// One of the `n` answers.
struct Choice {
  std::string content;
  std::string finish_reason;  ///< stop, length or content_filter.
  std::size_t tokens = 0;
  bool is_null = false;   ///< The content is null.
  std::string reasoning;  ///< Goes into reasoning_content; empty: absent.
};

/// Everything that a completion's reply says, streamed or not.
struct Completions {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  std::vector<Choice> choices;
  std::size_t prompt_tokens = 0;
  bool has_usage = true;
};

/// The body of a reply that is not streamed.
std::string completion_body(const Completions& completions);

/// The events of a streamed reply, `data: …\n\n` each, with `data: [DONE]` as the last one.
/// `includes_usage` adds a last chunk without choices, and `usage: null` to the others.
std::vector<std::string> completion_events(const Completions& completions, bool includes_usage);

}  // namespace cambrian::codemodel
