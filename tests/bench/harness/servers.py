# servers.py - what is measured: our broker, the peers and the ceiling.
# SPDX-License-Identifier: MIT
"""A subject is a server seen through one kind of reader and fed in one way."""
import os
import pathlib
import shutil
import socket

from .processes import BenchError, free_port

HERE = pathlib.Path(__file__).resolve().parent.parent
NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


class Tools:
    """Where the programs are, the private Redis, and the scratch directory."""

    def __init__(self, build, scratch, family):
        self.bin = pathlib.Path(build) / "bin"
        self.scratch = pathlib.Path(scratch)
        self.redis_port = free_port()
        # Nothing is written to disk: the durability of Redis is not what is measured.
        self.redis = family.start(
            [find_tool("redis-server", "redis-server"), "--port", self.redis_port,
             "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", scratch, "--maxmemory-policy", "noeviction",
             "--client-output-buffer-limit", "pubsub 256mb 64mb 60"])
        self.redis.wait_port(self.redis_port)

    def program(self, name):
        path = self.bin / name
        if not path.exists():
            raise BenchError(f"{path} is missing: build it first")
        return path

    def empty_redis(self):
        with socket.create_connection(("127.0.0.1", self.redis_port), 5) as link:
            link.sendall(b"FLUSHALL\r\n")
            if link.recv(64) != b"+OK\r\n":
                raise BenchError("the private Redis refused FLUSHALL")

    def redis_calls(self):
        """Commands so far but for INFO; those of scripts count one by one."""
        with socket.create_connection(("127.0.0.1", self.redis_port), 5) as link:
            link.sendall(b"INFO commandstats\r\n")
            stream = link.makefile("rb")
            text = stream.read(int(stream.readline()[1:])).decode()
        calls = 0
        for line in text.splitlines():
            if line.startswith("cmdstat_") and not line.startswith("cmdstat_info:"):
                calls += int(line.split("calls=")[1].split(",")[0])
        return calls


def find_tool(name, package):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise BenchError(f"{name} is missing: install the Debian package {package}")
    return path


class Subject:
    """Defaults of what a row needs to know; subclasses start the server."""
    server = ""      # who pays the CPU
    reader = ""      # --kind of the load client
    feed = "frappe"  # --via of the publisher; "native": bench_emit
    options = ()     # further arguments of the load client

    def __init__(self, tools, reader=None, feed=None, options=()):
        self.tools = tools
        self.reader = reader or self.reader
        self.feed = feed or self.feed
        self.options = options or self.options
        self.port = free_port()
        self.process = None

    @property
    def name(self):
        return self.server

    @property
    def feed_port(self):
        return self.tools.redis_port if self.feed in ("frappe", "native") else self.port

    def start(self, family):
        """A fresh server, listening."""
        raise NotImplementedError

    def publish(self, family, first, events, tasks, rate, deadline):
        """Publishes and waits until everything was taken; answers what the publisher says."""
        return self.run_publisher(family, deadline, {
            "--tasks": tasks, "--first": first, "--events": events, "--rate": rate})

    def publish_words(self, family, words, deadline):
        """The long run of the late-join row on task 0, whole when this returns."""
        batch = 100 if self.feed == "native" else 1
        self.run_publisher(family, deadline, {
            "--events": words, "--words": words, "--batch": batch, "--window": 256})

    def run_publisher(self, family, deadline, arguments):
        flat = [part for pair in arguments.items() for part in pair]
        program = "bench_emit" if self.feed == "native" else "bench_publish"
        publisher = family.start(
            [self.tools.program(program), "--via", self.feed, "--port", self.feed_port,
             "--deadline-ms", int(deadline * 1000), *flat], talks=True)
        answer = publisher.read_json(deadline + 5)
        if answer["refused"] or answer["answered"] != answer["requests"]:
            raise BenchError(f"{self.name}: publishing failed: {answer}"
                             + publisher.log_tail())
        return answer


class Thinkwire(Subject):
    server = "thinkwire"
    reader = "ws"
    extra = ()  # further settings
    labels = {"ws": "/ws", "socketio": "Socket.IO", "sse": "SSE"}

    @property
    def name(self):
        tail = ", native" if self.feed == "native" else ""
        return f"thinkwire {self.labels[self.reader]}{tail}"

    def start(self, family):
        self.process = family.start(
            [self.tools.program("thinkwired"), "--listen", f"127.0.0.1:{self.port}",
             "--bus", f"redis://127.0.0.1:{self.tools.redis_port}", *self.extra])
        self.process.wait_port(self.port)


class SocketIo(Subject):
    server = "socketio"
    reader = "socketio"
    name = "Socket.IO + Redis"
    arguments = ()  # of the script, behind the ports

    def start(self, family):
        peers = HERE / "peers"
        self.process = family.start(
            [find_tool("node", "nodejs"), peers / "socketio.js", self.port,
             self.tools.redis_port, *self.arguments], cwd=peers,
            env={**os.environ, "NODE_ENV": "production"})
        self.process.wait_port(self.port)


NGINX_CONF = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 100000000;
    tcp_nodelay on;
    nchan_shared_memory_size 256M;
    nchan_message_timeout 120s;
    nchan_message_buffer_length {buffer};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}
        location ~ ^/sub/(.+)$ {{
            nchan_subscriber websocket;
            nchan_subscriber_first_message newest;
            nchan_channel_id $1;
        }}
        location ~ ^/replay/(.+)$ {{
            nchan_subscriber websocket;
            nchan_subscriber_first_message oldest;
            nchan_channel_id $1;
        }}
    }}
}}
"""


class Nchan(Subject):
    server = "nchan"
    reader = "nchan"
    feed = "nchan"
    name = "Nchan"
    buffer = 1000  # messages kept per channel: more than any burst of the live rows

    def start(self, family):
        if not os.path.exists(NCHAN_MODULE):
            raise BenchError("Nchan is missing: install libnginx-mod-nchan and nginx-light")
        folder = self.tools.scratch / f"nginx-{self.port}"
        folder.mkdir()
        folder.chmod(0o755)
        conf = folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(module=NCHAN_MODULE, dir=folder,
                                          port=self.port, buffer=self.buffer))
        self.process = family.start(
            [find_tool("nginx", "nginx-light"), "-p", folder, "-c", conf, "-e", "stderr"])
        self.process.wait_port(self.port)


class Ceiling(Subject):
    server = "ceiling"
    reader = "raw"
    name = "one send per event"
    readers = 0
    tasks = 1

    def start(self, family):
        self.process = family.start(
            [self.tools.program("bench_ceiling"), "--readers", self.readers,
             "--tasks", self.tasks], talks=True)
        self.port = self.process.read_json(5)["port"]

    def publish(self, family, first, events, tasks, rate, deadline):
        self.process.write_line(f"{first} {events} {rate}")
        return self.process.read_json(deadline + 5)
