#include <openssl/evp.h>
#include <openssl/x509.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>  // Nobody else uses it: cambrian_asio goes without.
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <thread>

#include "codegen-client/adapters/openai/openai_model.hpp"

using namespace cambrian::codegen;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

/// A certificate for 127.0.0.1 that nobody has reason to trust.
void use_self_signed(asio::ssl::context& context) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const auto* text = reinterpret_cast<const unsigned char*>("127.0.0.1");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  SSL_CTX_use_certificate(context.native_handle(), certificate.get());
  SSL_CTX_use_PrivateKey(context.native_handle(), key.get());
}

}  // namespace

TEST_CASE("openai: a certificate that is not trusted gets no request", "[integration][openai]") {
  asio::io_context io;
  asio::ssl::context tls(asio::ssl::context::tls_server);
  use_self_signed(tls);
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const std::string url = "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  std::size_t received = 0;
  std::jthread server([&] {
    boost::system::error_code error;
    asio::ssl::stream<tcp::socket> stream(acceptor.accept(error), tls);
    stream.handshake(asio::ssl::stream_base::server, error);
    char byte = 0;
    if (!error) received = stream.read_some(asio::buffer(&byte, 1), error);
  });
  openai::OpenAiModel model({.base_url = url}, cambrian::Secret("sk-canary"));
  const Sending sending = model.send({.model = "m", .output_tokens = 1}, {});
  server.join();
  REQUIRE(std::holds_alternative<CallFailure>(sending.outcome));
  CHECK(std::get<CallFailure>(sending.outcome).kind == FailureKind::connect);
  CHECK(std::get<CallFailure>(sending.outcome).message.find("certificate") != std::string::npos);
  CHECK(received == 0);
}
