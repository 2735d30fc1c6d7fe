"""How many proposed edits of a shipped task compile and run. See README.md."""

import argparse
import collections
import functools
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
SDK_INCLUDE = REPOSITORY / "worker" / "sdk" / "include"
TORCH_INCLUDE = ["-isystem", "/usr/include/torch/csrc/api/include"]
COMPILE = ["clang++-19", "-std=c++20", "-w", "-ferror-limit=0"]
COMPILE_SECONDS_MAX = 900
EVALUATION_SECONDS_MAX = 600
ERROR_CHARACTERS_MAX = 200
SHARE_MIN = 0.7
# Enough to train some steps, search some packings and serve all instances.
SHORT = {"train_seconds": 0.5, "solve_seconds": 0.5, "steps": 20, "items": 2000}


class Task:
    """What this needs to know about a task folder."""

    def __init__(self, name):
        self.folder = REPOSITORY / "tasks" / name
        manifest = (self.folder / "task.yaml").read_text()
        self.manifest = manifest
        self.runtime = re.search(r"^\s*runtime:\s*(\w+)", manifest, re.M).group(1)
        evolve = re.search(r"^\s*evolve:\s*\[([^\]]+)\]", manifest, re.M).group(1)
        self.file = evolve.split(",")[0].strip()
        self.seed = self.folder / "seed" / self.file
        self.language = "python" if self.file.endswith(".py") else "cpp"

    def short_parameters(self):
        """Parameters of a small budget, those that the task has."""
        short = {name: value for name, value in SHORT.items()
                 if re.search(rf"^\s+{name}:\s*[1-9]", self.manifest, re.M)}
        # Where steps end a training, the time is only what a slow machine may take.
        if "steps" in short:
            short.pop("train_seconds", None)
        return [f"{name}={value}" for name, value in short.items()]


class Variant:
    def __init__(self, path, operators):
        self.path = path
        self.operators = operators
        self.error = None


