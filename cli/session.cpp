#include "cli/session.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <stop_token>
#include <vector>

#include "cambrian/config/v1/config.pb.h"
#include "cli/dev/state.hpp"
#include "cli/output/document.hpp"
#include "cli/paths.hpp"
#include "common/config/nearest.hpp"
#include "common/config/reader.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"

namespace cambrian::cli {
namespace {

constexpr const char* kDefaultEndpoint = "127.0.0.1:7070";
/// A coordinator that is being restarted is back within about a second; a wrong address should not
/// make people wait.
constexpr std::array kRetryDelays{std::chrono::milliseconds(100), std::chrono::milliseconds(300),
                                  std::chrono::milliseconds(700)};

Result<Endpoint> endpoint_of_context(const std::string& name, const std::string& origin,
                                     const config::v1::CliConfig& config) {
  const auto found = config.contexts().find(name);
  if (found != config.contexts().end() && !found->second.endpoint().empty()) {
    return Endpoint{found->second.endpoint(), "context " + name, found->second};
  }
  std::vector<std::string> names;
  for (const auto& [known, context] : config.contexts()) names.push_back(known);
  const auto nearest = nearest_name(name, names);
  return fail(Errc::not_found, "unknown context \"" + name + "\" (" + origin + ")" +
                                   (nearest ? ", did you mean \"" + *nearest + "\"?" : ""));
}

}  // namespace

Result<Endpoint> resolve_endpoint(const GlobalOptions& options) {
  if (!options.endpoint.empty()) return Endpoint{options.endpoint, "--endpoint"};
  if (options.context.empty()) {
    const std::string address = environment("CAMBRIAN_ENDPOINT");
    if (!address.empty()) return Endpoint{address, "CAMBRIAN_ENDPOINT"};
  }
  const auto path = config_file_path();
  std::error_code ignored;
  config::v1::CliConfig config;
  if (std::filesystem::exists(path, ignored)) {
    CAMBRIAN_TRY(config, config::read_config_file<config::v1::CliConfig>(path));
  }
  if (!options.context.empty()) return endpoint_of_context(options.context, "--context", config);
  const std::string named = environment("CAMBRIAN_CONTEXT");
  if (!named.empty()) return endpoint_of_context(named, "CAMBRIAN_CONTEXT", config);
  if (!config.current_context().empty()) {
    return endpoint_of_context(config.current_context(), path.string(), config);
  }
  const std::string local = dev::running_endpoint(dev_directory());
  if (!local.empty()) return Endpoint{local, "cambrian dev up", {}, false};
  const std::string demo = dev::running_endpoint(demo_directory());
  if (!demo.empty()) return Endpoint{demo, "cambrian demo", {}, false};
  return Endpoint{kDefaultEndpoint, "the default", {}, false};
}

Format Session::format() const {
  if (options_.is_json || options_.output == "json") return Format::json;
  if (options_.output == "yaml") return Format::yaml;
  if (options_.output == "wide") return Format::wide;
  if (options_.output == "name") return Format::name;
  return Format::table;
}

std::chrono::milliseconds Session::timeout() const {
  return std::chrono::milliseconds(static_cast<std::int64_t>(options_.timeout_seconds * 1000));
}

void Session::print(std::string_view data) const {
  std::fwrite(data.data(), 1, data.size(), stdout);
}

void Session::print_document(const google::protobuf::Message& message) const {
  print(format() == Format::yaml ? to_yaml(message) : to_json(message));
}

void Session::print_object(const nlohmann::ordered_json& object) const {
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  print(format() == Format::yaml ? json_to_yaml(object)
                                 : object.dump(2, ' ', false, kReplace) + "\n");
}

void Session::note(std::string_view message) const {
  std::fflush(stdout);
  const std::string line = std::string(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int Session::fail(ExitCode code, std::string_view message, std::string_view fix) const {
  std::string text =
      styled("error:", "1;31", terminal_.err.has_color) + " " + printable_lines(message);
  if (!fix.empty())
    text += "\n  " + styled("fix:", "36", terminal_.err.has_color) + " " + std::string(fix);
  note(text);
  return to_int(code);
}

int Session::fail(const Error& error, std::string_view fix) const {
  const ExitCode code = exit_code_for(error.code);
  if (code == ExitCode::permission && !endpoint_.is_named && fix.empty()) {
    return fail(code, error.message,
                "name the coordinator, for CAMBRIAN_TOKEN is sent to no other: --endpoint " +
                    endpoint_.address + ", or a context");
  }
  if (code != ExitCode::unreachable || endpoint_.address.empty()) {
    return fail(code, error.message, fix);
  }
  const std::string where = endpoint_.address + " (" + endpoint_.origin + ")";
  if (error.message.find("No space left on device") != std::string::npos) {
    return fail(code, "the server at " + where + " has no disk space: " + error.message,
                "make room there and try again; nothing was lost");
  }
  if (error.message.starts_with("the database is away")) {
    return fail(code, "the coordinator at " + where + " answers, but " + error.message,
                "wait a moment, or see: " + program_call() + " dev status");
  }
  const std::string message =
      "no answer from the coordinator at " + where + ": " + plain_reason(error.message);
  if (endpoint_.context.has_tls()) {
    return fail(code, message,
                "check address and port, and the files and the server_name under tls of the " +
                    endpoint_.origin);
  }
  return fail(code, message,
              "start one on this machine with: " + program_call() +
                  " dev up; or name another one with --endpoint HOST:PORT; if it asks for TLS, "
                  "make a context: " +
                  program_call() + " config set-context --help");
}

Result<Endpoint> Session::endpoint() {
  if (endpoint_.address.empty()) {
    CAMBRIAN_TRY(endpoint_, resolve_endpoint(options_));
  }
  return endpoint_;
}

Result<std::shared_ptr<grpc::Channel>> Session::channel() {
  if (!channel_) {
    CAMBRIAN_TRY(const Endpoint where, endpoint());
    auto security = rpc::security_of(where.context);
    auto token = rpc::token_of_environment();
    if (!where.is_named) {
      security.token = {};
    } else if (!token.is_empty()) {  // Whoever sets the variable means this call.
      security.token_file.clear();
      security.token = std::move(token);
    }
    CAMBRIAN_TRY(channel_, rpc::make_channel(where.address, std::move(security)));
  }
  return channel_;
}

Status Session::with_retries(const std::function<grpc::Status(grpc::ClientContext&)>& attempt,
                             rpc::Details* details) {
  const auto deadline = std::chrono::system_clock::now() + timeout();
  for (std::size_t tries = 0;; ++tries) {
    grpc::ClientContext context;
    context.set_deadline(deadline);
    const grpc::Status status = attempt(context);
    if (status.ok()) return {};
    const auto found = rpc::details_of(status);
    std::optional<std::chrono::milliseconds> delay;
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE && tries < kRetryDelays.size()) {
      delay = kRetryDelays[tries];
    } else if (found.reason == rpc::kTooManyCalls) {
      delay = found.retry_delay;  // However often: the coordinator says when it is our turn.
    }
    if (!delay || std::chrono::system_clock::now() + *delay >= deadline) {
      if (details != nullptr) *details = found;
      return cambrian::fail(rpc::from_status(status));
    }
    rpc::wait_unless_stopped({}, *delay);
  }
}

std::string plain_reason(const std::string& message) {
  // What gRPC says of a connection that did not come up; the coordinator's own words stay.
  if (!message.starts_with("failed to connect to all addresses")) return message;
  const auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (says("Connection refused")) return "nobody listens there";
  if (says("before receiving SETTINGS")) {
    return "something listens there and says nothing: an overloaded coordinator, or no coordinator";
  }
  if (says("tcp handshaker shutdown")) return "that machine is off, behind a firewall, or another";
  return message;
}

std::string make_request_id() {
  // Not a matter of search: two requests of two people must differ.
  std::random_device device;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  for (int i = 0; i < 24; ++i) id += kDigits[device() % kDigits.size()];
  return id;
}

}  // namespace cambrian::cli
