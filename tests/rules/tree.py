# tree.py - the files the rules look at, and reading C without its comments and strings.
# SPDX-License-Identifier: MIT
import pathlib
import re
import subprocess

LEFT_OUT = {"build", "node_modules", ".git", "__pycache__", "results", "_reports",
            "third_party"}


def files(root):
    """Relative paths of everything that is committed or about to be."""
    try:
        listing = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z", "."],
            capture_output=True, text=True, check=True).stdout
        paths = (pathlib.PurePath(name) for name in listing.split("\0") if name)
    except (OSError, subprocess.CalledProcessError):  # an archive, or a machine without git
        paths = (path.relative_to(root) for path in pathlib.Path(root).rglob("*"))
    return sorted(path for path in paths
                  if not LEFT_OUT & set(path.parts) and (root / path).is_file())


def read(root, path):
    return (root / path).read_text(encoding="utf-8", errors="replace")


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(found):
    token = found.group()
    if token[0] == "/":
        return re.sub(r"[^\n]", " ", token)
    return token[0] + " " * (len(token) - 2) + token[0]


def bare_c(text):
    """C with comments and the insides of literals blanked; lines and columns stay."""
    return TOKEN.sub(_blank, text)
