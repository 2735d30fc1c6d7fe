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
            "online-bin-packing": ["items=500", "instances=2"]}


def sources_of(task, count, seed, folder, program):
    """The seeds, and variants of them as the code model makes them."""
    sources = [task.seed, *sorted((task.folder / "seeds").glob("*" + task.seed.suffix))]
    made = variants.make_variants(program, task, count - len(sources), seed, folder)
    return [str(path) for path in [*sources, *(variant.path for variant in made)]][:count]


def run(task, options, folder):
    folder = folder / task.folder.name
    folder.mkdir()
    program = options.build / "bin" / "cambrian-codemodel"
    sources = sources_of(task, options.count, options.seed, folder, program)
    command = [options.build / "bin" / "evaluation_bench", task.folder, *sources, "--cache",
               folder / "cache", "--gxx", str(options.gxx)]
    for setting in SETTINGS.get(task.folder.name, []):
        command += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment,
                          stderr=None if options.verbose else subprocess.DEVNULL)
    return json.loads(done.stdout)


def show(result):
    summary = result["summary"]
    print(f"{result['task']}: {summary['parity']['sources']} sources, "
          f"{summary['parity']['built_warm']} built warm, "
          f"{summary['parity']['equal']} with equal metrics in both ways")
    for way in ("warm", "compile", "gxx"):
        row = summary[way]
        print(f"  {way:8} first step {row['first_step_seconds']['p50']:7.3f} s, "
              f"compile {row['compile_seconds']['p50']:7.3f} s "
              f"(medians of {row['sources']})")
    for source in summary["parity"]["different"]:
        print(f"  DIFFERENT: {source}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=["mnist1d", "online-bin-packing"])
    parser.add_argument("--count", type=int, default=15, help="sources for each task")
    parser.add_argument("--gxx", type=int, default=15, help="of them compiled by g++ -O2, too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build" / "release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cambrian-bench-") as folder:
        results = [run(variants.Task(name), options, pathlib.Path(folder))
                   for name in options.tasks]
    if options.json:
        json.dump({result["task"]: result for result in results}, sys.stdout, indent=2)
        print()
    else:
        for result in results:
            show(result)
    return 0 if all(not result["summary"]["parity"]["different"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
