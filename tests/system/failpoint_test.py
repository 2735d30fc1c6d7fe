"""Programs of a service that end at each of their named points (common/failpoint), one after the
other, while campaigns run: behind every transaction and before it, and wherever an agent speaks or
has been spoken to. They are started again, and nobody repairs anything. Then nothing is lost,
counted twice or taken late, and every campaign has the population of its twin without a fault.

Coordinators, codegen clients and workers are those of a build with failpoints, which checks them
for errors of memory, too (CAMBRIAN_FAILPOINT_DIR); the command line is the one that is shipped."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "bench" / "chaos"))
import chaos  # noqa: E402
import checker  # noqa: E402
from canned_model import CannedModel  # noqa: E402
from database import Database  # noqa: E402
from process import Process, wait_until  # noqa: E402
from stage import free_port  # noqa: E402

TOOLS = Path(os.environ.get("CAMBRIAN_BINARY_DIR", SOURCE / "build" / "release")) / "bin"
PROGRAMS = Path(os.environ.get("CAMBRIAN_FAILPOINT_DIR", SOURCE / "build" / "asan")) / "bin"
TASK = SOURCE / "tests" / "bench" / "chaos" / "task"
EVALUATIONS = 12
LEASE = "4s"
SYNC_INTERVAL = "1s"
PASSED_SECONDS_MAX = 30  # Until an armed point is passed: some happen every few seconds only.
START_SECONDS_MAX = 60
END_SECONDS_MAX = 120

AGENT_POINTS = ["agent.syncing", "agent.synced", "agent.begun", "agent.reporting",
                "agent.reported"]
CALL_POINTS = ["call.on_record", "call.answered"]
MOMENTS = ("before_commit", "after_commit")
# Transactions that go on by themselves while campaigns run.
STEADY = ["driver_acquire", "driver_renew", "driver_commit", "claim", "sync", "finish",
          "call_begin", "call_end", "count_attempts", "sweep_end", "sweep_calls", "tell_news",
          "forget"]
# Those that only read change nothing where they end; the others are not reached here.
READING = ["agent_list", "audit_list", "blob_find_missing", "blob_get", "campaign_get",
           "campaign_list", "control_look", "count_listeners", "count_ready", "driver_load",
           "driver_next_inputs", "driver_read_inputs", "events_read", "last_sequences", "overview",
           "quarantine_held", "shortage_find", "shortage_noted", "sweep_find", "task_get",
           "task_list", "token_list", "usage", "variant_get", "variant_lineage", "variant_list"]
NOT_HERE = {
    "agent_release": "needs a worker in quarantine", "quarantine": "likewise",
    "control_note": "comes with controls, which compare machines",
    "blob_put_checkpoint": "needs a training", "give_back": "needs a caller that went away",
    "campaign_compact": "takes away what the checker reads (retention_test.cpp)",
    "shortage_note": "needs work that nobody can do for a minute",
    "token_note_used": "needs tokens",
}


def points_in_sources():
    """What the sources name: transactions, and points of their own."""
    transactions, points = set(), set()
    for folder in ("coordinator", "codegen-client", "worker", "common"):
        for path in (SOURCE / folder).rglob("*.cpp"):
            text = path.read_text()
            transactions |= set(re.findall(
                r'database_\.run(?:_here)?\(\s*Lane::\w+,\s*"(\w+)"', text))
            points |= {".".join(pair) for pair in re.findall(
                r'CAMBRIAN_FAILPOINT\("(\w+)", "(\w+)"\)', text)}
    return transactions, points


class Service:
    """Two coordinators on one PostgreSQL, two workers, two codegen clients, a model."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cambrian-failpoints-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as another user when we are root.
        self.model = self.database = None
        self.processes = {}
        self.campaigns = 0
        try:
            self.model = CannedModel()
            self.model.__enter__()
            self.database = Database(self.folder, {})
            self.endpoints = {name: f"127.0.0.1:{free_port()}" for name in "ab"}
            for name in "ab":
                self.add_coordinator(name)
            for number in "12":
                self.add(f"worker-{number}", [PROGRAMS / "chaos_worker", "--name",
                                              f"worker-{number}", "--slots", 2, "--coordinator",
                                              self.addresses()])
                self.add_client(f"codegen-{number}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
        if self.database is not None:
            self.database.close()
        if self.model is not None:
            self.model.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def addresses(self):
        return ",".join(self.endpoints.values())

    def add(self, name, command):
        armed = self.folder / f"{name}.failpoint"
        armed.write_bytes(bytes(256))
        self.processes[name] = Process(
            name, command, self.folder / f"{name}.log",
            {"CAMBRIAN_LOG": "debug", "CAMBRIAN_FAILPOINT_FILE": str(armed)})

    def add_coordinator(self, name):
        path = self.folder / f"coordinator-{name}.yaml"
        path.write_text(json.dumps({
            "listen": self.endpoints[name], "metrics_listen": "127.0.0.1:0",
            "database": f"host={self.database.socket_folder} user=postgres dbname=cambrian",
            "lease_duration": LEASE, "sync_interval": SYNC_INTERVAL, "without_controls": True}))
        self.add(f"coordinator-{name}", [PROGRAMS / "cambrian-coordinator", "--config", path])

    def add_client(self, name):
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({
            "coordinator": self.addresses(), "name": name, "slots": 2,
            "endpoints": [{"name": "canned", "base_url": self.model.base_url,
                           "models": ["canned"], "parallel": 8}]}))
        self.add(name, [PROGRAMS / "cambrian-codegen", "--config", path])

    def agents(self):
        return [one for one in self.processes.values() if not one.name.startswith("coordinator")]

    def arm(self, name, point):
        with open(self.folder / f"{name}.failpoint", "r+b", buffering=0) as file:
            file.write(point.encode().ljust(256, b"\0"))

    def revive(self):
        for process in self.processes.values():
            process.revive()

    def wait(self, condition, seconds, what):
        def is_so():
            self.revive()
            return condition()
        wait_until(is_so, seconds, what)

    def start_all(self):
        for process in self.processes.values():
            if not process.is_running:
                process.start()
        self.wait(lambda: all(map(self.is_listening, "ab")), START_SECONDS_MAX,
                  "both coordinators listen")

    def is_listening(self, name):
        host, port = self.endpoints[name].rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False

    def psql(self, sql):
        return self.database.psql(sql)

    def cli(self, *arguments, seconds=60):
        done = subprocess.run(
            [str(TOOLS / "cambrian"), *map(str, arguments)], text=True, timeout=seconds,
            env=os.environ | {"CAMBRIAN_ENDPOINT": self.addresses(), "NO_COLOR": "1",
                              "XDG_CONFIG_HOME": str(self.folder / "config")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise AssertionError(f"cambrian {' '.join(map(str, arguments))}: {done.returncode}\n"
                                 f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def submit(self, prefix, number, **budget):
        name = f"{prefix}-{number}"
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({
            "api_version": "cambrian/v1", "kind": "Campaign", "name": name, "seed": number,
            "task": {"source": str(TASK)},
            "search": {"policy": chaos.POLICIES[number % len(chaos.POLICIES)]},
            # One proposal and one evaluation in flight: then the seed repeats the lineage.
            "evaluation": {"parallel": 1, "final_repeats": 1, "reuse": False},
            "codegen": {"parallel": 1}, "budget": {"evaluations": EVALUATIONS} | budget}))
        self.cli("campaign", "submit", path)
        return name


class Run:
    """Passes each point with a service that works meanwhile."""

    def __init__(self, service):
        self.service = service
        self.passed = []
        self.extras = 0
        self.ended_extra = None  # A small campaign beside the others that has ended.

    def keep_busy(self):
        """Two campaigns go on all the time."""
        service = self.service
        active = int(service.psql("SELECT count(*) FROM campaign WHERE name LIKE 'points-%'"
                                  " AND state IN ('running', 'draining', 'finalizing')"))
        for _ in range(2 - active):
            service.campaigns += 1
            service.submit("points", service.campaigns)

    def work_until(self, is_over):
        while not is_over.wait(0.5):
            self.keep_busy()

    def kills(self, names):
        return sum(self.service.processes[name].ends.count(-signal.SIGKILL) for name in names)

    def settle(self):
        """What was lost is made by others before more is lost: an item that two agents lost would
        end as a failure, by rule."""
        self.service.wait(lambda: self.service.psql(chaos.COUNT_LOST).strip() == "0",
                          END_SECONDS_MAX, "what was lost is made")

    def take(self, names, point, act=None):
        """Arms the point until one of the processes ends there."""
        service, before = self.service, self.kills(names)
        for name in names:
            service.arm(name, point)
        failures = []
        is_over = threading.Event()
        worker = threading.Thread(target=self.call,
                                  args=(act or functools.partial(self.work_until, is_over),
                                        failures))
        worker.start()
        try:
            service.wait(lambda: failures or self.kills(names) > before, PASSED_SECONDS_MAX,
                         f"something passes {point}")
        finally:
            for name in names:
                service.arm(name, "")
            is_over.set()
            while worker.is_alive():
                service.revive()
                worker.join(0.05)
        if failures:
            raise failures[0]
        service.wait(lambda: all(map(service.is_listening, "ab")), START_SECONDS_MAX,
                     f"all is well behind {point}")
        self.passed.append(point)

    @staticmethod
    def call(act, failures):
        try:
            act()
        except BaseException as error:  # Told by the thread that waits.
            failures.append(error)

    # What users do.

    def make_task(self):
        """A task that nobody has registered."""
        self.extras += 1
        folder = self.service.folder / f"task-{self.extras}"
        shutil.copytree(TASK, folder)
        manifest = folder / "task.yaml"
        manifest.write_text(manifest.read_text().replace(
            "Return a large number.", f"Return a large number, edition {self.extras}."))
        return folder

    def submit_extra(self, **budget):
        """With contents and a task of its own."""
        name = f"extra-{self.extras + 1}"
        path = self.service.folder / f"{name}.yaml"
        path.write_text(json.dumps({
            "api_version": "cambrian/v1", "kind": "Campaign", "name": name,
            "task": {"source": str(self.make_task())}, "evaluation": {"final_repeats": 1},
            "budget": budget or {"evaluations": 2}}))
        self.service.cli("campaign", "submit", path)
        self.assert_one(f"campaign WHERE name = '{name}'")
        return name

    def assert_one(self, rows):
        count = self.service.psql(f"SELECT count(*) FROM {rows}").strip()
        if count != "1":
            raise AssertionError(f"{count} of {rows}")

    def end_extra(self):
        name = self.submit_extra()
        self.service.cli("campaign", "wait", name)
        return name

    def stop_extra(self):
        self.service.cli("campaign", "stop", self.submit_extra(evaluations=500))

    def hint(self):
        name = self.submit_extra(evaluations=500)
        self.service.cli("campaign", "hint", name, "a larger one")
        self.service.cli("campaign", "stop", name)

    def delete(self):
        self.service.cli("campaign", "delete", self.end_extra(), "--yes")

    def move(self):
        self.extras += 1
        folder = self.service.folder / f"export-{self.extras}"
        self.service.cli("campaign", "export", self.ended_extra, "--to", folder)
        self.service.cli("campaign", "import", folder, "--name", f"import-{self.extras}")
        self.assert_one(f"campaign WHERE name = 'import-{self.extras}'")

    def make_token(self):
        self.extras += 1
        self.service.cli("admin", "token", "create", f"someone-{self.extras}")

    def revoke_token(self):
        self.make_token()
        self.service.cli("admin", "token", "revoke", f"someone-{self.extras}")

    def disown(self):
        self.service.cli("admin", "results", "disown", "--reason", "a test")

    def drain(self):
        agent = self.service.psql("SELECT agent_id FROM agent WHERE name = 'worker-2'"
                                  " ORDER BY last_sync_at DESC LIMIT 1").strip()
        self.service.cli("worker", "drain", agent)

    def stop_coordinators(self):
        """While they drive something, which they give up then."""
        self.submit_extra(evaluations=500)
        for name in "ab":
            process = self.service.processes[f"coordinator-{name}"]
            process.signal(signal.SIGTERM)

    def stop_extras(self):
        for name in self.service.psql("SELECT name FROM campaign WHERE name LIKE 'extra-%'"
                                      " AND state = 'running'").split():
            self.service.cli("campaign", "stop", name)

    def actions(self):
        return {"task_add": self.submit_extra, "blob_put": self.submit_extra,
                "campaign_create": self.submit_extra, "audit_add": self.submit_extra,
                "audit_set_outcome": self.submit_extra, "campaign_request": self.stop_extra,
                "campaign_hint": self.hint, "campaign_remove": self.delete,
                "campaign_purge": self.delete, "campaign_import": self.move,
                "token_create": self.make_token, "token_revoke": self.revoke_token,
                "results_disown": self.disown, "agent_drain": self.drain,
                "driver_append_time": lambda: self.submit_extra(wall_time="1s"),
                "driver_give_up": self.stop_coordinators}

    def start(self):
        """Points of a start: the first coordinator makes the tables."""
        first = self.service.processes["coordinator-a"]
        for point in [f"migration.{moment}" for moment in MOMENTS]:
            self.service.arm("coordinator-a", point)
            first.start()
            if first.child.wait(START_SECONDS_MAX) != -signal.SIGKILL:
                raise AssertionError(f"{point}: {first.text()}")
            self.passed.append(point)
        self.service.arm("coordinator-a", "")
        self.service.start_all()

    def pass_all(self):
        coordinators = ["coordinator-a", "coordinator-b"]
        self.start()
        self.ended_extra = self.end_extra()
        for name in STEADY:
            for moment in MOMENTS:
                if name == "sweep_end":  # Somebody has to lose a lease.
                    self.settle()
                    self.take(["worker-1"], "agent.begun")
                self.take(coordinators, f"{name}.{moment}",
                          self.stop_coordinators if name == "forget" else None)
        for name, act in self.actions().items():
            for moment in MOMENTS:
                self.take(coordinators, f"{name}.{moment}", act)
        self.stop_extras()
        for agent, points in (("worker-2", AGENT_POINTS),
                              ("codegen-1", AGENT_POINTS + CALL_POINTS)):
            for point in points:
                self.settle()
                self.take([agent], point)

    def wait_ended(self, prefix):
        self.service.wait(
            lambda: self.service.psql(
                f"SELECT count(*) FROM campaign WHERE name LIKE '{prefix}-%' AND state NOT IN"
                " ('succeeded', 'failed', 'stopped')").strip() == "0",
            END_SECONDS_MAX, f"the campaigns {prefix} end")


def history_of(service):
    """The rows of the campaigns that are compared, as the checker wants them."""
    history = chaos.Run.read_history(types.SimpleNamespace(stage=service))
    ours = {one["id"] for one in history.campaigns
            if one["name"].startswith(("points-", "calm-"))}
    items = {one["id"] for one in history.items if one["campaign_id"] in ours}
    history.campaigns = [one for one in history.campaigns if one["id"] in ours]
    for name in ("variants", "evaluations", "proposals", "items", "finished_events", "sequences"):
        setattr(history, name,
                [one for one in getattr(history, name) if one["campaign_id"] in ours])
    history.attempts = [one for one in history.attempts if one["item_id"] in items]
    history.delivered = {pair for pair in history.delivered if pair[0] in items}
    history.refused = {pair for pair in history.refused if pair[0] in items}
    history.open_calls = 0  # Of those that are not compared some may be left.
    return history


class Failpoints(unittest.TestCase):
    maxDiff = None

    def test_every_point_has_its_place_here(self):
        transactions, points = points_in_sources()
        actions = set(Run(None).actions())
        known = set(STEADY) | set(READING) | set(NOT_HERE) | actions
        self.assertEqual(transactions - known, set(), "not passed, and no reason is given")
        self.assertEqual(known - transactions, set(), "there are no such transactions")
        self.assertEqual(points, set(AGENT_POINTS) | set(CALL_POINTS)
                         | {f"migration.{moment}" for moment in MOMENTS})

    def test_whoever_ends_wherever_nothing_is_lost(self):
        with Service() as service:
            run = Run(service)
            try:
                run.pass_all()
                run.wait_ended("points")
                for number in range(1, service.campaigns + 1):
                    service.submit("calm", number)
                run.wait_ended("calm")
                self.check(service, run)
            except BaseException:
                print(f"passed: {run.passed}")
                for process in service.processes.values():
                    print(f"----- {process.name}\n{process.text()[-1500:]}")
                raise

    def check(self, service, run):
        history = history_of(service)
        self.assertEqual(checker.shown(checker.check(history, EVALUATIONS)), {})
        ids = {one["name"]: one["id"] for one in history.campaigns}
        ended = checker.ended_by_rule(history)
        compared = 0
        for number in range(1, service.campaigns + 1):
            name = f"points-{number}"
            if ids[name] in ended:
                continue
            compared += 1
            difference = checker.find_difference(
                checker.population(history, ids[f"calm-{number}"]),
                checker.population(history, ids[name]))
            self.assertIsNone(difference, name)
            service.cli("campaign", "replay", name)
        self.assertGreaterEqual(compared, 0.75 * service.campaigns)
        for process in service.processes.values():
            others = [code for code in process.ends if code not in (0, -signal.SIGKILL)]
            self.assertEqual(others, [], f"{process.name}:\n{process.text()[-4000:]}")
        print(f"{len(run.passed)} points, {service.campaigns} campaigns, {compared} compared, "
              f"{len(history.delivered)} results")


if __name__ == "__main__":
    unittest.main()
