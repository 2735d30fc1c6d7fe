#!/usr/bin/env python3
"""The dashboard's SQL on a real PostgreSQL with the migrations and 100,000 variants, as
the read-only role that deploy/postgres makes."""

import json
import os
import re
import time
import unittest

from database import Server
from support import DEPLOY, REPOSITORY

DASHBOARD = DEPLOY / "grafana/dashboards/cambrian-overview.json"
MIGRATIONS = REPOSITORY / "coordinator/migrations"
QUERY_SECONDS_MAX = 1.0  # On a machine with nothing else to do it takes a tenth of that.
SEED_SQL = """
INSERT INTO blob (sha256, size_bytes, content) VALUES (repeat('a', 64), 1, 'x');
INSERT INTO task (digest, name) VALUES (repeat('a', 64), 'probe');
INSERT INTO campaign (name, spec, definition, task_digest, task_name, objective_metric,
                      is_maximized, priority)
SELECT n, 'x', '{"settings": {"policy": "islands"}}', repeat('a', 64), 'probe', 'score',
       n = 'up', 50 FROM unnest(ARRAY['up', 'down', 'it''s']) n;
INSERT INTO variant (campaign_id, number, parents, generation, files, token_digest, source_tokens,
                     state, score)
SELECT c.id, i, ARRAY[i - 1], i, '[]', repeat('b', 64), 1,
       CASE WHEN i % 10 = 0 THEN 'failed' ELSE 'evaluated' END,
       CASE WHEN i % 10 = 0 THEN NULL ELSE (i * 7919 % 100003) / 100003.0 END
FROM campaign c, generate_series(0, 33333) i;
ANALYZE;
"""


def statements():
    """(title, SQL) of the dashboard's panels and variables, with values for its variables."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [(panel["title"], target["rawSql"]) for panel in dashboard["panels"]
             for target in panel.get("targets", []) if "rawSql" in target]
    found += [(variable["name"], variable["query"])
              for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return found


class Sql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        # In the order of a new installation: the role first, then the coordinator's start.
        # As text: the server's user may not be allowed to look into this folder.
        roles = (DEPLOY / "postgres/10-roles.sh").read_text(encoding="utf-8")
        cls.server.run("bash", "-c", roles, POSTGRES_USER="cambrian", POSTGRES_DB="cambrian",
                       CAMBRIAN_GRAFANA_DATABASE_PASSWORD="it's")
        migrations = sorted(MIGRATIONS.glob("*.sql"))
        assert len(migrations) >= 2
        for path in migrations:
            cls.server.sql(path.read_text(encoding="utf-8"), options=("-q1",))
        cls.server.sql(SEED_SQL)

    def ask(self, statement, campaign="up"):
        quoted = "'" + campaign.replace("'", "''") + "'"
        statement = statement.replace("${campaign:sqlstring}", quoted)
        self.assertNotIn("$", statement, "a variable that this test does not know")
        return self.server.sql(statement, user="cambrian_grafana", options=("--csv",))

    def test_each_statement_answers_in_time(self):
        found = statements()
        self.assertEqual(len(found), 3)
        for title, statement in found:
            with self.subTest(panel=title):
                start = time.monotonic()
                rows = self.ask(statement).splitlines()
                seconds = time.monotonic() - start
                # Others wait for the same cores: what they make of a tenth of a second.
                crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
                self.assertLess(seconds, QUERY_SECONDS_MAX * crowd)
                self.assertGreater(len(rows), 1)

    def test_leaderboard_ranks_by_the_goal(self):
        statement = next(s for _, s in statements() if "leaderboard" in s)
        for campaign, is_best_first in [("up", True), ("down", False), ("it's", False)]:
            rows = [row.split(",") for row in self.ask(statement, campaign).splitlines()]
            scores = [float(row[rows[0].index("score")]) for row in rows[1:]]
            self.assertEqual(len(scores), 25)
            self.assertEqual(scores, sorted(scores, reverse=is_best_first))
            self.assertEqual([row[0] for row in rows[1:]], [str(i) for i in range(1, 26)])

    def test_the_role_sees_the_views_and_nothing_else(self):
        for statement in ["SELECT * FROM campaign", "SELECT * FROM public.event",
                          "CREATE TABLE grafana.a (b int)",
                          "SET transaction_read_only = off; DELETE FROM grafana.campaign"]:
            with self.subTest(sql=statement), self.assertRaisesRegex(
                    ValueError, "permission denied|read-only transaction"):
                self.server.sql(statement, user="cambrian_grafana")

    def test_views_have_the_columns_that_panels_show(self):
        for _, statement in statements():
            names = re.search(r"SELECT (.*?) FROM", statement).group(1)
            header = self.ask(statement).splitlines()[0]
            self.assertEqual(header, re.sub(r"\s+", "", names))


if __name__ == "__main__":
    unittest.main()
