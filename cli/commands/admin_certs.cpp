#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "cli/paths.hpp"
#include "common/certificates/certificates.hpp"

namespace cambrian::cli {
namespace {

int run_init(Session& session, const certificates::AuthorityOptions& options) {
  const auto is_new = certificates::renew_certificates(options);
  if (!is_new) return session.fail(is_new.error());
  const auto directory = std::filesystem::absolute(options.directory).string();
  if (session.is_document()) {
    session.print_object({{"directory", directory}, {"is_new_authority", *is_new}});
    return to_int(ExitCode::ok);
  }
  session.print(directory + "\n");
  session.note(*is_new
                   ? "a new authority, and certificates for server and clients"
                   : "new certificates for server and clients, of the authority that was there");
  session.note("coordinator: tls: {certificate_file: " + directory + "/server.pem, key_file: " +
               directory + "/server-key.pem, client_ca_file: " + directory + "/ca.pem}");
  session.note(
      "clients:     tls: {ca_file: ca.pem, certificate_file: client.pem, key_file: "
      "client-key.pem}");
  session.note("keep ca-key.pem away from both; run this again to renew the certificates");
  return to_int(ExitCode::ok);
}

}  // namespace

void add_admin_certs_command(Cli& cli, CLI::App* admin) {
  CLI::App* parent = cli.add(admin, "certs", "a small private authority for TLS",
                             "cambrian admin certs init --host lab.example");
  parent->require_subcommand(1);
  auto options = std::make_shared<certificates::AuthorityOptions>();
  auto directory = std::make_shared<std::string>("certs");
  CLI::App* init = cli.add(parent, "init", "make the authority, or new certificates of it",
                           "cambrian admin certs init --host lab.example --host 10.0.0.5");
  init->add_option("--directory", *directory, "folder of the files; default ./certs");
  init->add_option("--host", options->hosts, "name or address of the coordinator; several times")
      ->required()
      ->allow_extra_args(false);
  init->add_option("--days", options->days, "days until the certificates expire; default 365");
  cli.on(init, [options, directory](Session& session) {
    options->directory = *directory;
    return run_init(session, *options);
  });
}

}  // namespace cambrian::cli
