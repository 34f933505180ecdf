# fences.py - the arrows of the house: which room may include which, and see which library.
# SPDX-License-Identifier: MIT
"""The two tables below are the whole architecture. A room may include itself and the rooms on
its line, and nothing else. Tests stand outside: they may include whatever they test."""
import pathlib
import re

from tree import read

MAY_INCLUDE = {
    "base": [],
    "codec": ["base"],
    "schema": ["codec", "base"],
    "redis": ["schema", "codec", "base"],
    "http": ["base"],
    "log": ["schema", "codec", "base"],
    "bus": ["log", "redis", "schema", "codec", "base"],
    "auth": ["http", "codec", "base"],
    "engine": ["codec", "base"],
    "session": ["log", "engine", "auth", "schema", "codec", "base"],
    "transport": ["codec", "base"],
    "api": ["session", "bus", "auth", "log", "engine", "schema", "codec", "base"],
    "lib": ["redis", "http", "schema", "codec", "base"],
    "torture": ["lib", "schema", "codec", "base"],
    "cli": ["torture", "lib", "redis", "http", "schema", "codec", "base"],
    "worker": ["lib", "redis", "http", "schema", "codec", "base"],
    "broker": ["api", "transport", "session", "engine", "auth", "bus", "log", "worker", "redis",
               "http", "schema", "codec", "base"],
}
# Folders that are rooms, and the folders whose files are one room together.
ROOM_FOLDERS = {("schema",): "schema", ("redis",): "redis", ("http",): "http",
                ("emitters", "lib"): "lib", ("emitters", "cli"): "cli",
                ("emitters", "torture"): "torture",
                ("emitters", "worker"): "worker"}
# Headers are named from here; the last is the folder of the file itself.
INCLUDE_FROM = ["broker", "."]

EMITTERS = ["lib", "cli", "worker"]
MAY_SEE = {
    "libwebsockets.h": ["transport"],
    "hiredis": ["redis"],
    "curl": ["http"],
    "uv.h": ["base", "transport", "redis", "http"],
    "json-c": ["codec", "schema", "session", "api", *EMITTERS],
    "jwt.h": ["auth", "cli"],
    "uthash.h": ["base"],
    "utlist.h": ["base"],
    "systemd": ["base", "broker"],
    "malloc.h": ["base"],
}
SYSTEM = set("""
assert ctype dirent errno fcntl fnmatch getopt inttypes limits locale math netdb poll pthread pwd sched
setjmp signal stdarg stdatomic stdbool stddef stdint stdio stdlib string strings syslog termios
time unistd wchar
""".split())
SYSTEM_FOLDERS = {"sys", "netinet", "arpa", "net", "linux"}
INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    """The room a file belongs to, "" when it stands outside the house, None when unknown."""
    parts = pathlib.PurePath(path).parts
    if parts[0] == "tests":
        return ""
    if parts[0] == "broker":
        name = "broker" if len(parts) == 2 else parts[1]
        return name if name in MAY_INCLUDE else None
    for folder, name in ROOM_FOLDERS.items():
        if parts[:len(folder)] == folder:
            return name
    return None


def target_of(root, path, header):
    for place in [*INCLUDE_FROM, path.parent]:
        if (root / place / header).is_file():
            return pathlib.PurePath(place) / header
    return None


def judge_ours(root, path, header):
    room = room_of(path)
    target = target_of(root, path, header)
    if target is None:
        return f'no header "{header}" in the house'
    if ".." in target.parts:
        return f'"{header}" climbs out of its folder: name it from the top'
    other = room_of(target)
    if other == room or other in MAY_INCLUDE[room]:
        return None
    return f"{room} may not include {other or 'tests'} ({header})"


def judge_theirs(path, header):
    room = room_of(path)
    key = pathlib.PurePath(header).parts[0]
    if key in MAY_SEE:
        return None if room in MAY_SEE[key] else f"{room} may not see <{header}>"
    if key in SYSTEM_FOLDERS or header.removesuffix(".h") in SYSTEM:
        return None
    return f"<{header}> is in no table of fences.py"


def arrows(root, paths):
    """Include arrows point down only, and each library is seen only in its room."""
    for path in paths:
        if path.suffix not in (".c", ".h") or room_of(path) == "":
            continue
        if room_of(path) is None:
            yield f"{path}: belongs to no room of fences.py"
            continue
        for number, line in enumerate(read(root, path).splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            ours, theirs = found.groups()
            fault = judge_ours(root, path, ours) if ours else judge_theirs(path, theirs)
            if fault:
                yield f"{path}:{number}: {fault}"


LINK = re.compile(r"thinkwire_room\(\s*(\w+)(.*?)\)", re.S)
USES = re.compile(r"\bUSES\s+((?:[a-z_]+\s*)+)")


def links(root, paths):
    """A room's link line in CMake names only rooms it may include."""
    for path in paths:
        if path.name != "CMakeLists.txt" or path.parent == pathlib.PurePath("."):
            continue
        for room, rest in LINK.findall(read(root, path)):
            uses = USES.search(rest)
            for other in uses.group(1).split() if uses else []:
                if room not in MAY_INCLUDE:
                    yield f"{path}: no room called {room} in fences.py"
                elif other not in MAY_INCLUDE[room]:
                    yield f"{path}: {room} may not link {other}"
