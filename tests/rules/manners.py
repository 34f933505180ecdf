# manners.py - what holds for every file: first lines, sizes, banned functions, open ends.
# SPDX-License-Identifier: MIT
import json
import re

from tree import bare_c, read

MAX_LINES = 600
C = (".c", ".h")
SCRIPTS = (".py", ".js", ".mjs", ".cjs", ".ts", ".sh", ".lua")
SPDX = "SPDX-License-Identifier: MIT"


def is_script(root, path):
    """By its suffix, or by a first line that names an interpreter."""
    return path.suffix in SCRIPTS or (path.suffix == "" and read(root, path).startswith("#!"))


def first_lines(root, paths):
    """The first lines say the file's name, its purpose and its licence."""
    for path in paths:
        lines = read(root, path).splitlines()[:4]
        if path.suffix in C:
            if not lines or not lines[0].startswith(f"/* {path.name} - "):
                yield f"{path}:1: should begin with /* {path.name} - purpose. */"
            if len(lines) < 2 or lines[1] != f"/* {SPDX} */":
                yield f"{path}:2: should be /* {SPDX} */"
        elif is_script(root, path):
            if not any(f"{path.name} - " in line for line in lines):
                yield f"{path}:1: the first lines should say '{path.name} - purpose'"
            if not any(SPDX in line for line in lines):
                yield f"{path}:2: the first lines should hold {SPDX}"
        elif path.name == "CMakeLists.txt" and not any(SPDX in line for line in lines):
            yield f"{path}:1: should hold {SPDX}"


def lengths(root, paths):
    """No file is longer than it can be read."""
    for path in paths:
        if path.suffix in C or is_script(root, path):
            count = len(read(root, path).splitlines())
            if count > MAX_LINES:
                yield f"{path}: {count} lines, at most {MAX_LINES}: is it one concept?"


# What to call instead.
BANNED = {
    "strcpy": "a struct buf", "strcat": "a struct buf", "strncpy": "memcpy with a length",
    "strncat": "a struct buf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "fgets", "strtok": "a loop over a slice", "strtok_r": "a loop over a slice",
    "atoi": "a checked parser", "atol": "a checked parser", "atoll": "a checked parser",
    "atof": "a checked parser", "sscanf": "a checked parser", "scanf": "a checked parser",
    "alloca": "a bounded array", "gmtime": "gmtime_r", "localtime": "localtime_r",
    "ctime": "strftime", "asctime": "strftime", "rand": "getrandom", "random": "getrandom",
    "srand": "getrandom", "tmpnam": "mkstemp", "mktemp": "mkstemp", "system": "posix_spawn",
    "popen": "posix_spawn", "signal": "sigaction, except to ignore one",
}
# Bounded or reentrant: good enough for a test, which takes apart what it has written itself.
TESTS_MAY_CALL = {"strncpy", "strncat", "strtok_r", "sscanf"}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")


def banned_calls(root, paths):
    """No function whose misuse is a classic."""
    for path in paths:
        if path.suffix not in C:
            continue
        for number, line in enumerate(bare_c(read(root, path)).splitlines(), 1):
            for name in CALL.findall(line):
                if name == "signal" and "SIG_IGN" in line:
                    continue
                if name in TESTS_MAY_CALL and path.parts[0] == "tests":
                    continue
                yield f"{path}:{number}: {name}() is banned, use {BANNED[name]}"


# Global state with a reason: what a process has one of.
MAY_HOLD_STATE = {
    "broker/base/diag.c": "diagnostics must be possible before there is a broker",
}
# A definition at file level or a static inside a function, that is not const. (What a
# pthread_once_t holds is only whether something was done.)
STATIC = re.compile(r"\s*(?:static|_Thread_local|thread_local)\s+(?!.*\bconst\b)(?!inline\b|pthread_once_t\b)"
                    r"[\w\s*]+?\w(?:\[[^\]]*\])*\s*(?:=|;)")
GLOBAL = re.compile(r"(?!typedef|extern|struct \w+;|enum \w+;|union \w+;|return|goto|static)"
                    r"(?!.*\bconst\b)[a-z]\w*(?:\s+\w+)*[\s*]+\w+(?:\[[^\]]*\])*\s*(?:=[^=]|;)")
TYPEDEF = re.compile(r"\s*typedef\s+(?:struct|union|enum)\b(?!.*\()")


def no_globals(root, paths):
    """No global mutable state: one struct, handed down."""
    for path in paths:
        if path.suffix not in C or path.parts[0] == "tests" or str(path) in MAY_HOLD_STATE:
            continue
        for number, line in enumerate(bare_c(read(root, path)).splitlines(), 1):
            if STATIC.match(line) or GLOBAL.match(line):
                yield f"{path}:{number}: global mutable state"


def no_typedefs(root, paths):
    """struct thing stays struct thing."""
    for path in paths:
        if path.suffix not in C:
            continue
        for number, line in enumerate(bare_c(read(root, path)).splitlines(), 1):
            if TYPEDEF.match(line):
                yield f"{path}:{number}: a typedef'd struct, union or enum"


# Spelled so that this file does not find itself.
OPEN_END = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
SKIPPED = re.compile(r"\b(?:t|it|test|describe|suite)\.(?:sk" r"ip|to" r"do|on" r"ly)\b|"
                     r"\bsk" r"ip\(\)|\b(?:sk" r"ip|to" r"do):\s*(?:true|['\"])|"
                     r"unittest\.sk" r"ip|pytest\.mark\.(?:sk" r"ip|xfail)|@sk" r"ip|"
                     r"self\.sk" r"ipTest|\bDISAB" r"LED\s+(?:TRUE|ON|1)\b")
HERE = re.compile(r"(?<![\w.$}*])/(?:root|home/\w+|Users/\w+|wo" r"rk)/\w")


def grep(root, paths, pattern, fault):
    for path in paths:
        for number, line in enumerate(read(root, path).splitlines(), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {fault}"


def sources(root, paths):
    return [path for path in paths if path.suffix in C or is_script(root, path)
            or path.name == "CMakeLists.txt"]


def no_open_ends(root, paths):
    """What is not done is in an issue, not in the code."""
    yield from grep(root, sources(root, paths), OPEN_END, "left open")


def no_skipped_tests(root, paths):
    """A test runs or does not exist."""
    tests = [path for path in sources(root, paths)
             if "tests" in path.parts or path.name.startswith("test_")]
    yield from grep(root, tests, SKIPPED, "a skipped or singled-out test")


def no_paths_of_a_machine(root, paths):
    """Nothing names a folder of somebody's machine."""
    texts = [path for path in paths if path.suffix in (".md", ".yml", ".json", ".conf")]
    yield from grep(root, [*sources(root, paths), *texts], HERE, "a path of one machine")


def lock_files(root, paths):
    """Each package.json has its lock, with versions and hashes but no download address."""
    for path in paths:
        if path.name == "package.json" and path.parent / "package-lock.json" not in paths:
            yield f"{path}: has no package-lock.json beside it"
        if path.name != "package-lock.json":
            continue
        for name, entry in json.loads(read(root, path)).get("packages", {}).items():
            if "resolved" in entry:
                yield f"{path}: {name} carries a download address"
            elif name and "integrity" not in entry and not entry.get("inBundle"):
                yield f"{path}: {name} carries no hash"
