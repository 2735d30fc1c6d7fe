#!/usr/bin/env python3
"""Prometheus' configuration, rules and alerts, by a real promtool."""

import re
import tempfile
import unittest
from pathlib import Path

import yaml

from support import DEPLOY, REPOSITORY, catalogue, metric_names, run

FOLDER = DEPLOY / "prometheus"
RULES = FOLDER / "rules/cambrian.yml"
TESTS = FOLDER / "tests/alerts.yml"


def rules():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def anchors(path):
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


class Prometheus(unittest.TestCase):
    def test_configuration_and_rules_are_valid(self):
        for command in [("check", "config", FOLDER / "prometheus.yml"), ("check", "rules", RULES)]:
            result = run("promtool", *command)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_alerts_fire_when_they_should(self):
        result = run("promtool", "test", "rules", TESTS)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_tests_of_alerts_can_fail(self):
        """Every alert that is made to never fire is missed by the tests."""
        original = RULES.read_text(encoding="utf-8")
        names = [rule["alert"] for rule in rules() if "alert" in rule]
        self.assertGreaterEqual(len(names), 10)
        for name in names:
            document = yaml.safe_load(original)
            for group in document["groups"]:
                for rule in group["rules"]:
                    if rule.get("alert") == name:
                        rule["expr"] = "vector(1) > 2"
            with tempfile.TemporaryDirectory() as folder, self.subTest(alert=name):
                (Path(folder) / "rules").mkdir()
                (Path(folder) / "tests").mkdir()
                (Path(folder) / "rules/cambrian.yml").write_text(yaml.safe_dump(document))
                (Path(folder) / "tests/alerts.yml").write_text(TESTS.read_text(encoding="utf-8"))
                result = run("promtool", "test", "rules", Path(folder) / "tests/alerts.yml")
                self.assertNotEqual(result.returncode, 0, f"no test misses {name}")

    def test_rules_use_metrics_of_the_catalogue(self):
        for rule in rules():
            for name in metric_names(rule["expr"]):
                self.assertIn(name, catalogue(), rule.get("alert", rule.get("record")))

    def test_each_alert_says_what_to_do(self):
        known = anchors(REPOSITORY / "docs/operations.md")
        for rule in rules():
            if "alert" not in rule:
                self.assertRegex(rule["record"], r"^\w+:cambrian_\w+:\w+$")
                continue
            with self.subTest(alert=rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                notes = rule["annotations"]
                self.assertTrue(notes["summary"] and notes["description"])
                page, anchor = notes["runbook"].split("#")
                self.assertEqual(page, "docs/operations.md")
                self.assertEqual(anchor, rule["alert"].lower())
                self.assertIn(anchor, known)
                self.assertEqual(notes["dashboard_uid"], "cambrian-overview")


if __name__ == "__main__":
    unittest.main()
