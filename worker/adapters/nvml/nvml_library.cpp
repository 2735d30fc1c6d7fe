#include "worker/adapters/nvml/nvml_library.hpp"

#include <dlfcn.h>

namespace cambrian::worker::nvml {
namespace {

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

Result<Library> load(const std::string& path) {
  void* opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    return fail(Errc::not_found, "the library of the GPU driver is missing: path=" + path);
  }
  Library library;
  library.handle = std::shared_ptr<void>(opened, [](void* handle) { dlclose(handle); });
  int (*start)() = nullptr;
  const bool is_whole =
      find(opened, "nvmlInit_v2", start) && find(opened, "nvmlErrorString", library.error_text) &&
      find(opened, "nvmlDeviceGetHandleByUUID", library.get_handle) &&
      find(opened, "nvmlDeviceGetMemoryInfo", library.get_memory) &&
      (find(opened, "nvmlDeviceGetComputeRunningProcesses_v3", library.get_processes) ||
       find(opened, "nvmlDeviceGetComputeRunningProcesses_v2", library.get_processes));
  if (!is_whole) {
    return fail(Errc::unavailable, "the library of the GPU driver is too old: path=" + path);
  }
  find(opened, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", library.get_whole);
  find(opened, "nvmlDeviceGetTotalEccErrors", library.get_ecc_errors);
  find(opened, "nvmlDeviceGetRemappedRows", library.get_remapped_rows);
  find(opened, "nvmlDeviceGetRetiredPagesPendingStatus", library.get_retirement_pending);
  find(opened, "nvmlEventSetCreate", library.make_event_set);
  find(opened, "nvmlDeviceRegisterEvents", library.register_events);
  find(opened, "nvmlEventSetWait_v2", library.wait_event);
  const int code = start();
  if (code == kSuccess) return library;
  return fail(Errc::unavailable, std::string("the library of the GPU driver does not start: ") +
                                     library.error_text(code));
}

}  // namespace cambrian::worker::nvml
