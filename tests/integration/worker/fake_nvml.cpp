// A made-up libnvidia-ml.so.1 for tests. Its answers come from the file that the environment
// variable CAMBRIAN_FAKE_NVML names, read anew at each call: lines of UUID NAME NUMBER, where NAME
// is one of
//   used, ecc, pending, failed, retire   what the call of that kind says
//   pid                                  a process on the GPU; any number of lines
//   xid                                  an error that happened; told once for each line
//   error                                what all calls return instead
#include <cstdlib>
#include <fstream>
#include <list>
#include <string>
#include <vector>

namespace {

struct Memory {
  unsigned long long total, free, used;
};
struct Process {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};
struct Event {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

std::list<std::string> known;  // A handle is the address of the UUID.
std::size_t xids_told = 0;

std::vector<long long> values_of(const std::string& uuid, const std::string& name) {
  std::vector<long long> values;
  std::ifstream file(std::getenv("CAMBRIAN_FAKE_NVML"));
  std::string id, key;
  for (long long value = 0; file >> id >> key >> value;) {
    if (id == uuid && key == name) values.push_back(value);
  }
  return values;
}

long long value_of(const void* device, const std::string& name) {
  const auto values = values_of(*static_cast<const std::string*>(device), name);
  return values.empty() ? 0 : values[0];
}

int error_of(const void* device) { return static_cast<int>(value_of(device, "error")); }

}  // namespace

extern "C" {

int nvmlInit_v2();
const char* nvmlErrorString(int code);
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device);
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory);
int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, Process* processes);
int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* count);
int nvmlDeviceGetRemappedRows(void* device, unsigned* corrected, unsigned* uncorrected,
                              unsigned* pending, unsigned* failed);
int nvmlDeviceGetRetiredPagesPendingStatus(void* device, int* pending);
int nvmlEventSetCreate(void** set);
int nvmlDeviceRegisterEvents(void* device, unsigned long long types, void* set);
int nvmlEventSetWait_v2(void* set, Event* event, unsigned milliseconds);

int nvmlInit_v2() { return 0; }

const char* nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "made-up error"; }

int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  if (values_of(uuid, "used").empty()) return 6;
  for (std::string& one : known) {
    if (one == uuid) *device = &one;
    if (one == uuid) return 0;
  }
  *device = &known.emplace_back(uuid);
  return 0;
}

int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  memory->used = static_cast<unsigned long long>(value_of(device, "used"));
  return error_of(device);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, Process* processes) {
  const auto pids = values_of(*static_cast<std::string*>(device), "pid");
  if (pids.size() > *count) return 7;
  *count = 0;
  for (const long long pid : pids) processes[(*count)++].pid = static_cast<unsigned>(pid);
  return error_of(device);
}

int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* count) {
  if (type != 1 || counter != 0) return 2;
  *count = static_cast<unsigned long long>(value_of(device, "ecc"));
  return 0;
}

int nvmlDeviceGetRemappedRows(void* device, unsigned* corrected, unsigned* uncorrected,
                              unsigned* pending, unsigned* failed) {
  *corrected = *uncorrected = 0;
  *pending = static_cast<unsigned>(value_of(device, "pending"));
  *failed = static_cast<unsigned>(value_of(device, "failed"));
  return 0;
}

int nvmlDeviceGetRetiredPagesPendingStatus(void* device, int* pending) {
  *pending = static_cast<int>(value_of(device, "retire"));
  return 0;
}

int nvmlEventSetCreate(void** set) {
  *set = &xids_told;
  return 0;
}

int nvmlDeviceRegisterEvents(void* device, unsigned long long types, void* set) {
  return device != nullptr && types == 8 && set == &xids_told ? 0 : 2;
}

int nvmlEventSetWait_v2(void*, Event* event, unsigned) {
  std::size_t before = 0;
  for (std::string& uuid : known) {
    for (const long long xid : values_of(uuid, "xid")) {
      if (before++ < xids_told) continue;
      ++xids_told;
      *event = {&uuid, 8, static_cast<unsigned long long>(xid), 0, 0};
      return 0;
    }
  }
  return 10;
}
}
