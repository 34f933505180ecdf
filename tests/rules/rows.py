# rows.py - what was promised is tested: each row of a list is named by a test, on each bus.
# SPDX-License-Identifier: MIT
import re

from tree import read

# The promises of the worker: chat endpoints, fallback, stop and continue, telemetry.
PROMISED = "C1-C4 C6-C10 C14-C17 C20 R1-R20 S1-S7 S10-S12 T1 T6 T7 T9"

TITLE = re.compile(r"(?<![.\w])onEachBus\(\s*(?:'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"|`([^`]*)`)")
IDS = re.compile(r"(?:[A-Z]\d+ )+")


def expand(words):
    for word in words.split():
        first, _, last = word.partition("-")
        letter = first[0]
        for number in range(int(first[1:]), int((last or first)[1:]) + 1):
            yield f"{letter}{number}"


def named(text):
    """Rows that begin a title of a test which is run on each bus."""
    for titles in TITLE.findall(text):
        title = "".join(titles)
        ids = IDS.match(title)
        if ids:
            yield from ids.group().split()


def rows_are_tested(root, paths):
    """Each promised row begins the title of a test that runs on both buses."""
    tests = [path for path in paths
             if path.parts[:2] == ("tests", "e2e") and path.name.endswith(".test.mjs")]
    if not tests:
        return
    found = {row for path in tests for row in named(read(root, path))}
    for row in expand(PROMISED):
        if row not in found:
            yield f"tests/e2e: no test on both buses is named after row {row}"
