"""Starts cambrian-codemodel for a test and ends it again."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("CAMBRIAN_CODEMODEL") or str(
    REPOSITORY / "build" / "release" / "bin" / "cambrian-codemodel")
SCHEMAS = REPOSITORY / "tests" / "data" / "openai"

PROGRAM_TEXT = """#include <cmath>
// EVOLVE-BLOCK-START
double priority(double item, double left) {
  return -0.5 * left + item;
}
// EVOLVE-BLOCK-END
"""


def prompt(seed=1, operator="diff"):
    """A user message in the form of docs/prompt-format.md."""
    return (f"## Task: test\nPack.\n\n## Parent program\nVariant 1: score=0.5\nFile: priority.cpp\n"
            f"```cpp\n{PROGRAM_TEXT}```\n\n## Operator: {operator}\nChange it.\n\n"
            f"## Variation seed: {seed}\n")


def messages(seed=1, operator="diff"):
    return [{"role": "system", "content": "You change programs."},
            {"role": "user", "content": prompt(seed, operator)}]


@contextlib.contextmanager
def running(*arguments):
    """The running server: yields (address, process)."""
    with tempfile.TemporaryDirectory(prefix="cambrian-codemodel-") as folder:
        address_file = pathlib.Path(folder) / "address.json"
        process = subprocess.Popen(
            [PROGRAM, "--listen", "127.0.0.1:0", "--address-file", str(address_file), *arguments])
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not address_file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start: exit={process.poll()}")
                time.sleep(0.02)
            yield json.loads(address_file.read_text())["http"], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
