#pragma once

#include <memory>

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// Contents by SHA-256. Any executor; never blocks the caller. Every method may fail with
/// `unavailable`, `exhausted` or `deadline_exceeded`.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  /// Those of the digests that are not there for good: who needs one uploads it, and it stays.
  virtual awaitable<Result<std::vector<std::string>>> find_missing(
      std::vector<std::string> digests) = 0;

  /// Stores a content under its digest, which the caller has verified. Again: no change.
  virtual awaitable<Status> put(std::string sha256, std::string content) = 0;

  /// The same for a checkpoint, which is deleted when nobody needs it any more, unless the content
  /// is stored for good, before or later. Errors: `exhausted` when all checkpoints together would
  /// take more than kCheckpointBytesMax.
  virtual awaitable<Status> put_checkpoint(std::string sha256, std::string content) = 0;

  /// Errors: `not_found`; `internal` when what is stored does not fit its digest.
  virtual awaitable<Result<std::string>> get(std::string sha256) = 0;
};

/// Of all checkpoints together, before they are compressed.
inline constexpr std::int64_t kCheckpointBytesMax = std::int64_t{4} << 30;

struct TaskRecord {
  std::int64_t id = 0;
  std::string digest;
  std::string bundle;  ///< As the adapter of the wire serialised it.
  Instant created_at;
};

/// Registered tasks. Errors as above.
class TaskStore {
 public:
  virtual ~TaskStore() = default;

  /// The bundle becomes a blob under its digest. Again: no change.
  virtual awaitable<Result<TaskRecord>> add(std::string digest, std::string name,
                                            std::string bundle) = 0;
  /// Errors: `not_found`.
  virtual awaitable<Result<TaskRecord>> get(std::string digest) = 0;
  /// Newest first, ids below `before` (0: all).
  virtual awaitable<Result<std::vector<TaskRecord>>> list(std::int64_t before, int count) = 0;
};

}  // namespace cambrian::coordinator
