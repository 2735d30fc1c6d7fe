#!/usr/bin/env python3
"""The dashboard, without a Grafana: a lint like grafana/dashboard-linter's, PromQL by promtool's
parser, and each expression on synthetic series made from the metric catalogue."""

import itertools
import json
import re
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

import support
from support import DEPLOY, JOBS, catalogue, metric_names, run, without_variables

sys.path.insert(0, str(DEPLOY / "grafana"))
import make_dashboard  # noqa: E402

PATH = DEPLOY / "grafana/dashboards/cambrian-overview.json"
CORE_PANELS = {"row", "stat", "timeseries", "table", "bargauge", "alertlist"}
UNITS = {"short", "none", "s", "bytes", "percentunit", "currencyUSD", "ops", "reqps"}
FORBIDDEN_LABELS = {"variant", "variant_id", "item", "agent_id", "prompt", "message", "path"}


def problems(dashboard):
    """Findings of the lint, as text."""
    found = []
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    found += [f"{key} is {dashboard.get(key)!r}" for key, wanted in
              [("uid", "cambrian-overview"), ("schemaVersion", 41), ("editable", False)]
              if dashboard.get(key) != wanted]
    ids = [panel["id"] for panel in dashboard["panels"]]
    found += [] if len(ids) == len(set(ids)) else ["two panels have one id"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        if panel["type"] not in CORE_PANELS:
            found.append(f"{panel['title']}: not a core panel: {panel['type']}")
    for panel in panels:
        found += [f"{panel['title']}: {text}" for text in panel_problems(panel, variables)]
    for one, other in itertools.combinations(dashboard["panels"], 2):
        if overlap(one["gridPos"], other["gridPos"]):
            found.append(f"{one['title']} overlaps {other['title']}")
    return found


def overlap(a, b):
    return (a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and
            a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"])


def panel_problems(panel, variables):
    if not panel.get("title") or not panel.get("description"):
        yield "no title or no description"
    if panel["gridPos"]["x"] + panel["gridPos"]["w"] > 24:
        yield "wider than the dashboard"
    if panel["type"] == "alertlist":
        return
    if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
        yield "no unit, or an unknown one"
    if not panel.get("targets"):
        yield "no query"
    references = [target["refId"] for target in panel.get("targets", [])]
    if len(references) != len(set(references)):
        yield "two queries have one refId"
    for target in panel.get("targets", []):
        yield from target_problems(target, variables)


def target_problems(target, variables):
    source = re.fullmatch(r"\$\{(\w+)\}", target["datasource"]["uid"])
    if not source or source.group(1) not in variables:
        yield "the data source is not a variable"
    text = target.get("expr", target.get("rawSql", ""))
    for name in re.findall(r"\$\{?(\w+)", text):
        if not name.startswith("__") and name not in variables:
            yield f"unknown variable ${name}"
    if "expr" not in target:
        return
    for name in metric_names(text):
        metric = catalogue().get(name)
        if metric is None:
            yield f"{name} is not in deploy/metrics.md"
        elif metric.kind != "gauge" and not re.search(
                r"(rate|irate|increase)\(\s*" + name, text):
            yield f"{name} is a {metric.kind}, but not under rate or increase"
    for window in re.findall(r"rate\([^()]*\[(.*?)\]", text):
        if window not in ("$__rate_interval", "1h"):
            yield f"use $__rate_interval, not {window}"
    if not re.search(r'job="[\w-]+"', text):
        yield "no job is selected"
    for label in FORBIDDEN_LABELS & set(re.findall(r"\w+", re.sub(r'"[^"]*"', "", text))):
        yield f"forbidden label {label}"


def expressions(dashboard):
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"]
            for target in panel.get("targets", []) if "expr" in target]


def synthetic_series():
    """One growing or constant series for each label set of each metric."""
    made = []
    for metric in catalogue().values():
        job = JOBS[metric.name.split("_")[1]]
        for values in itertools.product(*metric.labels.values()):
            labels = dict(zip(metric.labels, values)) | {"job": job, "instance": "i:1"}
            names = [(metric.name, {})]
            if metric.kind == "histogram":
                names = [(metric.name + "_bucket", {"le": le}) for le in ("0.1", "1", "+Inf")]
                names += [(metric.name + "_sum", {}), (metric.name + "_count", {})]
            for name, more in names:
                text = ",".join(f'{key}="{value}"' for key, value in (labels | more).items())
                made.append({"series": f"{name}{{{text}}}",
                             "values": "1x120" if metric.kind == "gauge" else "0+3x120"})
    return made


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = PATH.read_text(encoding="utf-8")
        cls.dashboard = json.loads(cls.text)

    def test_file_is_what_the_generator_writes(self):
        self.assertEqual(self.text, make_dashboard.text(), "run deploy/grafana/make_dashboard.py")

    def test_lint(self):
        self.assertEqual(problems(self.dashboard), [])

    def test_lint_finds_planted_faults(self):
        def set_expr(expr):
            return lambda d: d["panels"][1]["targets"][0].update(expr=expr)
        for change, word in [
                (lambda d: d.update(editable=True), "editable"),
                (lambda d: d["panels"][1].update(type="canvas"), "core panel"),
                (lambda d: d["panels"][1].update(description=""), "description"),
                (lambda d: d["panels"][1]["gridPos"].update(w=8), "overlaps"),
                (lambda d: d["panels"][1]["fieldConfig"]["defaults"].update(unit="m"), "unit"),
                (set_expr('cambrian_coordinator_nothing{job="a"}'), "metrics.md"),
                (set_expr('cambrian_coordinator_attempts_total{job="a"}'), "under rate"),
                (set_expr('rate(cambrian_coordinator_attempts_total{job="a"}[5m])'), "interval"),
                (set_expr("cambrian_coordinator_campaigns"), "no job"),
                (set_expr('sum by (variant) (cambrian_coordinator_campaigns{job="a"})'),
                 "forbidden label"),
                (set_expr('cambrian_coordinator_campaigns{job="a", state="$nothing"}'),
                 "unknown variable")]:
            broken = json.loads(self.text)
            change(broken)
            with self.subTest(word=word):
                self.assertTrue(any(word in text for text in problems(broken)), problems(broken))

    def test_promql_parses(self):
        for title, expr in expressions(self.dashboard):
            with self.subTest(panel=title):
                result = run("promtool", "--experimental", "promql", "format",
                             without_variables(expr))
                self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(
            run("promtool", "--experimental", "promql", "format", "rate(foo)").returncode, 0)

    def test_each_expression_gives_samples(self):
        tests = [{"expr": f"count({without_variables(expr)}) > bool 0", "eval_time": "90m",
                  "exp_samples": [{"labels": "{}", "value": 1}]}
                 for _, expr in expressions(self.dashboard)]
        self.assertGreater(len(tests), 15)
        document = {"rule_files": [str(DEPLOY / "prometheus/rules/cambrian.yml")],
                    "evaluation_interval": "1m",
                    "tests": [{"interval": "1m", "input_series": synthetic_series(),
                               "promql_expr_test": tests}]}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "dashboard.yml"
            path.write_text(yaml.safe_dump(document), encoding="utf-8")
            result = run("promtool", "test", "rules", path)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_provisioning_fits_the_dashboard(self):
        folder = DEPLOY / "grafana/provisioning"
        sources = yaml.safe_load((folder / "datasources/cambrian.yml").read_text())["datasources"]
        kinds = {source["type"] for source in sources}
        wanted = {variable["query"] for variable in self.dashboard["templating"]["list"]
                  if variable["type"] == "datasource"}
        self.assertEqual(kinds, wanted)
        provider = yaml.safe_load((folder / "dashboards/cambrian.yml").read_text())["providers"][0]
        self.assertFalse(provider["allowUiUpdates"])
        compose = (support.REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
        self.assertIn(f":{provider['options']['path']}:ro", compose)


if __name__ == "__main__":
    unittest.main()
