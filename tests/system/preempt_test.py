"""A worker is told to end in the middle of a training, as on a preemptible machine: another one
goes on with it."""

import os
import signal
import unittest

from service import Service

TRAIN_SECONDS = 40
# By the clock alone.
PARAMETERS = {"train_seconds": TRAIN_SECONDS, "steps": 1_000_000_000}


class Preempt(unittest.TestCase):
    def test_another_worker_goes_on_with_the_training(self):
        with Service(workers=2) as service:
            service.submit("preempted", "python-regression", 1, PARAMETERS)
            service.wait_for(lambda: self.training(service), 120, "a training shows its steps")
            worker, step = self.training(service)
            os.kill(service.processes()[worker], signal.SIGTERM)
            service.wait_for(lambda: service.evaluations("preempted") == 1, 180, "it is evaluated")
            self.assertIn("event=checkpoint_saved", service.log(worker))
            variant = service.json("variant", "get", "preempted", 0)
            evaluation = variant["evaluations"][0]
            result = evaluation["result"]
            self.assertEqual(result["outcome"], "EVALUATION_OUTCOME_SUCCESS", result)
            self.assertTrue(result.get("is_resumed"), result)
            self.assertEqual(evaluation["attempts"], 2)
            # The time of both workers together, and the steps of both.
            self.assertGreaterEqual(result["metrics"]["train_seconds"], TRAIN_SECONDS)
            self.assertLess(result["metrics"]["train_seconds"], TRAIN_SECONDS + 6)
            self.assertGreater(result["metrics"]["steps"], step)
            self.assertLess(float(result["timings"]["train"].removesuffix("s")), TRAIN_SECONDS)
            self.assertIn("success, resumed", service.run("variant", "get", "preempted", 0))
            service.run("campaign", "stop", "preempted")

    @staticmethod
    def training(service):
        """Name and step of the worker whose training is on its way, or nothing."""
        for worker in service.json("worker", "list").get("workers", []):
            for running in worker.get("running", []):
                if int(running.get("step", 0)) > 0:
                    return worker["description"]["name"], int(running["step"])
        return None


if __name__ == "__main__":
    unittest.main()
