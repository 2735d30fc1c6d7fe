#include "common/rpc/security.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "common/certificates/certificates.hpp"
#include "common/digest/token.hpp"
#include "common/log/log.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/target.hpp"

namespace cambrian::rpc {
namespace {

namespace grpc_experimental = grpc::experimental;
using Clock = std::chrono::steady_clock;

/// Far above what a token takes.
constexpr std::size_t kTokenFileBytesMax = 4'096;
constexpr const char* kTokenVariable = "CAMBRIAN_TOKEN";

Result<Secret> parse_token(std::string text, const std::string& where) {
  const Secret wiped_behind_us(std::move(text));
  std::string_view token = wiped_behind_us.reveal();
  constexpr const char* kBlanks = " \t\r\n";
  token.remove_prefix(std::min(token.find_first_not_of(kBlanks), token.size()));
  token = token.substr(0, token.find_last_not_of(kBlanks) + 1);
  if (token_id(token)) return Secret(std::string(token));
  return fail(Errc::invalid_argument,
              where +
                  " holds no token: one begins with cbt_ and has 85 characters; make one with: "
                  "cambrian admin token create");
}

Result<Secret> read_token_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(Errc::not_found, "cannot read the token file: token_file=" + path);
  }
  std::string text(kTokenFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_token(std::move(text), "the token file " + path);
}

/// The token of a channel. One in a file is read again from time to time, so that it can be
/// replaced before it expires, without an end of the program.
class TokenSource {
 public:
  static Result<std::shared_ptr<TokenSource>> open(std::string file, const Secret& fixed) {
    auto source = std::make_shared<TokenSource>();
    if (file.empty()) {
      CAMBRIAN_TRY(
          source->token_,
          parse_token(fixed.reveal(), std::string("the environment variable ") + kTokenVariable));
    } else {
      CAMBRIAN_TRY(source->token_, read_token_file(file));
    }
    source->file_ = std::move(file);
    return source;
  }

  /// Value of the header.
  std::string header() {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (!file_.empty() && now - looked_at_ >= std::chrono::seconds(kFileLookSeconds)) {
      looked_at_ = now;
      auto token = read_token_file(file_);
      if (token) {
        token_ = std::move(*token);
      } else {
        log::warn("token_file_unusable", {{"cause", token.error().message},
                                          {"next", "the token that was read before is used"}});
      }
    }
    return "Bearer " + token_.reveal();
  }

 private:
  std::string file_;
  std::mutex mutex_;  // Guards everything below.
  Secret token_;
  Clock::time_point looked_at_ = Clock::now();
};

/// Puts the token into the headers of one call.
class TokenInterceptor final : public grpc_experimental::Interceptor {
 public:
  explicit TokenInterceptor(std::shared_ptr<TokenSource> source) : source_(std::move(source)) {}

  void Intercept(grpc_experimental::InterceptorBatchMethods* methods) override {
    using Hook = grpc_experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Hook::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert({"authorization", source_->header()});
    }
    methods->Proceed();
  }

 private:
  std::shared_ptr<TokenSource> source_;  // Shared by all calls of a channel.
};

class TokenInterceptorFactory final : public grpc_experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(std::shared_ptr<TokenSource> source)
      : source_(std::move(source)) {}

  grpc_experimental::Interceptor* CreateClientInterceptor(
      grpc_experimental::ClientRpcInfo* /*info*/) override {
    return std::make_unique<TokenInterceptor>(source_).release();  // gRPC owns it.
  }

 private:
  std::shared_ptr<TokenSource> source_;
};

Result<std::shared_ptr<grpc::ChannelCredentials>> make_tls_credentials(
    const config::v1::ClientTlsConfig& tls) {
  if (tls.certificate_file().empty() != tls.key_file().empty()) {
    return fail(Errc::invalid_argument, "tls needs certificate_file and key_file, or none of them");
  }
  const bool has_identity = !tls.certificate_file().empty();
  const bool has_authorities = !tls.ca_file().empty();
  if (has_authorities) CAMBRIAN_TRY_STATUS(certificates::check_authorities(tls.ca_file()));
  if (has_identity) {
    CAMBRIAN_TRY_STATUS(certificates::check_key_pair(tls.certificate_file(), tls.key_file()));
  }
  grpc_experimental::TlsChannelCredentialsOptions options;
  if (has_identity || has_authorities) {
    options.set_certificate_provider(
        std::make_shared<grpc_experimental::FileWatcherCertificateProvider>(
            tls.key_file(), tls.certificate_file(), tls.ca_file(), kFileLookSeconds));
  }
  if (has_authorities) options.watch_root_certs();
  if (has_identity) options.watch_identity_key_cert_pairs();
  return grpc_experimental::TlsCredentials(options);
}

}  // namespace

Secret token_of_environment() {
  const char* text = std::getenv(kTokenVariable);
  return Secret(text == nullptr ? std::string() : std::string(text));
}

Result<std::shared_ptr<grpc::Channel>> make_channel(const std::string& addresses,
                                                    ChannelSecurity security) {
  CAMBRIAN_TRY(const Target target, make_target(addresses));
  auto arguments = channel_arguments();
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (security.tls) {
    CAMBRIAN_TRY(credentials, make_tls_credentials(*security.tls));
    const auto& name =
        security.tls->server_name().empty() ? target.host : security.tls->server_name();
    if (!name.empty()) arguments.SetSslTargetNameOverride(name);
    if (name.empty() && target.uri != addresses) {
      return fail(Errc::invalid_argument,
                  "TLS to several hosts needs a name that the certificates of all of them have: "
                  "set tls.server_name: addresses=" +
                      addresses);
    }
  }
  const bool has_token = !security.token_file.empty() || !security.token.is_empty();
  if (!has_token) return grpc::CreateCustomChannel(target.uri, credentials, arguments);
  if (!security.tls && !is_local_address(addresses)) {
    return fail(Errc::invalid_argument,
                "the token would travel in the clear: address=" + addresses +
                    "; configure tls, or use a tunnel to a local address");
  }
  CAMBRIAN_TRY(auto source, TokenSource::open(security.token_file, security.token));
  std::vector<std::unique_ptr<grpc_experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenInterceptorFactory>(std::move(source)));
  return grpc_experimental::CreateCustomChannelWithInterceptors(target.uri, credentials, arguments,
                                                                std::move(interceptors));
}

Result<std::shared_ptr<grpc::ServerCredentials>> make_server_credentials(
    const config::v1::ServerTlsConfig* tls) {
  if (tls == nullptr) return grpc::InsecureServerCredentials();
  CAMBRIAN_TRY(const auto end,
               certificates::check_key_pair(tls->certificate_file(), tls->key_file()));
  const bool is_mutual = !tls->client_ca_file().empty();
  if (is_mutual) CAMBRIAN_TRY_STATUS(certificates::check_authorities(tls->client_ca_file()));
  grpc_experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc_experimental::FileWatcherCertificateProvider>(
          tls->key_file(), tls->certificate_file(), tls->client_ca_file(), kFileLookSeconds));
  options.watch_identity_key_cert_pairs();
  if (is_mutual) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  const auto days =
      std::chrono::duration_cast<std::chrono::hours>(end - std::chrono::system_clock::now()) /
      std::chrono::hours(24);
  log::info("tls_configured", {{"certificate", tls->certificate_file()},
                               {"days_left", days},
                               {"clients_need_certificates", is_mutual}});
  return grpc_experimental::TlsServerCredentials(options);
}

}  // namespace cambrian::rpc
