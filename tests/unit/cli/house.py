# house.py - a private Redis, a broker and the client tool, each a process of this test's own.
# SPDX-License-Identifier: MIT
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

PATIENCE = 15.0


def program(name):
    """A program of the build that THINKWIRE_BIN names."""
    return str(pathlib.Path(os.environ["THINKWIRE_BIN"], name))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what):
    """Polls until the condition holds; what it answers is the result."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"waited in vain: {what}")


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Server:
    """A process on a port that can be killed and started again."""

    def __init__(self, port):
        self.port = port
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: accepts(self.port), f"a server on port {self.port}")
        return self

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None


class Redis(Server):
    def __init__(self):
        super().__init__(free_port())
        self.folder = tempfile.mkdtemp(prefix="thinkwire-cli-")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", self.folder]

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder)


class Broker(Server):
    def __init__(self, *options):
        super().__init__(free_port())
        self.options = options

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self):
        return [program("thinkwired"), "--listen", f"127.0.0.1:{self.port}", *self.options]

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    stop = Server.kill


class Tool:
    """`thinkwire ...` running; `seen` is what it has printed."""

    def __init__(self, *words, env=None, **options):
        self.process = subprocess.Popen([program("thinkwire"), *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**clean_environment(), **(env or {})}, **options)
        self.seen = b""
        self.lines_taken = 0
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while data := self.process.stdout.read1(65536):
            self.seen += data

    def until(self, needle):
        until(lambda: needle.encode() in self.seen, f"{needle!r} on standard output")

    def line(self):
        """The next whole line."""
        until(lambda: self.seen.count(b"\n") > self.lines_taken, "a line on standard output")
        self.lines_taken += 1
        return self.seen.decode().split("\n")[self.lines_taken - 1]

    def write(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def wait(self):
        """Exit code, everything on standard output, everything on standard error."""
        code = self.process.wait(timeout=PATIENCE)
        self.reader.join()
        error = self.process.stderr.read().decode()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        return code, self.seen.decode(), error

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("THINKWIRE_")}


class Terminal:
    """`thinkwire ...` on a pseudo terminal; `seen` is every byte it wrote."""

    def __init__(self, *words):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen([program("thinkwire"), *words], stdin=slave, stdout=slave,
                                        stderr=slave, env=clean_environment(),
                                        start_new_session=True)
        os.close(slave)
        self.seen = b""
        self.times = []

    def read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data
        self.times.append((time.monotonic(), data))
        return bool(data)

    def until(self, needle):
        deadline = time.monotonic() + PATIENCE
        while needle not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"never saw {needle!r} in {self.seen!r}")
            self.read(0.05)
        return self

    def when(self, needle):
        """When the terminal had `needle` for the first time."""
        seen = b""
        for moment, data in self.times:
            seen += data
            if needle in seen:
                return moment
        raise AssertionError(f"{needle!r} was never seen")

    def wait(self):
        while self.process.poll() is None or self.read(0):
            self.read(0.02)
        os.close(self.master)
        return self.process.returncode
