"""The official JavaScript client. Needs the npm registry once; then the cache folder has it."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import server

PACKAGE = "openai@7.57.0"  # Pinned: later ones need a newer Node.js than Debian 13 has.
INSTALL_SECONDS_MAX = 120
SKIPPED = 77


def cache():
    base = os.environ.get("CAMBRIAN_CACHE")
    if base:
        return pathlib.Path(base)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(home) / "cambrian"


def install():
    """The folder with node_modules/openai, or the reason why there is none."""
    folder = cache() / "npm-openai-7.57.0"
    if (folder / "node_modules" / "openai" / "package.json").exists():
        return folder, None
    if not shutil.which("npm"):
        return None, "npm is not installed"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund",
               "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000", PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=INSTALL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None, "the npm registry did not answer"
    if done.returncode != 0:
        return None, "npm cannot install " + PACKAGE + ": " + done.stderr.strip()[-200:]
    return folder, None


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
