#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/mutation/mutator.hpp"

namespace cambrian::codemodel {

/// A message of a conversation, its content as plain text.
struct Message {
  std::string role;
  std::string content;
};

/// What a conversation asks for.
struct Prompt {
  MutationRequest request;
  /// The last user message named a variation seed; it then is `request.seed`.
  bool has_seed = false;
  /// The answer is whole files, not SEARCH/REPLACE blocks.
  bool wants_files = false;
};

/// Reads a conversation in the form of docs/prompt-format.md. A prompt of another form is read as
/// well as it can be: the last fenced block is the program, and the word SEARCH asks for blocks.
/// Without any program `request.parent.files` is empty. Never fails; linear time.
Prompt read_prompt(const std::vector<Message>& messages);

}  // namespace cambrian::codemodel
