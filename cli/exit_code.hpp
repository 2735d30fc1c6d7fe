#pragma once

#include "common/base/error.hpp"

namespace cambrian::cli {

/// What the shell gets. Documented by `cambrian help exit-codes`; scripts depend on it.
enum class ExitCode : int {
  ok = 0,
  failure = 1,           ///< It did not work.
  usage = 2,             ///< The command line is wrong.
  invalid_spec = 3,      ///< A campaign or task file is wrong; nothing was sent.
  permission = 4,        ///< Not allowed.
  not_found = 5,         ///< The thing named does not exist.
  unreachable = 6,       ///< No answer from the server in time.
  goal_not_reached = 7,  ///< What `wait` waits for did not come, or cannot.
  interrupted = 130,     ///< Ctrl-C.
};

constexpr int to_int(ExitCode code) { return static_cast<int>(code); }

constexpr ExitCode exit_code_for(Errc code) {
  switch (code) {
    case Errc::not_found: return ExitCode::not_found;
    case Errc::unavailable:
    case Errc::deadline_exceeded: return ExitCode::unreachable;
    case Errc::cancelled: return ExitCode::interrupted;
    case Errc::denied: return ExitCode::permission;
    case Errc::invalid_argument: return ExitCode::invalid_spec;
    case Errc::already_exists:
    case Errc::conflict:
    case Errc::exhausted:
    case Errc::outcome_unknown:
    case Errc::internal: return ExitCode::failure;
  }
  return ExitCode::failure;
}

}  // namespace cambrian::cli
