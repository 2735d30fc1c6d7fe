#!/usr/bin/env python3
"""Checks the rules of docs/style.md that no compiler checks: tests/tidy/tidy.py [REPOSITORY].

Old excess of size is listed in ratchet.txt and may only shrink: a size above its line fails, and so
does a line that is higher than it must be. `--update` writes what is there now; a review decides.
"""

import sys
from pathlib import Path

import rules
import source


def read_ratchet(path):
    entries = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            value, key = line.split(" ", 1)
            entries[key] = int(value)
    return entries


def write_ratchet(path, entries):
    head = "# Sizes above the limit, as they were accepted: lines, rule, file, function.\n"
    body = "".join(f"{value} {key}\n" for key, value in sorted(entries.items()))
    path.write_text(head + body)


def check_sizes(files, ratchet):
    found = {}
    for path, line, rule, message, key, value in rules.sizes(files):
        if key is None:
            yield path, line, rule, message
            continue
        found[key] = max(value, found.get(key, 0))
        if value > ratchet.get(key, 0):
            yield path, line, rule, message
    for key, value in ratchet.items():
        if found.get(key, 0) < value:
            yield "tests/tidy/ratchet.txt", 1, "ratchet", f"lower it: {key} is {found.get(key, 0)}"


def check(files, ratchet):
    problems = [problem for rule in rules.RULES for problem in rule(files)]
    return sorted(set(problems) | set(check_sizes(files, ratchet)))


def main(arguments):
    is_update = "--update" in arguments
    names = [argument for argument in arguments if argument != "--update"]
    repository = Path(names[0] if names else Path(__file__).parents[2])
    ratchet_path = repository / "tests/tidy/ratchet.txt"
    files = source.read_files(repository)
    if is_update:
        entries = {}
        for *_, key, value in rules.sizes(files):
            if key:
                entries[key] = max(value, entries.get(key, 0))
        write_ratchet(ratchet_path, entries)
    problems = check(files, read_ratchet(ratchet_path))
    for path, line, rule, message in problems:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"tidy: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
