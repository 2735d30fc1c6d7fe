#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>

#include "common/certificates/certificates.hpp"
#include "common/digest/token.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/security.hpp"
#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::test;
using grpc::StatusCode;
namespace fs = std::filesystem;

namespace {

/// A folder that goes with the test.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("cambrian-tls-" + make_token().id)) {
    fs::create_directory(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Certificates for these hosts, of the authority of the folder.
void renew(const Folder& folder, std::vector<std::string> hosts) {
  const auto made =
      certificates::renew_certificates({.directory = folder.path(), .hosts = std::move(hosts)});
  INFO((made ? std::string() : made.error().message));
  REQUIRE(made.has_value());
}

std::string server_config(const Folder& folder, bool is_mutual = false) {
  return "tls:\n  certificate_file: " + folder.file("server.pem") +
         "\n  key_file: " + folder.file("server-key.pem") + "\n" +
         (is_mutual ? "  client_ca_file: " + folder.file("ca.pem") + "\n" : "");
}

config::v1::ClientTlsConfig client_tls(const Folder& folder, bool with_certificate = false,
                                       const std::string& server_name = "") {
  config::v1::ClientTlsConfig tls;
  tls.set_ca_file(folder.file("ca.pem"));
  tls.set_server_name(server_name);
  if (with_certificate) {
    tls.set_certificate_file(folder.file("client.pem"));
    tls.set_key_file(folder.file("client-key.pem"));
  }
  return tls;
}

std::shared_ptr<grpc::Channel> connect(const CoordinatorProcess& coordinator,
                                       const config::v1::ClientTlsConfig& tls) {
  rpc::ChannelSecurity security;
  security.tls = tls;
  auto channel = rpc::make_channel(coordinator.address(), std::move(security));
  INFO((channel ? std::string() : channel.error().message));
  REQUIRE(channel.has_value());
  return *channel;
}

grpc::Status list_campaigns(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(10'000));
  user::v1::ListCampaignsResponse response;
  return user::v1::CampaignService::NewStub(channel)->ListCampaigns(&context, {}, &response);
}

struct Ran {
  int code = -1;
  std::string output;
};

/// Runs a command of the shell and takes what it says on both outputs.
Ran run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ran ran;
  char buffer[4096];
  for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    ran.output.append(buffer, size);
  }
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
  return ran;
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// A coordinator with mutual TLS and tokens, made ready by the command line, which has contexts for
/// an administrator (root), a user (alice), nobody, and a client that speaks no TLS (plain).
struct Installation {
  Folder folder;
  std::string programs = std::string(CAMBRIAN_BINARY_DIR) + "/bin/";
  std::string database = PrivatePostgres::shared().make_database();
  std::unique_ptr<CoordinatorProcess> coordinator;

  Installation() {
    cambrian("admin certs init --directory " + folder.path().string() + " --host 127.0.0.1");
    std::ofstream(folder.file("root.token")) << make_first_token(database) << "\n";
    coordinator = std::make_unique<CoordinatorProcess>(
        CoordinatorOptions{.database = database,
                           .more_config = server_config(folder, true) + "require_tokens: true\n"});
    const auto tls = " --tls-ca-file " + folder.file("ca.pem") + " --tls-certificate-file " +
                     folder.file("client.pem") + " --tls-key-file " + folder.file("client-key.pem");
    set("root", tls + " --token-file " + folder.file("root.token"));
    set("alice", tls + " --token-file " + folder.file("alice.token"));
    set("nobody", tls);
    set("plain", "");
    cambrian(make_token_command("alice", "user"));
  }

  Ran try_cambrian(const std::string& arguments) const {
    return run("CAMBRIAN_CONFIG=" + folder.file("config.yaml") + " " + programs + "cambrian " +
               arguments);
  }
  /// One that must succeed.
  std::string cambrian(const std::string& arguments) const {
    const auto ran = try_cambrian(arguments);
    INFO(arguments << "\n" << ran.output);
    REQUIRE(ran.code == 0);
    return ran.output;
  }
  void set(const std::string& name, const std::string& more) const {
    cambrian("config set-context " + name + " --endpoint " + coordinator->address() + more);
  }
  std::string make_token_command(const std::string& name, const std::string& role) const {
    return "--context root admin token create " + name + " --role " + role + " --file " +
           folder.file(name + ".token");
  }
};

}  // namespace

TEST_CASE("tls: the authority's files are for their owner alone, and are renewed",
          "[integration][tls]") {
  const Folder folder;
  renew(folder, {"127.0.0.1", "::1", "localhost", "*.lab.example"});
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    struct stat facts{};
    REQUIRE(::stat(entry.path().c_str(), &facts) == 0);
    CHECK((facts.st_mode & 07777U) == 0600U);
    ++files;
  }
  CHECK(files == 6);
  const auto authority = read_file(folder.file("ca.pem"));
  const auto server = read_file(folder.file("server.pem"));
  const auto end =
      certificates::check_key_pair(folder.file("server.pem"), folder.file("server-key.pem"));
  REQUIRE(end.has_value());
  CHECK(*end > std::chrono::system_clock::now() + std::chrono::days(364));
  renew(folder, {"127.0.0.1"});
  CHECK(read_file(folder.file("ca.pem")) == authority);
  CHECK(read_file(folder.file("server.pem")) != server);
  const auto mixed =
      certificates::check_key_pair(folder.file("server.pem"), folder.file("client-key.pem"));
  REQUIRE_FALSE(mixed.has_value());
  CHECK(mixed.error().message.find("does not belong") != std::string::npos);
  for (const char* bad : {"", "a b", "a,DNS:b", "host:7070/x"}) {
    CHECK_FALSE(certificates::renew_certificates({.directory = folder.path(), .hosts = {bad}}));
  }
  CHECK_FALSE(certificates::renew_certificates({.directory = folder.path(), .hosts = {}}));
}

