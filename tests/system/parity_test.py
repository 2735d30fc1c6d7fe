"""The warm evaluator and the compiler give the same outcomes and the same metrics, bit for bit: all
shipped tasks, their seeds and the code model's variants of them."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["CAMBRIAN_BINARY_DIR"])
MEASURE = REPOSITORY / "tests" / "bench" / "evaluation" / "measure.py"
TASKS = ["mnist1d", "fashion-mnist", "online-bin-packing", "circle-packing", "python-regression"]
SOURCES = 15
VARIANTS_MIN = 50
# A few sources use what only the compiler can do, and are given to it.
WARM_SHARE_MIN = 0.9


def seeds_of(task):
    folder = REPOSITORY / "tasks" / task
    return 1 + len([path for path in folder.glob("seeds/*") if path.is_file()])


class ParityTest(unittest.TestCase):
    def test_both_ways_give_the_same(self):
        if not (BUILD / "bin" / "cambrian-evaluator").exists():
            self.skipTest("built without libclang")
        seed = os.environ.get("CAMBRIAN_TEST_SEED", "1")
        print(f"CAMBRIAN_TEST_SEED={seed} repeats the variants")
        done = subprocess.run(
            ["/usr/bin/python3", MEASURE, *TASKS, "--json", "--count", str(SOURCES), "--gxx", "0",
             "--throughput", "0", "--seed", seed, "--build", BUILD],
            stdout=subprocess.PIPE, text=True)
        self.assertIn(done.returncode, (0, 1))
        summary = json.loads(done.stdout)
        parity = summary["parity"]
        # What packs circles until its time is over gives another packing each time.
        compared = parity["sources"] - parity["unrepeatable"]
        variants = compared - sum(seeds_of(task) for task in TASKS)
        self.assertGreaterEqual(variants, VARIANTS_MIN)
        self.assertEqual(parity["different"], [])
        self.assertEqual(parity["equal"], compared)
        self.assertGreaterEqual(parity["built_warm"] / parity["sources"], WARM_SHARE_MIN)
        for name in TASKS:
            rows = summary["tasks"][name]["sources"]
            good = [row for row in rows if row["warm"]["outcome"] == "success"]
            self.assertGreater(len(good), len(rows) // 2, f"{name}: most must run to compare much")


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
