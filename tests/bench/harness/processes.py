# processes.py - programs we start, what they cost, and their end.
# SPDX-License-Identifier: MIT
"""Every process the benchmark starts is a Process: stopped by its own pid, never by name,
and killed by the kernel should the benchmark itself be killed."""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time


class BenchError(Exception):
    """The benchmark could not run; the text tells why and what to do."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


_LIBC = ctypes.CDLL(None)


def _die_with_parent():
    _LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Process:
    """A started program. `talks` gives it pipes for lines of JSON."""

    def __init__(self, argv, talks=False, env=None, cwd=None):
        self.argv = [str(part) for part in argv]
        self.log = tempfile.TemporaryFile()
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(
            self.argv, cwd=cwd, env=env, preexec_fn=_die_with_parent,
            stdin=pipe if talks else subprocess.DEVNULL,
            stdout=pipe if talks else self.log, stderr=self.log)
        self.pid = self.child.pid
        self._buffer = b""

    # -- talking --

    def read_json(self, timeout):
        """The next JSON line, or BenchError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise BenchError(f"{self.argv[0]} said nothing for {timeout} s"
                                 + self.log_tail())
            piece = os.read(self.child.stdout.fileno(), 65536)
            if not piece:
                raise BenchError(f"{self.argv[0]} ended early" + self.log_tail())
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def write_line(self, line):
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def end_input(self):
        self.child.stdin.close()

    # -- waiting and ending --

    def wait_port(self, port, timeout=15):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise BenchError(f"{self.argv[0]} does not listen on port {port}"
                         + self.log_tail())

    def log_tail(self):
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - 2000))
        text = self.log.read().decode(errors="replace").strip()
        return f"; its last words:\n{text}" if text else ""

    def must_run(self):
        if self.child.poll() is not None:
            raise BenchError(f"{self.argv[0]} ended early with status "
                             f"{self.child.returncode}" + self.log_tail())

    def stop(self):
        """SIGTERM, and SIGKILL if that is not heard within five seconds."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(5)
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()
        self.log.close()

    # -- what it costs --

    def family(self):
        """Its pid and those of its descendants (nginx: the master and its worker)."""
        pids, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            try:
                tasks = os.listdir(f"/proc/{pid}/task")
                for task in tasks:
                    with open(f"/proc/{pid}/task/{task}/children") as file:
                        todo += [int(child) for child in file.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
        return pids

    def cpu_us(self):
        """CPU time so far of all threads of the family, in microseconds."""
        total = 0
        for pid in self.family():
            for task in os.listdir(f"/proc/{pid}/task"):
                # Nanoseconds on the CPU; /proc/PID/stat counts in hundredths of a second,
                # too coarse for a late join.
                with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
        return total / 1000

    def status_bytes(self, key):
        """Sum over the family of a line of /proc/PID/status that is told in kB."""
        total = 0
        for pid in self.family():
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    if line.startswith(key + ":"):
                        total += int(line.split()[1]) * 1024
        return total

    def rss_bytes(self):
        return self.status_bytes("VmRSS")

    def peak_rss_bytes(self):
        return self.status_bytes("VmHWM")

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.family())

    def pss_bytes(self):
        """Proportional set size of the family: shared pages are counted once."""
        total = 0
        for pid in self.family():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total


class Family:
    """Processes that end together, in reverse order of their start."""

    def __init__(self):
        self.members = []

    def start(self, *args, **kwargs):
        member = Process(*args, **kwargs)
        self.members.append(member)
        return member

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.members:
            self.members.pop().stop()
