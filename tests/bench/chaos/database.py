"""A private PostgreSQL with its durable defaults, on a disk of its own that can be filled."""

import glob
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from process import LIBC, Process, children_of, has_ended, unprivileged_user, wait_until

MNT_DETACH = 2
DISK_BYTES = 1 << 30
BALLAST_PIECE = 4096
SETTINGS = {"listen_addresses": "", "max_connections": "120", "shared_buffers": "128MB",
            "max_wal_size": "256MB", "log_line_prefix": "%m [%p] "}
PATIENCE_SECONDS = 60


def tool(name):
    """A program of PostgreSQL, which Debian keeps out of the path."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if found:
        return found[-1]
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"PostgreSQL is not installed: {name} was not found")
    return path


class Database:
    """Root mounts a tmpfs for it, so that its disk can be full without anybody else's being so."""

    def __init__(self, folder, environment):
        self.disk = Path(folder) / "disk"
        self.disk.mkdir()
        self.is_mounted = os.geteuid() == 0 and LIBC.mount(
            b"none", bytes(self.disk), b"tmpfs", 0, f"size={DISK_BYTES},mode=0755".encode()) == 0
        user = unprivileged_user()
        if user is not None:
            os.chown(self.disk, user.pw_uid, user.pw_gid)
        self.data = self.disk / "data"
        self.socket_folder = Path(folder) / "socket"
        self.socket_folder.mkdir()
        self.socket_folder.chmod(0o777)
        log = Path(folder) / "postgres.log"
        log.touch()
        initdb = Process("initdb", [tool("initdb"), "--pgdata", self.data, "--username", "postgres",
                                    "--auth", "trust", "--encoding", "UTF8", "--locale", "C"],
                         log, user=user)
        initdb.start()
        if initdb.child.wait(PATIENCE_SECONDS) != 0:
            raise RuntimeError(f"initdb failed:\n{initdb.text()}")
        command = [tool("postgres"), "-D", self.data, "-k", self.socket_folder]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        self.server = Process("postgres", command, log, environment, user)
        self.frozen = []
        self.server.start()
        self.wait_ready()
        self.psql("CREATE DATABASE cambrian", database="postgres")

    @property
    def socket(self):
        return self.socket_folder / ".s.PGSQL.5432"

    def wait_ready(self):
        wait_until(self.is_ready, PATIENCE_SECONDS, "PostgreSQL is ready")

    def is_ready(self):
        self.server.revive()
        return subprocess.run([tool("pg_isready"), "-q", "-t", "2", "-h", self.socket_folder],
                              check=False).returncode == 0

    def psql(self, sql, database="cambrian", seconds=60):
        """What the statement says, past all proxies."""
        done = subprocess.run(
            [tool("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket_folder),
             "-U", "postgres", "-d", database, "-c", sql],
            text=True, check=True, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout

    def rows(self, sql):
        said = self.psql(f"SELECT row_to_json(t) FROM ({sql}) t", seconds=300)
        return [json.loads(line) for line in said.splitlines()]

    def stop_fast(self):
        """As an operator restarts it: every session is ended (SIGINT)."""
        self.server.is_wanted = False
        self.server.signal(signal.SIGINT)
        self.server.child.wait(PATIENCE_SECONDS)

    def crash(self):
        """SIGKILL to the postmaster and all its children: as if the machine had crashed."""
        self.server.is_wanted = False
        self.server.signal(signal.SIGSTOP)  # It makes no more children while they are counted.
        children = children_of(self.server.child.pid)
        self.server.kill()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        # A new server refuses to start while a process of the old one holds its shared memory.
        wait_until(lambda: all(has_ended(child) for child in children), PATIENCE_SECONDS,
                   "the processes of PostgreSQL end")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self):
        """Connections stand, and nobody answers on them."""
        self.server.freeze()  # First: it makes no more children while they are counted.
        self.frozen = children_of(self.server.child.pid)
        for child in self.frozen:
            os.kill(child, signal.SIGSTOP)

    def thaw(self):
        for child in self.frozen:
            try:
                os.kill(child, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.frozen = []
        self.server.thaw()

    def fill_disk(self):
        with (self.disk / "ballast").open("wb", buffering=0) as file:
            disk = os.statvfs(self.disk)
            os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail - 64) * disk.f_bsize)
            file.seek(0, os.SEEK_END)
            try:
                while True:
                    file.write(bytes(BALLAST_PIECE))
            except OSError:
                pass  # Full.

    def clear_disk(self):
        (self.disk / "ballast").unlink(missing_ok=True)

    def close(self):
        self.clear_disk()
        self.thaw()
        if self.server.is_running:
            self.crash()
        if self.is_mounted:
            time.sleep(0.1)
            LIBC.umount2(bytes(self.disk), MNT_DETACH)
