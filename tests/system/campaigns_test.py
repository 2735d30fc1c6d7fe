"""What a user does by hand: two campaigns at once, pause and resume, watch, stop, delete."""

import os
import subprocess
import time
import unittest
import unittest.mock

from service import BINARIES, CommandFailed, Service

SMALL = {"items": 500, "instances": 2}


class Campaigns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service(workers=2)
        cls.service.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__()

    def test_two_campaigns_on_two_tasks_share_the_workers(self):
        service = self.service
        service.submit("packing", "online-bin-packing", 12, SMALL)
        service.submit("circles", "circle-packing", 12)
        watch = subprocess.run(
            [str(BINARIES / "cambrian"), "campaign", "watch", "packing"], text=True,
            env=service.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240)
        self.assertEqual(watch.returncode, 0, watch.stderr)
        self.assertIn("variant 0 evaluated: success", watch.stdout)
        for name in ("packing", "circles"):
            campaign = service.wait_ended(name)
            self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
            self.assertEqual(int(campaign["consumption"]["evaluations"]), 12)
            self.assertIn("final_best", campaign)

    def test_a_paused_campaign_rests_and_goes_on(self):
        service = self.service
        service.submit("pausing", "online-bin-packing", 30, SMALL)
        service.wait_for(lambda: service.evaluations("pausing") >= 3, 60, "three evaluations")
        service.run("campaign", "pause", "pausing")
        time.sleep(5)  # What runs is finished and counted.
        resting = service.evaluations("pausing")
        time.sleep(5)
        self.assertEqual(service.evaluations("pausing"), resting)
        self.assertLess(resting, 30)
        service.run("campaign", "resume", "pausing")
        campaign = service.wait_ended("pausing")
        self.assertEqual(int(campaign["consumption"]["evaluations"]), 30)

    def test_a_stopped_campaign_drains_and_can_be_deleted(self):
        service = self.service
        service.submit("stopping", "online-bin-packing", 1000, SMALL)
        service.wait_for(lambda: service.evaluations("stopping") >= 2, 60, "two evaluations")
        service.run("campaign", "delete", "stopping", "--yes", exit_code=1)
        service.run("campaign", "stop", "stopping")
        campaign = service.wait_ended("stopping", 60)
        self.assertEqual(campaign["state"], "CAMPAIGN_STATE_STOPPED")
        service.run("campaign", "delete", "stopping", "--yes")
        self.assertIn("stopping", service.run("campaign", "get", "stopping", exit_code=5))

    def test_doctor_finds_everything_before_the_first_local_environment(self):
        said = self.service.run("doctor")
        self.assertRegex(said, r"ok +postgresql")
        self.assertRegex(said, r"ok +sandbox: (standard|strict)")
        self.assertRegex(said, r"ok +workers: 2 alive")

    def test_doctor_asks_the_endpoint_of_the_local_environment(self):
        folder = {"CAMBRIAN_DEV_DIRECTORY": str(self.service.directory / "dev")}
        with unittest.mock.patch.dict(os.environ, folder):
            said = self.service.run("doctor")
        self.assertRegex(said, r"ok +local environment: everything runs")
        self.assertRegex(said, r"ok +model endpoint default: .* lists cambrian-mutator")

    def test_doctor_asks_the_endpoints_of_a_codegen_client_and_keeps_their_key(self):
        config = self.service.directory / "codegen.yaml"
        key = self.service.directory / "key"
        key.write_text("sk-canary-33d1\n")
        url = self.service.json("dev", "status", "--directory",
                                self.service.directory / "dev")["model_url"]
        config.write_text(f"endpoints:\n  - name: here\n    base_url: {url}\n"
                          f"    models: [no-such-model]\n    key_file: {key}\n"
                          "  - name: away\n    base_url: http://127.0.0.1:9/v1\n"
                          "    models: [m]\n")
        said = self.service.run("doctor", "--codegen-config", config, exit_code=1)
        self.assertRegex(said, r"failure +model endpoint here: .* does not list no-such-model; it "
                               r"lists: .*cambrian-mutator")
        self.assertRegex(said, r"failure +model endpoint away: .* does not answer")
        self.assertNotIn("sk-canary", said)

    def test_submitting_again_changes_nothing(self):
        service = self.service
        service.submit("again", "online-bin-packing", 2, SMALL)
        service.submit("again", "online-bin-packing", 2, SMALL)
        with self.assertRaises(CommandFailed):
            service.submit("again", "online-bin-packing", 3, SMALL)
        service.wait_ended("again")


if __name__ == "__main__":
    unittest.main()
