"""A coordinator that does not answer for five minutes: what agents hold stays theirs, what they
finish meanwhile is delivered afterwards and counts, and no process but the coordinator notices more
than a pause."""

import os
import signal
import time
import unittest

from service import Service

EVALUATIONS = 30
PARAMETERS = {"items": 20000, "instances": 3}  # Some seconds each.
OUTAGE_SECONDS = 305
RUNNING = "SELECT item_id, epoch FROM attempt WHERE ended_at IS NULL AND agent_name LIKE 'worker%'"
FINISHED = "SELECT item_id, epoch FROM attempt WHERE outcome = 'finished'"


class Outage(unittest.TestCase):
    def test_agents_outlive_five_minutes_without_coordinator(self):
        with Service(workers=2) as service:
            service.submit("outage", "online-bin-packing", EVALUATIONS, PARAMETERS)
            service.wait_for(lambda: service.evaluations("outage") >= 5, 120, "5 evaluations")
            before = service.processes()
            # Stopped, not killed: nobody tells the agents that the connection is dead.
            os.kill(before["coordinator"], signal.SIGSTOP)
            try:
                running = service.query(RUNNING)
                self.assertTrue(running, "evaluations run when the coordinator stops")
                time.sleep(OUTAGE_SECONDS)
            finally:
                os.kill(before["coordinator"], signal.SIGCONT)
            campaign = service.wait_ended("outage")
            self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
            self.assertEqual(int(campaign["consumption"]["evaluations"]), EVALUATIONS)
            self.assertEqual(service.processes(), before)
            for worker in ("worker-1", "worker-2"):
                self.assertIn("coordinator_reached", service.log(worker))
            attempts = service.query("SELECT outcome, count(*), count(stale_report_at)"
                                     " FROM attempt GROUP BY outcome ORDER BY outcome")
            # All of them finished, none reported when it was too late.
            self.assertRegex(attempts, r"^finished\|\d+\|0$")
            # With the epoch of then: nobody began them again.
            finished = service.query(FINISHED).splitlines()
            self.assertLessEqual(set(running.splitlines()), set(finished))


if __name__ == "__main__":
    unittest.main()
