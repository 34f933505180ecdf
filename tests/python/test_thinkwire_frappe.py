# test_thinkwire_frappe.py - the helper against a real Redis: bytes, rooms, log lines, figures.
# SPDX-License-Identifier: MIT
import datetime
import decimal
import json
import logging
import os
import re
import subprocess
import sys
import unittest
import uuid
from unittest import mock

from peers import HELPER, Lines, Redis, Subscriber, frappe

import thinkwire_frappe
from thinkwire_frappe import Emitter

WHEN = "2026-11-20T23:00:00.123Z"
LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[WebSocket\] "

MODERN = (b'{\n "event": "ai_progress",\n "message": {\n  "partial": true,\n  "task_id": "t1",\n'
          b'  "text": "Analyzing\\u2026 \\u00e9 \\ud83d\\ude00 \\"\\n/",\n'
          b'  "timestamp": "2026-11-20T23:00:00.123Z",\n  "type": "reasoning"\n },\n'
          b' "namespace": "site1.local",\n "room": "task_progress:t1"\n}')
OLDER = (b'{\n "event": "ai_progress",\n "message": {\n  "partial": true,\n  "task_id": "t1",\n'
         b'  "text": "Analyzing\\u2026 \\u00e9 \\ud83d\\ude00 \\"\\n/",\n'
         b'  "timestamp": "2026-11-20T23:00:00.123Z",\n  "type": "reasoning"\n },\n'
         b' "room": "site1.local:task_progress:t1"\n}')
TOOL = (b'{\n "event": "ai_progress",\n "message": {\n  "args": {\n   "a": [],\n   "b": [\n    1,\n'
        b'    null\n   ],\n   "z": {}\n  },\n  "partial": false,\n  "task_id": "t1",\n'
        b'  "timestamp": "2026-11-20T23:00:00.123Z",\n  "type": "tool_call"\n },\n'
        b' "namespace": "",\n "room": "task_progress:t1"\n}')


class Case(unittest.TestCase):
    def setUp(self):
        thinkwire_frappe._forget()  # every test is a process of its own
        self.log = Lines(self)
        self.redis = Redis(self)
        self.subscriber = Subscriber(self, self.redis)

    def emitter(self, task_id="t1", **options):
        options.setdefault("timeout", 5)
        return Emitter(task_id, **{"url": self.redis.url, **options})


class Bytes(Case):
    def setUp(self):
        super().setUp()
        frozen = mock.patch.object(thinkwire_frappe, "_timestamp", return_value=WHEN)
        frozen.start()
        self.addCleanup(frozen.stop)

    def test_an_event_has_the_bytes_of_frappe_v15(self):
        self.assertTrue(self.emitter(site="site1.local").reasoning("Analyzing… é 😀 \"\n/"))
        self.assertEqual(self.subscriber.bytes(), MODERN)

    def test_an_event_has_the_bytes_of_the_older_form(self):
        emitter = self.emitter(site="site1.local", legacy=True)
        self.assertTrue(emitter.reasoning("Analyzing… é 😀 \"\n/"))
        self.assertEqual(self.subscriber.bytes(), OLDER)

    def test_nested_members_are_sorted_and_indented_as_frappe_does(self):
        self.emitter().event("tool_call", args={"z": {}, "b": [1, None], "a": []})
        self.assertEqual(self.subscriber.bytes(), TOOL)

    def test_a_completion_carries_what_it_is_given(self):
        self.emitter().completion("42", "because")
        self.assertEqual(self.subscriber.messages(1), [
            {"type": "completion", "text": "42", "reasoning": "because", "partial": False,
             "task_id": "t1", "timestamp": WHEN}])

    def test_an_error_carries_its_code_and_message(self):
        self.emitter().error("RATE_LIMIT", "Overloaded, please try again soon.")
        self.assertEqual(self.subscriber.messages(1), [
            {"type": "error", "code": "RATE_LIMIT", "partial": False, "task_id": "t1",
             "message": "Overloaded, please try again soon.", "timestamp": WHEN}])

    def test_values_that_json_does_not_know_are_written_as_frappe_writes_them(self):
        self.emitter().event("status", at=datetime.datetime(2025, 2, 5, 10), cost=decimal.Decimal("1.5"),
                             took=datetime.timedelta(hours=1, seconds=2), some={"a"}, what=KeyError("k"),
                             which=uuid.UUID(int=1))
        message, = self.subscriber.messages(1)
        self.assertEqual((message["at"], message["cost"], message["took"], message["some"],
                          message["what"], message["which"]),
                         ("2025-02-05 10:00:00", 1.5, "1:00:02", ["a"], "KeyError('k')",
                          "00000000-0000-0000-0000-000000000001"))

    def test_members_cannot_change_the_type_or_the_task(self):
        self.emitter().event("status", **{"type": "completion", "task_id": "other", "partial": True})
        message, = self.subscriber.messages(1)
        self.assertEqual((message["type"], message["task_id"], message["partial"]), ("status", "t1", True))


