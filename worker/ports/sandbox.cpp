#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

Result<std::pair<ProcessExit, std::string>> run_to_end(Sandbox& sandbox,
                                                       const SandboxCommand& command,
                                                       std::stop_token stop) {
  CAMBRIAN_TRY(const std::unique_ptr<SandboxedProcess> process, sandbox.start(command));
  const std::stop_callback stop_process(stop, [&process] { process->stop(); });
  while (true) {
    // The process ends by its own wall time at the latest.
    const auto exit = process->wait(std::chrono::seconds(10));
    if (!exit) continue;
    if (stop.stop_requested()) return fail(Errc::cancelled, "evaluation was cancelled");
    return std::pair(*exit, process->log());
  }
}

}  // namespace cambrian::worker
