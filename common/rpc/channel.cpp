#include "common/rpc/channel.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "common/rpc/target.hpp"

namespace cambrian::rpc {
namespace {

constexpr int kClientPingIntervalMs = 30'000;
constexpr int kPingTimeoutMs = 10'000;
// The server must tolerate what clients send, or it ends their connections with too_many_pings.
constexpr int kServerPingIntervalMinMs = 10'000;
constexpr int kReconnectMinMs = 200;
// What a connection may take, TLS included, on a loaded machine or a long way: gRPC calls it the
// least back-off. A host that swallows packets costs as much before the next address is tried.
constexpr int kConnectTimeoutMs = 5'000;
constexpr int kReconnectMaxMs = 5'000;
constexpr int kConcurrentStreamsMax = 10'000;
constexpr const char* kBackupPollIntervalMs = "100";

bool is_local(std::string_view address) {
  for (const char* prefix : {"unix:", "localhost:", "[::1]:"}) {
    if (address.starts_with(prefix)) return true;
  }
  const auto host = address.substr(0, address.rfind(':'));
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

/// Between calls nobody but gRPC's backup poller looks at a connection that is being made: every
/// five seconds by default, as long as one may take. Clients whose calls fail at once, and who then
/// pause, found no coordinator for a minute although it was there. gRPC reads this when the first
/// channel is made.
void poll_often() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", kBackupPollIntervalMs, 0);
  });
}

}  // namespace

grpc::ChannelArguments channel_arguments() {
  poll_often();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kClientPingIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // Channels with equal arguments would otherwise share one connection, and its failures.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address) {
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   channel_arguments());
}

void apply_server_limits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(kMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kServerPingIntervalMinMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kClientPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kConcurrentStreamsMax);
  // Two servers on one port would share its connections without anyone noticing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

bool is_local_address(const std::string& addresses) {
  return std::ranges::all_of(split_addresses(addresses), &is_local);
}

}  // namespace cambrian::rpc
