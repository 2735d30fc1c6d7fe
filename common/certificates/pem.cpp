#include "common/certificates/pem.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "common/certificates/certificates.hpp"

namespace cambrian::certificates {
namespace {

using Bio = std::unique_ptr<BIO, Freed<&BIO_free_all>>;

Result<Bio> open_file(const std::filesystem::path& path) {
  Bio bio(BIO_new_file(path.c_str(), "r"));
  if (bio) return bio;
  const int cause = errno;
  ERR_clear_error();
  return fail(cause == ENOENT ? Errc::not_found : Errc::unavailable,
              "cannot read " + path.string() + ": " + std::strerror(cause));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// Asked for a passphrase, OpenSSL would talk to the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*is_writing*/, void* /*context*/) {
  return -1;
}

std::chrono::system_clock::time_point instant_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

}  // namespace

std::string openssl_reason() {
  char text[256] = "unknown";
  if (const auto code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

Result<Key> read_key(const std::filesystem::path& path) {
  CAMBRIAN_TRY(const auto bio, open_file(path));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr));
  if (key) return key;
  return fail(Errc::invalid_argument, "no private key in PEM without a passphrase: " +
                                          path.string() + ": " + openssl_reason());
}

Result<Certificate> read_certificate(const std::filesystem::path& path) {
  CAMBRIAN_TRY(const auto bio, open_file(path));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr));
  if (certificate) return certificate;
  return fail(Errc::invalid_argument,
              "no certificate in PEM: " + path.string() + ": " + openssl_reason());
}

Result<std::string> to_pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio && PEM_write_bio_X509(bio.get(), certificate) == 1) return text_of(bio.get());
  return fail(Errc::internal, "cannot write a certificate: " + openssl_reason());
}

Result<Secret> to_pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (bio &&
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1) {
    return Secret(text_of(bio.get()));
  }
  return fail(Errc::internal, "cannot write a key: " + openssl_reason());
}

Status write_private_file(const std::filesystem::path& path, const std::string& content) {
  const std::string partial = path.string() + ".partial";
  const auto failed = [&](int file) {
    const int cause = errno;
    if (file >= 0) ::close(file);
    ::unlink(partial.c_str());
    return fail(Errc::unavailable, "cannot write " + path.string() + ": " + std::strerror(cause));
  };
  ::unlink(partial.c_str());
  const int file = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return failed(file);
  if (::write(file, content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
      ::fsync(file) != 0) {
    return failed(file);
  }
  ::close(file);
  if (::rename(partial.c_str(), path.c_str()) != 0) return failed(-1);
  return {};
}

Result<std::chrono::system_clock::time_point> check_key_pair(
    const std::filesystem::path& certificate, const std::filesystem::path& key) {
  CAMBRIAN_TRY(const auto one, read_certificate(certificate));
  CAMBRIAN_TRY(const auto other, read_key(key));
  if (X509_check_private_key(one.get(), other.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid_argument, "the key does not belong to the certificate: key=" +
                                            key.string() + " certificate=" + certificate.string());
  }
  const auto begin = instant_of(X509_get0_notBefore(one.get()));
  const auto end = instant_of(X509_get0_notAfter(one.get()));
  const auto now = std::chrono::system_clock::now();
  if (now < begin || now >= end) {
    return fail(Errc::invalid_argument, "the certificate is not valid " +
                                            std::string(now < begin ? "yet" : "any more") + ": " +
                                            certificate.string());
  }
  return end;
}

Status check_authorities(const std::filesystem::path& file) {
  CAMBRIAN_TRY_STATUS(read_certificate(file));
  return {};
}

}  // namespace cambrian::certificates
