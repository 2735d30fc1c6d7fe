#pragma once

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "coordinator/journal/replay.hpp"
#include "tests/integration/coordinator/fixture.hpp"

namespace cambrian::test {

/// Repeats an ended campaign from its log, and fails where what follows is not what was recorded.
inline void check_replay(User& user, const std::string& name) {
  coordinator::journal::Replay replay;
  for (const auto& event : user.events(name)) {
    REQUIRE(replay.take(event.sequence(), event.type(), event.json()));
  }
  replay.finish();
  CHECK(replay.has_ended());
  if (replay.difference()) {
    FAIL("recorded: " << replay.difference()->recorded
                      << " derived: " << replay.difference()->derived);
  }
}

}  // namespace cambrian::test
