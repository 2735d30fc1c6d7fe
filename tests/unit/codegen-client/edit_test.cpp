#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "codegen-client/domain/edit_apply.hpp"

using namespace cambrian::codegen;

namespace {

const std::string kParent =
    "#include <cmath>\n"
    "// EVOLVE-BLOCK-START\n"
    "double rate() {\n"
    "  return 0.1;\n"
    "}\n"
    "double width() {\n"
    "  return 64;\n"
    "}\n"
    "// EVOLVE-BLOCK-END\n"
    "int main() { return 0; }\n";

Task make_task() { return {.name = "t", .evolve = {"a.cpp"}, .source_bytes_max = 4096}; }

Judged<Files> edited(const std::string& content, const Files& parent,
                     const Task& task = make_task()) {
  std::vector<std::string> paths;
  for (const auto& [path, text] : parent) paths.push_back(path);
  const auto answer = parse_answer(content, paths);
  if (!answer) return tl::unexpected(answer.error());
  return apply_answer(*answer, parent, task);
}

Judged<Files> edited(const std::string& content) { return edited(content, {{"a.cpp", kParent}}); }

std::string block(const std::string& search, const std::string& replace) {
  return "<<<<<<< SEARCH\n" + search + "=======\n" + replace + ">>>>>>> REPLACE\n";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void check_rejected(const Judged<Files>& files, RejectionKind kind) {
  REQUIRE_FALSE(files);
  CHECK(to_string(files.error().kind) == to_string(kind));
  CHECK_FALSE(files.error().reason.empty());
  CHECK(files.error().reason.size() <= kRejectionBytesMax);
  CHECK(files.error().reason.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("search_replace: an exact block replaces its lines", "[unit][edit]") {
  const auto files = edited("I raise the rate.\n\n" + block("  return 0.1;\n", "  return 0.2;\n"));
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(kParent, "0.1", "0.2"));
}

TEST_CASE("search_replace: blocks build on each other", "[unit][edit]") {
  const auto files = edited(block("  return 0.1;\n", "  return 0.2;\n") +
                            block("  return 0.2;\n", "  return 0.3;\n"));
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(kParent, "0.1", "0.3"));
}

TEST_CASE("search_replace: white space and indentation are mended", "[unit][edit]") {
  // Trailing blanks, no indentation, CRLF line ends, blank lines at the ends.
  const auto files = edited(
      "<<<<<<< SEARCH\r\n\r\ndouble rate() {  \r\n  return 0.1;\r\n}\r\n\r\n"
      "=======\r\ndouble rate() {\r\n  return 0.2;\r\n}\r\n"
      ">>>>>>> REPLACE\r\n");
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(kParent, "0.1", "0.2"));
  const Files python = {{"a.py", "class A:\n    def f(self):\n        x = 1\n        return x\n"}};
  auto task = make_task();
  task.language = Language::python;
  const auto shifted =
      edited(block("x = 1\nreturn x\n", "x = 2\nif x:\n    return x\n"), python, task);
  REQUIRE(shifted);
  CHECK(shifted->at("a.py") ==
        "class A:\n    def f(self):\n        x = 2\n        if x:\n            return x\n");
}

TEST_CASE("search_replace: relative indentation must agree", "[unit][edit]") {
  // Long enough to be found similar: nothing but the indentation is different.
  const std::string text =
      "def train(model):\n    if model.is_ready():\n        model.first_step(0.125)\n"
      "        model.second_step(0.25)\n";
  auto task = make_task();
  task.language = Language::python;
  // Models like to drop the indentation of the first line.
  const auto rejected = [&](const std::string& search, const std::string& replace) {
    check_rejected(edited(block(search, replace), {{"a.py", text}}, task), RejectionKind::no_match);
  };
  rejected("model.first_step(0.125)\n        model.second_step(0.25)\n",
           "model.first_step(0.5)\n        model.second_step(0.25)\n");
  rejected("        model.first_step(0.126)\n    model.second_step(0.25)\n",
           "        model.first_step(0.5)\n    model.second_step(0.25)\n");
  // All lines alike: the place is clear.
  const auto files = edited(block("model.first_step(0.126)\nmodel.second_step(0.25)\n",
                                  "model.first_step(0.5)\nmodel.second_step(0.25)\n"),
                            {{"a.py", text}}, task);
  REQUIRE(files);
  CHECK(files->at("a.py") == replaced(text, "0.125", "0.5"));
  // Where indentation means nothing, similar is similar.
  const std::string cpp = "{\n    model.first_step(0.125);\n    model.second_step(0.25);\n}\n";
  CHECK(edited(block("model.first_step(0.125);\n    model.second_step(0.25);\n",
                     "model.first_step(0.5);\n    model.second_step(0.25);\n"),
               {{"a.cpp", cpp}}));
}

TEST_CASE("search_replace: one clearly similar place is taken", "[unit][edit]") {
  const std::string text =
      "// EVOLVE-BLOCK-START\nauto hidden_layer = register_module(\"hidden\", Linear(64, 32));\n"
      "auto output_layer = register_module(\"output\", Linear(32, 10));\n// EVOLVE-BLOCK-END\n";
  const auto files =
      edited(block("auto hidden_layer = register_module( \"hiden\", Linear(64, 32));\n",
                   "auto hidden_layer = register_module(\"hidden\", Linear(64, 128));\n"),
             {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(text, "64, 32", "64, 128"));
  // Two places that are nearly as similar: no guess.
  const std::string twice =
      "// EVOLVE-BLOCK-START\nauto first_layer_1 = Linear(64, 32);\n"
      "auto first_layer_2 = Linear(64, 32);\n// EVOLVE-BLOCK-END\n";
  check_rejected(
      edited(block("auto first_layer_3 = Linear(64, 32);\n", "int x;\n"), {{"a.cpp", twice}}),
      RejectionKind::no_match);
}

TEST_CASE("search_replace: what matches nothing names the nearest line", "[unit][edit]") {
  const auto files = edited(block("  return 0.15;\n", "  return 0.2;\n"));
  check_rejected(files, RejectionKind::no_match);
  CHECK(files.error().reason.find("line 4: return 0.1;") != std::string::npos);
  check_rejected(edited(block("nothing like it at all\n", "x\n")), RejectionKind::no_match);
}

TEST_CASE("search_replace: what matches twice is ambiguous", "[unit][edit]") {
  const auto files = edited(block("}\n", "} // end\n"));
  check_rejected(files, RejectionKind::ambiguous);
  CHECK(files.error().reason.find("2 places, at lines 5 and 8") != std::string::npos);
}

TEST_CASE("search_replace: a place inside of the block wins over one outside", "[unit][edit]") {
  const std::string text = "int x = 1;\n// EVOLVE-BLOCK-START\nint x = 1;\n// EVOLVE-BLOCK-END\n";
  const auto files = edited(block("int x = 1;\n", "int x = 2;\n"), {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") ==
        "int x = 1;\n// EVOLVE-BLOCK-START\nint x = 2;\n// EVOLVE-BLOCK-END\n");
}

TEST_CASE("search_replace: nothing outside of the marks changes", "[unit][edit]") {
  check_rejected(edited(block("#include <cmath>\n", "#include <cstdlib>\n")),
                 RejectionKind::outside_block);
  check_rejected(edited(block("}\n// EVOLVE-BLOCK-END\nint main() { return 0; }\n",
                              "}\n// EVOLVE-BLOCK-END\nint main() { return 1; }\n")),
                 RejectionKind::outside_block);
  check_rejected(edited(block("// EVOLVE-BLOCK-START\n", "")), RejectionKind::outside_block);
  // New marks inside would widen what the next generation may change.
  check_rejected(edited(block("  return 0.1;\n",
                              "  return 0.2;\n// EVOLVE-BLOCK-END\n// EVOLVE-BLOCK-START\n")),
                 RejectionKind::outside_block);
}

TEST_CASE("search_replace: lines outside may be shown as context", "[unit][edit]") {
  const auto files =
      edited(block("#include <cmath>\n// EVOLVE-BLOCK-START\ndouble rate() {\n  return 0.1;\n",
                   "#include <cmath>\n// EVOLVE-BLOCK-START\ndouble rate() {\n  return 0.2;\n"));
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(kParent, "0.1", "0.2"));
  const auto inserted =
      edited(block("}\n// EVOLVE-BLOCK-END\n", "}\nint x;\n// EVOLVE-BLOCK-END\n"));
  REQUIRE(inserted);
  CHECK(inserted->at("a.cpp") ==
        replaced(kParent, "// EVOLVE-BLOCK-END", "int x;\n// EVOLVE-BLOCK-END"));
}

TEST_CASE("search_replace: an empty SEARCH fills an empty block only", "[unit][edit]") {
  const std::string text = "// EVOLVE-BLOCK-START\n\n// EVOLVE-BLOCK-END\n";
  const auto files = edited(block("", "int x;\n"), {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") == "// EVOLVE-BLOCK-START\nint x;\n// EVOLVE-BLOCK-END\n");
  check_rejected(edited(block("", "int x;\n")), RejectionKind::no_match);
}

TEST_CASE("search_replace: an empty REPLACE deletes", "[unit][edit]") {
  const auto files = edited(block("double width() {\n  return 64;\n}\n", ""));
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(kParent, "double width() {\n  return 64;\n}\n", ""));
}

TEST_CASE("search_replace: unfinished blocks are refused as a whole", "[unit][edit]") {
  const std::string good = block("  return 0.1;\n", "  return 0.2;\n");
  check_rejected(edited(good + "<<<<<<< SEARCH\n  return 64;\n=======\n  return 32;\n"),
                 RejectionKind::malformed);
  check_rejected(edited(good + "<<<<<<< SEARCH\n  return 64;\n>>>>>>> REPLACE\n"),
                 RejectionKind::malformed);
  check_rejected(edited("<<<<<<< SEARCH\na\n" + good), RejectionKind::malformed);
  check_rejected(edited("<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE\n"),
                 RejectionKind::malformed);
}

TEST_CASE("search_replace: all blocks apply or none", "[unit][edit]") {
  check_rejected(edited(block("  return 0.1;\n", "  return 0.2;\n") + block("nowhere\n", "x\n")),
                 RejectionKind::no_match);
}

TEST_CASE("search_replace: bytes outside of the change stay as they are", "[unit][edit]") {
  const std::string text =
      "// a\r\n\t \r\n// EVOLVE-BLOCK-START\r\nint x = 1;\r\n// EVOLVE-BLOCK-END\r\n\xff no "
      "newline";
  const auto files = edited(block("int x = 1;\n", "int x = 2;\n"), {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(text, "int x = 1;\r\n", "int x = 2;\n"));
}

TEST_CASE("files: a name chooses the file, in the ways that models write it", "[unit][edit]") {
  const Files parent = {{"a.cpp", "int a = 1;\n"}, {"sub/b.cpp", "int b = 1;\n"}};
  for (const std::string name : {"File: sub/b.cpp", "### File: `sub/b.cpp`", "**sub/b.cpp**",
                                 "sub/b.cpp", "`./sub/b.cpp`:", "file: sub/b.cpp",
                                 "- File: sub/b.cpp", "  - `sub/b.cpp`", "* sub/b.cpp"}) {
    const auto files =
        edited(name + "\n```cpp\n" + block("int b = 1;\n", "int b = 2;\n") + "```\n", parent);
    REQUIRE(files);
    CHECK(files->at("sub/b.cpp") == "int b = 2;\n");
    CHECK(files->at("a.cpp") == "int a = 1;\n");
  }
  check_rejected(edited(block("int b = 1;\n", "int b = 2;\n"), parent), RejectionKind::malformed);
  const auto unknown = edited("File: judge.cpp\n" + block("int b = 1;\n", "int b = 2;\n"), parent);
  check_rejected(unknown, RejectionKind::unknown_file);
  CHECK(unknown.error().reason.find("a.cpp, sub/b.cpp") != std::string::npos);
  check_rejected(edited("File: ../../etc/passwd\n```\nx\n```\n", parent),
                 RejectionKind::unknown_file);
}

TEST_CASE("whole_file: replaces the insides of the blocks", "[unit][edit]") {
  const std::string wanted = replaced(kParent, "0.1", "0.5");
  for (const std::string& answer :
       {"File: a.cpp\n```cpp\n" + wanted + "```\n", "```cpp\n" + wanted + "```\nDone.\n",
        "First a part:\n```\nreturn 0.5;\n```\nNow all:\n```cpp a.cpp\n" + wanted + "```\n",
        "~~~~\n" + wanted + "~~~~\n", "```\n" + wanted + "\n\n```"}) {
    const auto files = edited(answer);
    REQUIRE(files);
    CHECK(files->at("a.cpp") == wanted);
  }
}

TEST_CASE("whole_file: what is outside of the marks must be kept", "[unit][edit]") {
  const auto fenced = [](const std::string& text) { return "```cpp\n" + text + "```\n"; };
  const std::string changed = replaced(kParent, "0.1", "0.5");
  check_rejected(edited(fenced(replaced(changed, "return 0; }", "return 1; }"))),
                 RejectionKind::outside_block);
  check_rejected(edited(fenced(replaced(changed, "// EVOLVE-BLOCK-END\n", ""))),
                 RejectionKind::outside_block);
  check_rejected(edited(fenced("double rate() { return 0.5; }\n")), RejectionKind::outside_block);
  check_rejected(edited(fenced(replaced(changed, "  return 64;\n",
                                        "// EVOLVE-BLOCK-END\nint y;\n// EVOLVE-BLOCK-START\n"))),
                 RejectionKind::outside_block);
  check_rejected(edited("```cpp\n" + changed), RejectionKind::malformed);
}

TEST_CASE("whole_file: a file without marks may change as a whole", "[unit][edit]") {
  const auto files = edited("```python\nx = 2\n```\n", {{"a.py", "x = 1\n"}});
  REQUIRE(files);
  CHECK(files->at("a.py") == "x = 2\n");
  check_rejected(edited("```python\n# EVOLVE-BLOCK-START\nx = 2\n```\n", {{"a.py", "x = 1\n"}}),
                 RejectionKind::outside_block);
  check_rejected(edited("```python\n# EVOLVE-BLOCK-START\nx = 2\n# EVOLVE-BLOCK-END\n```\n",
                        {{"a.py", "x = 1\n"}}),
                 RejectionKind::outside_block);
  check_rejected(edited("```\nx = 2\n```\n", {{"a.py", "x = 1\n"}, {"b.py", "y = 1\n"}}),
                 RejectionKind::malformed);
}

TEST_CASE("unified_diff: hunks are applied by their text", "[unit][edit]") {
  // The counts and line numbers are wrong, the blank before a line of context is missing.
  const auto files = edited(
      "```diff\n--- a/a.cpp\n+++ b/a.cpp\n@@ -40,2 +40,9 @@ double rate()\n double rate() {\n"
      "-  return 0.1;\n+  return 0.2;\n}\n@@ ... @@\n-  return 64;\n+  return 32;\n```\nDone.\n");
  REQUIRE(files);
  CHECK(files->at("a.cpp") == replaced(replaced(kParent, "0.1", "0.2"), "64", "32"));
}

TEST_CASE("unified_diff: line numbers choose between equal places", "[unit][edit]") {
  const std::string text = "a();\nb();\na();\nc();\na();\n";
  const auto files =
      edited("--- a/a.cpp\n+++ b/a.cpp\n@@ -3,1 +3,1 @@\n-a();\n+z();\n", {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") == "a();\nb();\nz();\nc();\na();\n");
}

TEST_CASE("unified_diff: line numbers are those of the parent for every hunk", "[unit][edit]") {
  const std::string text = "top();\na();\nb();\na();\nc();\na();\n";
  // Three lines more at the top: line 4 of the parent is line 7 by then, and line 6 is nearer to 4.
  const auto files = edited(
      "--- a/a.cpp\n+++ b/a.cpp\n@@ -1,1 +1,4 @@\n top();\n+x();\n+y();\n+w();\n"
      "@@ -4,1 +7,1 @@\n-a();\n+z();\n",
      {{"a.cpp", text}});
  REQUIRE(files);
  CHECK(files->at("a.cpp") == "top();\nx();\ny();\nw();\na();\nb();\nz();\nc();\na();\n");
  // In any order.
  const auto backwards = edited(
      "--- a/a.cpp\n+++ b/a.cpp\n@@ -4,1 +4,1 @@\n-a();\n+z();\n"
      "@@ -1,1 +1,4 @@\n top();\n+x();\n+y();\n+w();\n@@ -6,1 +9,1 @@\n-a();\n+v();\n",
      {{"a.cpp", text}});
  REQUIRE(backwards);
  CHECK(backwards->at("a.cpp") == "top();\nx();\ny();\nw();\na();\nb();\nz();\nc();\nv();\n");
}

TEST_CASE("unified_diff: files are named by the header", "[unit][edit]") {
  const Files parent = {{"a.cpp", "int a = 1;\n"}, {"b.cpp", "int b = 1;\n"}};
  const auto files = edited(
      "diff --git a/b.cpp b/b.cpp\nindex 1..2 100644\n--- a/b.cpp\t2026\n+++ b/b.cpp\t2026\n"
      "@@ -1 +1 @@\n-int b = 1;\n+int b = 2;\n\\ No newline at end of file\n\nThat is all.\n",
      parent);
  REQUIRE(files);
  CHECK(files->at("b.cpp") == "int b = 2;\n");
  check_rejected(edited("--- /dev/null\n+++ b/new.cpp\n@@ -0,0 +1 @@\n+int x;\n", parent),
                 RejectionKind::unknown_file);
}

TEST_CASE("apply_answer: refuses what changes nothing but layout and comments", "[unit][edit]") {
  check_rejected(edited(block("  return 0.1;\n", "  return 0.1;\n")), RejectionKind::unchanged);
  check_rejected(edited(block("  return 0.1;\n", "    // better\n    return 0.1;\n")),
                 RejectionKind::unchanged);
  check_rejected(edited("```cpp\n" + kParent + "```\n"), RejectionKind::unchanged);
}

TEST_CASE("apply_answer: refuses files that become too large", "[unit][edit]") {
  auto task = make_task();
  task.source_bytes_max = static_cast<std::int64_t>(kParent.size()) + 1;
  const auto answer = block("  return 0.1;\n", "  return 0.123456;\n");
  check_rejected(edited(answer, {{"a.cpp", kParent}}, task), RejectionKind::too_large);
}

TEST_CASE("parse_answer: refuses answers without edits", "[unit][edit]") {
  check_rejected(edited(""), RejectionKind::no_edit);
  check_rejected(edited("I would raise the learning rate."), RejectionKind::no_edit);
  check_rejected(edited("a\n+++ b\n c"), RejectionKind::no_edit);
}

TEST_CASE("parse_answer: limits the number of edits", "[unit][edit]") {
  std::string answer;
  for (std::size_t i = 0; i <= kEditsMax; ++i) answer += block("a\n", "b\n");
  check_rejected(edited(answer), RejectionKind::malformed);
}

TEST_CASE("parse_answer: keeps the words around the edits", "[unit][edit]") {
  const auto answer = parse_answer("I raise the rate.\xff\n\nFile: a.cpp\n```\n" +
                                       block("a\n", "b\n") + "```\nIt was too low.\n",
                                   {"a.cpp"});
  REQUIRE(answer);
  CHECK(answer->rationale == "I raise the rate.\xef\xbf\xbd\n\nIt was too low.");
  const auto wordy = parse_answer(std::string(10'000, 'x') + "\n" + block("a\n", "b\n"), {"a.cpp"});
  REQUIRE(wordy);
  CHECK(wordy->rationale.size() == kRationaleBytesMax);
}
