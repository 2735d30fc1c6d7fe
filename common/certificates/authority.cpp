#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/certificates/certificates.hpp"
#include "common/certificates/pem.hpp"

namespace cambrian::certificates {
namespace {

namespace fs = std::filesystem;

constexpr int kDaysMax = 825;  // Longer ones are refused by some clients.
constexpr int kAuthorityDays = 3'650;
constexpr std::size_t kHostsMax = 64;
constexpr std::size_t kHostBytesMax = 253;
constexpr long kBackdatedSeconds = 300;  // For clients whose clock is late.
constexpr long kDaySeconds = 86'400;

struct Identity {
  Certificate certificate;
  Key key;
};

struct Extension {
  int nid;
  std::string value;
};

Error openssl_failed(const char* what) {
  return {Errc::internal, std::string(what) + ": " + openssl_reason()};
}

bool is_address(const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, Freed<&ASN1_OCTET_STRING_free>> address(
      a2i_IPADDRESS(host.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

bool is_name(const std::string& host) {
  return !host.empty() && host.size() <= kHostBytesMax && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '*';
  });
}

bool is_host(const std::string& host) { return is_name(host) || is_address(host); }

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string names;
  for (const auto& host : hosts) {
    names += (names.empty() ? "" : ",") + std::string(is_address(host) ? "IP:" : "DNS:") + host;
  }
  return names;
}

/// 127 random bits: positive, and never twice.
bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] &= 0x7F;
  const std::unique_ptr<BIGNUM, Freed<&BN_free>> number(
      BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_subject(X509* certificate, const std::string& name) {
  const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, text,
                                    -1, -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, const Extension& extension) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<&X509_EXTENSION_free>> made(
      X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value.c_str()));
  return made && X509_add_ext(certificate, made.get(), -1) == 1;
}

/// A certificate for a new key. Without an issuer it signs itself.
Result<Identity> issue(const std::string& name, int days, const std::vector<Extension>& extensions,
                       const Identity* issuer) {
  Identity made{Certificate(X509_new()), Key(EVP_EC_gen("P-256"))};
  if (!made.certificate || !made.key) return fail(openssl_failed("cannot make a key"));
  X509* certificate = made.certificate.get();
  X509* signer = issuer != nullptr ? issuer->certificate.get() : certificate;
  bool is_good = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
                 X509_gmtime_adj(X509_getm_notBefore(certificate), -kBackdatedSeconds) != nullptr &&
                 X509_gmtime_adj(X509_getm_notAfter(certificate), days * kDaySeconds) != nullptr &&
                 X509_set_pubkey(certificate, made.key.get()) == 1 &&
                 set_subject(certificate, name) &&
                 X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1;
  for (const auto& extension : extensions) {
    is_good = is_good && add_extension(certificate, signer, extension);
  }
  EVP_PKEY* signing_key = issuer != nullptr ? issuer->key.get() : made.key.get();
  is_good = is_good && X509_sign(certificate, signing_key, EVP_sha256()) > 0;
  if (!is_good) return fail(openssl_failed("cannot make a certificate"));
  return made;
}

Status write_identity(const fs::path& directory, const std::string& name,
                      const Identity& identity) {
  CAMBRIAN_TRY(const auto key, to_pem(identity.key.get()));
  CAMBRIAN_TRY(const auto certificate, to_pem(identity.certificate.get()));
  CAMBRIAN_TRY_STATUS(write_private_file(directory / (name + "-key.pem"), key.reveal()));
  return write_private_file(directory / (name + ".pem"), certificate);
}

Result<Identity> open_authority(const fs::path& directory, bool& is_new) {
  std::error_code ignored;
  is_new = !fs::exists(directory / "ca.pem", ignored);
  if (is_new) {
    CAMBRIAN_TRY(auto made, issue("Cambrian private authority", kAuthorityDays,
                                  {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                   {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                   {NID_subject_key_identifier, "hash"}},
                                  nullptr));
    CAMBRIAN_TRY_STATUS(write_identity(directory, "ca", made));
    return made;
  }
  CAMBRIAN_TRY_STATUS(check_key_pair(directory / "ca.pem", directory / "ca-key.pem"));
  CAMBRIAN_TRY(auto certificate, read_certificate(directory / "ca.pem"));
  CAMBRIAN_TRY(auto key, read_key(directory / "ca-key.pem"));
  return Identity{std::move(certificate), std::move(key)};
}

}  // namespace

Result<bool> renew_certificates(const AuthorityOptions& options) {
  if (options.hosts.empty() || options.hosts.size() > kHostsMax ||
      !std::ranges::all_of(options.hosts, is_host)) {
    return fail(Errc::invalid_argument, "hosts must be 1 to 64 names or addresses without a port");
  }
  if (options.days < 1 || options.days > kDaysMax) {
    return fail(Errc::invalid_argument, "days must be 1 to 825");
  }
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) {
    return fail(Errc::unavailable,
                "cannot make " + options.directory.string() + ": " + error.message());
  }
  bool is_new = false;
  CAMBRIAN_TRY(const auto authority, open_authority(options.directory, is_new));
  const std::vector<Extension> common = {{NID_basic_constraints, "critical,CA:FALSE"},
                                         {NID_key_usage, "critical,digitalSignature"},
                                         {NID_subject_key_identifier, "hash"},
                                         {NID_authority_key_identifier, "keyid:always"}};
  auto for_server = common;
  for_server.push_back({NID_ext_key_usage, "serverAuth"});
  for_server.push_back({NID_subject_alt_name, alternative_names(options.hosts)});
  auto for_client = common;
  for_client.push_back({NID_ext_key_usage, "clientAuth"});
  CAMBRIAN_TRY(const auto server,
               issue("cambrian-coordinator", options.days, for_server, &authority));
  CAMBRIAN_TRY(const auto client, issue("cambrian-client", options.days, for_client, &authority));
  CAMBRIAN_TRY_STATUS(write_identity(options.directory, "server", server));
  CAMBRIAN_TRY_STATUS(write_identity(options.directory, "client", client));
  return is_new;
}

}  // namespace cambrian::certificates
