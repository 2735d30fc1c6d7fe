#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::rpc {

/// Largest number of addresses that a channel may have.
inline constexpr std::size_t kAddressesMax = 16;

/// Where a channel goes, in gRPC's words.
struct Target {
  std::string uri;
  std::string host;  ///< That all addresses have; empty: they differ.
};

/// The parts of a list that is separated by commas, without blanks around them.
std::vector<std::string_view> split_addresses(std::string_view addresses);

/// `host:port` or `unix:/path`, which stands as it is, or several `host:port` separated by commas:
/// whoever uses the channel gets the first that answers, and the next one when it is gone. The
/// names of several are looked up here, once, which may block; a name that is not found is left out
/// as long as another one is. Errors: `invalid_argument`, and `unavailable` where no name is found.
Result<Target> make_target(const std::string& addresses);

}  // namespace cambrian::rpc
