# peers.py - what the helper meets in its tests: a Redis, a subscriber, a Frappe, a provider.
# SPDX-License-Identifier: MIT
import http.server
import json
import logging
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import urllib.parse

import redis

HELPER = pathlib.Path(__file__).resolve().parents[2] / "emitters" / "python"
sys.path.insert(0, str(HELPER))

PATIENCE = 20  # seconds until a test gives up on what must happen


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """A private redis-server on a port of its own."""

    def __init__(self, test, password=None):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.folder, self.port, self.password = folder.name, free_port(), password
        self.socket = os.path.join(self.folder, "redis.sock")
        secret = f":{urllib.parse.quote(password, safe='')}@" if password else ""
        self.url = f"redis://{secret}127.0.0.1:{self.port}"
        self.process, self.is_frozen = None, False
        test.addCleanup(self.stop)
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--unixsocket", self.socket, "--dir", self.folder]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "ready to accept connections at" in line:  # the last of its first lines
                return
        raise AssertionError("redis-server did not start")

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def freeze(self):
        if not self.is_frozen:  # a second stop would not be reported
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        self.is_frozen = True

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_frozen = False

    def client(self):
        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE)


class Subscriber:
    """Reads the channel. What is published after it exists, it gets."""

    def __init__(self, test, server, channel="events"):
        self.pubsub = server.client().pubsub()
        test.addCleanup(self.pubsub.close)
        self.pubsub.subscribe(channel)
        assert self.pubsub.get_message(timeout=PATIENCE)["type"] == "subscribe"

    def bytes(self):
        message = self.pubsub.get_message(timeout=PATIENCE)
        assert message is not None, "nothing was published"
        return message["data"]

    def events(self, count):
        return [json.loads(self.bytes()) for _ in range(count)]

    def messages(self, count):
        return [event["message"] for event in self.events(count)]

    def leave(self):
        self.pubsub.unsubscribe()
        assert self.pubsub.get_message(timeout=PATIENCE)["type"] == "unsubscribe"


class Listener:
    """A port that counts who comes, and answers nobody: it closes at once."""

    def __init__(self, test):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.server.getsockname()[1]}"
        self.server.setblocking(False)
        test.addCleanup(self.server.close)

    def callers(self):
        """How many have come since the last time: the kernel has them before connect() returns."""
        count = 0
        while True:
            try:
                self.server.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


class Lines(logging.Handler):
    """What the helper logs, as an app's own handler would print it."""

    def __init__(self, test, level=logging.INFO):
        super().__init__()
        self.lines = []
        logger = logging.getLogger("thinkwire")
        before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(level)
        logger.propagate = False
        test.addCleanup(lambda: (logger.removeHandler(self), logger.setLevel(before[0]),
                                 setattr(logger, "propagate", before[1])))

    def emit(self, record):
        self.lines.append(record.getMessage())


class Thrown(Exception):
    """What frappe.throw raises."""


def frappe(test, conf, site="site1.local", version="15.0.0", user="a@example.com"):
    """As much of Frappe as an app's endpoint sees."""
    module = types.ModuleType("frappe")
    module.__version__ = version
    module.local = types.SimpleNamespace(site=site)
    module.conf = conf
    module.session = types.SimpleNamespace(user=user)
    module.ValidationError = type("ValidationError", (Thrown,), {})
    module.whitelisted = []

    def whitelist(allow_guest=False, methods=None):
        def keep(function):
            module.whitelisted.append((function.__name__, allow_guest, methods))
            return function
        return keep

    def throw(message, kind):
        raise kind(message)

    module.whitelist, module.throw = whitelist, throw
    sys.modules["frappe"] = module
    test.addCleanup(sys.modules.pop, "frappe")
    return module


class Provider:
    """OpenAI's chat completions, streaming. It sends what it is given, when it is given."""

    def __init__(self, test):
        provider = self
        self.chunks = queue.Queue()
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                provider.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                while True:
                    chunk = provider.chunks.get(timeout=PATIENCE)
                    if chunk is None:
                        return
                    self.wfile.write(f"data: {chunk}\n\n".encode())
                    self.wfile.flush()
                    if chunk == "[DONE]":
                        return

            def log_message(self, *ignored):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/"
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        test.addCleanup(lambda: (self.server.shutdown(), thread.join(), self.server.server_close()))

    def delta(self, **delta):
        self.chunks.put(json.dumps({"choices": [{"delta": delta}]}))

    def done(self):
        self.chunks.put("[DONE]")

    def breaks_off(self):
        self.chunks.put(None)
