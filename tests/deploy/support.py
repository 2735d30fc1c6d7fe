"""What the tests of deploy/ share: the metric catalogue and PromQL."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
JOBS = {"coordinator": "cambrian-coordinator", "worker": "cambrian-worker",
        "codegen": "cambrian-codegen"}


@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    labels: dict  # Name of the label to the values that the catalogue lists, or to ["x"].


def catalogue():
    """Metrics of deploy/metrics.md by name."""
    metrics = {}
    for line in (DEPLOY / "metrics.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| `(cambrian_\w+)` \| (\w+) \| ([^|]*)\| ([^|]+)\|$", line)
        if row:
            labels = {name: [v.strip() for v in values.split(",")] if values else ["x"]
                      for name, values in re.findall(r"`(\w+)`(?: \(([^)]*)\))?", row.group(3))}
            assert row.group(1) not in metrics, f"listed twice: {row.group(1)}"
            metrics[row.group(1)] = Metric(row.group(1), row.group(2), labels)
    return metrics


def metric_names(expression):
    """Names of our own metrics in a PromQL expression, without the suffixes of a histogram."""
    names = re.findall(r"(?<![\w:])cambrian_\w+(?![\w:])", re.sub(r'"[^"]*"', '""', expression))
    known = catalogue()
    return {base if (base := re.sub(r"_(bucket|sum|count)$", "", name)) in known else name
            for name in names}


def without_variables(expression):
    """PromQL with Grafana's variables replaced by something that parses."""
    expression = re.sub(r"\$__rate_interval|\$\{__rate_interval\}", "5m", expression)
    return re.sub(r"\$\{?(\w+)(:\w+)?\}?", "x", expression)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=120, check=False, **options)
