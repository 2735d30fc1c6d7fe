#include <cstdio>
#include <exception>

#include "cambrian/judge.hpp"
#include "worker/sdk/src/process_memory.hpp"

namespace {

// Without a result, the worker counts the evaluation as our failure and keeps this line as the
// reason. It must be out before the session's socket closes: then the worker ends this process.
int report(const std::exception& error) {
  std::fprintf(stderr, "judge: %s\n", error.what());
  return 1;
}

int run_session(cambrian::Session& session) {
  try {
    session.finish(cambrian::judge(session));
    return 0;
  } catch (const cambrian::Failure& failure) {
    session.finish(failure);
    return 0;
  } catch (const std::exception& error) {
    return report(error);
  }
}

}  // namespace

int main() {
  cambrian::keep_freed_memory();
  try {
    cambrian::Session session(cambrian::channel_from_environment());
    return run_session(session);
  } catch (const std::exception& error) {
    return report(error);
  }
}
