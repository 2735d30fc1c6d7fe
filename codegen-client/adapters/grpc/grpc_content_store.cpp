#include "codegen-client/adapters/grpc/grpc_content_store.hpp"

#include "cambrian/spec/v1/task.pb.h"
#include "codegen-client/adapters/grpc/convert.hpp"
#include "codegen-client/domain/edit.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian::codegen {
namespace {

/// What cannot be stored is not used: the log could not be replayed without a model.
agent::v1::ProposalResult without_contents(ProposalReport report, const Error& error) {
  report.outcome = ProposalOutcome::infrastructure;
  report.variants.clear();
  for (CallRecord& call : report.calls) call.answer_digest.clear();
  if (report.rejections.size() == kRejectionsMax) report.rejections.pop_back();
  report.rejections.push_back(to_one_line(error.message, kRejectionBytesMax));
  return to_proto(report);
}

}  // namespace

Result<Task> GrpcContentStore::get_task(const std::string& digest, std::stop_token stop) {
  CAMBRIAN_TRY(const std::string content, get_content(digest, stop));
  spec::v1::TaskBundle bundle;
  if (!bundle.ParseFromString(content)) {
    return fail(Errc::internal, "the content is not a task: sha256=" + digest);
  }
  return from_proto(bundle.manifest());
}

Result<std::string> GrpcContentStore::get_content(const std::string& sha256, std::stop_token stop) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = cache_.find(sha256); found != cache_.end()) return found->second;
  }
  CAMBRIAN_TRY(std::string content, client_.download(sha256, stop));
  remember(sha256, content);
  return content;
}

agent::v1::ProposalResult GrpcContentStore::hand_in(ProposalReport report,
                                                    std::int64_t contents_bytes_max) {
  std::int64_t bytes = 0;
  for (const auto& content : report.contents) bytes += static_cast<std::int64_t>(content.size());
  const bool is_small = bytes <= contents_bytes_max;
  if (!is_small) {
    // Not stopped: it has been paid for.
    const auto stored = client_.upload({report.contents.begin(), report.contents.end()}, {});
    if (!stored) return without_contents(std::move(report), stored.error());
  }
  // What was made here is often a parent soon.
  for (const auto& content : report.contents) remember(sha256_hex(content), content);
  auto result = to_proto(report);
  if (is_small) {
    for (auto& content : report.contents) result.add_contents(std::move(content));
  }
  return result;
}

void GrpcContentStore::remember(const std::string& sha256, const std::string& content) {
  const std::lock_guard lock(mutex_);
  if (content.size() > kCacheBytesMax || !cache_.emplace(sha256, content).second) return;
  order_.push_back(sha256);
  cache_bytes_ += content.size();
  while (cache_bytes_ > kCacheBytesMax) {
    const auto oldest = cache_.find(order_.front());
    cache_bytes_ -= oldest->second.size();
    cache_.erase(oldest);
    order_.pop_front();
  }
}

}  // namespace cambrian::codegen
