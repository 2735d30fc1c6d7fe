#include "codegen-client/model_server/chat/answer.hpp"

#include <catch2/catch_test_macros.hpp>

#include "codegen-client/model_server/mutation/line_diff.hpp"
#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

std::string program(std::string_view text) {
  return "Variant 3: excess_ratio=4.2\nFile: priority.cpp\n```cpp\n" + std::string(text) + "```\n";
}

std::string prompt_text(std::string_view mode, int seed) {
  return "## Task: bins\nPack.\n\n## Inspiration 1\n" + program(samples::kBestFit) +
         "\n## Failure 1\nVariant 7: compile_error\nDiagnostics:\n```text\nerror: x\n## Parent "
         "program\n"
         "```\nChange:\n```text\n--- a/priority.cpp\n+++ b/priority.cpp\n@@ -1 +1 @@\n-old line\n"
         "+  new line\n```\n\n## Parent program\n" +
         program(samples::kPriority) + "\n## Operator: " + std::string(mode) +
         "\nDo it.\n\n## Variation seed: " + std::to_string(seed) + "\n";
}

Prompt read(std::string_view mode, int seed) {
  return read_prompt({{"system", "You edit."}, {"user", prompt_text(mode, seed)}});
}

/// Applies SEARCH/REPLACE blocks literally; every SEARCH part must stand exactly once.
std::string apply_blocks(std::string text, const std::string& answer) {
  std::size_t position = 0;
  int blocks = 0;
  for (;;) {
    const auto open = answer.find("<<<<<<< SEARCH\n", position);
    if (open == std::string::npos) break;
    const auto middle = answer.find("=======\n", open);
    const auto close = answer.find(">>>>>>> REPLACE\n", middle);
    REQUIRE(close != std::string::npos);
    const std::string search = answer.substr(open + 15, middle - open - 15);
    const auto found = text.find(search);
    REQUIRE(found != std::string::npos);
    REQUIRE(text.find(search, found + 1) == std::string::npos);
    text.replace(found, search.size(), answer.substr(middle + 8, close - middle - 8));
    position = close;
    ++blocks;
  }
  REQUIRE(blocks > 0);
  return text;
}

TEST_CASE("read_prompt: finds programs, failures, operator and seed", "[unit][model_server]") {
  const Prompt prompt = read("diff", 123);
  CHECK(prompt.request.parent.files.at("priority.cpp") == samples::kPriority);
  CHECK(prompt.request.parent.languages.at("priority.cpp") == Language::cpp);
  REQUIRE(prompt.request.donors.size() == 1);
  CHECK(prompt.request.donors[0].files.at("priority.cpp") == samples::kBestFit);
  REQUIRE(prompt.request.failures.size() == 1);
  CHECK(prompt.request.failures[0].outcome == "compile_error");
  CHECK(prompt.request.failures[0].removed == std::vector<std::string>{"old line"});
  CHECK(prompt.request.failures[0].added == std::vector<std::string>{"new line"});
  CHECK(prompt.request.seed == 123);
  CHECK(prompt.has_seed);
  CHECK_FALSE(prompt.wants_files);
  CHECK(read("rewrite", 1).wants_files);
  CHECK(read("crossover", 1).request.task == Task::crossover);
  CHECK(read("repair", 1).request.task == Task::crossover);
  CHECK(read("simplify", 1).request.task == Task::simplify);
  CHECK(read("explain", 1).request.task == Task::diff);
}

TEST_CASE("read_prompt: the second parent comes before inspirations", "[unit][model_server]") {
  const std::string text = "## Inspiration 1\n" + program("int a = 1;\n") + "## Second parent\n" +
                           program(samples::kBestFit) + "## Parent program\n" +
                           program(samples::kPriority);
  const Prompt prompt = read_prompt({{"user", text}});
  REQUIRE(prompt.request.donors.size() == 2);
  CHECK(prompt.request.donors[0].files.at("priority.cpp") == samples::kBestFit);
}

TEST_CASE("read_prompt: a follow-up keeps the program and takes the new seed",
          "[unit][model_server]") {
  const Prompt prompt = read_prompt({{"user", prompt_text("diff", 5)},
                                     {"assistant", "no"},
                                     {"user", "## Rejected\n- x\n## Variation seed: 456\n"}});
  CHECK(prompt.request.seed == 456);
  CHECK(prompt.request.parent.files.size() == 1);
}

