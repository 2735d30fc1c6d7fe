#pragma once

#include <chrono>
#include <string>

namespace cambrian::cli::dev {

/// `preferred` when nobody listens there, else a free port of 127.0.0.1.
std::string free_address(const std::string& preferred);

/// True when `host:port` (IPv4 number or localhost) can be bound now.
bool is_free(const std::string& address);

/// True when somebody accepts a connection at the host and port of an http or https URL. Blocks, at
/// most for `timeout` and the time of a name look-up.
bool accepts_connections(const std::string& url, std::chrono::milliseconds timeout);

}  // namespace cambrian::cli::dev
