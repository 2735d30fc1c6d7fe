#pragma once

#include "coordinator/app/hub.hpp"

namespace cambrian::coordinator {

/// Tells other coordinators at once what they would find by their polls within a second. Tells
/// nothing while there are none. Lives on the app's thread.
class NewsDesk {
 public:
  NewsDesk(Neighbours& neighbours, Hub& hub) : neighbours_(neighbours), hub_(hub) {}

  /// Each runs until the hub closes.
  awaitable<void> run_tell();
  awaitable<void> run_look();

 private:
  Neighbours& neighbours_;
  Hub& hub_;
  bool are_there_ = false;
};

}  // namespace cambrian::coordinator
