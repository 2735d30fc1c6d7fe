"""At least 70 % of the edits proposed for the shipped tasks in plain C++ and Python compile.

Small counts, for every run of the tests; tests/bench/model_server measures more, and LibTorch."""

import os
import pathlib
import sys
import tempfile
import unittest

import server

sys.path.insert(0, str(server.REPOSITORY / "tests" / "bench" / "model_server"))
import measure  # noqa: E402

COUNT = 12


class FirstError(unittest.TestCase):
    def test_begins_with_the_cause(self):
        end = "candidate ended: waiting_for=trained\nlast output:\n" + "x" * 500
        self.assertTrue(measure.first_error(end).startswith("candidate ended: waiting_for=trained"))
        self.assertEqual(len(measure.first_error(end)), measure.ERROR_CHARACTERS_MAX)

    def test_of_a_compiler_is_its_first_one(self):
        text = "/a/path/model.cpp:3:4: error: no type named 'Net'\n  3 | Net\nb:1: error: two\n"
        self.assertEqual(measure.first_error(text), "no type named 'Net'")
        self.assertEqual(measure.first_error(""), "")


class CompileRate(unittest.TestCase):
    def measure(self, name):
        task = measure.Task(name)
        seed = int(os.environ.get("CAMBRIAN_TEST_SEED", "1"))
        with tempfile.TemporaryDirectory(prefix="cambrian-compile-rate-") as folder:
            variants = measure.make_variants(server.PROGRAM, task, COUNT, seed,
                                             pathlib.Path(folder))
            self.assertEqual(len(variants), COUNT)
            original = task.seed.read_text()
            for variant in variants:
                self.assertNotEqual(variant.path.read_text(), original)
            measure.check(task, variants, pathlib.Path(folder))
            result = measure.report(task, variants, True)
        self.assertGreaterEqual(result["share"], measure.SHARE_MIN, f"seed={seed}")

    def test_online_bin_packing(self):
        self.measure("online-bin-packing")

    def test_circle_packing(self):
        self.measure("circle-packing")

    def test_python_regression(self):
        self.measure("python-regression")

    def test_every_seed_of_every_task_is_changed(self):
        """LibTorch tasks too: compiling them takes too long here."""
        for manifest in sorted((server.REPOSITORY / "tasks").glob("*/task.yaml")):
            task = measure.Task(manifest.parent.name)
            with self.subTest(task=manifest.parent.name), \
                    tempfile.TemporaryDirectory(prefix="cambrian-compile-rate-") as folder:
                variants = measure.propose(server.PROGRAM, task.seed, task.language, None, 40, 1,
                                           "diff", folder)
                texts = {variant.path.read_text() for variant in variants}
                self.assertGreater(len(texts), 25)
                operators = {name for variant in variants for name in variant.operators}
                self.assertGreater(len(operators), 4)


if __name__ == "__main__":
    unittest.main()
