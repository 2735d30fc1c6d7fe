"""What goes wrong around a service: each time a clear error, and nothing is lost."""

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from service import BINARIES, SOURCE, Service

SMALL = {"items": 500, "instances": 2}
LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
DEAD_URL = "http://127.0.0.1:9/v1"  # The discard port: nobody listens.


class Trouble(unittest.TestCase):
    def test_a_wrong_campaign_file_is_refused_with_its_place(self):
        with Service() as service:
            path = service.directory / "wrong.yaml"
            path.write_text(
                "api_version: cambrian/v1\n"
                "kind: Campaign\n"
                "name: wrong\n"
                f"task: {{source: {SOURCE / 'tasks' / 'circle-packing'}}}\n"
                "budget:\n"
                "  evaluatons: 5\n"
                "search: {islands: many}\n")
            said = service.run("campaign", "submit", path, exit_code=3)
            self.assertIn("wrong.yaml:6:3", said)
            self.assertIn('did you mean "evaluations"', said)
            self.assertIn("wrong.yaml:7:", said, "every problem at once")
            self.assertEqual(service.json("campaign", "list").get("campaigns", []), [])

    def test_a_missing_data_set_names_what_to_install(self):
        with Service() as service:
            task = service.directory / "no-data"
            shutil.copytree(SOURCE / "tasks" / "fashion-mnist", task)
            manifest = task / "task.yaml"
            manifest.write_text(manifest.read_text().replace(
                "/usr/share/datasets/fashion-mnist", "/nowhere/fashion-mnist"))
            said = service.run("task", "run", task, exit_code=1)
            self.assertIn("/nowhere/fashion-mnist", said)
            self.assertIn("dataset-fashion-mnist", said, "the hint of the task")
            service.submit("no-data", task, 5)
            said = service.run("campaign", "wait", "no-data", exit_code=7, seconds=120)
            self.assertIn("/nowhere/fashion-mnist", said)
            self.assertIn("dataset-fashion-mnist", said)

    def test_a_dead_endpoint_is_named_and_the_campaign_waits(self):
        with Service(options=("--base-url", DEAD_URL, "--model", "absent")) as service:
            service.submit("waiting", "online-bin-packing", 5, SMALL)
            service.wait_for(lambda: service.evaluations("waiting") == 1, 60, "the seed measured")
            service.wait_for(lambda: DEAD_URL in service.log("codegen"), 60, "the URL in the log")
            self.assertEqual(service.campaign("waiting")["state"], "CAMPAIGN_STATE_RUNNING")
            service.down()
            service.up()  # With the embedded model: it goes on where it was.
            campaign = service.wait_ended("waiting", 240)
            self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
            self.assertEqual(int(campaign["consumption"]["evaluations"]), 5)

    def test_without_a_database_the_coordinator_says_so(self):
        done = subprocess.run(
            [str(BINARIES / "cambrian-coordinator"), "--database", "host=/nowhere dbname=x",
             "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount a small disk")
    def test_a_full_disk_stops_nothing_for_good(self):
        service = Service()
        disk = service.directory / "dev"
        disk.mkdir()
        if LIBC.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=400m,mode=0755") != 0:
            self.skipTest("this environment does not let root mount")
        try:
            with service:
                service.submit("full", "online-bin-packing", 25, SMALL)
                service.wait_for(lambda: service.evaluations("full") >= 3, 60, "three evaluations")
                ballast = disk / "ballast"
                with ballast.open("wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(1 << 20))
                    except OSError:
                        pass  # Full.
                time.sleep(8)
                ballast.unlink()
                campaign = service.wait_ended("full", 180)
                self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
                self.assertEqual(int(campaign["consumption"]["evaluations"]), 25)
        finally:
            LIBC.umount2(bytes(disk), MNT_DETACH)

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount a small disk")
    def test_a_worker_with_a_full_disk_says_so_and_takes_no_work(self):
        disk = Path(tempfile.mkdtemp(prefix="cambrian-disk-"))
        if LIBC.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=2g,mode=0755") != 0:
            disk.rmdir()
            self.skipTest("this environment does not let root mount")
        try:
            config = disk / "worker.yaml"
            config.write_text(f"cache_directory: {disk / 'cache'}\n")
            with Service(options=("--worker-config", config)) as service:
                service.submit("full", "online-bin-packing", 25, SMALL)
                service.wait_for(lambda: service.evaluations("full") >= 2, 60, "two evaluations")
                ballast = disk / "ballast"
                # Less than a worker with LibTorch wants, more than what runs now may still write.
                with ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (900 << 20))
                service.wait_for(
                    lambda: "disk is full" in service.campaign("full").get("waiting", ""), 120,
                    "the campaign waits for room")
                self.assertIn("disk is full", service.run("doctor"))
                ballast.unlink()
                campaign = service.wait_ended("full", 180)
                self.assertEqual(campaign["state"], "CAMPAIGN_STATE_SUCCEEDED", campaign)
                self.assertEqual(int(campaign["consumption"]["evaluations"]), 25)
                lost = "SELECT count(*) FROM evaluation WHERE outcome = 'infrastructure'"
                self.assertEqual(service.query(lost), "0")
        finally:
            LIBC.umount2(bytes(disk), MNT_DETACH)
            disk.rmdir()


if __name__ == "__main__":
    unittest.main()
