"""A whole service of real processes for one test: PostgreSQL, coordinator, code model, codegen
client and workers, started by `cambrian dev up` in a folder of its own and stopped at the end."""

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("CAMBRIAN_BINARY_DIR", SOURCE / "build" / "release")) / "bin"
COMMAND_SECONDS_MAX = 120


class CommandFailed(Exception):
    """A command of the CLI ended with another exit code than expected."""


class Service:
    """Use as a context manager. Everything it starts ends with it."""

    def __init__(self, workers=1, options=()):
        self.workers = workers
        self.options = options
        self.endpoint = ""
        self.directory = Path(tempfile.mkdtemp(prefix="cambrian-system-"))
        # PostgreSQL runs as another user when the tests run as root.
        self.directory.chmod(0o755)

    def __enter__(self):
        try:
            self.up(*self.options)
        except Exception:
            self.__exit__()
            raise
        return self

    def up(self, *options):
        self.run("dev", "up", "--directory", self.directory / "dev", "--workers", self.workers,
                 *options)
        self.endpoint = self.status()["endpoint"]

    def down(self):
        self.run("dev", "down", "--directory", self.directory / "dev")

    def __exit__(self, *_):
        try:
            self.down()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def environment(self):
        return os.environ | {
            "XDG_CONFIG_HOME": str(self.directory / "config"),
            "XDG_DATA_HOME": str(self.directory / "data"),
            "CAMBRIAN_ENDPOINT": self.endpoint,
            "NO_COLOR": "1",
        }

    def status(self):
        return self.json("dev", "status", "--directory", self.directory / "dev")

    def query(self, sql):
        """What psql prints of it: a line for each row, | between columns."""
        return self.run_on_database("psql", "-At", "-c", sql).strip()

    def run_on_database(self, name, *arguments):
        """The output of a program of PostgreSQL, which Debian keeps out of the path."""
        program = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[-1]
        return subprocess.run([program, *arguments, self.status()["database"]], check=True,
                              stdout=subprocess.PIPE).stdout.decode(errors="replace")

    def log(self, name):
        return (self.directory / "dev" / "logs" / f"{name}.log").read_text(errors="replace")

    def run(self, *arguments, exit_code=0, seconds=COMMAND_SECONDS_MAX, cwd=None):
        """Runs `cambrian ARGUMENTS...` and gives its standard output."""
        command = [str(BINARIES / "cambrian"), *map(str, arguments)]
        done = subprocess.run(
            command, env=self.environment, cwd=cwd or self.directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
        if done.returncode != exit_code:
            raise CommandFailed(
                f"{' '.join(command)}: exit code {done.returncode}, not {exit_code}\n"
                f"{done.stdout}\n{done.stderr}")
        return done.stdout if exit_code == 0 else done.stdout + done.stderr

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "-o", "json", **options))

    def submit(self, name, task, evaluations, parameters=None):
        """Submits a campaign on a task of the repository."""
        spec = {
            "api_version": "cambrian/v1", "kind": "Campaign", "name": name,
            "task": {"source": str(SOURCE / "tasks" / task), "parameters": parameters or {}},
            "evaluation": {"parallel": 4},
            "budget": {"evaluations": evaluations},
        }
        path = self.directory / f"{name}.yaml"
        path.write_text(json.dumps(spec))  # JSON is YAML.
        return self.run("campaign", "submit", path)

    def campaign(self, name):
        return self.json("campaign", "get", name)

    def evaluations(self, name):
        return int(self.campaign(name).get("consumption", {}).get("evaluations", 0))

    def wait_for(self, condition, seconds, what):
        """Polls until `condition()` is true; tolerates a service that is just being restarted."""
        deadline = time.monotonic() + seconds
        failure = None
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (CommandFailed, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
                failure = error
            time.sleep(0.3)
        raise AssertionError(f"not within {seconds} s: {what}; last failure: {failure}")

    def wait_ended(self, name, seconds=300):
        ended = ("SUCCEEDED", "STOPPED", "FAILED")
        self.wait_for(lambda: self.campaign(name)["state"].endswith(ended), seconds,
                      f"campaign {name} ends")
        return self.campaign(name)

    def events(self, name):
        lines = self.run("campaign", "watch", name, "-o", "json").splitlines()
        return [json.loads(line) for line in lines]

    def processes(self):
        """Process ids by the name of the program, as the supervisor knows them."""
        return {service["name"]: int(service["pid"]) for service in self.status()["services"]
                if service["phase"] == "ready"}

    def kill(self, name):
        """kill -9, as the kernel would do it when memory runs out."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        return pid
