// The bare SQL of a cycle, without the service: what PostgreSQL alone makes of it.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/bench/coordination/child.hpp"
#include "tests/bench/coordination/parts.hpp"
#include "tests/bench/coordination/stage.hpp"

namespace cambrian::bench {
namespace {

namespace fs = std::filesystem;

// Two transactions, as a claim and a report are: fenced by the epoch, and nothing else.
constexpr const char* kScript =
    "UPDATE work_item SET state = 'leased', epoch = epoch + 1, agent_id = 'pgbench',"
    " renewed_at = now(), lease_expires_at = now() + interval '1 minute'"
    " WHERE id = ANY(ARRAY(SELECT id FROM work_item WHERE state = 'ready'"
    " AND kind = 'evaluation' AND campaign_id = CAMPAIGN ORDER BY id LIMIT 1"
    " FOR UPDATE SKIP LOCKED)) RETURNING id AS item, epoch AS epoch \\gset\n"
    "UPDATE work_item SET state = 'done' WHERE id = :item AND epoch = :epoch"
    " AND state = 'leased';\n";
constexpr std::int64_t kPgbenchReadyPerSecond = 6'000;

std::string pgbench() {
  for (const char* folder : {"/usr/lib/postgresql/17/bin", "/usr/bin"}) {
    const auto path = fs::path(folder) / "pgbench";
    if (fs::exists(path)) return path;
  }
  throw std::runtime_error("there is no pgbench");
}

/// The value of `key=value ` in a connection string.
std::string part_of(const std::string& connection, const std::string& key) {
  std::istringstream words(connection);
  std::string word;
  while (words >> word) {
    if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
  }
  return {};
}

/// pgbench's log: client, transaction, microseconds, script, and the time of its end.
Samples read_latencies(const fs::path& folder) {
  Samples samples;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("latency")) continue;
    std::ifstream file(entry.path());
    std::string client;
    std::string transaction;
    double microseconds = 0;
    std::string rest;
    while (file >> client >> transaction >> microseconds && std::getline(file, rest)) {
      samples.add(0, microseconds / 1e3);
    }
  }
  return samples;
}

std::string make_folder() {
  auto pattern = (fs::temp_directory_path() / "cambrian-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

}  // namespace

Json measure_bare_sql(Stage& stage, const Options& options) {
  stage.clear();
  stage.add_ready(options.load_seconds * kPgbenchReadyPerSecond);
  const fs::path folder = make_folder();
  auto script = std::string(kScript);
  script.replace(script.find("CAMPAIGN"), 8,
                 std::to_string(stage.number("SELECT id FROM campaign WHERE name = 'load'")));
  std::ofstream(folder / "script.sql") << script;
  const auto agents = std::to_string(options.agents);
  Child child({pgbench(),
               "--no-vacuum",
               "--protocol",
               "prepared",
               "--client",
               agents,
               "--jobs",
               "1",
               "--time",
               std::to_string(options.load_seconds),
               "--file",
               folder / "script.sql",
               "--log",
               "--log-prefix",
               folder / "latency",
               "--host",
               part_of(stage.database(), "host"),
               "--username",
               "postgres",
               part_of(stage.database(), "dbname")},
              folder / "output");
  const int exit_code = child.wait();
  const auto output = read_text(folder / "output");
  const auto samples = read_latencies(folder);
  fs::remove_all(folder);
  const auto place = output.find("tps = ");
  if (exit_code != 0 || place == std::string::npos) {
    throw std::runtime_error("pgbench failed:\n" + output);
  }
  return {{"cycles_per_second", std::stod(output.substr(place + 6))},
          {"p50_ms", samples.quantile(0.5)},
          {"p99_ms", samples.quantile(0.99)},
          {"clients", options.agents}};
}

}  // namespace cambrian::bench
