"""Prints how many tests passed, failed and were skipped, from the JUnit file of ctest.

A Catch2 program counts by its test cases, any other test as one. With `--failures` it prints
instead what each failed program said: the lines around every failed check, and its last lines.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree


def catch2_cases(output, is_passed):
    """(passed, failed, skipped) from Catch2's closing line; None where there is none."""
    all_passed = re.search(r"All tests passed \(.* in (\d+) test cases?\)", output)
    if all_passed and is_passed:
        return int(all_passed.group(1)), 0, 0
    closing = re.findall(r"^test cases:(.*)$", output, re.MULTILINE)
    if not closing:
        return None
    number = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped)",
                                                             closing[-1])}
    return number.get("passed", 0), number.get("failed", 0), number.get("skipped", 0)


def count(case):
    status = case.get("status")
    if status in ("notrun", "disabled"):
        # ctest says so for a test that chose to skip, and for a program that is not there.
        is_missing = status == "notrun" and case.find("skipped") is None
        return (0, 1, 0) if is_missing else (0, 0, 1)
    is_passed = status == "run"
    passed, failed, skipped = catch2_cases(
        case.findtext("system-out", ""), is_passed) or (int(is_passed), 0, 0)
    # A program that was killed or leaked fails even where all its cases passed.
    return passed, max(failed, int(not is_passed)), skipped


LINES_BEFORE, LINES_AFTER, LINES_AT_END, LINES_MAX = 8, 12, 15, 120


def telling_lines(output):
    """The lines of a failed program that say why: around each failed check, and the last ones."""
    lines = output.splitlines()
    chosen = set(range(len(lines) - LINES_AT_END, len(lines)))
    for i, line in enumerate(lines):
        if "FAILED:" in line or "ERROR: " in line or line.startswith(("FAIL: ", "ERROR ")):
            chosen.update(range(i - LINES_BEFORE, i + LINES_AFTER))
    chosen = sorted(i for i in chosen if 0 <= i < len(lines))[:LINES_MAX]
    told = []
    for k, i in enumerate(chosen):
        if k and chosen[k - 1] != i - 1:
            told.append("    ...")
        told.append("    " + lines[i])
    return told


def main(path, is_about_failures):
    cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    if is_about_failures:
        for case in cases:
            if count(case)[1]:
                print(case.get("name"), *telling_lines(case.findtext("system-out", "")), sep="\n")
        return
    print(*[sum(column) for column in zip(*map(count, cases))] or [0, 0, 0])


if __name__ == "__main__":
    main(sys.argv[1], "--failures" in sys.argv[2:])
