"""Runs campaigns of several arms and seeds at equal budget through a service of its own, and
compares them. scripts/bench runs it inside the toolchain."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("CAMBRIAN_BINARY_DIR", SOURCE / "build" / "release")) / "bin"
COMMAND_SECONDS_MAX = 300
POLL_SECONDS = 5
ARMS_MAX = 20
OPERATORS = {"diff": 0.7, "rewrite": 0.1, "crossover": 0.2}  # The service's default.
OWN_OPERATORS = ("tune", "repair", "simplify", "explain")  # Each with its share of all.
SEEDS_MAX = 200


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench search", description=__doc__,
        epilog="An arm is a policy, with fields of `search` after colons where it is of another "
               "shape: --arms random,islands,sequential:children=10:generations=4; tune=0.3 "
               "gives that share of the proposals to the operator tune")
    parser.add_argument("--task", default="online-bin-packing",
                        help="folder, or name of one in tasks/ (default: %(default)s)")
    parser.add_argument("--arms", default="random,islands",
                        help="policies to compare (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="campaigns of each arm")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--evaluations", type=int, default=100, help="budget of each campaign")
    parser.add_argument("--parallel", type=int, default=0,
                        help="evaluations of one campaign in flight (default: two for each slot; "
                             "more would hide from a search what it could have learnt)")
    parser.add_argument("--evaluator", choices=["warm", "compile"], default="warm",
                        help="of the worker; results are the same (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="evaluations of each variant")
    parser.add_argument("--race", action="store_true",
                        help="end the repeats of a variant that is shown to be worse")
    parser.add_argument("--final-repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER",
                        help="a parameter of the task; repeatable")
    parser.add_argument("--slots", type=int, default=os.cpu_count(), help="evaluations at once")
    parser.add_argument("--minutes-max", type=float, default=120,
                        help="compare what there is after so long (default: %(default)s)")
    parser.add_argument("--target", help="score that counts as a success")
    parser.add_argument("--svg", help="folder for plots")
    parser.add_argument("--export", help="folder for the events of every campaign")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    options.parallel = options.parallel or 2 * options.slots
    options.arms = [arm for arm in options.arms.split(",") if arm]
    if not 2 <= len(set(options.arms)) <= ARMS_MAX or len(set(options.arms)) < len(options.arms):
        parser.error(f"--arms needs 2 to {ARMS_MAX} different arms")
    if options.race and options.repeats < 4:
        parser.error("--race needs --repeats of at least 4")
    if not 1 <= options.seeds <= SEEDS_MAX or options.evaluations < 1:
        parser.error(f"--seeds must be 1 to {SEEDS_MAX}, --evaluations at least 1")
    folder = Path(options.task)
    options.task = folder if (folder / "task.yaml").exists() else SOURCE / "tasks" / options.task
    if not (options.task / "task.yaml").exists():
        parser.error(f"no such task: {options.task}")
    return options


def number(text):
    value = float(text)
    return int(value) if value.is_integer() else value


def search_of(arm):
    """`sequential:children=10` as the `search` of a campaign."""
    policy, *fields = arm.split(":")
    search = {"policy": policy}
    shares = {}
    for field in fields:
        name, _, value = field.partition("=")
        if name in OWN_OPERATORS:
            shares[name] = number(value)
        elif name == "learn_shares":
            search[name] = bool(number(value))
        elif name == "selection":
            search[name] = value
        else:
            search[name] = number(value)
    if shares:
        rest = 1 - sum(shares.values())
        search["operators"] = [{"kind": kind, "weight": weight * rest}
                               for kind, weight in OPERATORS.items()]
        search["operators"] += [{"kind": kind, "weight": share} for kind, share in shares.items()]
    return search


def campaign_of(options, name, arm, seed):
    spec = {
        "api_version": "cambrian/v1", "kind": "Campaign", "name": name, "seed": seed,
        "task": {"source": str(options.task.resolve())},
        "search": search_of(arm),
        "evaluation": {"repeats": options.repeats, "race": options.race,
                       "final_repeats": options.final_repeats, "parallel": options.parallel,
                       # The workers are our own: every evaluation is for the search.
                       "confirm_sigma": 0},
        "budget": {"evaluations": options.evaluations},
    }
    if options.set:
        spec["task"]["parameters"] = {
            name: number(value) for name, _, value in (one.partition("=") for one in options.set)}
    return spec


class Service:
    """A local environment in a folder of its own that ends with this program."""

    def __init__(self, slots, evaluator):
        self.slots = slots
        self.evaluator = evaluator
        self.directory = Path(tempfile.mkdtemp(prefix="cambrian-bench-"))
        self.directory.chmod(0o755)  # PostgreSQL runs as another user where we are root.
        self.environment = {
            **{name: value for name, value in os.environ.items()
               if not name.startswith("CAMBRIAN_")},
            "CAMBRIAN_DEV_DIRECTORY": str(self.directory / "dev"),
            "CAMBRIAN_CONFIG": str(self.directory / "none.yaml"),
            "CAMBRIAN_DEV_UNTIL": str(os.getpid())}

    def __enter__(self):
        try:
            config = self.directory / "worker.yaml"
            config.write_text(f"evaluator: {self.evaluator}\n")
            self.run("dev", "up", "--workers", "1", "--slots", str(self.slots),
                     "--worker-config", str(config))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            with contextlib.suppress(subprocess.SubprocessError):
                self.run("dev", "down", check=False)
        finally:
            if kind not in (None, KeyboardInterrupt):
                logs = Path(tempfile.mkdtemp(prefix="cambrian-bench-logs-"))
                shutil.copytree(self.directory / "dev" / "logs", logs, dirs_exist_ok=True)
                print(f"bench: kept the service's logs in {logs}", file=sys.stderr)
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *arguments, check=True):
        done = subprocess.run([BINARIES / "cambrian", *arguments], env=self.environment, text=True,
                              capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False)
        if check and done.returncode != 0:
            sys.exit(f"cambrian {' '.join(map(str, arguments))}: exit {done.returncode}\n"
                     f"{done.stderr}")
        return done.stdout


def submit_all(service, options):
    """Seed by seed, so that a run that is cut short has all arms. Names by arm."""
    names = {arm: [] for arm in options.arms}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for place, arm in enumerate(options.arms):
            policy = re.sub(r"[^a-z0-9]+", "-", arm.split(":")[0].lower())
            name = f"{policy}-{place + 1}-{seed}"
            path = service.directory / f"{name}.json"
            path.write_text(json.dumps(campaign_of(options, name, arm, seed)))
            service.run("campaign", "submit", str(path))
            names[arm].append(name)
    return names


def wait_for_all(service, options, count):
    deadline = time.monotonic() + options.minutes_max * 60
    reported = -1
    while True:
        listed = json.loads(service.run("campaign", "list", "--limit", str(count), "--json"))
        campaigns = listed.get("campaigns", [])
        failed = [one for one in campaigns if one["state"] == "CAMPAIGN_STATE_FAILED"]
        if failed:
            sys.exit(f"campaign {failed[0]['name']} failed: {failed[0].get('reason', '')}")
        done = sum(one["state"] == "CAMPAIGN_STATE_SUCCEEDED" for one in campaigns)
        evaluations = sum(int(one.get("consumption", {}).get("evaluations", 0))
                          for one in campaigns)
        if evaluations != reported:
            print(f"bench: {done} of {count} campaigns, {evaluations} of "
                  f"{count * options.evaluations} evaluations", file=sys.stderr)
            reported = evaluations
        if done == count or time.monotonic() > deadline:
            return done == count
        time.sleep(POLL_SECONDS)


def export_all(service, names, folder):
    for name in (one for arm in names.values() for one in arm):
        events = service.run("campaign", "watch", name, "--json")
        path = Path(folder) / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(events)


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Service(options.slots, options.evaluator) as service:
        begin = time.monotonic()
        names = submit_all(service, options)
        is_complete = wait_for_all(service, options, options.seeds * len(options.arms))
        if not is_complete:
            print(f"not done within {options.minutes_max} minutes: campaigns are cut to the "
                  "shortest", file=sys.stderr)
        seconds = time.monotonic() - begin
        if options.export and is_complete:  # The events of others have no end yet.
            export_all(service, names, options.export)
        arguments = ["compare", *(f"{arm}={','.join(names[arm])}" for arm in options.arms)]
        arguments += ["--target", options.target] if options.target else []
        arguments += ["--svg", str(Path(options.svg).resolve())] if options.svg else []
        if not options.json:
            print(service.run(*arguments), end="")
            print(f"{options.seeds * len(options.arms)} campaigns in {seconds:.0f} s",
                  file=sys.stderr)
            return
        result = json.loads(service.run(*arguments, "--json"))
        result["seeds"] = list(range(options.first_seed, options.first_seed + options.seeds))
        result["parameters"] = options.set
        result["seconds"] = round(seconds, 1)
        result["is_complete"] = is_complete
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
