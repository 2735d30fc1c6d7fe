#!/usr/bin/env python3
"""The checker finds what it is there to find: each rule on a planted violation, and nothing on
sources that keep it."""

import pathlib
import unittest

import rules
import source
import tidy
from source import File


def found(*files, rule=None):
    """(path, rule) of the problems, README rule left out unless it is asked for."""
    problems = tidy.check([File(path, text) for path, text in files], {})
    return {(p[0], p[2]) for p in problems if (p[2] == rule if rule else p[2] != "readme")}


def cpp(path, *lines):
    head = "#pragma once\n" if path.endswith(".hpp") else ""
    return (path, head + "\n".join(lines) + "\n")


class Layers(unittest.TestCase):
    def check(self, path, include, is_allowed):
        result = found(cpp(path, f"#include {include}"), rule="layer")
        self.assertEqual(result, set() if is_allowed else {(path, "layer")}, f"{path} {include}")

    def test_who_may_include_whom(self):
        search = "coordinator/search/core.cpp"
        app = "coordinator/app/driver.cpp"
        port = "coordinator/ports/store.hpp"
        postgres = "coordinator/adapters/postgres/store.cpp"
        for path, include, is_allowed in [
                (search, '"common/base/rng.hpp"', True),
                (search, '"coordinator/search/types.hpp"', True),
                (search, '"coordinator/ports/store.hpp"', False),
                (search, '"common/log/log.hpp"', False),
                (search, "<thread>", False),
                (search, "<vector>", True),
                (search, "<boost/asio.hpp>", False),
                (search, '"worker/evaluation/outcome.hpp"', False),
                (port, "<boost/asio/awaitable.hpp>", True),
                (port, "<boost/asio/io_context.hpp>", False),
                (port, '"coordinator/search/types.hpp"', True),
                (port, '"coordinator/app/driver.hpp"', False),
                (app, '"coordinator/ports/store.hpp"', True),
                (app, '"coordinator/adapters/postgres/store.hpp"', False),
                (app, '"common/log/log.hpp"', True),
                (app, '"common/rpc/status.hpp"', False),
                (app, '"cambrian/user/v1/campaign_service.pb.h"', False),
                (postgres, "<pqxx/pqxx>", True),
                (postgres, '"coordinator/app/driver.hpp"', False),
                (postgres, '"coordinator/adapters/grpc/server.hpp"', False),
                ("coordinator/adapters/grpc/server.cpp", "<grpcpp/grpcpp.h>", True),
                ("coordinator/adapters/grpc/server.cpp", "<pqxx/pqxx>", False),
                ("coordinator/main.cpp", '"coordinator/adapters/grpc/server.hpp"', True),
                ("coordinator/main.cpp", '"worker/app/worker.hpp"', False),
                ("common/base/rng.cpp", '"common/digest/sha256.hpp"', False),
                ("common/base/rng.cpp", "<tl/expected.hpp>", True),
                ("worker/app/worker.cpp", "<torch/torch.h>", False),
                ("worker/sdk/cpp/candidate.hpp", "<torch/torch.h>", True),
                ("worker/app/worker.cpp", "<sched.h>", False),
                ("worker/adapters/sandbox/enter.cpp", "<sched.h>", True),
                ("common/log/log.cpp", "<prometheus/counter.h>", False),
                ("tests/unit/coordinator/a_test.cpp", '"coordinator/app/driver.hpp"', True)]:
            with self.subTest(path=path, include=include):
                self.check(path, include, is_allowed)

    def test_comments_and_reasons_are_left_alone(self):
        self.check("coordinator/search/a.cpp", "<vector>  // #include <thread>", True)
        self.check("coordinator/search/a.cpp", "<thread>  // tidy: allow(layer) measured", True)
        self.check("coordinator/search/a.cpp", "<thread>  // tidy: allow(words) other rule", False)