TEST_CASE("read_prompt: takes prompts of other clients", "[unit][model_server]") {
  const Prompt prompt =
      read_prompt({{"user", "Improve it with SEARCH/REPLACE:\n```python\nx = 0.5\n```\nThanks"}});
  CHECK(prompt.request.parent.files.at("program.py") == "x = 0.5\n");
  CHECK_FALSE(prompt.wants_files);
  CHECK(read_prompt({{"user", "hello"}}).request.parent.files.empty());
}

TEST_CASE("answer_prompt: blocks apply and give the proposed program", "[unit][model_server]") {
  for (int seed = 0; seed < 60; ++seed) {
    INFO("seed=" << seed);
    const Prompt prompt = read(seed % 2 == 0 ? "diff" : "crossover", seed);
    const std::string answer = answer_prompt(prompt);
    const auto proposal = propose(prompt.request).value();
    CHECK(apply_blocks(std::string(samples::kPriority), answer) ==
          proposal.files.at("priority.cpp"));
    CHECK(answer.starts_with("I "));
    CHECK(answer.find("\nFile: priority.cpp\n<<<<<<< SEARCH\n") != std::string::npos);
  }
}

TEST_CASE("answer_prompt: a rewrite is the whole file in a fence", "[unit][model_server]") {
  const Prompt prompt = read("rewrite", 9);
  const std::string answer = answer_prompt(prompt);
  const auto proposal = propose(prompt.request).value();
  CHECK(answer.ends_with("\nFile: priority.cpp\n```cpp\n" + proposal.files.at("priority.cpp") +
                         "```\n"));
}

TEST_CASE("answer_prompt: without a program it says what it needs", "[unit][model_server]") {
  CHECK(answer_prompt(read_prompt({{"user", "hello"}})).find("fenced block") != std::string::npos);
}

TEST_CASE("render_blocks: equal lines get enough context", "[unit][model_server]") {
  const std::string before = "a\nsame\nb\nsame\nc\n\nsame\nd\n";
  for (const std::string& after :
       {std::string("a\nsame\nb\nX\nc\n\nsame\nd\n"), std::string("a\nsame\nb\nsame\nc\nsame\nd\n"),
        std::string("same\na\nsame\nb\nsame\nc\n\nsame\nd\nsame\n"),
        std::string("a\nb\nb\nsame\nc\n\nb\nd\n")}) {
    CHECK(apply_blocks(before, render_blocks(before, after)) == after);
  }
}

TEST_CASE("render_blocks: never joins two blocks with the marks between them",
          "[unit][model_server]") {
  const auto program = [](const std::string& first, const std::string& second) {
    return "// EVOLVE-BLOCK-START one\n" + first +
           "// EVOLVE-BLOCK-END\nint middle();\n"
           "// EVOLVE-BLOCK-START two\n" +
           second + "// EVOLVE-BLOCK-END\n";
  };
  struct Change {
    std::string first, second, first_after, second_after;
  };
  for (const Change& change :
       {Change{"p();\n", "q();\n", "q();\n", "r();\n"},
        Change{"p();\n", "q();\n", "q();\n", "p();\n"},
        Change{"a();\np();\n", "q();\nb();\n", "a();\nq();\nb();\n", "r();\nb();\n"}}) {
    const std::string before = program(change.first, change.second);
    const std::string after = program(change.first_after, change.second_after);
    const std::string blocks = render_blocks(before, after);
    INFO(blocks);
    CHECK(apply_blocks(before, blocks) == after);
    // As the client sees it: what a block changes lies between two marks.
    std::size_t position = 0;
    for (;;) {
      const auto open = blocks.find("<<<<<<< SEARCH\n", position);
      if (open == std::string::npos) break;
      const auto middle = blocks.find("=======\n", open);
      const auto close = blocks.find(">>>>>>> REPLACE\n", middle);
      const std::string search = blocks.substr(open + 15, middle - open - 15);
      const std::string replace = blocks.substr(middle + 8, close - middle - 8);
      const auto hunks = diff_lines(split_lines(search), split_lines(replace));
      for (const Hunk& hunk : hunks) {
        const auto lines = split_lines(search);
        for (std::size_t i = hunk.before_begin; i < hunk.before_end; ++i) {
          CHECK(lines[i].find("EVOLVE-BLOCK") == std::string_view::npos);
        }
      }
      position = close;
    }
  }
}

}  // namespace
}  // namespace cambrian::codemodel
