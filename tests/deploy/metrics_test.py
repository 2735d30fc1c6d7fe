#!/usr/bin/env python3
"""deploy/metrics.md and the code name the same metrics, and the names keep the rules."""

import re
import unittest

from support import JOBS, REPOSITORY, catalogue

SOURCES = ("coordinator", "worker", "codegen-client")
UNITS = ("_seconds", "_bytes", "_ratio", "_info", "_total", "_dollars_total", "_timestamp_seconds")


def names_in_code():
    """Names of metrics as string literals of the programs, without those of the tests."""
    names = set()
    for folder in SOURCES:
        for path in (REPOSITORY / folder).rglob("*.[ch]pp"):
            text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
            text = re.sub(r'"\s*\n\s*"', "", text)  # A literal that goes on in the next line.
            names |= set(re.findall(r'"(cambrian_(?:coordinator|worker|codegen)_\w+)"', text))
    return names


class Metrics(unittest.TestCase):
    def test_code_and_catalogue_name_the_same(self):
        self.assertEqual(names_in_code() - set(catalogue()), set(), "not in deploy/metrics.md")
        self.assertEqual(set(catalogue()) - names_in_code(), set(), "in no program")

    def test_names_follow_the_rules(self):
        for metric in catalogue().values():
            with self.subTest(metric=metric.name):
                self.assertIn(metric.name.split("_")[1], JOBS)
                self.assertIn(metric.kind, ("counter", "gauge", "histogram"))
                self.assertEqual(metric.kind == "counter", metric.name.endswith("_total"))
                if metric.kind == "histogram":
                    self.assertTrue(metric.name.endswith(UNITS), "a unit is missing")

    def test_labels_are_closed_sets(self):
        for metric in catalogue().values():
            self.assertFalse({"variant", "item", "agent", "host", "message"} & set(metric.labels))
            series = 1
            for values in metric.labels.values():
                series *= len(values)
            self.assertLessEqual(series, 100, metric.name)


if __name__ == "__main__":
    unittest.main()