class Words(unittest.TestCase):
    def test_each_word_is_found_in_its_place(self):
        domain, app, adapter = ("coordinator/search/a.cpp", "coordinator/app/a.cpp",
                                "coordinator/adapters/postgres/a.cpp")
        for path, line, rule in [
                (adapter, "co_spawn(x, f(), asio::detached);", "detached"),
                (adapter, "std::this_thread::sleep_for(1s);", "sleep"),
                (adapter, "sleep(1);", "sleep"),
                (domain, "std::shuffle(a, b, c);", "random"),
                (domain, "std::normal_distribution<double> d;", "random"),
                (domain, "auto now = std::chrono::steady_clock::now();", "clock"),
                (domain, "auto now = time(nullptr);", "clock"),
                (app, "throw std::runtime_error(what);", "throw"),
                (app, "std::getenv(name);", "environment"),
                (adapter, "auto* a = new Thing(1);", "new"),
                (adapter, "  delete thing;", "new"),
                (adapter, "class TaskManager {};", "name")]:
            with self.subTest(line=line):
                self.assertEqual(found((path, line + "\n"), rule=rule), {(path, rule)})

    def test_what_is_right_is_not_found(self):
        for path, line in [
                ("coordinator/search/a.cpp", "// std::shuffle differs between libraries"),
                ("coordinator/search/a.cpp", 'auto text = "throw new sleep_for(";'),
                ("coordinator/search/a.cpp", "Thing(const Thing&) = delete;"),
                ("coordinator/search/a.cpp", "auto t = event.time(); auto c = x.clock();"),
                ("coordinator/adapters/postgres/a.cpp", "auto n = steady_clock::now();"),
                ("common/log/a.cpp", "std::unique_ptr<A> a(new A(1));"),
                ("common/log/a.cpp", "std::unique_ptr<A> a(\n    new A(1));"),
                ("tests/unit/a_test.cpp", "std::this_thread::sleep_for(1ms);"),
                ("coordinator/search/a.cpp", "auto is_new = new_variant(1);")]:
            with self.subTest(line=line):
                self.assertEqual(found((path, line + "\n")), set())


class Sizes(unittest.TestCase):
    def body(self, lines):
        return "void f(int a) {\n" + "  g();\n" * (lines - 2) + "}\n"

    def test_limits(self):
        path = "coordinator/search/a.cpp"
        self.assertEqual(found((path, self.body(70))), set())
        self.assertEqual(found((path, self.body(71))), {(path, "function-lines")})
        self.assertEqual(found((path, "\n" * 601)), {(path, "file-lines")})
        self.assertEqual(found((path, "a" * 101 + "\n")), {(path, "columns")})

    def test_ratchet_only_goes_down(self):
        file = File("coordinator/search/a.cpp", self.body(80))
        key = "function-lines coordinator/search/a.cpp f"
        rule = lambda ratchet: [p[2] for p in tidy.check_sizes([file], ratchet)]  # noqa: E731
        self.assertEqual(rule({key: 80}), [])
        self.assertEqual(rule({key: 79}), ["function-lines"])
        self.assertEqual(rule({key: 81}), ["ratchet"])
        self.assertEqual(rule({key: 80, "file-lines gone.cpp": 700}), ["ratchet"])

    def test_functions_of_cpp(self):
        text = '''namespace a {
class B : public C {
 public:
  explicit B(int x) : x_(x), y_{1} {
    if (x) { g(); }
  }
  bool operator==(const B&) const = default;
  auto f() const -> int {
    return std::visit([](auto v) { return v; }, x_);
  }
};
struct D { int e = 1; };
#define M(x) \\
  do { x; } while (false)
template <class T>
requires std::integral<T>
T long_one(T a,
           T b) noexcept
{
  const char* s = "}";
  return R"(}})";
}
}  // namespace a
TEST_CASE("x: y", "[unit]") {
  SECTION("z") { }
}
'''
        functions = [(f.name, f.line, f.length) for f in source.cpp_functions(text)]
        self.assertEqual(functions, [("B", 4, 3), ("f", 8, 3), ("long_one", 19, 4),
                                     ("TEST_CASE", 24, 3)])


