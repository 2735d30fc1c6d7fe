#!/usr/bin/env python3
"""scripts/tools/count_tests.py counts what ctest wrote, and takes no failure for a pass."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "scripts/tools/count_tests.py"
CATCH_PASSED = "All tests passed (24 assertions in 13 test cases)"
CATCH_FAILED = "test cases: 3 | 1 passed | 2 failed\nassertions: 9 | 7 passed | 2 failed"
CATCH_SKIPPED = "test cases: 3 | 2 passed | 1 skipped\nassertions: 9 | 9 passed"


def count(*cases):
    """Counts for (status, output, has_skipped_mark) of each test."""
    return tuple(map(int, run(cases).split()))


def run(cases, *options):
    body = "".join(f'<testcase name="t" status="{status}">{"<skipped/>" if mark else ""}'
                   f"<system-out>{output}</system-out></testcase>"
                   for status, output, mark in cases)
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(f'<?xml version="1.0"?><testsuite>{body}</testsuite>')
        file.flush()
        return subprocess.run([sys.executable, PROGRAM, file.name, *options], check=True,
                              text=True, capture_output=True).stdout


class Count(unittest.TestCase):
    def test_each_way_to_end(self):
        for case, expected in [
                (("run", CATCH_PASSED, False), (13, 0, 0)),
                (("run", CATCH_SKIPPED, False), (2, 0, 1)),
                (("run", "a script", False), (1, 0, 0)),
                (("fail", CATCH_FAILED, False), (1, 2, 0)),
                (("fail", "killed", False), (0, 1, 0)),
                # All cases passed, then the program leaked or was killed.
                (("fail", CATCH_PASSED, False), (0, 1, 0)),
                (("fail", CATCH_SKIPPED, False), (2, 1, 1)),
                (("notrun", "program not found", False), (0, 1, 0)),
                (("notrun", "", True), (0, 0, 1)),
                (("disabled", "", False), (0, 0, 1))]:
            with self.subTest(case=case):
                self.assertEqual(count(case), expected)

    def test_sums(self):
        self.assertEqual(count(("run", CATCH_PASSED, False), ("fail", CATCH_FAILED, False)),
                         (14, 2, 0))
        self.assertEqual(count(), (0, 0, 0))

    def test_failures_are_told_in_short(self):
        noise = "\n".join(f"line {i}" for i in range(1000))
        output = f"{noise}\nsearch_test.cpp:7: FAILED:\n  CHECK( a == b )\n{noise}\n{CATCH_FAILED}"
        told = run([("run", CATCH_PASSED, False), ("fail", output, False)], "--failures")
        self.assertIn("CHECK( a == b )", told)
        self.assertIn("1 passed | 2 failed", told)
        self.assertLess(told.count("\n"), 60)
        self.assertEqual(run([("run", CATCH_PASSED, False)], "--failures"), "")


if __name__ == "__main__":
    unittest.main()
