# endpoint_driver.py - calls the example endpoint of a Frappe app, with as much of Frappe as it sees.
# SPDX-License-Identifier: MIT
"""One JSON object on standard input: {"version", "site", "user", "conf", "request"}; the answer's
message on standard output."""
import importlib
import json
import logging
import pathlib
import sys
import types

ROOT = pathlib.Path(__file__).resolve().parents[3]


def frappe(version, site, user, conf):
    module = types.ModuleType("frappe")
    module.__version__ = version
    module.local = types.SimpleNamespace(site=site)
    module.conf = conf
    module.session = types.SimpleNamespace(user=user)
    module.ValidationError = ValueError
    module.whitelist = lambda **_: lambda function: function
    return module


def main():
    logging.basicConfig(level=logging.ERROR)
    sys.path.insert(0, str(ROOT / "emitters" / "python"))
    asked = json.load(sys.stdin)
    sys.modules["frappe"] = frappe(asked["version"], asked["site"], asked["user"], asked["conf"])
    endpoint = importlib.import_module("example_endpoint")
    print(json.dumps(endpoint.chat_completion(**asked["request"])))


if __name__ == "__main__":
    main()