class Contract(unittest.TestCase):
    def check(self, comment, field, is_good):
        text = f"message A {{\n  // {comment}\n  {field} = 1;\n}}\n"
        path = "proto/cambrian/spec/v1/a.proto"
        self.assertEqual(found((path, text), rule="contract"),
                         set() if is_good else {(path, "contract")}, f"{comment} | {field}")

    def test_each_kind_of_field_says_what_it_has_to(self):
        for comment, field, is_good in [
                ("Finished proposals.", "int64 proposals", False),
                ("Finished proposals, 0 or more.", "int64 proposals", True),
                ("Mean of the values: finite.", "double mean", True),
                ("Largest value.", "optional double maximum", False),
                ("Largest value: finite.", "optional double maximum", False),
                ("Largest value: finite. Absent: none.", "optional double maximum", True),
                ("The values.", "repeated double values", False),
                ("Parameters of the task.", "map<string, double> parameters", False),
                ("Parameters, each finite.", "map<string, double> parameters", True),
                ("Time to finish. Absent: never.", "google.protobuf.Duration grace", False),
                ("Time to finish, at most 12 s.", "google.protobuf.Duration grace", False),
                ("Time, at most 12 s. Absent: 10 s.", "google.protobuf.Duration grace", True),
                ("Its name.", "string name", False),
                ("Name of the campaign.", "string name", True),
                ("SHA-256 of the content, in hex.", "string sha256", True),
                ("Next bytes.", "bytes chunk", False),
                ("Next bytes, at most 1 MiB.", "bytes chunk", True),
                ("The spec.", "cambrian.spec.v1.CampaignSpec spec", False),
                ("The spec. Required.", "cambrian.spec.v1.CampaignSpec spec", True),
                ("Which direction is better.", "Goal goal", False),
                ("Its evaluations.", "repeated Evaluation evaluations", True),
                ("Ask for streamed answers.", "bool stream", True)]:
            with self.subTest(comment=comment, field=field):
                self.check(comment, field, is_good)

    def test_a_comment_counts_for_its_own_field_only(self):
        path = "proto/cambrian/spec/v1/a.proto"
        text = "message A {\n  // 1 to 8.\n  int32 a = 1;\n  int32 b = 2;\n}\n"
        problems = tidy.check([File(path, text)], {})
        self.assertEqual([p[1] for p in problems if p[2] == "contract"], [4])
        self.assertEqual(found(("proto/google/rpc/a.proto", text), rule="contract"), set())


class Others(unittest.TestCase):
    def test_planted(self):
        for path, text, rule in [
                ("common/log/a.hpp", "#include <string>\n", "pragma"),
                ("common/log/a.hpp", "#pragma once\nusing namespace std;\n", "namespace"),
                ("common/log/a.cpp", "// TODO later\n", "todo"),
                ("cli/CMakeLists.txt", "file(GLOB sources *.cpp)\n", "glob"),
                ("tests/unit/a_test.cpp", 'TEST_CASE("no subject", "[unit]") {\n}\n', "test-name"),
                ("tests/unit/a_test.cpp", 'TEST_CASE("a: b", "[fast]") {\n}\n', "test-name"),
                ("docs/a.md", "see [this](missing.md)\n", "link"),
                ("deploy/packages.txt", "build cmake\nbuild cmake\n", "packages"),
                ("deploy/packages.txt", "extra cmake\n", "packages"),
                ("deploy/Dockerfile", "RUN apt-get install -y curl\n", "packages")]:
            with self.subTest(text=text):
                self.assertEqual(found((path, text), rule=rule), {(path, rule)})

    def test_readme_of_each_directory(self):
        code = cpp("coordinator/app/a.cpp", "int a;")
        self.assertEqual(found(code, rule="readme"), {("coordinator/app/README.md", "readme")})
        self.assertEqual(found(code, ("coordinator/app/README.md", "x"), rule="readme"), set())
        test = cpp("tests/unit/coordinator/a_test.cpp", "int a;")
        self.assertEqual(found(test, ("tests/README.md", "x"), rule="readme"), set())

    def test_kept(self):
        self.assertEqual(found(
            ("docs/a.md", "see [that](b.md#part), `[x](y)` and [web](https://example.org)\n"),
            ("docs/b.md", "# b\n"),
            ("deploy/packages.txt", "# list\nbuild cmake\nruntime cmake\n"),
            ("common/log/a.cpp", "// TODO(#7): drop with Debian 14\n")), set())

    def test_all_rules_have_a_planted_violation(self):
        text = pathlib.Path(__file__).read_text(encoding="utf-8")
        names = {rule for rule, *_ in rules.WORDS} | {"layer", "pragma", "todo", "glob", "readme",
                                                     "test-name", "link", "packages", "contract"}
        for name in names:
            self.assertIn(f'"{name}"', text)


if __name__ == "__main__":
    unittest.main()
