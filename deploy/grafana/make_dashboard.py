#!/usr/bin/env python3
"""Writes dashboards/cambrian-overview.json: classic JSON, core panels only, so that it works from
Grafana 10 on. Run it after a change; tests/deploy fails when the file is not what this writes."""

import json
from pathlib import Path

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
SCHEMA_VERSION = 41
WIDTH = 24


class Layout:
    """Places panels from left to right, row by row, and numbers them."""

    def __init__(self):
        self.panels, self.x, self.y, self.height = [], 0, 0, 0

    def row(self, title):
        self.break_line()
        self.panels.append({"id": len(self.panels) + 1, "type": "row", "title": title,
                            "collapsed": False, "panels": [],
                            "gridPos": {"x": 0, "y": self.y, "w": WIDTH, "h": 1}})
        self.y += 1

    def break_line(self):
        self.x, self.y, self.height = 0, self.y + self.height, 0

    def add(self, panel, width, height):
        if self.x + width > WIDTH:
            self.break_line()
        panel["id"] = len(self.panels) + 1
        panel["gridPos"] = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.panels.append(panel)
        self.x, self.height = self.x + width, max(self.height, height)


def query(expr, legend, ref="A", instant=False):
    return {"refId": ref, "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend,
            "instant": instant, "range": not instant}


def sql(statement, ref="A"):
    return {"refId": ref, "datasource": POSTGRES, "rawQuery": True, "editorMode": "code",
            "format": "table", "rawSql": " ".join(statement.split())}


def panel(kind, title, description, targets, unit, options, **defaults):
    custom = defaults.pop("custom", {})
    return {
        "type": kind, "title": title, "description": description, "targets": targets,
        "datasource": targets[0]["datasource"], "options": options,
        "fieldConfig": {"defaults": {"unit": unit, "custom": custom, **defaults},
                        "overrides": []}}


def stat(title, description, expr, unit, steps=None, decimals=None):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
               "colorMode": "value", "graphMode": "area", "justifyMode": "auto",
               "orientation": "auto", "textMode": "auto", "wideLayout": True}
    thresholds = [{"color": color, "value": value}
                  for color, value in steps or [("text", None)]]
    more = {} if decimals is None else {"decimals": decimals}
    return panel("stat", title, description, [query(expr, "")], unit, options,
                 thresholds={"mode": "absolute", "steps": thresholds}, **more)


def series(title, description, targets, unit, stacked=False):
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True,
                          "calcs": []},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 5,
              "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    return panel("timeseries", title, description, targets, unit, options, custom=custom, min=0)


def table(title, description, statement, links=None):
    options = {"showHeader": True, "cellHeight": "sm",
               "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}}
    made = panel("table", title, description, [sql(statement)], "none", options,
                 custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False})
    for field, link in (links or {}).items():
        made["fieldConfig"]["overrides"].append({
            "matcher": {"id": "byName", "options": field},
            "properties": [{"id": "links", "value": [{"title": link[0], "url": link[1]}]}]})
    return made


def quantiles(metric, label, job):
    return [query(f"histogram_quantile({q}, sum by (le, {label}) "
                  f'(rate({metric}_bucket{{job="{job}"}}[$__rate_interval])))',
                  f"{{{{{label}}}}} p{int(q * 100)}", ref)
            for q, ref in ((0.5, "A"), (0.95, "B"))]


C, G = 'job="cambrian-coordinator"', 'job="cambrian-codegen"'


def overview(layout):
    layout.row("Now")
    layout.add(stat(
        "Active campaigns", "Campaigns that have not ended.",
        f'sum(max by (state) (cambrian_coordinator_campaigns{{{C}, '
        'state=~"running|paused|draining|finalizing"}))', "short"), 4, 4)
    layout.add(stat(
        "Workers alive", "Workers that called within the life of a lease.",
        f'max(cambrian_coordinator_agents{{{C}, kind="worker", state="alive"}})', "short",
        [("red", None), ("green", 1)]), 4, 4)
    layout.add(stat(
        "Evaluations waiting", "Evaluations that no worker has taken yet.",
        f'max(cambrian_coordinator_work_items{{{C}, kind="evaluation", state="ready"}})',
        "short"), 4, 4)
    layout.add(stat(
        "Success in 30 minutes", "Share of the evaluations that gave a score.",
        f'1 - job:cambrian_coordinator_evaluations_failed:ratio_rate30m{{{C}}}', "percentunit",
        [("red", None), ("orange", 0.4), ("green", 0.7)], decimals=0), 4, 4)
    layout.add(stat(
        "Evaluations an hour", "Counted evaluations, over the last five minutes.",
        f'job:cambrian_coordinator_evaluations:rate5m{{{C}}} * 3600', "short", decimals=0), 4, 4)
    layout.add(stat(
        "Money an hour", "Price of model calls by the clients' price lists.",
        f'sum(rate(cambrian_coordinator_cost_dollars_total{{{C}}}[1h])) * 3600', "currencyUSD",
        decimals=2), 4, 4)


