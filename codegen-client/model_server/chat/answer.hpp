#pragma once

#include <string>
#include <string_view>

#include "codegen-client/model_server/chat/prompt.hpp"

namespace cambrian::codemodel {

/// SEARCH/REPLACE blocks that turn one text into the other. Each SEARCH part is whole lines that
/// stand exactly once in the text to which it is applied, inside one evolvable block.
std::string render_blocks(const std::string& before, const std::string& after);

/// The model's whole answer to a prompt: a sentence of rationale and the edits. Deterministic.
/// A prompt without a program, or one to which no operator applies, is answered with a sentence.
std::string answer_prompt(const Prompt& prompt);

}  // namespace cambrian::codemodel
