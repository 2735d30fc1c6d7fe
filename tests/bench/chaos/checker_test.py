"""The checker finds what it is there for: each test spoils a good history in one way."""

import copy
import unittest

from checker import History, check, ended_by_rule, find_difference, population


def good_history():
    """One campaign: the seed evaluated, one proposal lost once and then made."""
    attempt = {"agent_id": "w", "agent_name": "worker-1", "outcome": "finished",
               "is_counted": True, "stale_report_at": None, "started_at": "12:00:00",
               "ended_at": "12:00:01"}
    variant = {"campaign_id": 1, "number": 0, "parents": [], "proposal": None, "operator": None,
               "island": None, "generation": 0, "duplicate_of": None, "files": [],
               "token_digest": "t", "state": "evaluated", "outcome": "success",
               "metrics": {"score": 1}, "score": 1}
    evaluation = {"campaign_id": 1, "number": 1, "variant": 0, "split": "validation", "seed": 7,
                  "is_final": False, "outcome": "success", "metrics": {"score": 1},
                  "log": "w 10 1"}
    proposal = {"campaign_id": 1, "number": 1, "operator": "diff", "parents": [0],
                "inspirations": [], "failures": [], "seed": 8, "variants": 1,
                "outcome": "success", "result_variants": []}
    return History(
        campaigns=[{"id": 1, "name": "c", "state": "succeeded", "reason": "", "evaluations": 1,
                    "final_evaluations": 0, "proposals": 1}],
        variants=[variant], evaluations=[evaluation], proposals=[proposal],
        items=[{"id": 10, "campaign_id": 1, "kind": "evaluation", "number": 1, "state": "done",
                "epoch": 1},
               {"id": 11, "campaign_id": 1, "kind": "proposal", "number": 1, "state": "done",
                "epoch": 2}],
        attempts=[attempt | {"item_id": 10, "epoch": 1},
                  attempt | {"item_id": 11, "epoch": 1, "outcome": "lost", "is_counted": False},
                  attempt | {"item_id": 11, "epoch": 2}],
        finished_events=[{"campaign_id": 1, "kind": "evaluation", "number": 1},
                         {"campaign_id": 1, "kind": "proposal", "number": 1}],
        sequences=[{"campaign_id": 1, "first": 1, "last": 9, "count": 9, "last_sequence": 9}],
        delivered={(10, 1), (11, 2)}, refused={(11, 1)})


class Checker(unittest.TestCase):
    def setUp(self):
        self.history = good_history()

    def check_finds(self, *names):
        found = {name for name, said in check(self.history, 1).items() if said}
        self.assertEqual(found, set(names))

    def test_finds_nothing_in_a_good_history(self):
        self.check_finds()

    def test_an_acknowledged_result_that_is_gone_is_lost(self):
        self.history.attempts[0] |= {"outcome": "lost", "is_counted": False}
        self.check_finds("lost")

    def test_an_acknowledged_attempt_that_nobody_knows_is_lost(self):
        self.history.delivered.add((99, 1))
        self.check_finds("lost")

    def test_an_item_without_its_event_is_lost(self):
        del self.history.finished_events[1]
        self.check_finds("lost")

    def test_a_result_that_was_never_written_is_lost(self):
        self.history.evaluations[0]["outcome"] = None
        self.check_finds("lost", "miscounted")

    def test_two_events_of_one_end_are_a_duplicate(self):
        self.history.finished_events.append(self.history.finished_events[0])
        self.check_finds("duplicated")

    def test_two_counted_attempts_are_a_duplicate(self):
        self.history.attempts[1] |= {"outcome": "finished", "is_counted": True}
        self.check_finds("duplicated", "stale_accepted")

    def test_a_counted_report_that_came_late_is_stale(self):
        self.history.attempts[2]["stale_report_at"] = "2026-01-01"
        self.check_finds("stale_accepted")

    def test_a_counted_attempt_of_an_old_epoch_is_stale(self):
        self.history.items[1]["epoch"] = 3
        self.check_finds("stale_accepted")

    def test_a_result_of_another_agent_is_stale(self):
        self.history.evaluations[0]["log"] = "v 10 1"
        self.check_finds("stale_accepted")

    def test_a_refused_report_that_counts_is_stale(self):
        self.history.refused.add((10, 1))
        self.history.delivered.remove((10, 1))
        self.check_finds("stale_accepted")

    def test_a_missing_event_is_a_gap(self):
        self.history.sequences[0]["count"] = 8
        self.check_finds("gaps")

    def test_open_work_is_unfinished(self):
        self.history.items[0]["state"] = "leased"
        self.history.delivered.remove((10, 1))
        self.check_finds("unfinished")

    def test_an_open_call_is_unfinished(self):
        self.history.open_calls = 1
        self.check_finds("unfinished")

    def test_a_campaign_that_counts_otherwise_is_told(self):
        self.history.campaigns[0]["evaluations"] = 2
        self.check_finds("miscounted")

    def lose_proposal(self, *attempts):
        """The proposal has no result but what the service makes of these (outcome, agent)."""
        good = self.history.attempts[2]
        self.history.attempts[1:] = [
            good | {"epoch": epoch, "outcome": outcome, "agent_id": agent, "is_counted": False}
            for epoch, (outcome, agent) in enumerate(attempts, 1)]
        self.history.items[1]["epoch"] = len(attempts)
        self.history.proposals[0]["outcome"] = "infrastructure"
        self.history.delivered = {(10, 1)}
        self.history.refused = set()

    def test_what_two_agents_lost_was_ended_by_rule(self):
        self.assertEqual(ended_by_rule(self.history), {})
        self.lose_proposal(("lost", "v"), ("lost", "w"))
        self.assertIn("proposal 1: worker-1 lost, 12:00:00 to 12:00:01; worker-1 lost",
                      ended_by_rule(self.history)[1][0])
        self.check_finds()

    def test_what_agents_failed_at_five_times_was_ended_by_rule(self):
        self.lose_proposal(*[("unable", "v"), ("infrastructure", "v")] * 2, ("unable", "w"))
        self.assertEqual(len(ended_by_rule(self.history)[1]), 1)
        self.check_finds()

    def test_what_one_agent_lost_twice_ended_too_early(self):
        self.lose_proposal(("lost", "w"), ("lost", "w"))
        self.assertEqual(ended_by_rule(self.history), {})
        self.check_finds("lost")

    def test_a_result_that_no_attempt_brought_is_found(self):
        self.lose_proposal(("lost", "v"), ("lost", "w"))
        self.history.proposals[0]["outcome"] = "success"
        self.check_finds("lost")

    def test_populations_differ_by_one_score(self):
        other = copy.deepcopy(self.history)
        self.assertIsNone(find_difference(population(self.history, 1), population(other, 1)))
        other.variants[0]["score"] = 2
        self.assertIn("score 1 -> 2",
                      find_difference(population(self.history, 1), population(other, 1)))

    def test_populations_differ_by_one_variant(self):
        other = copy.deepcopy(self.history)
        other.variants.append(other.variants[0] | {"number": 1})
        self.assertIn("2 with faults",
                      find_difference(population(self.history, 1), population(other, 1)))


if __name__ == "__main__":
    unittest.main()
