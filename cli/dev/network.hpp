#pragma once

#include <string>

namespace cambrian::cli::dev {

/// `preferred` when nobody listens there, else a free port of 127.0.0.1.
std::string free_address(const std::string& preferred);

/// True when `host:port` (IPv4 number or localhost) can be bound now.
bool is_free(const std::string& address);

}  // namespace cambrian::cli::dev