class Runs(Case):
    def test_a_timestamp_is_utc_with_milliseconds_and_now(self):
        before = datetime.datetime.now(datetime.timezone.utc)
        self.emitter().text("x")
        stamp = self.subscriber.messages(1)[0]["timestamp"]
        self.assertRegex(stamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        told = datetime.datetime.fromisoformat(stamp[:-1] + "+00:00")
        self.assertLess(abs(told - before), datetime.timedelta(seconds=10))

    def test_events_arrive_in_order(self):
        emitter = self.emitter()
        for n in range(200):
            emitter.text(f"[{n}]")
        self.assertEqual([m["text"] for m in self.subscriber.messages(200)], [f"[{n}]" for n in range(200)])

    def test_an_empty_delta_is_not_sent(self):
        emitter = self.emitter()
        self.assertFalse(emitter.text("") or emitter.reasoning(None))
        emitter.text("x")
        self.assertEqual(self.subscriber.messages(1)[0]["text"], "x")
        self.assertEqual((emitter.emitted, emitter.skipped), (1, 0))

    def test_bytes_are_taken_as_utf_8(self):
        self.emitter().text("é".encode())
        self.assertEqual(self.subscriber.messages(1)[0]["text"], "é")

    def test_a_completion_without_arguments_carries_all_that_was_emitted(self):
        emitter = self.emitter()
        for kind, delta in (("reasoning", "so "), ("text", "a"), ("reasoning", "it is"), ("text", "b")):
            getattr(emitter, kind)(delta)
        emitter.completion()
        end = self.subscriber.messages(5)[-1]
        self.assertEqual((end["type"], end["text"], end["reasoning"]), ("completion", "ab", "so it is"))

    def test_after_the_end_nothing_is_sent(self):
        emitter = self.emitter()
        self.assertTrue(emitter.completion("a"))
        self.assertFalse(emitter.text("late") or emitter.completion("b") or emitter.error("E", "m"))
        self.assertEqual((emitter.emitted, emitter.skipped), (1, 3))
        self.emitter("t2").text("next")
        self.assertEqual([m["task_id"] for m in self.subscriber.messages(2)], ["t1", "t2"])

    def test_a_block_that_raises_ends_the_run_with_an_error_that_tells_no_secrets(self):
        with self.assertRaises(KeyError):
            with self.emitter() as progress:
                progress.text("half")
                raise KeyError("secret")
        half, end = self.subscriber.messages(2)
        self.assertEqual((half["text"], end["type"], end["code"]), ("half", "error", "SERVER_ERROR"))
        self.assertNotIn("secret", json.dumps(end))

    def test_a_block_without_an_end_ends_with_a_completion(self):
        with self.emitter() as progress:
            progress.text("all")
        self.assertEqual([m["type"] for m in self.subscriber.messages(2)], ["text", "completion"])

    def test_a_block_with_an_end_gets_no_second_one(self):
        with self.assertRaises(KeyError):
            with self.emitter() as progress:
                progress.completion("done")
                raise KeyError
        self.emitter("t2").text("next")
        self.assertEqual([m["type"] for m in self.subscriber.messages(2)], ["completion", "text"])

    def test_an_emitter_needs_a_task(self):
        for task_id in (None, ""):
            with self.assertRaises(ValueError):
                Emitter(task_id)

    def test_what_cannot_be_sent_is_counted_and_does_not_raise(self):
        emitter = self.emitter()
        loop = []
        loop.append(loop)
        for fields in ({"cost": float("nan")}, {"loop": loop}, {"keys": {1: 1, "a": 1}}):
            self.assertFalse(emitter.event("status", **fields), fields)
        for kind in ("", "two words", "x" * 65, None, ("a",)):
            self.assertFalse(emitter.event(kind), kind)
        self.assertFalse(emitter.event("completion", cost=float("inf")))
        self.assertEqual((emitter.emitted, emitter.failed), (0, 9))
        self.assertEqual(thinkwire_frappe.counters()["failed"], 9)
        self.assertTrue(emitter.completion("still open"))
        self.assertEqual([m["text"] for m in self.subscriber.messages(1)], ["still open"])

    def test_odd_values_of_a_spoken_event_do_not_raise(self):
        emitter = self.emitter()
        self.assertTrue(emitter.event("text") and emitter.event("text", text=5) and emitter.text(5))
        self.assertEqual([m.get("text") for m in self.subscriber.messages(3)], [None, 5, "5"])

    def test_figures_tell_what_became_of_events(self):
        emitter = self.emitter()
        emitter.text("a")
        emitter.completion()
        emitter.text("late")
        self.subscriber.messages(2)
        self.subscriber.leave()
        self.emitter("t2").text("to nobody")
        self.assertEqual(thinkwire_frappe.counters(),
                         {"emitted": 3, "failed": 0, "skipped": 1, "unheard": 1})


class Rooms(Case):
    def room(self, **options):
        self.emitter(**options).text("x")
        event, = self.subscriber.events(1)
        return event["room"], event.get("namespace")

    def test_without_a_user_the_task_is_the_room(self):
        self.assertEqual(self.room(site="s"), ("task_progress:t1", "s"))

    def test_with_a_user_the_user_is_the_room(self):
        self.assertEqual(self.room(site="s", user="a@b.c"), ("user:a@b.c", "s"))
        self.assertEqual(self.room(site="s", user="a@b.c", legacy=True), ("s:user:a@b.c", None))

    def test_a_named_room_is_sent_as_it_is(self):
        self.assertEqual(self.room(site="s", user="a@b.c", room="doc:A/1"), ("doc:A/1", "s"))
        self.assertEqual(self.room(site="s", room="s:doc:A/1", legacy=True), ("s:doc:A/1", None))

    def test_inside_frappe_the_site_and_its_redis_are_used(self):
        frappe(self, {"redis_queue": self.redis.url, "redis_socketio": "redis://127.0.0.1:1"})
        self.assertEqual(self.room(url=None), ("task_progress:t1", "site1.local"))

    def test_inside_frappe_redis_socketio_serves_where_there_is_no_queue(self):
        frappe(self, {"redis_socketio": self.redis.url})
        self.assertEqual(self.room(url=None), ("task_progress:t1", "site1.local"))

    def test_inside_frappe_v14_the_older_form_goes_to_redis_socketio(self):
        frappe(self, {"redis_queue": "redis://127.0.0.1:1", "redis_socketio": self.redis.url},
               version="14.99.1")
        self.assertEqual(self.room(url=None), ("site1.local:task_progress:t1", None))

    def test_inside_a_development_frappe_the_new_form_is_used(self):
        frappe(self, {"redis_queue": self.redis.url}, version="16.x.x-develop")
        self.assertEqual(self.room(url=None), ("task_progress:t1", "site1.local"))

    def test_arguments_come_before_frappe(self):
        frappe(self, {"redis_queue": "redis://127.0.0.1:1"}, version="14.0.0")
        self.assertEqual(self.room(site="mine", legacy=False), ("task_progress:t1", "mine"))

    def test_a_frappe_that_serves_no_site_is_like_none(self):
        module = frappe(self, {})
        del module.local.site
        self.assertEqual(self.room(), ("task_progress:t1", ""))

    def test_outside_frappe_the_environment_names_redis(self):
        for environment in ({"THINKWIRE_URL": self.redis.url, "FRAPPE_REDIS_QUEUE": "redis://127.0.0.1:1"},
                            {"FRAPPE_REDIS_QUEUE": self.redis.url}):
            with mock.patch.dict(os.environ, environment):
                self.assertEqual(self.room(url=None), ("task_progress:t1", ""))
                os.environ.pop("THINKWIRE_URL", None)

    def test_a_unix_socket_serves_as_well(self):
        self.assertEqual(self.room(url=f"unix://{self.redis.socket}"), ("task_progress:t1", ""))

    def test_a_password_and_a_database_number_are_used(self):
        guarded = Redis(self, password="p:a/ss@")
        self.assertTrue(self.emitter(url=f"{guarded.url}/3").text("x"))
        publishers = [one for one in guarded.client().client_list() if one["cmd"] == "publish"]
        self.assertEqual([one["db"] for one in publishers], ["3"])

    def test_a_wrong_password_is_a_failure_and_is_not_logged(self):
        guarded = Redis(self, password="right")
        emitter = self.emitter(url=guarded.url.replace("right", "wrong"))
        self.assertFalse(emitter.text("x"))
        self.assertEqual(emitter.failed, 1)
        self.assertRegex(self.log.lines[0], r"\(\w+Error WRONGPASS\)")
        self.assertNotIn("wrong", "".join(self.log.lines))


class LogLines(Case):
    def test_each_event_has_its_line(self):
        emitter = self.emitter()
        emitter.reasoning("é" * 45)
        emitter.text("😀" * 128)
        emitter.event("tool_call", name="search")
        emitter.completion()
        self.emitter("t2").error("E", "m")
        wanted = ["💭 REASONING emitted: 45 chars", "📝 TEXT emitted: 128 chars", "📡 TOOL_CALL emitted",
                  "✅ COMPLETION emitted", "❌ ERROR emitted"]
        self.assertEqual(len(self.log.lines), len(wanted), self.log.lines)
        for line, end in zip(self.log.lines, wanted):
            self.assertRegex(line, f"^{LINE}{re.escape(end)}$")

    def test_the_text_is_logged_only_when_debugging(self):
        self.emitter().text("secret")
        self.assertNotIn("secret", "".join(self.log.lines))
        logging.getLogger("thinkwire").setLevel(logging.DEBUG)
        self.emitter().text("secret")
        self.assertIn("secret", self.log.lines[-1])
        self.assertIn("[WebSocket]", self.log.lines[-1])

    def run_apart(self, *setup):
        program = "\n".join(["import logging, sys", *setup, f"sys.path.insert(0, {str(HELPER)!r})",
                             "from thinkwire_frappe import Emitter",
                             f"e = Emitter('t1', url={self.redis.url!r}, timeout=5)",
                             "e.reasoning('x' * 45)", "e.completion()"])
        done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True,
                              check=True, timeout=60)
        return done.stderr.splitlines()

    def test_where_nothing_is_configured_the_lines_go_to_stderr(self):
        lines = self.run_apart()
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], f"^{LINE}💭 REASONING emitted: 45 chars$")
        self.assertRegex(lines[1], f"^{LINE}✅ COMPLETION emitted$")

    def test_an_app_that_configures_logging_keeps_its_own_way(self):
        lines = self.run_apart("logging.basicConfig(format='app: %(message)s', level=logging.INFO)")
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[1], f"^app: {LINE}✅ COMPLETION emitted$")
        self.assertEqual(self.run_apart("logging.basicConfig(level=logging.WARNING)"), [])


if __name__ == "__main__":
    unittest.main()
