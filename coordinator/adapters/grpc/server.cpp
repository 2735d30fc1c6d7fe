#include "coordinator/adapters/grpc/server.hpp"

#include <dlfcn.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "common/rpc/channel.hpp"
#include "coordinator/adapters/grpc/agent_service.hpp"
#include "coordinator/adapters/grpc/blob_service.hpp"
#include "coordinator/adapters/grpc/operation_service.hpp"

namespace cambrian::coordinator::wire {
namespace {

/// gRPC's reflection registers itself with every server of a process that is linked with it. So it
/// is loaded only where it was asked for.
Status load_reflection() {
  if (::dlopen(CAMBRIAN_REFLECTION_LIBRARY, RTLD_NOW | RTLD_GLOBAL) != nullptr) return {};
  return fail(Errc::unavailable, std::string("cannot load gRPC reflection: ") + ::dlerror());
}

}  // namespace

struct Server::State {
  State(ServerPorts ports, boost::asio::any_io_executor executor, metrics::Registry& registry,
        const ServerOptions& options)
      : calls(std::move(executor), registry, ports.admin.access, ports.admin.audit,
              options.calls_per_second),
        agents(calls, ports.agents, ports.calls),
        blobs(calls, ports.campaigns.blobs),
        campaigns(calls, ports.campaigns),
        variants(calls, ports.variants),
        tasks(calls, ports.campaigns.tasks, ports.campaigns.blobs),
        workers(calls, ports.agent_store, options.lease),
        codegen(calls, ports.agent_store),
        admin(calls, ports.admin) {}

  Calls calls;
  AgentService agents;
  BlobService blobs;
  CampaignService campaigns;
  VariantService variants;
  TaskService tasks;
  WorkerService workers;
  CodegenService codegen;
  AdminService admin;
  std::string address;
  std::unique_ptr<grpc::Server> server;  // Last: it uses everything above.
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, ServerPorts ports,
                                              boost::asio::any_io_executor executor,
                                              metrics::Registry& registry) {
  auto state = std::make_unique<State>(ports, std::move(executor), registry, options);
  grpc::EnableDefaultHealthCheckService(true);
  if (options.has_reflection) CAMBRIAN_TRY_STATUS(load_reflection());
  grpc::ServerBuilder builder;
  rpc::apply_server_limits(builder);
  int port = 0;
  builder.AddListeningPort(
      options.listen, options.credentials ? options.credentials : grpc::InsecureServerCredentials(),
      &port);
  for (grpc::Service* service : std::initializer_list<grpc::Service*>{
           &state->agents, &state->blobs, &state->campaigns, &state->variants, &state->tasks,
           &state->workers, &state->codegen, &state->admin}) {
    builder.RegisterService(service);
  }
  state->server = builder.BuildAndStart();
  const bool is_unix = options.listen.starts_with("unix:");
  if (!state->server || (port == 0 && !is_unix)) {
    return fail(Errc::unavailable, "cannot listen, is the port taken? listen=" + options.listen);
  }
  state->address =
      is_unix ? options.listen
              : options.listen.substr(0, options.listen.rfind(':') + 1) + std::to_string(port);
  std::unique_ptr<Server> server(new Server(std::move(state)));
  server->set_serving(false);
  return server;
}

const std::string& Server::address() const { return state_->address; }

void Server::set_serving(bool is_serving) {
  state_->server->GetHealthCheckService()->SetServingStatus(is_serving);
}

void Server::shut_down(milliseconds grace) {
  state_->server->GetHealthCheckService()->Shutdown();
  state_->server->Shutdown(std::chrono::system_clock::now() + grace);
  state_->server->Wait();
}

}  // namespace cambrian::coordinator::wire
