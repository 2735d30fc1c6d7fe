#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/source/language.hpp"

namespace cambrian::source {

/// What is left of a source when layout and comments are taken away.
struct TokenDigest {
  std::string digest;      ///< SHA-256 of the normalised tokens, 64 hex digits.
  std::int64_t count = 0;  ///< Number of normalised tokens.
  friend bool operator==(const TokenDigest&, const TokenDigest&) = default;
};

/// Digest of one text. Equal digests mean the same program up to white space and comments: names
/// and literals are kept as they are written. What carries meaning in the layout is a token: the
/// end of a C++ preprocessor directive, Python's logical lines and indentation. Never fails:
/// unterminated literals and comments end with their line or with the text. Linear time.
TokenDigest token_digest(std::string_view text, Language language);

/// Digest of a program of several files, by path. The digest of a variant: the coordinator makes
/// it for the seed, codegen clients for what they propose. The count is the sum over the files.
TokenDigest token_digest(const std::map<std::string, std::string>& files, Language language);

}  // namespace cambrian::source
