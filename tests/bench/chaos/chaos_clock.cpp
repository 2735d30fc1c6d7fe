// Loaded before a program (LD_PRELOAD), it shifts what the program takes for the time of day by the
// nanoseconds in the file that CHAOS_CLOCK names. The monotonic clocks stay as they are. Where gRPC
// lets the kernel wait for a time of day, it is shifted back: the kernel has the true one, and with
// a clock behind it threads would wait for nothing, again and again, with one ahead for minutes.

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

/// Zero without a file: the program then has the true time.
std::int64_t offset() {
  static const std::atomic<std::int64_t>* const shared = [] {
    const std::atomic<std::int64_t>* nothing = nullptr;
    const char* path = std::getenv("CHAOS_CLOCK");
    if (path == nullptr) return nothing;
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return nothing;
    void* memory = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
    return memory == MAP_FAILED ? nothing : static_cast<const std::atomic<std::int64_t>*>(memory);
  }();
  return shared == nullptr ? 0 : shared->load(std::memory_order_relaxed);
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

std::int64_t shifted_now() {
  using Clock = int (*)(clockid_t, timespec*);
  static const auto true_clock = next<Clock>("clock_gettime");
  timespec now{};
  true_clock(CLOCK_REALTIME, &now);
  return now.tv_sec * kNanoseconds + now.tv_nsec + offset();
}

using Call = long (*)(long, long, long, long, long, long, long);

Call true_call() {
  static const auto call = next<Call>("syscall");
  return call;
}

/// Before there are threads: to initialise a static may itself be a wait by `syscall`.
[[gnu::constructor]] void prepare() {
  shifted_now();
  true_call();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (clock == CLOCK_REALTIME) {
    const std::int64_t now = shifted_now();
    time->tv_sec = now / kNanoseconds;
    time->tv_nsec = now % kNanoseconds;
    return 0;
  }
  using Clock = int (*)(clockid_t, timespec*);
  static const auto true_clock = next<Clock>("clock_gettime");
  return true_clock(clock, time);
}

int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  const std::int64_t now = shifted_now();
  time->tv_sec = now / kNanoseconds;
  time->tv_usec = now % kNanoseconds / 1000;
  return 0;
}

time_t time(time_t* seconds) noexcept {
  const time_t now = shifted_now() / kNanoseconds;
  if (seconds != nullptr) *seconds = now;
  return now;
}

/// Abseil waits by it, and gRPC by Abseil.
long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  timespec until{};
  const bool is_time_of_day = number == SYS_futex && (arguments[1] & FUTEX_CLOCK_REALTIME) != 0 &&
                              (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
  if (is_time_of_day && arguments[3] != 0) {
    const auto& wanted = *reinterpret_cast<const timespec*>(arguments[3]);
    const std::int64_t truly = wanted.tv_sec * kNanoseconds + wanted.tv_nsec - offset();
    until.tv_sec = truly > 0 ? truly / kNanoseconds : 0;
    until.tv_nsec = truly > 0 ? truly % kNanoseconds : 0;
    arguments[3] = reinterpret_cast<long>(&until);
  }
  return true_call()(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                     arguments[5]);
}
}
