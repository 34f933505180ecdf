# check.py - runs every rule of the house over a tree and prints what breaks it.
# SPDX-License-Identifier: MIT
import pathlib
import sys

import fences
import manners
import rows
from tree import files

RULES = [
    fences.arrows,
    fences.links,
    manners.first_lines,
    manners.lengths,
    manners.banned_calls,
    manners.no_globals,
    manners.no_typedefs,
    manners.no_open_ends,
    manners.no_skipped_tests,
    manners.no_paths_of_a_machine,
    manners.lock_files,
    rows.rows_are_tested,
]


def main(root):
    paths = files(root)
    broken = 0
    for rule in RULES:
        faults = list(rule(root, paths))
        broken += bool(faults)
        print("FAIL" if faults else "ok  ", rule.__doc__.strip().splitlines()[0])
        for fault in faults:
            print("    ", fault)
    print(f"# pass {len(RULES) - broken}\n# fail {broken}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
