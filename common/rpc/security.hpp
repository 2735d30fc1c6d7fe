#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <optional>
#include <string>

#include "cambrian/config/v1/config.pb.h"
#include "common/base/result.hpp"
#include "common/base/secret.hpp"

/// TLS and tokens of both sides.
namespace cambrian::rpc {

/// How often files of certificates, keys and tokens are looked at again.
inline constexpr unsigned kFileLookSeconds = 2;

/// How a client makes sure of the server, and makes itself known.
struct ChannelSecurity {
  std::optional<config::v1::ClientTlsConfig> tls;
  std::string token_file;  ///< Empty: `token` counts.
  Secret token;            ///< Empty: none.
};

/// From the configuration of a program: its `tls` and `token_file`, and where that is empty the
/// environment variable CAMBRIAN_TOKEN.
template <class Config>
ChannelSecurity security_of(const Config& config);

/// A channel as `make_channel(address)` makes it, with TLS, and with a token in every call; to the
/// first of several addresses that answers (target.hpp). Errors: those of `make_target`;
/// `not_found`, `unavailable` and `invalid_argument` for files that are missing or unusable; and
/// `invalid_argument` for a token that would travel in the clear over a network, and for TLS to
/// several hosts without a name that all their certificates have.
Result<std::shared_ptr<grpc::Channel>> make_channel(const std::string& addresses,
                                                    ChannelSecurity security);

/// What a server shows its clients; null stands for no TLS. Errors: as above.
Result<std::shared_ptr<grpc::ServerCredentials>> make_server_credentials(
    const config::v1::ServerTlsConfig* tls);

/// CAMBRIAN_TOKEN of the environment; empty where it is not set.
Secret token_of_environment();

template <class Config>
ChannelSecurity security_of(const Config& config) {
  ChannelSecurity security;
  if (config.has_tls()) security.tls = config.tls();
  security.token_file = config.token_file();
  if (security.token_file.empty()) security.token = token_of_environment();
  return security;
}

}  // namespace cambrian::rpc
