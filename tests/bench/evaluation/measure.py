"""From source text to the first training step, three ways. See README.md."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "tests" / "bench" / "model_server"))
import measure as variants  # noqa: E402

# A few steps are enough to compare metrics; time must not end them.
SETTINGS = {"mnist1d": ["steps=10", "train_seconds=300"],
            "fashion-mnist": ["steps=5", "train_seconds=300"],
            "online-bin-packing": ["items=500", "instances=2"],
            "circle-packing": ["solve_seconds=0.2"],
            "python-regression": ["steps=10", "train_seconds=300"]}
TRAINING, PLAIN, PYTHON = "mnist1d", "online-bin-packing", "python-regression"
COUNTED = "fashion-mnist"
SLOTS = 2
# What docs/performance.md promises: (name, where it stands, comparison, bound).
TARGETS = [("warm first step", ("warm", "first_step_seconds", "p50"), "<=", 1.0),
           ("times faster than g++", ("times_faster_than_gxx",), ">=", 15),
           ("plain C++", ("cpp", "first_step_seconds", "p50"), "<=", 0.3),
           ("Python", ("python", "first_step_seconds", "p50"), "<=", 0.3),
           ("sandbox start", ("sandbox_start_seconds", "p50"), "<=", 0.05),
           ("share of training", ("throughput", "training_share_ratio"), ">=", 0.8)]


def sources_of(task, count, seed, folder, program):
    """The seeds, and variants of them as the code model makes them."""
    sources = [task.seed, *sorted((task.folder / "seeds").glob("*" + task.seed.suffix))]
    made = variants.make_variants(program, task, max(0, count - len(sources)), seed, folder)
    return [str(path) for path in [*sources, *(variant.path for variant in made)]][:count]


def run(name, options, folder, count, more):
    task = variants.Task(name)
    made = folder / f"{name}-{len(more)}"
    made.mkdir()
    program = options.build / "bin" / "cambrian-codemodel"
    sources = sources_of(task, count, options.seed, made, program)
    command = [options.build / "bin" / "evaluation_bench", task.folder, *sources, "--cache",
               folder / "cache", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment,
                          stderr=None if options.verbose else subprocess.DEVNULL)
    return json.loads(done.stdout)


def compare(name, options, folder):
    gxx = 0 if variants.Task(name).language == "python" else options.gxx
    settings = [word for setting in SETTINGS.get(name, []) for word in ("--set", setting)]
    return run(name, options, folder, options.count, ["--gxx", str(gxx), *settings])


def summarise(tasks, throughput):
    """The figures of docs/performance.md."""
    summary = {}
    if TRAINING in tasks:
        summary.update(tasks[TRAINING]["summary"])
        summary["sandbox_start_seconds"] = tasks[TRAINING]["sandbox_start_seconds"]
    for name, task in (("cpp", PLAIN), ("python", PYTHON)):
        if task in tasks:
            way = tasks[task]["summary"]
            summary[name] = {**way["warm"], "compile": way["compile"],
                             "times_faster_than_gxx": way.get("times_faster_than_gxx"),
                             "memory_bytes": way["warm_memory_bytes"]}
    if throughput:
        summary["throughput"] = throughput
    summary["parity"] = {
        key: sum(task["summary"]["parity"][key] for task in tasks.values())
        for key in ("sources", "built_warm", "equal", "unrepeatable")}
    summary["parity"]["different"] = [source for task in tasks.values()
                                      for source in task["summary"]["parity"]["different"]]
    summary["tasks"] = tasks
    return summary


def value_at(summary, path):
    for name in path:
        summary = (summary or {}).get(name)
    return summary


def check_targets(summary):
    checked = []
    for name, path, comparison, bound in TARGETS:
        value = value_at(summary, path)
        if value is not None:
            is_met = 0 <= value <= bound if comparison == "<=" else value >= bound
            checked.append({"name": name, "value": value, "bound": f"{comparison} {bound}",
                            "is_met": is_met})
    return checked


def show(summary):
    for name, task in summary["tasks"].items():
        figures = task["summary"]
        print(f"{name}: {figures['parity']['sources']} sources, "
              f"{figures['parity']['built_warm']} built warm, "
              f"{figures['parity']['equal']} with equal metrics in both ways, "
              f"{figures['parity']['unrepeatable']} that differ from themselves")
        for way in ("warm", "compile", "gxx"):
            row = figures[way]
            if row["sources"]:
                print(f"  {way:8} first step {row['first_step_seconds']['p50']:7.3f} s, "
                      f"compile {row['compile_seconds']['p50']:7.3f} s "
                      f"(medians of {row['sources']})")
        print(f"  memory of the warm evaluator {figures['warm_memory_bytes'] / 1e6:.0f} MB")
        for source in figures["parity"]["different"]:
            print(f"  DIFFERENT: {source}")
    if "throughput" in summary:
        row = summary["throughput"]
        print(f"{COUNTED}: {row['evaluations_per_hour']:.0f} evaluations an hour in "
              f"{row['slots']} slots, {row['training_share_ratio']:.0%} of the time training, "
              f"{row['memory_per_slot_bytes'] / 1e6:.0f} MB for each slot")
    for target in summary["targets"]:
        print(f"{'met   ' if target['is_met'] else 'MISSED'} {target['name']}: "
              f"{target['value']:.3f} (wanted {target['bound']})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=[TRAINING, PLAIN, PYTHON])
    parser.add_argument("--count", type=int, default=15, help="sources for each task")
    parser.add_argument("--gxx", type=int, default=15, help="of them compiled by g++ -O2, too")
    parser.add_argument("--throughput", type=int, default=12, metavar="COUNT",
                        help=f"evaluations of {COUNTED} in {SLOTS} slots; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build" / "release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cambrian-bench-") as name:
        folder = pathlib.Path(name)
        tasks = {task: compare(task, options, folder) for task in options.tasks}
        throughput = None
        if options.throughput > 0:
            # One more, which the judge is compiled with.
            throughput = run(COUNTED, options, folder, options.throughput + 1,
                             ["--slots", str(SLOTS)])["throughput"]
    summary = summarise(tasks, throughput)
    summary["targets"] = check_targets(summary)
    if options.json:
        json.dump(summary, sys.stdout, indent=2)
        print()
    else:
        show(summary)
    # Times depend on the machine, and are no reason to fail; equal metrics do not.
    return 1 if summary["parity"]["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
