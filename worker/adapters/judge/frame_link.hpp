#pragma once

#include "worker/ports/judge_link.hpp"

namespace cambrian::worker {

/// Judge links by the frame protocol over Unix stream sockets.
class FrameLinks final : public JudgeLinks {
 public:
  Result<std::pair<std::unique_ptr<JudgeLink>, Descriptor>> make_link() override;
  Result<std::pair<Descriptor, Descriptor>> make_candidate_socket() override;
};

}  // namespace cambrian::worker