def propose(program, parent, language, donor, count, seed, operator, out):
    command = [program, "propose", "--program", str(parent), "--language", language, "--count",
               str(count), "--seed", str(seed), "--operator", operator, "--out", str(out)]
    if donor:
        command += ["--donor", str(donor)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    variants = []
    for line in lines:
        path, *notes = line.split("\t")
        variants.append(Variant(pathlib.Path(path), [note.split(":")[0] for note in notes]))
    return variants


def make_variants(program, task, count, seed, folder, judge=None, generations=3):
    """Variants of the seed, of those variants, and so on: a search goes deep. `judge(variants)`
    marks what fails, and as in a search nothing is bred from that."""
    rng = random.Random(seed)
    parents, variants = [task.seed], []
    for generation in range(generations):
        wanted = (count - len(variants)) // (generations - generation)
        made = []
        for index in range(wanted):
            operator = rng.choices(["diff", "rewrite", "crossover"], [6, 2, 2])[0]
            donor = rng.choice(parents) if len(parents) > 1 else None
            out = folder / f"{generation}-{index}"
            made += propose(program, rng.choice(parents), task.language, donor, 1,
                            rng.randrange(2**31), operator if donor else "diff", out)
            made[-1].path = made[-1].path.rename(out / task.file)
        variants += made
        if judge:
            judge(made)
        parents = [variant.path for variant in made if variant.error is None] or parents
    return variants


def first_error(text):
    """What went wrong, on one line: the compiler's first error without the place, else the head of
    the text, where the cause stands."""
    errors = re.search(r"error: *(.*)", text)
    line = " ".join((errors.group(1) if errors else text).split())
    return line if len(line) <= ERROR_CHARACTERS_MAX else line[:ERROR_CHARACTERS_MAX - 1] + "…"


def compile_alone(task, variants):
    """Each by itself: quick for plain C++."""
    for variant in variants:
        done = subprocess.run(
            [*COMPILE, "-fsyntax-only", f"-I{SDK_INCLUDE}", f"-I{task.seed.parent}",
             str(variant.path)], capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX,
            check=False)
        if done.returncode != 0:
            variant.error = first_error(done.stderr)


def unity_source(variants):
    """All variants in one translation unit, each in a namespace of its own."""
    text = ["#include <cambrian/torch_candidate.hpp>", "#include <cstdlib>"]
    for index, variant in enumerate(variants):
        source = re.sub(r"^#include.*$", "", variant.path.read_text(), flags=re.M)
        source = re.sub(r"std::unique_ptr<cambrian::Candidate> cambrian::make_candidate.*", "",
                        source, flags=re.S)
        text += [f"namespace variant_{index} {{", f'#line 1 "variant_{index}"', source, "}"]
    return "\n".join(text) + "\n"


def mark_compile_errors(variants, text):
    for match in re.finditer(r"^variant_(\d+):\d+:\d+: (?:fatal )?error: (.*)$", text, re.M):
        variants[int(match.group(1))].error = first_error(match.group(2))


def compile_together(task, variants, folder):
    """LibTorch: one translation unit, so that its headers are parsed once."""
    source = folder / "unity.cpp"
    source.write_text(unity_source(variants))
    done = subprocess.run([*COMPILE, "-O0", f"-I{SDK_INCLUDE}", *TORCH_INCLUDE, "-fsyntax-only",
                           str(source)], capture_output=True, text=True,
                          timeout=COMPILE_SECONDS_MAX, check=False)
    mark_compile_errors(variants, done.stderr)
    if done.returncode != 0 and all(variant.error is None for variant in variants):
        raise RuntimeError("the translation unit does not compile: " + first_error(done.stderr))


def check_python(variants):
    for variant in variants:
        try:
            compile(variant.path.read_text(), str(variant.path), "exec")
        except SyntaxError as error:
            variant.error = str(error)


def check(task, variants, folder):
    """Compiles only: what every run of the tests can afford."""
    if task.language == "python":
        check_python(variants)
    elif task.runtime == "libtorch":
        compile_together(task, variants, folder)
    else:
        compile_alone(task, variants)


def evaluate(task, variants, worker):
    """Compiles, runs and judges each as a worker does, in its sandbox, with a small budget."""
    command = [str(worker), "evaluate", str(task.folder), "--json", "--seed", "1"]
    for parameter in task.short_parameters():
        command += ["--set", parameter]
    for index, variant in enumerate(variants):
        done = subprocess.run([*command, "--source", f"{task.file}={variant.path}"], text=True,
                              capture_output=True, timeout=EVALUATION_SECONDS_MAX, check=False)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise RuntimeError(f"no result from {worker}: {done.stderr[-500:]}") from None
        if result["outcome"] != "success":
            detail = first_error(result.get("diagnostics") or result.get("log") or "")
            variant.error = f"{result['outcome']}: {detail}"
        print(f"\r{task.folder.name}: {index + 1} of {len(variants)}", end="", file=sys.stderr)
    print(file=sys.stderr)


def report(task, variants, verbose):
    """One line for each operator; returns what --json prints of the task."""
    total = collections.Counter()
    failed = collections.Counter()
    for variant in variants:
        for operator in set(variant.operators):
            total[operator] += 1
            failed[operator] += variant.error is not None
        if verbose and variant.error:
            print(f"{variant.path}: {'+'.join(variant.operators)}: {variant.error}")
    for operator in sorted(total):
        print(f"{operator:24} {total[operator] - failed[operator]:4} of {total[operator]:4}")
    good = sum(variant.error is None for variant in variants)
    share = good / len(variants)
    print(f"{task.folder.name}: {good} of {len(variants)} pass, {100 * share:.0f} %")
    return {"task": task.folder.name, "edits": len(variants), "passed": good, "share": share,
            "operators": {name: [total[name] - failed[name], total[name]]
                          for name in sorted(total)},
            "errors": [variant.error for variant in variants if variant.error]}


def print_table(results):
    print(f"\n{'task':24} {'edits':>6} {'passed':>7} {'share':>7}")
    for result in results:
        print(f"{result['task']:24} {result['edits']:6} {result['passed']:7} "
              f"{100 * result['share']:5.0f} %")


def measure(task, options, folder):
    folder.mkdir(parents=True, exist_ok=True)
    judge = None
    if options.run:
        judge = functools.partial(evaluate, task,
                                  worker=options.build / "bin" / "cambrian-worker")
    variants = make_variants(str(options.build / "bin" / "cambrian-codemodel"), task,
                             options.count, options.seed, folder, judge)
    if not options.run:
        check(task, variants, folder)
    return report(task, variants, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="default: every shipped task")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--run", action="store_true", help="evaluate each, not only compile it")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the variants")
    options = parser.parse_args()
    names = options.tasks or sorted(path.parent.name
                                    for path in (REPOSITORY / "tasks").glob("*/task.yaml"))
    with tempfile.TemporaryDirectory(prefix="cambrian-measure-") as temporary:
        folder = options.keep or pathlib.Path(temporary)
        results = [measure(Task(name), options, folder / name) for name in names]
    print_table(results)
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "evaluated": options.run,
                                            "tasks": results}, indent=2) + "\n")
    return 0 if all(result["share"] >= SHARE_MIN for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
