"""Calls of a model that cost money: what a crash leaves of them, who shares their limits, and where
the key shows."""

import json
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from service import BINARIES, Service

SMALL = {"items": 500, "instances": 2}
CANARY = "sk-canary-c0ffee5151"


class CodeModel:
    """An own cambrian-codemodel that misbehaves when the name of the model asks for it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="cambrian-model-")
        address = Path(self.folder.name) / "address"
        self.process = subprocess.Popen(
            [str(BINARIES / "cambrian-codemodel"), "--listen", "127.0.0.1:0", "--faults",
             "--address-file", str(address)], stderr=subprocess.DEVNULL)
        for _ in range(100):
            if address.exists():
                break
            time.sleep(0.1)
        found = json.loads(address.read_text())["http"]
        self.url = (found if found.startswith("http") else "http://" + found) + "/v1"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Calls(unittest.TestCase):
    def test_a_crash_in_the_middle_of_a_call_is_spent_with_an_unknown_outcome(self):
        # The first answer stops half-way for 30 s, all others are good.
        with CodeModel() as model, tempfile.NamedTemporaryFile("w") as key:
            key.write(CANARY + "\n")
            key.flush()
            with Service(options=("--base-url", model.url, "--model", "fault-stall:1",
                                  "--key-file", key.name)) as service:
                service.submit("spent", "online-bin-packing", 6, SMALL)
                service.wait_for(
                    lambda: service.query("SELECT count(*) FROM open_call WHERE ended_at IS NULL"
                                          " AND started_at < now() - interval '3 seconds'") == "1",
                    60, "a call that hangs")
                service.kill("codegen")
                campaign = service.wait_ended("spent", 240)
                self.check_spent(service, campaign)
                self.check_key_is_nowhere(service)

    def check_spent(self, service, campaign):
        self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
        self.assertEqual(int(campaign["consumption"]["evaluations"]), 6)
        usage = service.json("usage", "--campaign", "spent")["models"]
        self.assertEqual(sum(int(one.get("calls_unknown", 0)) for one in usage), 1, usage)
        self.assertEqual(service.query("SELECT count(*) FROM open_call"), "0")
        self.assertEqual(
            service.query("SELECT count(*) FROM model_call WHERE is_outcome_unknown"
                          " AND prompt_tokens > 100 AND completion_tokens > 100"), "1")
        # The campaign's account has the lost call too.
        self.assertEqual(service.query("SELECT sum(prompt_tokens + completion_tokens)"
                                       " FROM model_call"),
                         campaign["consumption"]["tokens"])
        charged = [event for event in service.events("spent") if event["type"] == "attempt_charged"]
        self.assertEqual(len(charged), 1, charged)

    def check_key_is_nowhere(self, service):
        status = service.status()
        dump = service.run_on_database("pg_dump")
        self.assertIn("fault-stall:1", dump, "the dump has the calls")
        with urllib.request.urlopen(f"http://{status['metrics']}/metrics", timeout=10) as page:
            metrics = page.read().decode()
        texts = {"dump": dump, "metrics": metrics, "doctor": service.run("doctor"),
                 "codegen": service.log("codegen"), "coordinator": service.log("coordinator"),
                 "usage": service.run("usage", "-o", "json")}
        for name, text in texts.items():
            self.assertNotIn(CANARY, text, name)


if __name__ == "__main__":
    unittest.main()
