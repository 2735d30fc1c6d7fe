#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <limits>

#include "common/task/manifest.hpp"
#include "common/task/names.hpp"

namespace cambrian::task {
namespace {

using spec::v1::TaskManifest;

TaskManifest good_manifest() {
  TaskManifest manifest;
  manifest.set_api_version("cambrian/v1");
  manifest.set_kind("Task");
  manifest.set_name("bin-packing");
  manifest.set_description("Pack.");
  manifest.set_language("cpp");
  manifest.mutable_candidate()->set_runtime(spec::v1::RUNTIME_CPP);
  manifest.mutable_candidate()->add_evolve("priority.cpp");
  manifest.mutable_judge()->add_sources("judge/judge.cpp");
  auto* objective = manifest.add_objectives();
  objective->set_metric("excess_percent");
  objective->set_goal(spec::v1::GOAL_MINIMIZE);
  auto* feature = manifest.add_features();
  feature->set_metric("source_tokens");
  feature->set_maximum(100);
  return manifest;
}

/// The fields that are refused after a change of a good manifest.
std::vector<std::string> refused(const std::function<void(TaskManifest&)>& change) {
  TaskManifest manifest = good_manifest();
  change(manifest);
  std::vector<std::string> fields;
  for (const FieldProblem& problem : check_manifest(manifest)) fields.push_back(problem.field);
  return fields;
}

using Fields = std::vector<std::string>;

TEST_CASE("check_manifest: accepts a good manifest", "[unit][task]") {
  CHECK(check_manifest(good_manifest()).empty());
}

TEST_CASE("check_manifest: an empty manifest lacks everything required, all at once",
          "[unit][task]") {
  Fields fields;
  for (const FieldProblem& problem : check_manifest({})) fields.push_back(problem.field);
  CHECK(fields == Fields{"api_version", "kind", "name", "description", "language",
                         "candidate.runtime", "candidate.evolve", "judge", "objectives"});
}

TEST_CASE("check_manifest: names the field that breaks a rule", "[unit][task]") {
  CHECK(refused([](auto& m) { m.set_name("Bin_Packing"); }) == Fields{"name"});
  CHECK(refused([](auto& m) { m.set_language("perl"); }) == Fields{"language"});
  CHECK(refused([](auto& m) { m.mutable_judge()->set_rung_metric("excess_percent"); }).empty());
  CHECK(refused([](auto& m) { m.mutable_judge()->set_rung_metric("loss"); }) ==
        Fields{"judge.rung_metric"});
  CHECK(refused([](auto& m) {
          m.mutable_judge()->clear_sources();
          m.mutable_judge()->set_ready("regression");
          m.mutable_judge()->set_rung_metric("excess_percent");
        }) == Fields{"judge.rung_metric"});
  CHECK(refused([](auto& m) {
          m.mutable_candidate()->set_runtime(static_cast<spec::v1::Runtime>(99));
        }) == Fields{"candidate.runtime"});
  CHECK(refused([](auto& m) {
          m.mutable_objectives(0)->set_goal(static_cast<spec::v1::Goal>(99));
        }) == Fields{"objectives[0].goal"});
  CHECK(refused([](auto& m) { m.set_sandbox(static_cast<spec::v1::SandboxLevel>(-1)); }) ==
        Fields{"sandbox"});
  CHECK(refused([](auto& m) { m.set_language("python"); }) == Fields{"language"});
  CHECK(refused([](auto& m) { m.mutable_candidate()->add_evolve("../x.cpp"); }) ==
        Fields{"candidate.evolve[1]"});
  CHECK(refused([](auto& m) { m.mutable_candidate()->add_evolve("priority.cpp"); }) ==
        Fields{"candidate.evolve[1]"});
  CHECK(refused([](auto& m) { m.mutable_candidate()->add_run("x"); }) == Fields{"candidate.run"});
  CHECK(refused([](auto& m) { m.mutable_candidate()->add_build("x"); }) ==
        Fields{"candidate.build"});
  CHECK(refused([](auto& m) { m.mutable_candidate()->set_runtime(spec::v1::RUNTIME_PROCESS); }) ==
        Fields{"candidate.run"});
  CHECK(refused([](auto& m) { m.mutable_judge()->set_ready("classification"); }) ==
        Fields{"judge"});
  CHECK(refused([](auto& m) { m.mutable_judge()->set_sources(0, "seed/judge.cpp"); }) ==
        Fields{"judge.sources[0]"});
  CHECK(refused([](auto& m) { *m.add_objectives() = m.objectives(0); }) ==
        Fields{"objectives[1].metric"});
  CHECK(refused([](auto& m) { m.mutable_objectives(0)->clear_goal(); }) ==
        Fields{"objectives[0].goal"});
  CHECK(refused([](auto& m) {
          m.mutable_objectives(0)->set_minimum(1);
          m.mutable_objectives(0)->set_target(0);
        }) == Fields{"objectives[0].target"});
  CHECK(refused([](auto& m) { m.mutable_features(0)->set_bins(1); }) == Fields{"features[0].bins"});
  CHECK(refused([](auto& m) { m.mutable_features(0)->set_logarithmic(true); }) ==
        Fields{"features[0].minimum"});
  CHECK(refused([](auto& m) {
          auto* data = m.add_data();
          data->set_name("d");
          data->set_path("relative");
          data->set_sha256("12");
        }) == Fields{"data[0].path", "data[0].sha256"});
  CHECK(refused([](auto& m) { m.mutable_limits()->set_memory_bytes(5); }) ==
        Fields{"limits.memory_bytes"});
  CHECK(refused([](auto& m) { m.mutable_limits()->mutable_run_time()->set_nanos(1); }) ==
        Fields{"limits.run_time"});
  CHECK(refused([](auto& m) { m.mutable_limits()->set_cpus(-1); }) == Fields{"limits.cpus"});
  CHECK(refused([](auto& m) {
          auto* time = m.mutable_limits()->mutable_run_time();
          time->set_seconds(std::numeric_limits<std::int64_t>::max());
          time->set_nanos(std::numeric_limits<std::int32_t>::max());
        }) == Fields{"limits.run_time"});
  CHECK(refused([](auto& m) {
          m.mutable_objectives(0)->set_minimum(std::numeric_limits<double>::quiet_NaN());
        }) == Fields{"objectives[0].minimum"});
  CHECK(refused([](auto& m) {
          m.mutable_features(0)->set_maximum(std::numeric_limits<double>::infinity());
        }) == Fields{"features[0].maximum"});
  CHECK(refused([](auto& m) {
          (*m.mutable_parameters())["x"] = std::numeric_limits<double>::infinity();
        }) == Fields{"parameters.x"});
}

TEST_CASE("is_accepted_option: lets through what tunes and nothing that loads", "[unit][task]") {
  for (const char* good : {"-O3", "-ffast-math", "-march=x86-64-v3", "-DNDEBUG", "-Wno-unused"}) {
    INFO(good);
    CHECK(is_accepted_option(good));
  }
  for (const char* bad :
       {"", "-", "-I/etc", "-L/", "-lx", "-o", "/etc/passwd", "-fplugin=x.so", "-fpass-plugin=x",
        "-Wl,-rpath", "-Wp,-MD,x", "-fprofile-use=/x", "-D A", "-include"}) {
    INFO(bad);
    CHECK_FALSE(is_accepted_option(bad));
  }
}

TEST_CASE("is_inner_path: keeps inside of the folder", "[unit][task]") {
  CHECK(is_inner_path("a/b-1/c_2.cpp"));
  CHECK(is_inner_path("CMakeLists.txt"));
  for (const char* bad :
       {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "-rf", "a b", "a\\b", "a\nb", "\xc3\xa9"}) {
    INFO(bad);
    CHECK_FALSE(is_inner_path(bad));
  }
  CHECK_FALSE(is_inner_path(std::string(201, 'a')));
  CHECK(is_resource_name("a"));
  CHECK_FALSE(is_resource_name("-a"));
  CHECK_FALSE(is_resource_name(std::string(64, 'a')));
  CHECK(is_identifier("val_accuracy"));
  CHECK_FALSE(is_identifier("1a"));
}

}  // namespace
}  // namespace cambrian::task
