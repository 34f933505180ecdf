# thinkwire_frappe.py - publish the progress of an AI request from a Frappe app.
# SPDX-License-Identifier: MIT
"""Copy this one file into a Frappe app. It needs python3-redis, which every bench has.

    from my_app.thinkwire_frappe import Emitter

    with Emitter(task_id, user=frappe.session.user) as progress:
        progress.reasoning("Analyzing the question...")
        progress.text("Hello")
        progress.completion()

Each event is PUBLISHed at once, without waiting for a database commit, on the site's own Redis and
byte for byte as `frappe.publish_realtime("ai_progress", ...)` would.

What is promised
  - No method raises because of Redis, of the event, or of a missing configuration: it answers
    False, and `counters()` tells why.
  - No method waits longer than three times `timeout`: to connect (name look-up and password
    included), to send, and for the answer; a Redis that is down or hangs costs one of them. After a
    failure nothing is tried for `pause` seconds, so a dead Redis costs a request nothing; then one
    event tries again. An event is never sent twice.
  - Events that were not sent are gone. The completion carries the whole answer, so a reader who
    missed some of it ends with the right text.
  - One log line per event on the logger `thinkwire`: kind and size, and the text only at level
    DEBUG. Where logging is not configured at all, the lines go to stderr.

An Emitter is for one thread at a time. Connections are shared by the process, and not with its
forked children.
"""
import datetime
import decimal
import json
import logging
import os
import re
import sys
import threading
import time
import uuid

import redis

__all__ = ["Emitter", "counters", "frappe_bytes"]

CHANNEL = "events"
EVENT = "ai_progress"
TERMINAL = ("completion", "error", "stopped")
MARKS = {"reasoning": "💭", "text": "📝", "completion": "✅", "error": "❌", "stopped": "🛑"}
TIMEOUT = 0.25
PAUSE = 5.0
MAX_IDLE = 8  # connections kept open per Redis; more only while more threads publish at once

_log = logging.getLogger("thinkwire")
_clock = time.monotonic
_KIND = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_TROUBLE = (redis.RedisError, OSError, ValueError)
try:  # newer clients would otherwise try again, with growing pauses
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    _ONCE = {"retry": Retry(NoBackoff(), 0)}
except ImportError:
    _ONCE = {}


class Emitter:
    """Publishes the events of one run of one task.

    site     the site's name; inside Frappe the current one, outside ""
    url      redis://[[user]:password@]host[:port][/db] or unix:///path. Inside Frappe the site's
             own Redis, else the environment: THINKWIRE_URL, FRAPPE_REDIS_QUEUE
    user     publish to this user's room, where nobody else hears it, not to the task's room
    room     publish to this room, named as it is (in the legacy form with its site)
    legacy   the form of v12 to v14: the site is a prefix of the room. None: as the Frappe around us
    timeout  seconds for each of connecting, sending and the answer
    pause    seconds of rest after a failure
    """

    def __init__(self, task_id, site=None, url=None, user=None, room=None, legacy=None,
                 timeout=TIMEOUT, pause=PAUSE):
        self.task_id = str(task_id or "")
        if not self.task_id:
            raise ValueError("task_id is empty")
        bench = _Bench()
        self.site = bench.site if site is None else str(site)
        self.legacy = bench.is_legacy if legacy is None else bool(legacy)
        self.room = room or self._room(user)
        self.emitted = self.failed = self.skipped = 0
        self._wire_key = (url or bench.redis_url(self.legacy) or _environment_url(), timeout, pause)
        self._has_ended = False
        # Held for completion(), as the caller holds them for its own answer.
        self._said = {"reasoning": [], "text": []}

    def reasoning(self, text):
        """A delta of the reasoning: text to append. An empty one is not sent."""
        return self._delta("reasoning", text)

    def text(self, text):
        """A delta of the answer: text to append. An empty one is not sent."""
        return self._delta("text", text)

    def completion(self, text=None, reasoning=None):
        """The end: the full answer and the full reasoning. None: all that was emitted."""
        return self._emit("completion", {
            "text": "".join(self._said["text"]) if text is None else _string(text),
            "reasoning": "".join(self._said["reasoning"]) if reasoning is None else _string(reasoning),
        })

    def error(self, code, message):
        """The end: a short code for programs and a message for people."""
        return self._emit("error", {"code": str(code), "message": str(message)})

    def event(self, type, /, **fields):
        """Any other event: "status", "tool_call", ... with what else it carries."""
        return self._emit(type, fields)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        """Every run ends, with one terminal event: with the caller's own, else with this one."""
        if self._has_ended:
            return
        if kind is None:
            self.completion()
        else:
            self.error("SERVER_ERROR", "Server error, please try again later.")

    def _room(self, user):
        room = f"user:{user}" if user else f"task_progress:{self.task_id}"
        return f"{self.site}:{room}" if self.legacy else room

    def _delta(self, kind, text):
        text = _string(text)
        if not text:
            return False
        if not self._has_ended:
            self._said[kind].append(text)
        return self._emit(kind, {"text": text})

    def _emit(self, kind, fields):
        if self._has_ended:
            return self._count("skipped")
        message = {"partial": kind in ("reasoning", "text"), "timestamp": _timestamp(), **fields,
                   "type": kind, "task_id": self.task_id}
        try:
            if not _KIND.fullmatch(kind):
                raise ValueError("malformed type")
            payload = frappe_bytes(EVENT, message, self.room, self.site, self.legacy)
        except (TypeError, ValueError, RecursionError) as error:
            _say(logging.WARNING, "⚠️ an ai_progress event cannot be sent as JSON (%s)",
                 type(error).__name__)
            return self._count("failed")
        self._has_ended = kind in TERMINAL
        return self._publish(message, payload)

    def _publish(self, message, payload):
        wire = _wire(*self._wire_key)
        if not wire.may_try():
            return self._count("skipped")
        try:
            listeners = wire.publish(payload)
        except _TROUBLE as error:
            wire.has_failed(error)
            return self._count("failed")
        wire.has_worked()
        if not listeners:
            _count("unheard")
        _say_emitted(message)
        return self._count("emitted")

    def _count(self, what):
        setattr(self, what, getattr(self, what) + 1)
        _count(what)
        return what == "emitted"


