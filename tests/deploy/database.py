"""A PostgreSQL for one test."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

START_SECONDS = 60


def as_database_user():
    """PostgreSQL refuses to run as root: root becomes the user postgres."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class Server:
    """A PostgreSQL of its own, on a Unix socket in a temporary folder."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cambrian-sql-", dir="/tmp"))
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder / "data"
        self.environment = {"PATH": os.environ["PATH"], "PGHOST": str(self.folder),
                            "LC_ALL": "C.UTF-8"}
        self.run("initdb", "-D", data, "-U", "cambrian", "-A", "trust", "--no-sync")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*as_database_user(), "postgres", "-D", data, "-k", self.folder, "-h", "",
                 "-c", "fsync=off"], env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not (self.folder / ".s.PGSQL.5432").exists() or not self.is_ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.1)
        self.run("createdb", "-U", "cambrian", "cambrian")

    def is_ready(self):
        return subprocess.run(["pg_isready", "-q", "-h", self.folder], check=False).returncode == 0

    def run(self, *command, **more):
        return subprocess.run([*as_database_user(), *map(str, command)], check=True, text=True,
                              capture_output=True, env=self.environment | more)

    def sql(self, text, user="cambrian", options=("-qAt",)):
        result = subprocess.run(
            [*as_database_user(), "psql", "-U", user, "-d", "cambrian", "-v", "ON_ERROR_STOP=1",
             *options], input=text, text=True, capture_output=True, env=self.environment,
            check=False)
        if result.returncode != 0:
            raise ValueError(result.stderr.strip())
        return result.stdout

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        shutil.rmtree(self.folder)
