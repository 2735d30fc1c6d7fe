#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "coordinator/adapters/grpc/admin_service.hpp"
#include "coordinator/adapters/grpc/campaign_service.hpp"
#include "coordinator/ports/agent_api.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/call_store.hpp"

namespace cambrian::coordinator::wire {

struct ServerOptions {
  std::string listen = "127.0.0.1:7070";  ///< host:port with port 0 for any, or unix:/path.
  /// Null: no TLS.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  bool has_reflection = false;
  milliseconds lease{60'000};  ///< An agent that is silent for longer counts as lost.
  int calls_per_second = 0;    ///< Of each token of a person; above 0.
};

struct ServerPorts {
  AgentApi& agents;
  CampaignPorts campaigns;
  VariantStore& variants;
  AgentStore& agent_store;
  CallStore& calls;
  AdminPorts admin;
};

/// All services on one address, with health checking (NOT_SERVING until told otherwise).
class Server {
 public:
  /// Errors: `unavailable` when the address cannot be had.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, ServerPorts ports,
                                               boost::asio::any_io_executor executor,
                                               metrics::Registry& registry);
  ~Server();

  /// The address with its real port.
  const std::string& address() const;
  /// Any thread.
  void set_serving(bool is_serving);
  /// Refuses new calls and waits for open ones; after `grace` they are cancelled. Blocks: not on
  /// the app's thread, which the open calls need.
  void shut_down(milliseconds grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cambrian::coordinator::wire
