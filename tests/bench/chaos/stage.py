"""Everything that takes part: PostgreSQL, two coordinators, workers, codegen clients, a model, and
between them a proxy of our own that can disturb each connection."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from canned_model import CannedModel
from database import Database
from network import try_network
from process import Process, wait_until

SOURCE = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("CAMBRIAN_BINARY_DIR", SOURCE / "build" / "release"))
WORKERS = 4
CLIENTS = 2
SLOTS = 8  # Of each agent.
# Agents call every two seconds: of each lease ten are left whatever happens. Outages of the
# schedule are shorter, so that only agents that are killed or away for long lose their leases.
LEASE = "12s"
SYNC_INTERVAL = "2s"
CONTROL_INTERVAL = "5s"  # So often that short runs have some.
PATIENCE_SECONDS = 60


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Clock:
    """What a program takes for the time of day, shifted by a file that it reads."""

    def __init__(self, folder, name):
        self.path = Path(folder) / f"clock-{name}"
        self.seconds = 0.0
        self.path.write_bytes(bytes(8))
        library = Path(folder) / "chaos_clock.so"
        if not library.exists():
            shutil.copy(BUILD / "lib" / "chaos_clock.so", library)
        self.environment = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self.path)}

    def shift(self, seconds):
        self.seconds += seconds
        with self.path.open("r+b", buffering=0) as file:
            file.write(int(self.seconds * 1e9).to_bytes(8, "little", signed=True))


class Proxy:
    def __init__(self, links, log):
        self.child = subprocess.Popen([str(BUILD / "bin" / "chaos_proxy"), *links], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        if self.child.stdout.readline().strip() != "ready":
            raise RuntimeError("the proxy does not start")

    def order(self, *words):
        print(*words, file=self.child.stdin, flush=True)
        said = self.child.stdout.readline().strip()
        if not said or said.startswith("error"):
            raise RuntimeError(f"the proxy: {words}: {said or 'it has ended'}")
        return said

    def close(self):
        self.child.kill()
        self.child.wait()


class Stage:
    """Use as a context manager. Everything that it starts ends with it."""

    LINKS = ("agents-a", "agents-b", "data-a", "data-b")

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cambrian-chaos-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as another user when we are root.
        self.model = self.database = self.proxy = self.network = None
        self.processes = {}
        try:
            self.open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def open(self):
        self.model = CannedModel()
        self.model.__enter__()
        self.clocks = {name: Clock(self.folder, name) for name in ("database", "a", "b")}
        self.database = Database(self.folder, self.clocks["database"].environment)
        self.network = try_network()
        hosts = {"a": ("127.0.0.1", "127.0.0.1"), "b": ("127.0.0.1", "127.0.0.1")}
        if self.network is not None:
            hosts["b"] = (self.network.here, self.network.there)
        self.endpoints = {}
        self.addresses = {}
        links = []
        for name, (here, there) in hosts.items():
            data = f"{here}:{free_port(here)}"
            self.endpoints[name] = f"{there}:{free_port()}"
            self.addresses[name] = f"127.0.0.1:{free_port()}"
            links += [f"agents-{name}={self.addresses[name]}={self.endpoints[name]}",
                      f"data-{name}={data}={self.database.socket}"]
            self.add_coordinator(name, data)
        self.proxy_log = open(self.folder / "proxy.log", "ab")
        self.proxy = Proxy(links, self.proxy_log)
        for name in hosts:
            self.start_and_wait(name)
        for i in range(WORKERS):
            self.add_worker(f"worker-{i + 1}", "ab"[i % 2])
        for i in range(CLIENTS):
            self.add_client(f"codegen-{i + 1}", "ab"[i % 2])
        for process in self.agents():
            process.start()

    def add(self, name, command, environment=None, network=None):
        self.processes[name] = Process(name, command, self.folder / f"{name}.log", environment,
                                       network=network)

    def add_coordinator(self, name, data):
        host, port = data.rsplit(":", 1)
        config = {"listen": self.endpoints[name], "metrics_listen": "127.0.0.1:0",
                  "database": f"host={host} port={port} user=postgres dbname=cambrian "
                              "sslmode=disable gssencmode=disable",
                  "lease_duration": LEASE, "sync_interval": SYNC_INTERVAL,
                  "control_interval": CONTROL_INTERVAL,
                  # In a namespace of its own nobody else reaches it.
                  "i_know_that_anyone_who_reaches_this_port_can_run_code": True}
        path = self.folder / f"coordinator-{name}.yaml"
        path.write_text(json.dumps(config))
        is_inside = self.network is not None and name == "b"
        self.add(f"coordinator-{name}",
                 [BUILD / "bin" / "cambrian-coordinator", "--config", path],
                 self.clocks[name].environment, self.network.namespace if is_inside else None)

    def start_and_wait(self, name):
        process = self.processes[f"coordinator-{name}"]
        process.start()
        host, port = self.endpoints[name].rsplit(":", 1)

        def is_listening():
            try:
                socket.create_connection((host, int(port)), 1).close()
                return True
            except OSError:
                return False
        wait_until(is_listening, PATIENCE_SECONDS, f"{process.name} listens:\n{process.text()}")

    def addresses_from(self, first):
        """Of both coordinators, behind the proxy: agents take the first that answers."""
        return ",".join(self.addresses[name] for name in (first, *set("ab") - {first}))

    def add_worker(self, name, coordinator):
        self.add(name, [BUILD / "bin" / "chaos_worker", "--name", name, "--slots", SLOTS,
                        "--coordinator", self.addresses_from(coordinator)],
                 {"CAMBRIAN_LOG": "debug"})

    def add_client(self, name, coordinator):
        config = {"coordinator": self.addresses_from(coordinator), "name": name, "slots": SLOTS,
                  "endpoints": [{"name": "canned", "base_url": self.model.base_url,
                                 "models": ["canned"], "parallel": 64}]}
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(config))
        self.add(name, [BUILD / "bin" / "cambrian-codegen", "--config", path],
                 {"CAMBRIAN_LOG": "debug"})

    def agents(self):
        return [one for one in self.processes.values() if not one.name.startswith("coordinator")]

    def revive(self):
        """What ended by itself is started again, as a supervisor would."""
        self.database.server.revive()
        for process in self.processes.values():
            process.revive()

    def cli(self, *arguments, seconds=300):
        done = subprocess.run(
            [str(BUILD / "bin" / "cambrian"), *map(str, arguments)], text=True, timeout=seconds,
            env=os.environ | {"CAMBRIAN_ENDPOINT": self.endpoints["a"], "NO_COLOR": "1",
                              "XDG_CONFIG_HOME": str(self.folder / "config")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"cambrian {' '.join(map(str, arguments))}: {done.returncode}\n"
                               f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
        if self.proxy is not None:
            self.proxy.close()
            self.proxy_log.close()
        if self.network is not None:
            self.network.close()
        if self.database is not None:
            self.database.close()
        if self.model is not None:
            self.model.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)
