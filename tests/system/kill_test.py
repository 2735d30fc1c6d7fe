"""kill -9 of every program in turn, in the middle of a campaign: it finishes with the number of
evaluations asked for, none lost, none counted twice."""

import unittest

from service import Service

EVALUATIONS = 40
PARAMETERS = {"items": 2000, "instances": 3}


class Kill(unittest.TestCase):
    def test_campaign_survives_the_death_of_each_program(self):
        with Service(workers=2) as service:
            service.submit("kill", "online-bin-packing", EVALUATIONS, PARAMETERS)
            done = 2
            for name in sorted(service.processes()):
                with self.subTest(killed=name):
                    service.wait_for(lambda: service.evaluations("kill") >= min(done, EVALUATIONS),
                                     90, f"{done} evaluations before {name} is killed")
                    killed = service.kill(name)
                    service.wait_for(lambda: service.processes().get(name, killed) != killed, 60,
                                     f"{name} runs again")
                    done += EVALUATIONS // 8
            campaign = service.wait_ended("kill")
            self.check_counts(service, campaign)

    def check_counts(self, service, campaign):
        self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
        self.assertEqual(int(campaign["consumption"]["evaluations"]), EVALUATIONS)
        events = service.events("kill")
        sequences = [int(event["sequence"]) for event in events]
        self.assertEqual(sequences, list(range(1, len(events) + 1)), "the log has no gap")
        finished = [event for event in events if event["type"] == "evaluation_finished"]
        finals = int(campaign["consumption"]["final_evaluations"])
        self.assertEqual(len(finished), EVALUATIONS + finals)
        variants = service.json("variant", "list", "kill", "--limit", 1000)["variants"]
        states = [variant["state"] for variant in variants]
        measured = [state for state in states
                    if state in ("VARIANT_STATE_EVALUATED", "VARIANT_STATE_FAILED")]
        jumps = [event for event in events if event["type"] == "confirmation_requested"]
        self.assertEqual(len(measured) + len(jumps), EVALUATIONS,
                         "one variant for each evaluation that does not confirm a jump")


if __name__ == "__main__":
    unittest.main()