def frappe_bytes(event, message, room, site, legacy=False):
    """What Frappe puts on the channel: sorted keys, one space of indent, ASCII.

    Unlike Frappe, NaN and infinities are refused (ValueError): they are not JSON, and the
    original Socket.IO process of a bench dies of them."""
    body = {"event": event, "message": message, "room": room}
    if not legacy:
        body["namespace"] = site
    return json.dumps(body, indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=True,
                      allow_nan=False, default=_plain).encode("ascii")


def counters():
    """Of this process: events emitted, failed, skipped (while Redis rests after a failure, or
    after the end of their run), and unheard (emitted, but nobody listened on the channel)."""
    with _lock:
        return dict(_counts)


def _string(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _plain(value):
    """As Frappe turns into JSON what json does not know."""
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, uuid.UUID)):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if callable(getattr(value, "as_dict", None)):
        return value.as_dict()
    return repr(value)


def _timestamp():
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


class _Bench:
    """The Frappe around us. Whoever runs inside it has imported it; outside, all is empty."""

    def __init__(self):
        self.site, self.is_legacy, self._conf = "", False, {}
        frappe = sys.modules.get("frappe")
        try:
            self.site, self._conf = frappe.local.site or "", frappe.conf
        except (AttributeError, RuntimeError):  # no Frappe, or none that serves a site now
            return
        major = re.match(r"\d+", str(getattr(frappe, "__version__", "")))
        self.is_legacy = bool(major) and int(major.group()) < 15

    def redis_url(self, legacy):
        """v12 to v14 listen on redis_socketio, v15 and later on redis_queue."""
        names = ("redis_queue", "redis_socketio")
        for name in reversed(names) if legacy else names:
            if self._conf.get(name):
                return self._conf.get(name)
        return None


def _environment_url():
    for name in ("THINKWIRE_URL", "FRAPPE_REDIS_QUEUE"):
        if os.environ.get(name):
            return os.environ[name]
    return "redis://127.0.0.1:6379"


