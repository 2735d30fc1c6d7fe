"""How many proposed edits of a shipped task compile and run. See README.md."""

import argparse
import collections
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
RUN_SECONDS_MAX = 60
TRAIN_STEPS = 3


class Task:
    """What this needs to know about a task folder."""

    def __init__(self, name):
        self.folder = REPOSITORY / "tasks" / name
        manifest = (self.folder / "task.yaml").read_text()
        self.runtime = re.search(r"^\s*runtime:\s*(\w+)", manifest, re.M).group(1)
        evolve = re.search(r"^\s*evolve:\s*\[([^\]]+)\]", manifest, re.M).group(1)
        self.file = evolve.split(",")[0].strip()
        self.seed = self.folder / "seed" / self.file
        self.language = "python" if self.file.endswith(".py") else "cpp"


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


def make_variants(program, task, count, seed, folder, generations=3):
    """Variants of the seed, of those variants, and so on: a search goes deep."""
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
        parents = [variant.path for variant in made] or parents
    return variants


def first_error(text):
    lines = [line for line in text.splitlines() if "error:" in line]
    return lines[0][-200:] if lines else text.strip()[-200:]


def compile_alone(task, variants):
    """Each by itself: quick for plain C++."""
    for variant in variants:
        done = subprocess.run(
            [*COMPILE, "-fsyntax-only", f"-I{SDK_INCLUDE}", f"-I{task.seed.parent}",
             str(variant.path)], capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX,
            check=False)
        if done.returncode != 0:
            variant.error = first_error(done.stderr)


def unity_source(variants, shape, with_main):
    """All variants in one translation unit, each in a namespace of its own."""
    sizes = ", ".join(str(size) for size in shape)
    text = ["#include <cambrian/torch_candidate.hpp>", "#include <cstdlib>"]
    for index, variant in enumerate(variants):
        source = re.sub(r"^#include.*$", "", variant.path.read_text(), flags=re.M)
        source = re.sub(r"std::unique_ptr<cambrian::Candidate> cambrian::make_candidate.*", "",
                        source, flags=re.S)
        text += [f"namespace variant_{index} {{", f'#line 1 "variant_{index}"', source, "}"]
    if with_main:
        # The SDK's archive wants one; nobody calls it here.
        text += ["std::unique_ptr<cambrian::Candidate> cambrian::make_candidate(",
                 "    const cambrian::Setup&) { return nullptr; }",
                 "int main(int, char** argv) {", "  torch::set_num_threads(1);",
                 f"  cambrian::Data data{{torch::rand({{64, {sizes}}}), "
                 "torch::randint(10, {64}, torch::kInt64), {}};",
                 f"  cambrian::Training training(20, {TRAIN_STEPS}, nullptr);",
                 "  switch (std::atoi(argv[1])) {"]
        for index in range(len(variants)):
            text += [f"    case {index}: {{", f"      auto net = std::make_shared<"
                     f"variant_{index}::Net>(); variant_{index}::train(*net, data, training);",
                     "      net->eval(); torch::NoGradGuard guard;",
                     "      auto out = net->forward(data.inputs);",
                     "      return out.dim() == 2 && out.size(1) == 10 ? 0 : 3;", "    }"]
        text += ["  }", "  return 4;", "}"]
    return "\n".join(text) + "\n"


def mark_compile_errors(variants, text):
    for match in re.finditer(r"^variant_(\d+):\d+:\d+: (?:fatal )?error: (.*)$", text, re.M):
        variants[int(match.group(1))].error = match.group(2)[:200]


def compile_together(task, variants, folder, build, runs):
    """LibTorch: one translation unit; what fails is left out of the second pass."""
    source = folder / "unity.cpp"
    shape = re.search(r"\[batch, ([0-9, ]+)\]", task.seed.read_text()).group(1).split(",")
    shape = [int(size) for size in shape]
    flags = [*COMPILE, "-O0", f"-I{SDK_INCLUDE}", *TORCH_INCLUDE]
    source.write_text(unity_source(variants, shape, False))
    done = subprocess.run([*flags, "-fsyntax-only", str(source)], capture_output=True, text=True,
                          timeout=COMPILE_SECONDS_MAX, check=False)
    mark_compile_errors(variants, done.stderr)
    good = [variant for variant in variants if variant.error is None]
    if done.returncode != 0 and len(good) == len(variants):
        raise RuntimeError("the translation unit does not compile: " + first_error(done.stderr))
    if not runs or not good:
        return
    source.write_text(unity_source(good, shape, True))
    binary = folder / "unity"
    archive = build / "worker" / "sdk" / "libcambrian_torch_candidate.a"
    subprocess.run([*flags, str(source), "-o", str(binary), str(archive), "-ltorch", "-ltorch_cpu",
                    "-lc10"], check=True, timeout=COMPILE_SECONDS_MAX)
    for index, variant in enumerate(good):
        try:
            ran = subprocess.run([str(binary), str(index)], capture_output=True, text=True,
                                 timeout=RUN_SECONDS_MAX, check=False)
            if ran.returncode != 0:
                variant.error = f"exit {ran.returncode}: {ran.stderr.strip()[:200]}"
        except subprocess.TimeoutExpired:
            variant.error = "timeout"


# Runs in a process of its own: python3 -c DRIVER FILE.
DRIVER = """
import sys, types, torch
torch.set_num_threads(1)
module = types.ModuleType("evolved")
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), module.__dict__)
class Training:
    steps = 0
    def has_time(self): return self.steps < 3
    def progress(self): return self.steps / 3
    def step(self, loss=None): self.steps += 1
model = module.make_model()
module.train(model, torch.rand(64, 10), torch.rand(64, 1), Training())
model.eval()
assert model(torch.rand(5, 10)).shape == (5, 1)
"""


def check_python(variants, runs):
    for variant in variants:
        try:
            compile(variant.path.read_text(), str(variant.path), "exec")
        except SyntaxError as error:
            variant.error = str(error)
        if variant.error or not runs:
            continue
        done = subprocess.run(["/usr/bin/python3", "-c", DRIVER, str(variant.path)], text=True,
                              capture_output=True, timeout=RUN_SECONDS_MAX, check=False)
        if done.returncode != 0:
            variant.error = done.stderr.strip().splitlines()[-1][:200]


def check(task, variants, folder, build, runs):
    if task.language == "python":
        check_python(variants, runs)
    elif task.runtime == "libtorch":
        compile_together(task, variants, folder, build, runs)
    else:
        compile_alone(task, variants)


def report(task, variants, verbose):
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
    print(f"{task.folder.name}: {good} of {len(variants)} pass, {100 * good / len(variants):.0f} %")
    return good / len(variants)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--run", action="store_true", help="LibTorch: train three steps too")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the variants")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cambrian-measure-") as temporary:
        folder = options.keep or pathlib.Path(temporary)
        task = Task(options.task)
        variants = make_variants(str(options.build / "bin" / "cambrian-codemodel"), task,
                                 options.count, options.seed, folder)
        check(task, variants, folder, options.build, options.run)
        share = report(task, variants, True)
    return 0 if share >= 0.7 else 1


if __name__ == "__main__":
    sys.exit(main())
