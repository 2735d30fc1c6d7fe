#pragma once

#include <cstdint>
#include <string>

#include "cli/session.hpp"

namespace cambrian::cli {

/// What leads from one variant to another, over all their files, as a unified difference.
Result<std::string> diff_variants(Session& session, const std::string& campaign,
                                  std::int64_t before, std::int64_t after);

/// The first parent of a variant; -1 for the seed.
Result<std::int64_t> get_variant_parent(Session& session, const std::string& campaign,
                                        std::int64_t number);

}  // namespace cambrian::cli
