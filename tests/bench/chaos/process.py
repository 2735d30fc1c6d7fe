"""One program that the run starts, kills, stops and starts again: by its process id alone."""

import ctypes
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
SHORT = 0.02


def unprivileged_user():
    """Whom PostgreSQL runs as where we are root; it refuses to be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("there is neither a user postgres nor nobody to run PostgreSQL as")


class Process:
    """Its output is appended to one file through all its lives. Start it from the main thread: it
    ends with the thread that started it."""

    def __init__(self, name, command, log, environment=None, user=None, network=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = os.environ | (environment or {})
        self.user = user
        self.network = network  # A descriptor of a network namespace.
        self.child = None
        self.is_wanted = False
        self.is_frozen = False
        self.next_try = 0.0
        self.ends = []  # Of lives that nobody ended: their exit codes.

    def start(self):
        self.is_wanted = True
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, env=self.environment, cwd="/",
                                          preexec_fn=self.prepare)

    def prepare(self):
        if self.network is not None:
            LIBC.setns(self.network, CLONE_NEWNET)
        if self.user is not None:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    @property
    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.is_running:
            self.child.send_signal(number)

    def kill(self):
        """SIGKILL; it stays away until it is started again."""
        self.is_wanted = False
        self.is_frozen = False
        if self.is_running:
            self.child.kill()
            self.child.wait()

    def freeze(self):
        self.is_frozen = True
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.is_frozen = False
        self.signal(signal.SIGCONT)

    def stop(self, seconds):
        """SIGTERM; the exit code, or none where it had to be killed."""
        self.is_wanted = False
        self.thaw()
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            return None

    def revive(self):
        """Starts it again where it ended by itself."""
        if not self.is_wanted or self.is_running:
            return
        now = time.monotonic()
        if self.child is not None and self.child.returncode is not None:
            self.ends.append(self.child.returncode)
            self.child = None
            self.next_try = now + 0.5
        if now >= self.next_try:
            self.start()

    def text(self):
        try:
            return Path(self.log).read_text(errors="replace")
        except FileNotFoundError:
            return ""


def children_of(parent):
    """Children of a process: PostgreSQL's leave its process group."""
    children = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            status = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent:
            children.append(int(entry))
    return children


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(SHORT)
