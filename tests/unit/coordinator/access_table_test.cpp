#include "coordinator/adapters/grpc/access_table.hpp"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "cambrian/agent/v1/agent_service.pb.h"
#include "cambrian/agent/v1/blob_service.pb.h"
#include "cambrian/user/v1/admin_service.pb.h"
#include "cambrian/user/v1/campaign_service.pb.h"
#include "cambrian/user/v1/operation_service.pb.h"

using namespace cambrian;
using namespace cambrian::coordinator;
using namespace cambrian::coordinator::wire;
namespace fs = std::filesystem;

namespace {

/// Full names of the services in the files of the wire contract: also of one that nobody serves
/// yet.
std::set<std::string> services_of_contract() {
  std::set<std::string> services;
  const std::regex package("\\npackage ([\\w.]+);");
  const std::regex service("\\nservice (\\w+) ");
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(CAMBRIAN_SOURCE_DIR) / "proto/cambrian")) {
    if (entry.path().extension() != ".proto") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::smatch found;
    if (!std::regex_search(text, found, package)) continue;
    const std::string prefix = found[1].str() + ".";
    for (auto it = std::sregex_iterator(text.begin(), text.end(), service);
         it != std::sregex_iterator(); ++it) {
      services.insert(prefix + (*it)[1].str());
    }
  }
  return services;
}

/// Names of all methods of all services, by their descriptors.
std::multiset<std::string> methods_of_contract() {
  // Descriptors are linked where somebody names them.
  agent::v1::SyncRequest::descriptor();
  agent::v1::UploadBlobRequest::descriptor();
  user::v1::CreateTokenRequest::descriptor();
  user::v1::CreateCampaignRequest::descriptor();
  user::v1::RegisterTaskRequest::descriptor();
  std::multiset<std::string> methods;
  for (const auto& name : services_of_contract()) {
    INFO(name);
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    REQUIRE(service != nullptr);
    for (int i = 0; i < service->method_count(); ++i) methods.insert(service->method(i)->name());
  }
  return methods;
}

std::set<Role> roles_of(std::string_view method) {
  std::set<Role> roles;
  for (const auto role : {Role::admin, Role::user, Role::worker, Role::codegen, Role::viewer}) {
    if (is_allowed(*find_access(method), role)) roles.insert(role);
  }
  return roles;
}

}  // namespace

TEST_CASE("access_table: names every method of every service, each once", "[unit][coordinator]") {
  std::multiset<std::string> named;
  for (const auto& access : access_table()) named.insert(std::string(access.method));
  const auto methods = methods_of_contract();
  CHECK(methods.size() > 25);
  CHECK(named == methods);
  CHECK(std::set(named.begin(), named.end()).size() == named.size());
  CHECK(find_access("Nothing") == nullptr);
  CHECK(find_access("") == nullptr);
}

TEST_CASE("access_table: gives each role what it needs and no more", "[unit][coordinator]") {
  for (const auto& access : access_table()) {
    INFO(access.method);
    CHECK(is_allowed(access, Role::admin));
    // A viewer changes nothing, and whoever changes something else is in the log.
    if (access.is_change) CHECK_FALSE(is_allowed(access, Role::viewer));
    if (access.is_change) CHECK_FALSE(is_allowed(access, Role::worker));
    if (access.is_change) CHECK_FALSE(is_allowed(access, Role::codegen));
  }
  CHECK(roles_of("CreateToken") == std::set{Role::admin});
  CHECK(roles_of("RevokeToken") == std::set{Role::admin});
  CHECK(roles_of("ListTokens") == std::set{Role::admin});
  CHECK(roles_of("ListAuditEntries") == std::set{Role::admin});
  CHECK(roles_of("ImportCampaign") == std::set{Role::admin});
  CHECK(roles_of("DrainWorker") == std::set{Role::admin});
  CHECK(roles_of("ReleaseWorker") == std::set{Role::admin});
  CHECK(roles_of("FinishEvaluation") == std::set{Role::admin, Role::worker});
  CHECK(roles_of("FinishProposal") == std::set{Role::admin, Role::codegen});
  CHECK(roles_of("CreateCampaign") == std::set{Role::admin, Role::user});
  CHECK(roles_of("GetCampaign") == std::set{Role::admin, Role::user, Role::viewer});
  CHECK(roles_text(*find_access("GetCampaign")) == "admin, user, viewer");
}
