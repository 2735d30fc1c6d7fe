#pragma once

#include <string_view>

#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// Takes up one message from the control socket of a sandbox. Its sender is as trusted as the user
/// that the sandbox runs as, so what cannot be true is not believed: other sizes and events end the
/// conversation, and numbers are put into their bounds.
///
/// `program` is for the text of a failure. Returns whether another message will follow.
bool take_supervisor_record(std::string_view bytes, std::string_view program, ProcessExit& exit);

}  // namespace cambrian::worker
