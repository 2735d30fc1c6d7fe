"""The official JavaScript client. Needs the npm registry once; then the cache has it."""

import pathlib
import shutil
import subprocess
import sys
import unittest

import server

INSTALL = pathlib.Path(__file__).parents[3] / "scripts/tools/install"
INSTALL_SECONDS_MAX = 180
SKIPPED = 77


def install():
    """The folder with node_modules, pinned by its lock file, or the reason why there is none."""
    try:
        done = subprocess.run([INSTALL], capture_output=True, text=True, check=False,
                              timeout=INSTALL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None, "the npm registry did not answer"
    if done.returncode != 0:
        return None, done.stderr.strip()
    return pathlib.Path(done.stdout.strip()).parent, None


class Npm(unittest.TestCase):
    folder = None

    def test_the_client_passes(self):
        script = self.folder / "npm_client.mjs"
        shutil.copyfile(pathlib.Path(__file__).with_name("npm_client.mjs"), script)
        with server.running("--faults") as (address, _):
            done = subprocess.run(["node", str(script), f"http://{address}/v1"],
                                  capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    Npm.folder, reason = install()
    if Npm.folder is None:
        print("skipped: " + reason)
        sys.exit(SKIPPED)
    unittest.main()