TEST_CASE("tls: a client that trusts the authority gets in, others hear why not",
          "[integration][tls]") {
  const Folder folder;
  const Folder strangers;
  renew(folder, {"127.0.0.1", "coordinator.example"});
  renew(strangers, {"127.0.0.1"});
  const CoordinatorProcess coordinator({.database = PrivatePostgres::shared().make_database(),
                                        .more_config = server_config(folder)});
  CHECK(list_campaigns(connect(coordinator, client_tls(folder))).ok());
  CHECK(
      list_campaigns(connect(coordinator, client_tls(folder, false, "coordinator.example"))).ok());

  const auto plain = list_campaigns(rpc::make_channel(coordinator.address()));
  CHECK(plain.error_code() == StatusCode::UNAVAILABLE);
  const auto foreign = list_campaigns(connect(coordinator, client_tls(strangers)));
  CHECK(foreign.error_code() == StatusCode::UNAVAILABLE);
  INFO(foreign.error_message());
  CHECK(foreign.error_message().find("certificate verify failed") != std::string::npos);
  const auto wrong =
      list_campaigns(connect(coordinator, client_tls(folder, false, "other.example")));
  CHECK(wrong.error_code() == StatusCode::UNAVAILABLE);
  // And the other way round: nobody sends anything to a server that is not the right one.
  const CoordinatorProcess open({.database = PrivatePostgres::shared().make_database()});
  CHECK(list_campaigns(connect(open, client_tls(folder))).error_code() == StatusCode::UNAVAILABLE);
}

TEST_CASE("tls: where clients need certificates, one without gets nothing", "[integration][tls]") {
  const Folder folder;
  const Folder strangers;
  renew(folder, {"127.0.0.1"});
  renew(strangers, {"127.0.0.1"});
  const CoordinatorProcess coordinator({.database = PrivatePostgres::shared().make_database(),
                                        .more_config = server_config(folder, true)});
  CHECK(list_campaigns(connect(coordinator, client_tls(folder, true))).ok());
  CHECK(list_campaigns(connect(coordinator, client_tls(folder))).error_code() ==
        StatusCode::UNAVAILABLE);
  auto stolen = client_tls(folder);
  stolen.set_certificate_file(strangers.file("client.pem"));
  stolen.set_key_file(strangers.file("client-key.pem"));
  CHECK(list_campaigns(connect(coordinator, stolen)).error_code() == StatusCode::UNAVAILABLE);
}

