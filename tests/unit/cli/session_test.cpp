#include "cli/session.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::cli {
namespace {

TEST_CASE("plain_reason: what gRPC says of a connection, and nothing else, is put plainly",
          "[unit][cli]") {
  const std::string failed =
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:7: ";
  CHECK(plain_reason(failed + "Failed to connect to remote host: Connection refused") ==
        "nobody listens there");
  CHECK(plain_reason(failed + "connection attempt timed out before receiving SETTINGS frame")
            .starts_with("something listens there"));
  CHECK(plain_reason(failed + "tcp handshaker shutdown").starts_with("that machine is off"));
  for (const std::string other :
       {"the database is away: connection to server failed: Connection refused",
        "Deadline Exceeded"}) {
    CHECK(plain_reason(other) == other);
  }
}

}  // namespace
}  // namespace cambrian::cli