class _Wire:
    """The connections of this process to one Redis, and whether it answers."""

    def __init__(self, url, timeout, pause):
        self._url, self._timeout, self._pause = url, timeout, pause
        self._lock = threading.Lock()
        self._idle = []
        self._is_down = False
        self._retry_at = 0.0
        self._skipped = 0

    def may_try(self):
        """False while Redis rests. When the pause is over, one caller may try and others wait on."""
        with self._lock:
            if not self._is_down:
                return True
            if _clock() < self._retry_at:
                self._skipped += 1
                return False
            self._retry_at = _clock() + self._pause
            return True

    def publish(self, payload):
        """Answers how many listened."""
        connection = self._take()
        try:
            # In one piece, so that one time-out bounds it.
            packed = b"".join(connection.pack_command("PUBLISH", CHANNEL, payload))
            connection.send_packed_command([packed])
            listeners = connection.read_response()
        except BaseException:  # also a job's time-out signal: its answer would be read by another
            connection.disconnect()
            raise
        with self._lock:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return listeners
        connection.disconnect()
        return listeners

    def has_worked(self):
        with self._lock:
            was_down, skipped = self._is_down, self._skipped
            self._is_down, self._skipped = False, 0
        if was_down:
            _say(logging.INFO, "🔌 Redis answers again: ai_progress events flow, %d were skipped",
                 skipped)

    def has_failed(self, error):
        with self._lock:
            was_down, self._is_down = self._is_down, True
            self._retry_at = _clock() + self._pause
            idle, self._idle = self._idle, []
        for connection in idle:  # they may hang as well, one pause each
            connection.disconnect()
        if not was_down:
            # Only its kind and Redis' own code: the text may quote the address, with a password.
            code = re.match(r"([A-Z]{3,20}) ", str(error))
            _say(logging.WARNING, "⚠️ Redis does not take ai_progress events (%s): "
                 "they are skipped, tried again every %g s",
                 type(error).__name__ + (f" {code.group(1)}" if code else ""), self._pause)

    def _take(self):
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and _is_open(connection):
            return connection
        # A thread, because the look-up of a name knows no time-out, and because each address
        # and each command of the greeting has one of its own.
        return _within(self._timeout, self._connect)

    def _connect(self):
        pool = redis.ConnectionPool.from_url(self._url, socket_timeout=self._timeout, **_ONCE)
        connection = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        return connection


def _is_open(connection):
    """Nothing to read from a connection at rest; its end would be."""
    try:
        if not connection.can_read(timeout=0):
            return True
    except (redis.RedisError, OSError):
        pass
    connection.disconnect()
    return False


def _within(seconds, call):
    """The call's result, or its exception, or a time-out. One that is late is dropped."""
    results = []

    def run():
        try:
            results.append((call(), None))
        except BaseException as error:  # handed to the caller, whatever it is
            results.append((None, error))

    try:
        thread = threading.Thread(target=run, name="thinkwire-connect", daemon=True)
        thread.start()
    except RuntimeError as error:
        raise OSError("no thread to connect with") from error
    thread.join(seconds)
    if not results:
        raise redis.TimeoutError("connecting took too long")
    value, error = results[0]
    if error is not None:
        raise error
    return value


_lock = threading.Lock()
_wires = {}  # one per Redis that is configured
_counts = {}


def _forget():
    """A forked child has no part in its parent's connections, locks and figures."""
    global _lock
    _lock = threading.Lock()
    _wires.clear()
    _counts.update(emitted=0, failed=0, skipped=0, unheard=0)


_forget()
os.register_at_fork(after_in_child=_forget)


def _wire(url, timeout, pause):
    with _lock:
        key = (url, timeout, pause)
        if key not in _wires:
            _wires[key] = _Wire(*key)
        return _wires[key]


def _count(what):
    with _lock:
        _counts[what] += 1


def _say(level, line, *values):
    """Each line is found by `grep -i "websocket\\|ai_progress"`, whatever the app's format is."""
    with _lock:
        if not _log.hasHandlers():  # else the lines would go nowhere
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(message)s"))
            _log.addHandler(handler)
            if _log.level == logging.NOTSET:
                _log.setLevel(logging.INFO)
    if _log.isEnabledFor(level):
        _log.log(level, "[%s] [WebSocket] " + line, time.strftime("%Y-%m-%d %H:%M:%S"), *values)


def _say_emitted(message):
    kind = message["type"]
    mark = MARKS.get(kind, "📡")
    if kind in ("reasoning", "text"):
        _say(logging.INFO, "%s %s emitted: %d chars", mark, kind.upper(),
             len(_string(message.get("text"))))
    else:
        _say(logging.INFO, "%s %s emitted", mark, kind.upper())
    if "text" in message:
        _say(logging.DEBUG, "%s %s is %r", mark, kind.upper(), message["text"])
