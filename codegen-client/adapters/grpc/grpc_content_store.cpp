#include "codegen-client/adapters/grpc/grpc_content_store.hpp"

#include "cambrian/spec/v1/task.pb.h"
#include "codegen-client/adapters/grpc/convert.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian::codegen {

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

Status GrpcContentStore::put_contents(const std::vector<std::string_view>& contents,
                                      std::stop_token stop) {
  CAMBRIAN_TRY_STATUS(client_.upload(contents, stop));
  // What was made here is often a parent soon.
  for (const auto content : contents) remember(sha256_hex(content), std::string(content));
  return {};
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