def work(layout):
    layout.row("Work")
    layout.add(series(
        "Evaluations by outcome", "Counted evaluations a second. A failing candidate is data.",
        [query(f"job_outcome:cambrian_coordinator_evaluations:rate5m{{{C}}}", "{{outcome}}")],
        "ops", stacked=True), 8, 8)
    layout.add(series(
        "Open work and workers", "Items that wait or are leased; workers alive and wanted.",
        [query("max by (kind, state) "
               f"(cambrian_coordinator_work_items{{{C}}})", "{{kind}} {{state}}"),
         query(f'max(cambrian_coordinator_agents{{{C}, kind="worker", state="alive"}})',
               "workers alive", "B"),
         query(f"max(cambrian_coordinator_workers_wanted{{{C}}})", "workers wanted", "C")],
        "short"), 8, 8)
    layout.add(series(
        "Ended leases", "How attempts ended, a second; stale reports were refused.",
        [query("sum by (kind, outcome) (rate(cambrian_coordinator_attempts_total"
               f"{{{C}}}[$__rate_interval]))", "{{kind}} {{outcome}}"),
         query("sum by (kind) (rate(cambrian_coordinator_stale_reports_total"
               f"{{{C}}}[$__rate_interval]))", "{{kind}} stale", "B")], "ops"), 8, 8)
    layout.add(series(
        "Time of an evaluation by phase", "Median and 95th percentile of each phase.",
        quantiles("cambrian_coordinator_evaluation_phase_duration_seconds", "phase",
                  "cambrian-coordinator"), "s"), 12, 8)
    layout.add(series(
        "Slots", "Busy and free slots of living agents.",
        [query(f"max by (kind, state) (cambrian_coordinator_slots{{{C}}})", "{{kind}} {{state}}")],
        "short", stacked=True), 12, 8)


