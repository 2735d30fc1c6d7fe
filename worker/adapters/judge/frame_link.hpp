#pragma once

#include <memory>

#include "worker/adapters/judge/kept_tensors.hpp"
#include "worker/ports/judge_link.hpp"

namespace cambrian::worker {

/// Judge links by the frame protocol over Unix stream sockets. They keep what judges of a task ask
/// to be kept for the next ones.
class FrameLinks final : public JudgeLinks {
 public:
  Result<std::pair<std::unique_ptr<JudgeLink>, Descriptor>> make_link() override;
  Result<std::pair<Descriptor, Descriptor>> make_candidate_socket() override;

 private:
  std::shared_ptr<KeptTensors> kept_ = std::make_shared<KeptTensors>();  // Shared with the links.
};

}  // namespace cambrian::worker
