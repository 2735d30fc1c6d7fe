#pragma once

#include "coordinator/config.hpp"

namespace cambrian::coordinator {

/// Makes a token in the database, which is brought to this release's schema first, and prints it:
/// the one way to the first token. Blocks. Errors: those of the database, `invalid_argument` for a
/// bad name.
Status create_token(const Config& config);

}  // namespace cambrian::coordinator
