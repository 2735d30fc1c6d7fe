#include <catch2/catch_test_macros.hpp>

#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"
#include "common/rpc/target.hpp"

namespace cambrian::rpc {
namespace {

TEST_CASE("to_status: every code and every detail survives the wire", "[unit][rpc]") {
  for (const auto code :
       {Errc::invalid_argument, Errc::not_found, Errc::already_exists, Errc::conflict,
        Errc::exhausted, Errc::unavailable, Errc::deadline_exceeded, Errc::cancelled,
        Errc::outcome_unknown, Errc::internal}) {
    CHECK(from_status(to_status({code, "text"})) == Error{code, "text"});
  }
  const auto status =
      to_status({Errc::conflict, "lease lost"}, {.reason = kLeaseLost,
                                                 .metadata = {{"item", "42"}},
                                                 .field_violations = {{"spec.name", "is empty"}},
                                                 .missing_blobs = {"abc"},
                                                 .retry_delay = std::chrono::milliseconds(1500)});
  const auto details = details_of(status);
  CHECK(details.reason == kLeaseLost);
  CHECK(details.metadata.at("item") == "42");
  REQUIRE(details.field_violations.size() == 1);
  CHECK(details.field_violations[0].field == "spec.name");
  CHECK(details.missing_blobs == std::vector<std::string>{"abc"});
  CHECK(details.retry_delay == std::chrono::milliseconds(1500));
}

TEST_CASE("to_status: what is too long for the metadata of a call is cut", "[unit][rpc]") {
  constexpr std::size_t kMetadataBytesMax = 8 * 1024;  // What gRPC takes.
  const std::string wide = "\xe2\x82\xac";             // Three bytes, nine on the wire.
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += wide;
  Details details;
  for (int i = 0; i < 1'000; ++i) {
    details.field_violations.push_back({"field" + std::to_string(i) + text, text});
    details.missing_blobs.push_back(std::string(64, 'a'));
  }
  const auto status = to_status({Errc::invalid_argument, text}, details);
  CHECK(status.error_message().size() * 3 + status.error_details().size() * 4 / 3 <
        kMetadataBytesMax - 256);
  CHECK(status.error_message().ends_with(wide + "..."));
  const auto read = details_of(status);
  REQUIRE(read.field_violations.size() >= 3);
  CHECK(read.field_violations[0].field.starts_with("field0" + wide));
  CHECK(read.field_violations.back().description.ends_with(" problems more"));
  details.field_violations.clear();
  const auto missing = details_of(to_status({Errc::conflict, "missing"}, details)).missing_blobs;
  CHECK(missing.size() >= 20);
  CHECK(missing.size() < 100);
}

TEST_CASE("details_of: garbage gives no details", "[unit][rpc]") {
  CHECK(details_of({grpc::StatusCode::INTERNAL, "x", "\xff\xff\xff"}).reason.empty());
}

TEST_CASE("is_local_address: knows what only this host can reach", "[unit][rpc]") {
  for (const char* address : {"unix:/tmp/x", "127.0.0.1:70", "localhost:70", "[::1]:70"}) {
    CHECK(is_local_address(address));
  }
  for (const char* address :
       {"0.0.0.0:70", "[::]:70", "10.0.0.1:70", "example.org:70", "127.org:70"}) {
    CHECK_FALSE(is_local_address(address));
  }
}

TEST_CASE("is_local_address: of several each must be one", "[unit][rpc]") {
  CHECK(is_local_address("127.0.0.1:70, [::1]:71"));
  CHECK_FALSE(is_local_address("127.0.0.1:70,10.0.0.1:70"));
  CHECK_FALSE(is_local_address("10.0.0.1:70,127.0.0.1:70"));
}

TEST_CASE("make_target: one address stays as it is", "[unit][rpc]") {
  for (const char* address : {"unix:/tmp/x", "example.org:70", "dns:///example.org:70"}) {
    const auto target = make_target(address);
    REQUIRE(target);
    CHECK(target->uri == address);
    CHECK(target->host.empty());
  }
}

TEST_CASE("make_target: several addresses keep their order", "[unit][rpc]") {
  CHECK(make_target("10.0.0.2:70, 10.0.0.1:71")->uri == "ipv4:10.0.0.2:70,10.0.0.1:71");
  CHECK(make_target("10.0.0.2:70,10.0.0.1:71")->host.empty());
  CHECK(make_target("10.0.0.1:70,10.0.0.1:71")->host == "10.0.0.1");
  CHECK(make_target("10.0.0.1:70,10.0.0.2:70,10.0.0.1:71")->host.empty());
  CHECK(make_target("10.0.0.1:70,[2001:db8::1]:71")->uri ==
        "ipv6:[::ffff:10.0.0.1]:70,[2001:db8::1]:71");
}

TEST_CASE("make_target: a list with a bad part is refused with it", "[unit][rpc]") {
  for (const char* bad :
       {"a:70,unix:/tmp/x", "10.0.0.1:70,", "10.0.0.1:70,10.0.0.2", "10.0.0.1:70,10.0.0.2:0",
        "10.0.0.1:70,10.0.0.2:65536", "10.0.0.1:70,:70", "10.0.0.1:70,2001:db8::1:70"}) {
    INFO(bad);
    const auto target = make_target(bad);
    REQUIRE_FALSE(target);
    CHECK(target.error().code == Errc::invalid_argument);
    CHECK(target.error().message.find("address=") != std::string::npos);
  }
  std::string many = "10.0.0.1:1";
  for (std::size_t i = 0; i < kAddressesMax; ++i) many += ",10.0.0.1:1";
  CHECK(make_target(many).error().code == Errc::invalid_argument);
}

}  // namespace
}  // namespace cambrian::rpc