def search(layout):
    layout.row("Search")
    layout.add(series(
        "Best score", "Best score of each campaign that has not ended.",
        [query(f"max by (campaign) (cambrian_coordinator_campaign_best_score{{{C}}})",
               "{{campaign}}")], "none"), 8, 8)
    layout.panels[-1]["fieldConfig"]["defaults"].pop("min")
    layout.add(series(
        "Settled variants", "Evaluated, failed and duplicate variants a second.",
        [query("sum by (state) (rate(cambrian_coordinator_variants_total"
               f"{{{C}}}[$__rate_interval]))", "{{state}}")], "ops", stacked=True), 8, 8)
    gauge = panel(
        "bargauge", "Budgets", "Share of each budget that is used.",
        [query("max by (campaign, budget) "
               f"(cambrian_coordinator_campaign_budget_used_ratio{{{C}}})",
               "{{campaign}} {{budget}}", instant=True)], "percentunit",
        {"displayMode": "basic", "orientation": "horizontal", "valueMode": "color",
         "showUnfilled": True, "minVizWidth": 8, "minVizHeight": 16, "namePlacement": "auto",
         "sizing": "auto", "maxVizHeight": 300,
         "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}},
        min=0, max=1, thresholds={"mode": "absolute", "steps": [
            {"color": "green", "value": None}, {"color": "orange", "value": 0.9}]})
    layout.add(gauge, 8, 8)
    layout.add(table(
        "Campaigns", "The newest campaigns, from PostgreSQL.",
        """SELECT name, task, state, policy, evaluations, evaluations_failed, best_score,
           seed_score, tokens, cost_usd, created_at FROM grafana.campaign
           ORDER BY created_at DESC LIMIT 50""",
        {"name": ("Show its leaderboard", "/d/cambrian-overview?var-campaign=${__value.text}")}),
        12, 9)
    layout.add(table(
        "Leaderboard of $campaign", "Best variants of the campaign chosen above, from PostgreSQL.",
        """SELECT rank, variant, score, operator, model, generation, parents, created_at
           FROM grafana.leaderboard WHERE campaign = ${campaign:sqlstring}
           ORDER BY rank LIMIT 25"""),
        12, 9)


def codegen(layout):
    layout.row("Code generation")
    layout.add(series(
        "Requests by code", "Requests to the endpoints a second, by how they ended.",
        [query("sum by (endpoint, code) (rate(cambrian_codegen_requests_total"
               f"{{{G}}}[$__rate_interval]))", "{{endpoint}} {{code}}")], "reqps"), 6, 8)
    layout.add(series(
        "Latency", "From sending to the last byte.",
        quantiles("cambrian_codegen_request_duration_seconds", "endpoint", "cambrian-codegen"),
        "s"), 6, 8)
    layout.add(series(
        "Tokens", "Tokens a second, by model.",
        [query("sum by (endpoint, model, kind) (rate(cambrian_codegen_tokens_total"
               f"{{{G}}}[$__rate_interval]))", "{{endpoint}} {{model}} {{kind}}")], "short"), 6, 8)
    layout.add(series(
        "Answers", "Edits applied and rejected, and truncated answers, a second.",
        [query("sum by (outcome) (rate(cambrian_codegen_edits_total"
               f"{{{G}}}[$__rate_interval]))", "edits {{outcome}}"),
         query('sum(rate(cambrian_codegen_finish_total{job="cambrian-codegen", reason="length"}'
               "[$__rate_interval]))", "truncated", "B")], "ops"), 6, 8)


def inside(layout):
    layout.row("Inside")
    layout.add(series(
        "Database", "Median and 95th percentile of each named transaction.",
        quantiles("cambrian_coordinator_database_query_duration_seconds", "query",
                  "cambrian-coordinator"), "s"), 8, 8)
    layout.add(series(
        "Calls", "Median and 95th percentile of each method. Sync waits for work by design.",
        quantiles("cambrian_coordinator_rpc_duration_seconds", "method", "cambrian-coordinator"),
        "s"), 8, 8)
    alerts = {
        "type": "alertlist", "title": "Alerts", "description": "Firing and pending alerts.",
        "options": {"alertName": "Cambrian", "datasource": "${prometheus}", "groupMode": "default",
                    "maxItems": 20, "sortOrder": 3, "viewMode": "list", "dashboardAlerts": False,
                    "stateFilter": {"firing": True, "pending": True, "noData": False,
                                    "normal": False, "error": True}}}
    layout.add(alerts, 8, 8)


def variables():
    def source(name, label, kind):
        return {"name": name, "label": label, "type": "datasource", "query": kind, "hide": 0,
                "refresh": 1, "regex": "", "multi": False, "includeAll": False, "options": [],
                "current": {}}
    campaigns = "SELECT name FROM grafana.campaign ORDER BY created_at DESC LIMIT 200"
    return [source("prometheus", "Prometheus", "prometheus"),
            source("postgres", "PostgreSQL", "grafana-postgresql-datasource"),
            {"name": "campaign", "label": "Campaign", "type": "query", "datasource": POSTGRES,
             "definition": campaigns, "query": campaigns, "refresh": 2, "sort": 0, "hide": 0,
             "regex": "", "multi": False, "includeAll": False, "options": [], "current": {}}]


def dashboard():
    layout = Layout()
    for part in (overview, work, search, codegen, inside):
        part(layout)
    return {
        "uid": "cambrian-overview", "title": "Cambrian overview", "tags": ["cambrian"],
        "description": "Campaigns, work, search, code generation and the inside of Cambrian.",
        "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": False, "graphTooltip": 1,
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "browser",
        "fiscalYearStartMonth": 0, "annotations": {"list": []}, "links": [],
        "templating": {"list": variables()}, "panels": layout.panels}


def text():
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    path = Path(__file__).parent / "dashboards/cambrian-overview.json"
    path.write_text(text(), encoding="utf-8")
