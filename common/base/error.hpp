#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace cambrian {

/// The kinds of failure of our own system. A candidate that fails is not an error but a value of
/// its outcome enum. `common/rpc/status.hpp` maps these codes to gRPC and says which are retried.
enum class Errc {
  invalid_argument,   ///< The caller's input is wrong; the same call fails again.
  not_found,          ///< The thing named does not exist.
  already_exists,     ///< The thing exists, and differs.
  conflict,           ///< The state does not allow it: a lost lease, a running campaign.
  denied,             ///< Because of who asks, or as whom: a token, a role.
  exhausted,          ///< A limit or a queue is full; try again later.
  unavailable,        ///< A dependency is away; try again later.
  deadline_exceeded,  ///< It took too long; nothing is known to have happened.
  cancelled,          ///< The caller or a shutdown ended it.
  outcome_unknown,    ///< It may or may not have happened: read back, do not repeat.
  internal,           ///< A bug or a broken dependency.
};

constexpr std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::conflict: return "conflict";
    case Errc::denied: return "denied";
    case Errc::exhausted: return "exhausted";
    case Errc::unavailable: return "unavailable";
    case Errc::deadline_exceeded: return "deadline_exceeded";
    case Errc::cancelled: return "cancelled";
    case Errc::outcome_unknown: return "outcome_unknown";
    case Errc::internal: return "internal";
  }
  return "internal";
}

/// What went wrong: a code for programs and a message for people. Messages begin with fixed text
/// and end with values, without a full stop: `lease expired: item=42 epoch=3`.
struct Error {
  Errc code = Errc::internal;
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Error& error) {
    return out << to_string(error.code) << ": " << error.message;
  }
};

}  // namespace cambrian
