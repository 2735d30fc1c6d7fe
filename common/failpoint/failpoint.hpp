#pragma once

#include <string_view>

/// Named points at which a test ends the program, as `kill -9` or a power failure would:
/// `CAMBRIAN_FAILPOINT("agent", "reported")`. Builds without CAMBRIAN_FAILPOINTS, all that are
/// shipped, have nothing of it.
///
/// The file that the environment variable CAMBRIAN_FAILPOINT_FILE names holds `what.moment`, and a
/// NUL behind it, while a point is armed: the program that passes it next is gone.
/// `tests/system/failpoint_test.py` passes them all.
#ifdef CAMBRIAN_FAILPOINTS
namespace cambrian {

/// Any thread.
void pass_failpoint(std::string_view what, std::string_view moment);

}  // namespace cambrian

#define CAMBRIAN_FAILPOINT(what, moment) ::cambrian::pass_failpoint(what, moment)
#else
#define CAMBRIAN_FAILPOINT(what, moment) static_cast<void>(0)
#endif
