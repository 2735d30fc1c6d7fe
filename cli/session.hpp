#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "cli/exit_code.hpp"
#include "cli/output/table.hpp"
#include "cli/output/terminal.hpp"
#include "common/base/result.hpp"
#include "common/rpc/security.hpp"
#include "common/rpc/status.hpp"

namespace google::protobuf {
class Message;
}

namespace cambrian::cli {

/// Flags of every command.
struct GlobalOptions {
  std::string endpoint;
  std::string context;
  std::string output = "table";
  std::string color = "auto";
  double timeout_seconds = 30;
  bool is_json = false;  ///< --json, the same as -o json.
};

/// -o.
enum class Format { table, wide, json, yaml, name };

/// Where the server is, and who said so: for error messages and `doctor`.
struct Endpoint {
  std::string address;
  std::string origin;
  config::v1::CliContext context{};  ///< TLS and token of it; empty where it is no context.
  /// Somebody said it: only then CAMBRIAN_TOKEN goes there, not to whoever happens to listen on
  /// this machine.
  bool is_named = true;
};

/// --endpoint, CAMBRIAN_ENDPOINT, --context, CAMBRIAN_CONTEXT, the configuration file, the running
/// local environment, 127.0.0.1:7070: the first that is there. Errors: invalid_argument for a bad
/// file, not_found for a context that it does not have.
Result<Endpoint> resolve_endpoint(const GlobalOptions& options);

/// One run of the command line: its options, its output and its connection. Data go to stdout,
/// everything else to stderr. Used by the main thread.
class Session {
 public:
  Session(GlobalOptions options, Terminal terminal)
      : options_(std::move(options)), terminal_(terminal) {}

  const GlobalOptions& options() const { return options_; }
  const Terminal& terminal() const { return terminal_; }
  Format format() const;
  bool is_for_people() const { return format() == Format::table || format() == Format::wide; }
  Table::Style table_style() const {
    return {.wide = format() == Format::wide,
            .color = terminal_.out.has_color,
            .columns = terminal_.columns};
  }
  /// One JSON or YAML document is all that may be on stdout.
  bool is_document() const { return format() == Format::json || format() == Format::yaml; }
  std::chrono::milliseconds timeout() const;

  /// Data for stdout, as they are.
  void print(std::string_view data) const;
  /// JSON or YAML of a message: for the formats of that name.
  void print_document(const google::protobuf::Message& message) const;
  /// The same for what has no message of its own.
  void print_object(const nlohmann::ordered_json& object) const;
  /// A message for people on stderr, with a line break added.
  void note(std::string_view message) const;
  /// Prints `error: …` with what to do about it; the result is the exit code.
  int fail(const Error& error, std::string_view fix = "") const;
  int fail(ExitCode code, std::string_view message, std::string_view fix = "") const;

  /// The server's address. Must not be called after it failed once: the caller ends then.
  Result<Endpoint> endpoint();
  /// A channel to the server; it connects when it is used.
  Result<std::shared_ptr<grpc::Channel>> channel();

  /// A unary call within the timeout: `call(&CampaignService::Stub::GetCampaign, request)`. Sent
  /// again while the server is away: all our requests may be repeated. `details` gets the details
  /// of an error.
  template <class Stub, class Request, class Response>
  Result<Response> call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request, rpc::Details* details = nullptr) {
    CAMBRIAN_TRY(const std::shared_ptr<grpc::Channel> connection, channel());
    Stub stub(connection);
    Response response;
    CAMBRIAN_TRY_STATUS(with_retries(
        [&](grpc::ClientContext& context) { return (stub.*method)(&context, request, &response); },
        details));
    return response;
  }

 private:
  Status with_retries(const std::function<grpc::Status(grpc::ClientContext&)>& attempt,
                      rpc::Details* details);

  GlobalOptions options_;
  Terminal terminal_;
  Endpoint endpoint_;
  std::shared_ptr<grpc::Channel> channel_;
};

/// What a failed call says, in words for people.
std::string plain_reason(const std::string& message);

/// 24 random hex digits: the id of a request, which makes it repeatable.
std::string make_request_id();

}  // namespace cambrian::cli
