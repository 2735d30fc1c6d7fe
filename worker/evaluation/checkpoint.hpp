#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cambrian::worker {

/// A training that was interrupted, as its judge left it: what another judge of the same evaluation
/// needs to go on. Never looked into here.
struct Checkpoint {
  std::string result_key;  ///< Of the evaluation. With any other it is worth nothing.
  std::string frame;       ///< The judge's message, byte for byte.
};

/// The checkpoint as one content.
std::string to_content(const Checkpoint& checkpoint);

/// Reads what to_content wrote; nothing where it is something else.
std::optional<Checkpoint> read_checkpoint(std::string_view content);

}  // namespace cambrian::worker
