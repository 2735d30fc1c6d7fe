#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.hpp"

/// Certificates and keys in PEM files.
namespace cambrian::certificates {

/// Looks whether a certificate can be read, belongs to the key and is valid now. Returns when it
/// ends. Errors: `not_found` or `unavailable` for a file that cannot be read, `invalid_argument`
/// for what is in it; every message names the file.
Result<std::chrono::system_clock::time_point> check_key_pair(
    const std::filesystem::path& certificate, const std::filesystem::path& key);

/// Looks whether a file holds certificates of authorities. Errors: as above.
Status check_authorities(const std::filesystem::path& file);

struct AuthorityOptions {
  std::filesystem::path directory;
  /// Names and addresses by which clients call the server; at least one.
  std::vector<std::string> hosts;
  /// Of the certificates of server and client, 1 to 825. The authority's lives ten years.
  int days = 365;
};

/// Makes an authority in the folder where there is none yet, and new certificates of it for server
/// and client: `ca.pem`, `ca-key.pem`, `server.pem`, `server-key.pem`, `client.pem`,
/// `client-key.pem`, all of mode 0600. Each file is replaced at once, so that a server that watches
/// them never reads a half. Returns true when the authority is new. Errors: `invalid_argument` for
/// bad options or a damaged authority, `unavailable` when a file cannot be written.
Result<bool> renew_certificates(const AuthorityOptions& options);

}  // namespace cambrian::certificates