TEST_CASE("tls: a new certificate is served without a restart, open connections stay",
          "[integration][tls]") {
  const Folder folder;
  renew(folder, {"127.0.0.1"});
  CoordinatorProcess coordinator({.database = PrivatePostgres::shared().make_database(),
                                  .more_config = server_config(folder)});
  const auto old = connect(coordinator, client_tls(folder));
  REQUIRE(list_campaigns(old).ok());
  const auto renamed = client_tls(folder, false, "renewed.example");
  CHECK_FALSE(list_campaigns(connect(coordinator, renamed)).ok());
  // A long call goes on while the certificate changes.
  ScriptedAgent worker(old, agent::v1::AGENT_KIND_WORKER, "worker");
  agent::v1::SyncResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(40'000));
  grpc::Status polled(StatusCode::UNKNOWN, "it did not end");
  std::atomic<bool> has_ended = false;
  const auto request = worker.make_sync(1, milliseconds(8'000));
  worker.stub().async()->Sync(&context, &request, &response, [&](grpc::Status status) {
    polled = std::move(status);
    has_ended = true;
  });
  renew(folder, {"renewed.example"});
  CHECK(eventually([&] { return list_campaigns(connect(coordinator, renamed)).ok(); },
                   milliseconds(30'000)));
  CHECK(list_campaigns(old).ok());
  CHECK_FALSE(list_campaigns(connect(coordinator, client_tls(folder))).ok());
  CHECK(eventually([&] { return has_ended.load(); }, milliseconds(40'000)));
  CHECK(polled.ok());
  CHECK(coordinator.terminate(milliseconds(20'000)) == 0);
}

TEST_CASE("tls: files that do not fit stop the start and the client with their names",
          "[integration][tls]") {
  const Folder folder;
  renew(folder, {"127.0.0.1"});
  const auto start = [&](const std::string& certificate, const std::string& key) {
    std::ofstream(folder.file("config.yaml"))
        << "database: dbname=x\nlisten: 127.0.0.1:0\nmetrics_listen: 127.0.0.1:0\ntls: "
        << "{certificate_file: " << folder.file(certificate) << ", key_file: " << folder.file(key)
        << "}\n";
    return run_coordinator({"--config", folder.file("config.yaml")});
  };
  const auto mixed = start("server.pem", "client-key.pem");
  CHECK(mixed.exit_code == 1);
  CHECK(mixed.output.find("does not belong") != std::string::npos);
  CHECK(mixed.output.find("client-key.pem") != std::string::npos);
  CHECK(start("missing.pem", "server-key.pem").output.find("missing.pem") != std::string::npos);
  CHECK(start("server.pem", "config.yaml").output.find("no private key") != std::string::npos);
  config::v1::ClientTlsConfig tls;
  tls.set_ca_file(folder.file("nothing.pem"));
  rpc::ChannelSecurity security;
  security.tls = tls;
  CHECK(rpc::make_channel("127.0.0.1:1", std::move(security)).error().code == Errc::not_found);
}

TEST_CASE("tls: the command line speaks it with tokens, from its contexts", "[integration][tls]") {
  const Installation here;
  CHECK(here.cambrian(here.make_token_command("bob", "user")).find("cbt_") == std::string::npos);
  CHECK(here.try_cambrian(here.make_token_command("bob", "user")).code == 1);  // The file is there.
  here.cambrian("--context alice campaign list");
  CHECK(here.cambrian("--context root admin token list").find("alice") != std::string::npos);
  const auto nobody = here.try_cambrian("--context nobody campaign list");
  CHECK(nobody.code == 4);
  CHECK(nobody.output.find("token_file") != std::string::npos);
  const auto denied = here.try_cambrian("--context alice admin audit");
  CHECK(denied.code == 4);
  CHECK(denied.output.find("role=user") != std::string::npos);
  const auto plain = here.try_cambrian("--context plain campaign list");
  CHECK(plain.code == 6);
  CHECK(plain.output.find("TLS") != std::string::npos);
  CHECK(here.cambrian("--context root admin audit").find("CreateToken") != std::string::npos);
  here.cambrian("--context root admin token revoke alice");
  CHECK(here.try_cambrian("--context alice campaign list").code == 4);
}

TEST_CASE("tls: an agent speaks it with its token, and ends when that is revoked",
          "[integration][tls]") {
  const Installation here;
  here.cambrian(here.make_token_command("llm", "codegen"));
  std::ofstream(here.folder.file("codegen.yaml"))
      << "coordinator: " << here.coordinator->address()
      << "\nname: llm-1\ntls: {ca_file: " << here.folder.file("ca.pem")
      << ", certificate_file: " << here.folder.file("client.pem")
      << ", key_file: " << here.folder.file("client-key.pem")
      << "}\ntoken_file: " << here.folder.file("llm.token")
      << "\nendpoints: [{base_url: 'http://127.0.0.1:1/v1', models: [m]}]\n";
  auto agent = std::async(std::launch::async, [&] {
    return run("timeout 90 " + here.programs + "cambrian-codegen --config " +
               here.folder.file("codegen.yaml"));
  });
  CHECK(eventually([&] {
    return here.cambrian("--context alice worker list").find("llm-1") != std::string::npos;
  }));
  here.cambrian("--context root admin token revoke llm");
  const auto ended = agent.get();
  INFO(ended.output);
  CHECK(ended.code == 1);
  CHECK(ended.output.find("agent_refused") != std::string::npos);
  CHECK(ended.output.find("revoked") != std::string::npos);
  const auto secret = read_file(here.folder.file("llm.token")).substr(21, 64);
  CHECK(ended.output.find(secret) == std::string::npos);
}
