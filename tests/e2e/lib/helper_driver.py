# helper_driver.py - publishes JSON lines of standard input through the Python helper.
# SPDX-License-Identifier: MIT
"""helper_driver.py REDIS_URL SITE TASK

Each line is an event. Ends with 1 when one of them was not published."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "emitters" / "python"))
from thinkwire_frappe import Emitter  # noqa: E402 (found by the line above)

PATIENCE_SECONDS = 30  # the machine is busy; the helper's own bounds have tests of their own


def publish(emitter, event):
    kind = event.pop("type")
    event.pop("task_id", None)
    said = {name: event[name] for name in event if name != "partial"}
    if kind in ("reasoning", "text") and set(said) == {"text"}:
        return getattr(emitter, kind)(said["text"])
    if kind == "completion" and set(said) <= {"text", "reasoning"}:
        return emitter.completion(**said)
    return emitter.event(kind, **event)


def main(url, site, task):
    emitter = Emitter(task, site=site, url=url, timeout=PATIENCE_SECONDS)
    for line in sys.stdin:
        if not publish(emitter, json.loads(line)):
            sys.exit(f"not published: {line[:200]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
