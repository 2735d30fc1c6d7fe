#include "cli/dev/state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace cambrian::cli::dev {
namespace {

using Json = nlohmann::ordered_json;

Json process_json(const ProcessId& process) {
  return {{"pid", process.pid}, {"start_ticks", process.start_ticks}};
}

ProcessId process_of(const Json& json) {
  return {json.at("pid").get<pid_t>(), json.at("start_ticks").get<std::uint64_t>()};
}

State state_of(const Json& json) {
  State state;
  state.supervisor = process_of(json.at("supervisor"));
  json.at("fingerprint").get_to(state.fingerprint);
  json.at("endpoint").get_to(state.endpoint);
  json.at("metrics").get_to(state.metrics);
  json.at("model_url").get_to(state.model_url);
  json.at("database").get_to(state.database);
  json.at("is_ready").get_to(state.is_ready);
  json.at("error").get_to(state.error);
  for (const Json& item : json.at("services")) {
    state.services.push_back({item.at("name"), item.at("phase"), process_of(item.at("process")),
                              item.at("restarts"), item.at("last_exit")});
  }
  return state;
}

struct flock whole_file(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<std::optional<State>> read_state(const Layout& layout) {
  std::ifstream input(layout.state_file());
  if (!input) return std::nullopt;
  std::stringstream text;
  text << input.rdbuf();
  try {
    return state_of(Json::parse(text.str()));
  } catch (const Json::exception& error) {
    return fail(Errc::internal,
                "damaged file " + layout.state_file().string() + ": " + error.what());
  }
}

Status write_state(const Layout& layout, const State& state) {
  Json services = Json::array();
  for (const ServiceState& service : state.services) {
    services.push_back({{"name", service.name},
                        {"phase", service.phase},
                        {"process", process_json(service.process)},
                        {"restarts", service.restarts},
                        {"last_exit", service.last_exit}});
  }
  const Json json{{"supervisor", process_json(state.supervisor)},
                  {"fingerprint", state.fingerprint},
                  {"endpoint", state.endpoint},
                  {"metrics", state.metrics},
                  {"model_url", state.model_url},
                  {"database", state.database},
                  {"is_ready", state.is_ready},
                  {"error", state.error},
                  {"services", services}};
  const std::filesystem::path partial = layout.state_file().string() + ".partial";
  std::ofstream output(partial, std::ios::trunc);
  output << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  output.close();
  if (!output) {
    return fail(Errc::unavailable,
                "cannot write " + partial.string() + ": " + std::strerror(errno));
  }
  std::error_code error;
  std::filesystem::rename(partial, layout.state_file(), error);
  if (error) return fail(Errc::unavailable, "cannot replace state.json: " + error.message());
  return {};
}

pid_t lock_holder(const Layout& layout) {
  const int file = open(layout.lock_file().c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return 0;
  struct flock lock = whole_file(F_WRLCK);
  const int result = fcntl(file, F_GETLK, &lock);
  // Closing is harmless: this process holds no lock on it.
  close(file);
  return result == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

Status take_lock(const Layout& layout) {
  // Open for the life of the process: closing any descriptor of it would give the lock away.
  const int file = open(layout.lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return fail(Errc::unavailable,
                "cannot open " + layout.lock_file().string() + ": " + std::strerror(errno));
  }
  struct flock lock = whole_file(F_WRLCK);
  if (fcntl(file, F_SETLK, &lock) == 0) return {};
  close(file);
  return fail(Errc::conflict, "another supervisor runs in " + layout.directory.string());
}

std::string running_endpoint(const std::filesystem::path& directory) {
  const Layout layout = make_layout(directory);
  if (lock_holder(layout) == 0) return "";
  const auto state = read_state(layout);
  return state && *state ? (*state)->endpoint : "";
}

}  // namespace cambrian::cli::dev
