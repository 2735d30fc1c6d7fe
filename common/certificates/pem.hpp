#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>

#include "common/base/result.hpp"
#include "common/base/secret.hpp"

/// OpenSSL's objects as owned values, and PEM files. For the other files of this folder.
namespace cambrian::certificates {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<&X509_free>>;

/// The last error of OpenSSL on this thread, in its words.
std::string openssl_reason();

Result<Key> read_key(const std::filesystem::path& path);
/// The first certificate of the file.
Result<Certificate> read_certificate(const std::filesystem::path& path);
Result<std::string> to_pem(X509* certificate);
Result<Secret> to_pem(EVP_PKEY* key);

/// Replaces a file by one of mode 0600, at once and on disk.
Status write_private_file(const std::filesystem::path& path, const std::string& content);

}  // namespace cambrian::certificates
