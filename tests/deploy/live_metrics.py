#!/usr/bin/env python3
"""A real coordinator, scraped by a real Prometheus with our rules: its metrics are those of the
catalogue with the catalogue's labels, promtool's lint is silent, and Prometheus answers every
expression of the dashboard. Usage: live_metrics.py PROGRAMS_FOLDER"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from database import Server
from support import DEPLOY, catalogue, without_variables

WAIT_SECONDS = 60
PROGRAMS = Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/release/bin")
# Made when the first call, campaign or evaluation of its kind comes.
LATE = {"cambrian_coordinator_rpc_duration_seconds", "cambrian_coordinator_campaign_best_score",
        "cambrian_coordinator_campaign_budget_used_ratio",
        "cambrian_coordinator_evaluation_phase_duration_seconds"}
# Made by a coordinator that serves TLS, which this one does not.
TLS_ONLY = {"cambrian_coordinator_certificate_expiry_timestamp_seconds"}


def get(url):
    # No proxy: everything is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as page:
        return page.read().decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)
    return value


def samples(text):
    """{name: [labels of each series]} of a page of metrics, histograms by their base name."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(\w+)(?:\{(.*)\})? \S+$", line)
        if match:
            base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
            name = base if base in catalogue() else match.group(1)
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or ""))
            labels.pop("le", None)
            found.setdefault(name, []).append(labels)
    return found


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Server()
        cls.addClassCleanup(cls.database.close)
        folder = tempfile.TemporaryDirectory(prefix="cambrian-live-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        addresses = cls.folder / "addresses.json"
        (cls.folder / "coordinator.yaml").write_text(yaml.safe_dump({
            "listen": f"unix:{cls.folder}/coordinator", "metrics_listen": "127.0.0.1:0",
            "database": f"host={cls.database.folder} dbname=cambrian user=cambrian"}))
        cls.start([PROGRAMS / "cambrian-coordinator", "--config", cls.folder / "coordinator.yaml",
                   "--address-file", addresses])
        wait_for("coordinator", addresses.exists)
        cls.metrics_address = json.loads(addresses.read_text())["metrics"]
        cls.start_prometheus()

    @classmethod
    def start(cls, command):
        log = open(cls.folder / "log", "ab")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)

        def stop():
            process.terminate()
            process.wait(timeout=30)
        cls.addClassCleanup(stop)
        return process

    @classmethod
    def start_prometheus(cls):
        document = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        document["global"].update(scrape_interval="1s", scrape_timeout="1s",
                                  evaluation_interval="1s")
        document["rule_files"] = [str(DEPLOY / "prometheus/rules/*.yml")]
        document["scrape_configs"] = [{
            "job_name": "cambrian-coordinator",
            "static_configs": [{"targets": [cls.metrics_address]}]}]
        config = cls.folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(document))
        # Prometheus takes no free port by itself, and another program may be faster: try some.
        for _ in range(5):
            port = free_port()
            cls.prometheus = f"http://127.0.0.1:{port}"
            process = cls.start(["prometheus", f"--config.file={config}",
                                 f"--storage.tsdb.path={cls.folder}/data-{port}",
                                 f"--web.listen-address=127.0.0.1:{port}"])

            def is_ready():
                try:
                    return "Ready" in get(cls.prometheus + "/-/ready")
                except OSError:
                    return process.poll() is not None
            wait_for("Prometheus", is_ready)
            if process.poll() is None:
                return
        raise RuntimeError("no free port for Prometheus")

    def ask(self, expr):
        query = urllib.parse.urlencode({"query": expr})
        try:
            answer = json.loads(get(f"{self.prometheus}/api/v1/query?{query}"))
        except urllib.error.HTTPError as error:
            self.fail(f"{expr}: {error.read().decode()}")
        self.assertEqual(answer["status"], "success")
        return answer["data"]["result"]

    def test_metrics_are_those_of_the_catalogue(self):
        found = samples(get(f"http://{self.metrics_address}/metrics"))
        ours = {name for name in found if name.startswith("cambrian_")}
        listed = {name for name in catalogue() if name.startswith("cambrian_coordinator_")}
        self.assertEqual(ours - listed, set())
        self.assertEqual(listed - ours - LATE - TLS_ONLY, set())
        for name in ours:
            for labels in found[name]:
                self.assertEqual(set(labels), set(catalogue()[name].labels), name)
                for label, value in labels.items():
                    values = catalogue()[name].labels[label]
                    self.assertTrue(values == ["x"] or value in values, f"{name} {label}={value}")

    def test_promtool_has_nothing_to_say(self):
        page = get(f"http://{self.metrics_address}/metrics")
        ours = "".join(line + "\n" for line in page.splitlines()
                       if re.match(r"(# (HELP|TYPE) )?cambrian_", line))
        result = subprocess.run(["promtool", "check", "metrics"], input=ours, text=True,
                                capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_programs_accept_the_files_of_the_containers(self):
        """What is wrong in a file ends a program at once; what is missing around it does not."""
        for program in ("coordinator", "worker", "codegen"):
            original = (DEPLOY / f"config/{program}.yaml").read_text(encoding="utf-8")
            # No port and no cache of this machine is touched, and no other host is looked up.
            text = re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", original)
            text = re.sub(r"(?m)^coordinator: .*", f"coordinator: unix:{self.folder}/none", text)
            text = re.sub(r"host=postgres", f"host={self.folder}", text)
            text = re.sub(r"http://codemodel:\d+", "http://127.0.0.1:9", text)
            text = re.sub(r"(?m)^cache_directory: .*", f"cache_directory: {self.folder}/c", text)
            path = self.folder / f"{program}.yaml"
            for extra, should_end in [("", False), ("\nno_such_field: 1\n", True)]:
                with self.subTest(program=program, extra=extra):
                    path.write_text(text + extra)
                    process = subprocess.Popen(
                        [PROGRAMS / f"cambrian-{program}", "--config", path],
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                    try:
                        process.wait(timeout=10 if should_end else 2)
                    except subprocess.TimeoutExpired:
                        process.terminate()
                    _, log = process.communicate(timeout=40)
                    self.assertEqual("no_such_field" in log, should_end, log)
                    self.assertEqual("error: " in log.split("ts=")[0], should_end, log)

    def test_prometheus_scrapes_and_answers(self):
        wait_for("a scrape", lambda: self.ask('up{job="cambrian-coordinator"} == 1'))
        wait_for("an overview", lambda: self.ask("cambrian_coordinator_campaigns"))
        wait_for("a rule", lambda: self.ask("job:cambrian_coordinator_evaluations:rate5m"))
        dashboard = json.loads((DEPLOY / "grafana/dashboards/cambrian-overview.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    self.ask(without_variables(target["expr"]))
        self.assertEqual(self.ask('ALERTS{alertstate="firing", severity="critical"}'), [])


if __name__ == "__main__":
    unittest.main()
