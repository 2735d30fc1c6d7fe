#include "codegen-client/model_server/mutation/mutator.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "codegen-client/model_server/mutation/line_diff.hpp"
#include "common/source/token_digest.hpp"
#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

MutationRequest request_for(std::string_view text, Language language, std::uint64_t seed) {
  MutationRequest request;
  const std::string path = language == Language::python ? "model.py" : "model.cpp";
  request.parent = {.files = {{path, std::string(text)}}, .languages = {{path, language}}};
  request.seed = seed;
  return request;
}

Program donor(std::string_view text) {
  return {.files = {{"model.cpp", std::string(text)}}, .languages = {{"model.cpp", Language::cpp}}};
}

std::string changed(const MutationRequest& request) {
  const auto proposal = propose(request);
  REQUIRE(proposal);
  REQUIRE(proposal->files.size() == 1);
  return proposal->files.begin()->second;
}

bool is_balanced(std::string_view text, Language language) {
  const Code code = Code::parse(std::string(text), language).value();
  for (std::size_t i = 0; i < code.size(); ++i) {
    const bool is_bracket =
        code.token(i).kind == TokenKind::punctuation && code.at(i).find_first_of("()[]{}") == 0;
    if (is_bracket && code.token(i).partner == kNone) return false;
  }
  return true;
}

struct Sample {
  std::string_view text;
  Language language;
};
constexpr Sample kSamples[] = {
    {samples::kPriority, Language::cpp},  {samples::kBestFit, Language::cpp},
    {samples::kPiecewise, Language::cpp}, {samples::kTorch, Language::cpp},
    {samples::kMembers, Language::cpp},   {samples::kPythonTraining, Language::python}};

TEST_CASE("operators: each changes the program inside its blocks, or says no",
          "[unit][model_server]") {
  std::set<std::string_view> applied;
  for (const Sample& sample : kSamples) {
    const Code code = Code::parse(std::string(sample.text), sample.language).value();
    const std::vector<Code> donors = {
        Code::parse(std::string(samples::kBestFit), Language::cpp).value()};
    for (const Operator& candidate : operator_table()) {
      const bool is_spoken = code.is_python() ? candidate.for_python : candidate.for_cpp;
      if (!is_spoken) continue;
      for (std::uint64_t seed = 0; seed < 30; ++seed) {
        INFO("operator=" << candidate.name << " seed=" << seed);
        Rng rng(seed);
        const auto mutation = candidate.apply({.code = code, .donors = donors, .rng = rng});
        if (!mutation) continue;
        const auto text = code.apply(mutation->edits);
        REQUIRE(text);
        CHECK(*text != code.text());
        CHECK(is_balanced(*text, sample.language));
        CHECK_FALSE(mutation->note.empty());
        applied.insert(candidate.name);
        Rng again(seed);
        const auto repeated = candidate.apply({.code = code, .donors = donors, .rng = again});
        REQUIRE(repeated);
        CHECK(code.apply(repeated->edits).value() == *text);
      }
    }
  }
  for (const char* name : {"change_number", "change_learning_rate", "grow_expression",
                           "insert_conditional", "add_shape", "change_condition", "tune_constant",
                           "take_changes", "graft_subtree", "join_results"}) {
    INFO(name);
    CHECK(applied.contains(name));
  }
}

TEST_CASE("propose: repeats itself for a seed and differs between seeds", "[unit][model_server]") {
  std::set<std::string> texts;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto request = request_for(samples::kPriority, Language::cpp, seed);
    texts.insert(changed(request));
    CHECK(changed(request) == changed(request));
  }
  CHECK(texts.size() > 12);
}

TEST_CASE("propose: never gives back the parent or a donor", "[unit][model_server]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    auto request = request_for(samples::kPriority, Language::cpp, seed);
    request.task = Task::crossover;
    request.donors = {donor(samples::kBestFit)};
    const auto digest = source::token_digest(changed(request), Language::cpp);
    CHECK(digest != source::token_digest(samples::kPriority, Language::cpp));
    CHECK(digest != source::token_digest(samples::kBestFit, Language::cpp));
  }
}

