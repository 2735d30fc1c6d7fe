#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"
#include "worker/evaluation/verdict.hpp"
#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// What a judge says to its worker (docs/judge-protocol.md).
struct StartCandidate {};
struct EndCandidate {};
/// A mark of time, or progress of a training: `training.rungs` has the one that it is about, if
/// any.
struct JudgeEvent {
  std::string name;
  TrainingProgress training = {};
  Duration used_before{0};  ///< Of `resumed`: time of the training in earlier processes.
};
/// What a training was saved as, byte for byte. Empty: it cannot be.
struct SavedTraining {
  std::string frame;
};
using JudgeMessage = std::variant<StartCandidate, EndCandidate, JudgeEvent, SavedTraining, Verdict>;

/// The worker's end of the conversation with one judge. One thread at a time.
class JudgeLink {
 public:
  virtual ~JudgeLink() = default;

  /// Tells the judge what is to be done, with the request's checkpoint where it has one. Errors:
  /// invalid_argument when that is not readable; unavailable when the judge is gone.
  virtual Status begin(const EvaluationRequest& request) = 0;
  /// Waits for the next message, at most so long; nothing when there was none. Errors: unavailable
  /// when the judge hung up, internal when what it says is not the protocol.
  virtual Result<std::optional<JudgeMessage>> receive(std::chrono::milliseconds longest) = 0;
  /// Hands over the judge's end of the socket to a candidate.
  virtual Status send_started(Descriptor socket) = 0;
  /// Asks for the training to be saved, which the judge answers while one runs.
  virtual Status ask_to_save() = 0;
};

/// Makes connected sockets.
class JudgeLinks {
 public:
  virtual ~JudgeLinks() = default;

  /// A link and the judge's end of it.
  virtual Result<std::pair<std::unique_ptr<JudgeLink>, Descriptor>> make_link() = 0;
  /// The judge's end and the candidate's end of a socket between them.
  virtual Result<std::pair<Descriptor, Descriptor>> make_candidate_socket() = 0;
};

}  // namespace cambrian::worker
