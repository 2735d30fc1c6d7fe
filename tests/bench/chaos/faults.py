"""The faults and their seeded schedule. Each is a generator: it acts, yields the seconds until it
acts again, and ends what it began at last."""

import random
import signal
from dataclasses import dataclass

COORDINATORS = ("coordinator-a", "coordinator-b")
# So long, and the agent's leases are gone (stage.LEASE): what it reports then is stale.
LONG_SECONDS = (13, 15)
# Whoever stops agents kills them then.
STOP_SECONDS = 3


def kill(stage, target, rng):
    for name in target.split("+"):
        stage.processes[name].kill()
    yield rng.uniform(0.1, 3)
    for name in target.split("+"):
        stage.processes[name].start()


def kill_agent(stage, target, rng):
    """At once, or after some time in which it is given work that it never hears of."""
    process = stage.processes[target]
    if rng.random() < 0.6:
        process.freeze()
        yield rng.uniform(0.2, 1.5)
    process.kill()
    yield rng.uniform(0.1, 3)
    process.start()


def freeze(stage, target, rng):
    """A coordinator that wakes up finds that another one drives its campaigns."""
    process = stage.processes[target]
    process.freeze()
    yield rng.uniform(1, 7 if target in COORDINATORS else 4)
    process.thaw()


def freeze_long(stage, target, rng):
    process = stage.processes[target]
    process.freeze()
    yield rng.uniform(*LONG_SECONDS)
    process.thaw()


def stop(stage, target, _rng):
    """SIGTERM: it hands back what it has and goes. With no coordinator in reach it cannot."""
    process = stage.processes[target]
    process.is_wanted = False
    process.signal(signal.SIGTERM)
    yield STOP_SECONDS
    process.kill()
    process.start()


def restart_database(stage, _target, rng):
    stage.database.stop_fast()
    yield rng.uniform(0, 2)
    stage.database.server.start()


def crash_database(stage, _target, rng):
    stage.database.crash()
    yield rng.uniform(0, 2)
    stage.database.server.start()


def freeze_database(stage, _target, rng):
    stage.database.freeze()
    yield rng.uniform(0.5, 4)
    stage.database.thaw()


def terminate_backends(stage, _target, rng):
    share = rng.choice((0.3, 1))
    stage.database.psql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                        f" datname = 'cambrian' AND pid <> pg_backend_pid() AND random() < {share}",
                        database="postgres", seconds=20)
    yield 0


def fill_disk(stage, _target, rng):
    stage.database.fill_disk()
    yield rng.uniform(1, 4)
    stage.database.clear_disk()


def shift_database_clock(stage, _target, rng):
    stage.clocks["database"].shift(rng.choice((rng.uniform(10, 600), -rng.uniform(0.5, 3))))
    yield 0


def shift_clock(stage, target, rng):
    stage.clocks[target[-1]].shift(rng.uniform(-600, 600))
    yield 0


def pull_cable(stage, _target, rng):
    stage.network.pull()
    yield rng.uniform(1, 6)
    stage.network.plug()


def cut(stage, target, _rng):
    stage.proxy.order(target, "cut")
    yield 0


def lose_commits(stage, target, rng):
    """Between COMMIT and its answer: the server has committed, and the client never hears of it."""
    stage.proxy.order(target, "lose", rng.randint(1, 4))
    yield 0


def refuse(stage, target, rng):
    stage.proxy.order(target, "refuse")
    yield rng.uniform(0.5, 3)
    stage.proxy.order(target, "pass")


def delay(stage, target, rng):
    stage.proxy.order(target, "delay", rng.randint(5, 150))
    yield rng.uniform(1, 4)
    stage.proxy.order(target, "pass")


def blackhole(stage, target, rng):
    stage.proxy.order(target, "blackhole")
    yield rng.uniform(1, 4)
    stage.proxy.order(target, "pass")


def swallow(stage, target, rng):
    stage.proxy.order(target, "swallow")
    yield rng.uniform(1, 4)
    stage.proxy.order(target, "pass")


@dataclass(frozen=True)
class Kind:
    act: object
    targets: tuple
    weight: float
    resource: str = ""  # Faults of one resource never overlap; empty: the target.
    needs: str = ""  # What only some machines allow.

    @property
    def name(self):
        return self.act.__name__


def agent_names(stage):
    return tuple(one.name for one in stage.agents())


def kinds_of(stage):
    links = stage.LINKS
    data = ("data-a", "data-b")
    return (
        Kind(kill, COORDINATORS, 9),
        Kind(kill, ("coordinator-a+coordinator-b",), 2, "coordinators"),
        Kind(freeze, COORDINATORS, 5),
        Kind(freeze, agent_names(stage), 4),
        Kind(restart_database, ("database",), 4),
        Kind(crash_database, ("database",), 4),
        Kind(freeze_database, ("database",), 3),
        Kind(terminate_backends, ("database",), 6),
        Kind(fill_disk, ("database",), 2, needs="disk"),
        Kind(shift_database_clock, ("database",), 2),
        Kind(shift_clock, COORDINATORS, 2, "clock"),
        Kind(pull_cable, ("cable",), 4, needs="network"),
        Kind(cut, links, 8),
        Kind(lose_commits, data, 9, "commits"),
        Kind(refuse, links, 5),
        Kind(delay, links, 4),
        Kind(blackhole, links, 6),
        Kind(swallow, links, 5),
    )


def losing_kinds_of(stage):
    """Faults by which an agent loses its leases. An item that two different agents lost is a
    failure of its candidate, by rule: so these come one at a time, and not before everything that
    was lost has been made."""
    return (Kind(kill_agent, agent_names(stage), 5), Kind(freeze_long, agent_names(stage), 2),
            Kind(stop, agent_names(stage), 2))


@dataclass
class Fault:
    kind: Kind
    target: str
    seed: int

    def __str__(self):
        return f"{self.kind.name} {self.target}"

    def resources(self):
        if self.kind.resource == "coordinators":
            return set(COORDINATORS)
        return {self.kind.resource or self.target}


# Of so many faults one loses leases: for each, the campaigns concerned wait for a lease.
LOSING_ONE_OF = 6


def make_schedule(stage, seed, count):
    """Two lists: those that may overlap, and those that come one at a time."""
    rng = random.Random(seed)
    missing = set()
    if not stage.database.is_mounted:
        missing.add("disk")
    if stage.network is None:
        missing.add("network")
    schedule = ([], [])
    for number in range(count):
        is_losing = number % LOSING_ONE_OF == LOSING_ONE_OF - 1
        kinds = losing_kinds_of(stage) if is_losing else kinds_of(stage)
        kinds = [one for one in kinds if one.needs not in missing]
        kind = rng.choices(kinds, [one.weight for one in kinds])[0]
        fault = Fault(kind, rng.choice(kind.targets), rng.getrandbits(32))
        schedule[is_losing].append(fault)
    return schedule, sorted(missing)
