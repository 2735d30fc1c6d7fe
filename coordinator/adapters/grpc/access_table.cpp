#include "coordinator/adapters/grpc/access_table.hpp"

#include <algorithm>
#include <array>

#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr unsigned bit(Role role) { return 1U << static_cast<unsigned>(role); }

constexpr unsigned kNobody = 0;  // But the administrator.
constexpr unsigned kUser = bit(Role::user);
constexpr unsigned kReaders = bit(Role::user) | bit(Role::viewer);
constexpr unsigned kWorker = bit(Role::worker);
constexpr unsigned kCodegen = bit(Role::codegen);
constexpr unsigned kAgents = kWorker | kCodegen;

// docs/security.md says the same for people.
constexpr std::array kTable = {
    // AgentService.
    Access{"Sync", kAgents}, Access{"FinishEvaluation", kWorker},
    Access{"FinishProposal", kCodegen}, Access{"BeginCall", kCodegen}, Access{"EndCall", kCodegen},
    // BlobService. Contents are found by digest only; workers make none but checkpoints.
    Access{"FindMissingBlobs", kUser | kCodegen}, Access{"UploadBlob", kUser | kAgents},
    Access{"DownloadBlob", kReaders | kAgents},
    // CampaignService. A user changes campaigns of its own.
    Access{"ValidateCampaign", kReaders}, Access{"CreateCampaign", kUser, true},
    Access{"GetCampaign", kReaders}, Access{"ListCampaigns", kReaders},
    Access{"PauseCampaign", kUser, true}, Access{"ResumeCampaign", kUser, true},
    Access{"StopCampaign", kUser, true}, Access{"HintCampaign", kUser, true},
    Access{"DeleteCampaign", kUser, true},
    // An imported campaign has no owner yet.
    Access{"ImportCampaign", kNobody, true}, Access{"WatchEvents", kReaders},
    // VariantService.
    Access{"ListVariants", kReaders}, Access{"GetVariant", kReaders},
    Access{"GetLineage", kReaders},
    // TaskService.
    Access{"RegisterTask", kUser, true}, Access{"GetTask", kReaders}, Access{"ListTasks", kReaders},
    // WorkerService.
    Access{"ListWorkers", kReaders}, Access{"DrainWorker", kNobody, true},
    Access{"ReleaseWorker", kNobody, true},
    // CodegenService.
    Access{"GetUsage", kReaders},
    // AdminService.
    Access{"CreateToken", kNobody, true}, Access{"ListTokens", kNobody},
    Access{"RevokeToken", kNobody, true}, Access{"ListAuditEntries", kNobody},
    Access{"DisownResults", kNobody, true}};

}  // namespace

std::span<const Access> access_table() { return kTable; }

const Access* find_access(std::string_view method) {
  const auto* const found = std::ranges::find(kTable, method, &Access::method);
  return found == kTable.end() ? nullptr : found;
}

bool is_allowed(const Access& access, Role role) {
  return role == Role::admin || (access.roles & bit(role)) != 0;
}

std::string roles_text(const Access& access) {
  std::string text = word(Role::admin);
  for (const auto role : {Role::user, Role::viewer, Role::worker, Role::codegen}) {
    if (is_allowed(access, role)) text += ", " + word(role);
  }
  return text;
}

}  // namespace cambrian::coordinator::wire
