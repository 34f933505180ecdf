# helper_driver.py - publishes JSON lines of standard input through the helper of a Frappe app.
# SPDX-License-Identifier: MIT
"""helper_driver.py REDIS_URL SITE TASK"""
import json
import logging
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "emitters" / "python"))

from thinkwire_frappe import Emitter  # noqa: E402  (found only after the line above)


def main(url, site, task):
    logging.basicConfig(level=logging.ERROR)
    emitter = Emitter(task, site=site, url=url)
    for line in sys.stdin:
        event = json.loads(line)
        kind = event["type"]
        if kind == "completion":
            sent = emitter.completion(event["text"], event["reasoning"])
        else:
            sent = {"reasoning": emitter.reasoning, "text": emitter.text}[kind](event["text"])
        if not sent:
            sys.exit(f"not sent: {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
