# slow_reader.py - a client with a 4 KB receive buffer that reads slowly, then at full speed.
# SPDX-License-Identifier: MIT
"""slow_reader.py KIND HOST PORT TASK BYTES_PER_SECOND SECONDS

KIND is sse, ws, sio-object or sio-string. Prints `joined` once subscribed, and at the end one
line of JSON: what was read, and how it ended. The slowness begins after the join, and lasts for
SECONDS, and longer while the standard input is open."""
import base64
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time

RECEIVE_BUFFER = 4096
TERMINAL = ("completion", "error", "stopped")


class Closed(Exception):
    """The server ended the connection."""


class Told:
    """What a native client would show: accumulated text and how it came."""

    def __init__(self):
        self.parts = {"reasoning": [], "text": []}
        self.events = self.resyncs = self.most_merged = 0
        self.seqs = []
        self.rises = True
        self.end = None

    def take(self, name, data):
        if name == "resync":
            self.resyncs += 1
            self.parts = {"reasoning": [], "text": []}
            self.seqs = []
        if name != "ai_progress":
            return
        self.events += 1
        self.most_merged = max(self.most_merged, data.get("merged", 1))
        if "id" in data:
            seq = int(data["id"].split("-")[1])
            self.rises = self.rises and (not self.seqs or seq > self.seqs[-1])
            self.seqs = [seq]
        if data["type"] in TERMINAL:
            self.end = data["type"]
        elif data.get("partial") and data["type"] in self.parts:
            self.parts[data["type"]].append(data["text"])

    def report(self, closed):
        def digest(kind):
            return hashlib.sha256("".join(self.parts[kind]).encode()).hexdigest()
        return {"closed": closed, "end": self.end, "events": self.events, "resyncs": self.resyncs,
                "mostMerged": self.most_merged, "idsRise": self.rises,
                "reasoning": digest("reasoning"), "text": digest("text")}


class Wire:
    """The socket, and how fast it is read."""

    def __init__(self, host, port):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.settimeout(60)
        self.socket.connect((host, port))
        self.rate = None
        self.until = 0

    def slow_down(self, rate, seconds):
        self.rate = rate
        self.until = time.monotonic() + seconds

    def is_told(self):
        """Nobody writes to the standard input: it is readable when it has ended."""
        return bool(select.select([sys.stdin], [], [], 0)[0])

    def read(self):
        size = 65536
        if self.rate and (time.monotonic() < self.until or not self.is_told()):
            size = max(1, self.rate // 10)
            time.sleep(0.1)
        try:
            data = self.socket.recv(size)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of stream")
        return data

    def write(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError as error:
            raise Closed(str(error)) from error


class Http:
    """An HTTP answer's head, then whatever follows it."""

    def __init__(self, wire, request):
        self.wire = wire
        wire.write(request.encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += wire.read()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        self.is_chunked = b"transfer-encoding: chunked" in head.lower()

    def bytes(self):
        if self.rest:
            data, self.rest = self.rest, b""
            return data
        return self.wire.read()


class Chunks:
    """Takes the chunked coding off."""

    def __init__(self, http):
        self.http = http
        self.raw = b""

    def _line(self):
        while b"\r\n" not in self.raw:
            self.raw += self.http.bytes()
        line, self.raw = self.raw.split(b"\r\n", 1)
        return line

    def bytes(self):
        if not self.http.is_chunked:
            return self.http.bytes()
        size = int(self._line(), 16)
        while len(self.raw) < size + 2:
            self.raw += self.http.bytes()
        data, self.raw = self.raw[:size], self.raw[size + 2:]
        if not size:
            raise Closed("the last chunk")
        return data


def read_sse(wire, host, task, on_joined, told):
    http = Http(wire, f"GET /v1/tasks/{task}/events HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert http.status == 200, http.status
    chunks, text = Chunks(http), b""
    while told.end is None:
        text += chunks.bytes()
        *blocks, text = text.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n")
                          if not line.startswith(b":"))
            if fields.get(b"event") == b"subscribed":
                on_joined()
            elif b"data" in fields:
                told.take(fields[b"event"].decode(), json.loads(fields[b"data"]))


class WebSocket:
    """A client's side of RFC 6455, as little as is needed."""

    def __init__(self, wire, host, path):
        key = base64.b64encode(os.urandom(16)).decode()
        self.wire = wire
        self.http = Http(wire, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
                         f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         f"Sec-WebSocket-Key: {key}\r\n\r\n")
        assert self.http.status == 101, self.http.status
        self.raw = b""

    def _need(self, size):
        while len(self.raw) < size:
            self.raw += self.http.bytes()

    def _frame(self):
        self._need(2)
        size, at = self.raw[1] & 127, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            self._need(at)
            size = int.from_bytes(self.raw[2:at], "big")
        self._need(at + size)
        head, data = self.raw[0], self.raw[at:at + size]
        self.raw = self.raw[at + size:]
        return head & 15, bool(head & 128), data

    def send(self, data, opcode=1):
        data, mask = data if isinstance(data, bytes) else data.encode(), os.urandom(4)
        size = len(data)
        head = struct.pack("!BB", 128 | opcode, 128 | (size if size < 126 else 126))
        if size >= 126:
            head += struct.pack("!H", size)
        body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
        self.wire.write(head + mask + body)

    def message(self):
        parts = []
        while True:
            opcode, is_last, data = self._frame()
            if opcode == 8:
                raise Closed(f"close {int.from_bytes(data[:2], 'big')}")
            if opcode == 9:
                self.send(data, 10)
            elif opcode < 3:
                parts.append(data)
                if is_last:
                    return b"".join(parts).decode()


def read_ws(wire, host, task, on_joined, told):
    web = WebSocket(wire, host, "/ws")
    web.send(json.dumps({"op": "subscribe", "task_id": task}))
    while told.end is None:
        message = json.loads(web.message())
        if message["op"] == "subscribed":
            on_joined()
        elif message["op"] == "event":
            told.take(message["event"], message["data"])
        else:
            told.take(message["op"], message)


def read_socket_io(what):
    def read(wire, host, task, on_joined, told):
        web = WebSocket(wire, host, "/socket.io/?EIO=4&transport=websocket")
        while told.end is None:
            packet = web.message()
            if packet[0] == "0":
                web.send("40")
            elif packet[0] == "2":
                web.send("3")
            elif packet.startswith("40"):
                web.send("420" + json.dumps(["task_subscribe", what(task)]))
            elif packet.startswith("430"):
                assert json.loads(packet[3:])[0]["ok"], packet
                on_joined()
            elif packet.startswith("42"):
                name, *arguments = json.loads(packet[2:])
                told.take(name, *arguments)
    return read


KINDS = {
    "sse": read_sse,
    "ws": read_ws,
    "sio-object": read_socket_io(lambda task: {"task_id": task}),
    "sio-string": read_socket_io(lambda task: task),
}


def main(kind, host, port, task, rate, seconds):
    wire, told, closed = Wire(host, int(port)), Told(), None

    def on_joined():
        print("joined", flush=True)
        wire.slow_down(int(rate), float(seconds))
    try:
        KINDS[kind](wire, f"{host}:{port}", task, on_joined, told)
    except Closed as reason:
        closed = str(reason)
    print(json.dumps(told.report(closed)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
