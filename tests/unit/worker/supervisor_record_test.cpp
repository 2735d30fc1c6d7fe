#include "worker/adapters/sandbox/supervisor_record.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <csignal>
#include <limits>

#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {
namespace {

std::string_view bytes_of(const SupervisorRecord& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

bool take(const SupervisorRecord& record, ProcessExit& exit) {
  return take_supervisor_record(bytes_of(record), "/program/program", exit);
}

TEST_CASE("supervisor record: tells the start and the end of a program", "[unit][worker]") {
  ProcessExit exit;
  CHECK(take({}, exit));
  CHECK(exit.was_started);
  SupervisorRecord ended;
  ended.event = SupervisorEvent::ended;
  ended.value = SIGSEGV;
  ended.processes_peak = 3;
  ended.is_disk_full = 1;
  ended.cpu_nanoseconds = 5;
  ended.memory_peak_bytes = 7;
  CHECK_FALSE(take(ended, exit));
  CHECK(exit.signal == SIGSEGV);
  CHECK_FALSE(exit.exit_code);
  CHECK(exit.processes_peak == 3);
  CHECK(exit.is_disk_full);
  CHECK(exit.cpu_time == Duration(5));
  CHECK(exit.memory_peak_bytes == 7);
}

TEST_CASE("supervisor record: a program that does not start is named", "[unit][worker]") {
  ProcessExit exit;
  SupervisorRecord record;
  record.event = SupervisorEvent::exec_failed;
  record.value = 2;
  CHECK_FALSE(take(record, exit));
  CHECK_FALSE(exit.was_started);
  CHECK(exit.failure ==
        "program did not start: program=/program/program error=No such file or directory");
  CHECK(exit.is_program_unusable);
}

TEST_CASE("supervisor record: a start fails by the variant, the machine or us", "[unit][worker]") {
  const auto unusable = [](SupervisorEvent event, int error, std::string_view program) {
    ProcessExit exit;
    SupervisorRecord record;
    record.event = event;
    record.value = error;
    CHECK_FALSE(take_supervisor_record(bytes_of(record), program, exit));
    CHECK_FALSE(exit.failure.empty());
    return exit.is_program_unusable;
  };
  CHECK(unusable(SupervisorEvent::exec_failed, ENOENT, "./run.sh"));
  CHECK_FALSE(unusable(SupervisorEvent::exec_failed, ENOMEM, "./run.sh"));
  CHECK_FALSE(unusable(SupervisorEvent::exec_failed, ENOENT, "python3"));
  CHECK_FALSE(unusable(SupervisorEvent::exec_failed, ENOENT, "/usr/bin/python3"));
  CHECK_FALSE(unusable(SupervisorEvent::prepare_failed, EACCES, "./run.sh"));
}

TEST_CASE("supervisor record: what cannot be true is not believed", "[unit][worker]") {
  ProcessExit exit;
  SupervisorRecord record;
  record.event = SupervisorEvent::ended;
  record.processes_peak = -1;
  record.cpu_nanoseconds = -1;
  record.memory_peak_bytes = -1;
  take(record, exit);
  CHECK(exit.processes_peak == 0);
  CHECK(exit.cpu_time == Duration(0));
  CHECK(exit.memory_peak_bytes == 0);
  record.cpu_nanoseconds = record.memory_peak_bytes = std::numeric_limits<std::int64_t>::max();
  take(record, exit);
  CHECK(exit.cpu_time == std::chrono::days(366));
  CHECK(exit.memory_peak_bytes == std::int64_t{1} << 50);

  ProcessExit other;
  record.event = static_cast<SupervisorEvent>(77);
  CHECK_FALSE(take(record, other));
  CHECK_FALSE(take_supervisor_record(bytes_of(record).substr(1), "", other));
  CHECK_FALSE(take_supervisor_record("", "", other));
  CHECK_FALSE(other.was_started);
  CHECK_FALSE(other.exit_code);
  CHECK(other.failure.empty());
}

}  // namespace
}  // namespace cambrian::worker