TEST_CASE("propose: what is to be simpler has fewer tokens", "[unit][model_server]") {
  std::set<std::string> texts;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    auto request = request_for(samples::kBestFit, Language::cpp, seed);
    request.task = Task::simplify;
    const auto simpler = propose(request);
    if (!simpler) continue;  // Said, and not made up: not every draw finds something to leave out.
    const std::string& text = simpler->files.begin()->second;
    CHECK(source::token_digest(text, Language::cpp).count <
          source::token_digest(samples::kBestFit, Language::cpp).count);
    texts.insert(text);
  }
  CHECK(texts.size() > 3);
}

TEST_CASE("propose: does not repeat a change that failed", "[unit][model_server]") {
  auto request = request_for(samples::kPriority, Language::cpp, 7);
  const std::string first = changed(request);
  Failure failure{.outcome = "compile_error", .removed = {}, .added = {}};
  const auto before = split_lines(samples::kPriority);
  const auto after = split_lines(first);
  const auto trimmed = [](std::string_view line) {
    const auto begin = std::min(line.find_first_not_of(" \n"), line.size());
    return std::string(line.substr(begin, line.find_last_not_of(" \n") + 1 - begin));
  };
  for (const Hunk& hunk : diff_lines(before, after)) {
    for (std::size_t i = hunk.before_begin; i < hunk.before_end; ++i) {
      failure.removed.push_back(trimmed(before[i]));
    }
    for (std::size_t i = hunk.after_begin; i < hunk.after_end; ++i) {
      failure.added.push_back(trimmed(after[i]));
    }
  }
  request.failures = {failure};
  CHECK(changed(request) != first);
}

TEST_CASE("propose: says why it cannot", "[unit][model_server]") {
  CHECK(propose({}).error().code == Errc::invalid_argument);
  CHECK(propose(request_for("// EVOLVE-BLOCK-START\n", Language::cpp, 1)).error().code ==
        Errc::invalid_argument);
  CHECK(propose(request_for("int main() {}\n", Language::cpp, 1)).error().code == Errc::not_found);
}

TEST_CASE("propose: survives mangled programs", "[unit][model_server]") {
  for (const Sample& sample : kSamples) {
    for (std::uint64_t seed = 0; seed < 25; ++seed) {
      INFO("seed=" << seed);
      Rng rng(seed);
      std::string text(sample.text);
      for (std::uint64_t k = 1 + rng.below(5); k > 0; --k) {
        const std::size_t at = rng.below(text.size());
        const std::size_t length = 1 + rng.below(12);
        switch (rng.below(3)) {
          case 0: text.erase(at, length); break;
          case 1: text.insert(at, text.substr(rng.below(text.size()), length)); break;
          default: text[at] = "(){}[];,\"'#\n"[rng.below(12)];
        }
      }
      const auto request = request_for(text, sample.language, seed);
      if (const auto proposal = propose(request)) CHECK_FALSE(proposal->files.empty());
    }
  }
}

TEST_CASE("diff_lines: hunks turn one text into the other", "[unit][model_server]") {
  Rng rng(11);
  for (int round = 0; round < 200; ++round) {
    std::string before;
    std::string after;
    for (std::uint64_t i = rng.below(12); i > 0; --i)
      before += "abc"[rng.below(3)] + std::string("\n");
    for (std::uint64_t i = rng.below(12); i > 0; --i)
      after += "abc"[rng.below(3)] + std::string("\n");
    const auto old_lines = split_lines(before);
    const auto new_lines = split_lines(after);
    std::string rebuilt;
    std::size_t position = 0;
    for (const Hunk& hunk : diff_lines(old_lines, new_lines)) {
      for (; position < hunk.before_begin; ++position) rebuilt += old_lines[position];
      for (std::size_t i = hunk.after_begin; i < hunk.after_end; ++i) rebuilt += new_lines[i];
      position = hunk.before_end;
    }
    for (; position < old_lines.size(); ++position) rebuilt += old_lines[position];
    REQUIRE(rebuilt == after);
  }
}

}  // namespace
}  // namespace cambrian::codemodel
