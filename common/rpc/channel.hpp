#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <memory>
#include <string>

/// Where limits, keepalive and credentials of both sides are set, and nowhere else.
namespace cambrian::rpc {

/// Largest message of either side. Larger contents go through BlobService in chunks.
inline constexpr int kMessageBytesMax = 4 * 1024 * 1024;
/// Size of one chunk of a content.
inline constexpr std::size_t kChunkBytes = 256 * 1024;
/// Largest content.
inline constexpr std::int64_t kBlobBytesMax = 64 * 1024 * 1024;

/// A channel to `host:port` or `unix:/path`, without TLS and token (security.hpp has those). It
/// connects when it is used, gives each address 5 s to answer, reconnects by itself with a back-off
/// of at most 5 s, and finds a dead peer within 40 s by keepalive.
std::shared_ptr<grpc::Channel> make_channel(const std::string& address);

/// Limits and keepalive of `make_channel`, for channels with other credentials.
grpc::ChannelArguments channel_arguments();

/// Limits and keepalive of a server: allows the pings that `make_channel` sends.
void apply_server_limits(grpc::ServerBuilder& builder);

/// Every call has a deadline.
inline void set_deadline(grpc::ClientContext& context, std::chrono::milliseconds timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

/// True for a Unix socket or a loopback address: nobody else can reach it. Of several, separated by
/// commas, each must be one.
bool is_local_address(const std::string& addresses);

}  // namespace cambrian::rpc
