#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/secret.hpp"

/// Bearer tokens: `cbt_`, 16 hex digits that name the token, `_`, 64 hex digits that are the secret
/// (256 random bits). The prefix is for those who look for leaked secrets.
namespace cambrian {

/// A token that was just drawn.
struct NewToken {
  std::string id;      ///< The part that is no secret.
  Secret text;         ///< The whole token, for its owner alone.
  std::string sha256;  ///< What the coordinator keeps of it.
};

/// Draws a token from the kernel's source of random bytes. Any thread.
NewToken make_token();

/// The id within a token; empty for a text that is none.
std::optional<std::string> token_id(std::string_view text);

/// The text with the secret part of every token within replaced: for words of others, who may have
/// put a token where a name belongs.
std::string mask_tokens(std::string text);

/// What is kept of a token. It has too many random bits to be guessed from this.
std::string token_digest(std::string_view text);

/// Compares in a time that depends on the lengths alone.
bool is_same_digest(std::string_view left, std::string_view right);

}  // namespace cambrian
