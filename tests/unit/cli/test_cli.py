# test_cli.py - the program thinkwire, used as people use it.
# SPDX-License-Identifier: MIT
# Usage: THINKWIRE_BIN=build/dev/bin python3 -m unittest discover -s tests/unit/cli
import json
import signal
import subprocess
import time
import unittest

from house import (Broker, Redis, Terminal, Tool, clean_environment, free_port, program,
                   until)

THINKING = "💡 Thinking ".encode()


def run(*words, text="", env=None):
    """One call from start to end: exit code, output, error output."""
    done = subprocess.run([program("thinkwire"), *words], input=text.encode(), capture_output=True,
                          timeout=30, env={**clean_environment(), **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def said(events, kind):
    return "".join(e["text"] for e in events if e["type"] == kind)


class OnBroker(unittest.TestCase):
    """Over HTTP, a broker with the memory bus; and over Redis, a broker beside it."""

    over = "http"

    @classmethod
    def setUpClass(cls):
        cls.redis = Redis().start() if cls.over == "redis" else None
        bus = ["--bus", cls.redis.url] if cls.redis else []
        cls.broker = Broker("--wait-unknown-ms", "2000", *bus).start()
        cls.far = ["--redis", cls.redis.url] if cls.redis else ["--http", cls.broker.url]
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        if cls.redis:
            cls.redis.stop()

    def setUp(self):
        type(self).count += 1
        self.task = f"task-{self.count}"

    def emit(self, *words, text=""):
        return run("emit", *self.far, "--task", self.task, *words, text=text)

    def published(self, *words, text=""):
        self.assertEqual(self.emit(*words, text=text), (0, "", ""))

    def tail(self, *words):
        return Tool("tail", self.task, "--url", self.broker.url, *words)

    def events(self):
        code, out, error = run("tail", self.task, "--url", self.broker.url, "--raw",
                               "--from", "start")
        self.assertEqual(error, "")
        return code, [json.loads(line) for line in out.splitlines()]

    def test_single_events_join_one_run(self):
        self.published("--type", "reasoning", "Analyzing...")
        self.published("Hello", "world")
        self.published("--type", "tool_call", "--json", '{"tool":"grep","deep":[1,{"a":2}]}')
        self.published("--type", "status", "half", "done")
        self.published("--type", "completion")
        code, events = self.events()
        self.assertEqual(code, 0)
        self.assertEqual([e["type"] for e in events],
                         ["reasoning", "text", "tool_call", "status", "completion"])
        self.assertEqual(len({e["id"].split("-")[0] for e in events}), 1)
        self.assertEqual([e["id"].split("-")[1] for e in events], list("12345"))
        self.assertEqual(events[0]["text"], "Analyzing...")
        self.assertIs(events[0]["partial"], True)
        self.assertRegex(events[0]["timestamp"], r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$")
        self.assertEqual(events[1]["text"], "Hello world")
        self.assertEqual(events[2]["deep"], [1, {"a": 2}])
        self.assertEqual(events[3]["message"], "half done")
        self.assertEqual(events[4]["text"], "Hello world")
        self.assertEqual(events[4]["reasoning"], "Analyzing...")
        self.assertIs(events[4]["partial"], False)

    def test_a_given_completion_text_stands(self):
        self.published("--type", "completion", "--text", "All of it")
        self.assertEqual(self.events()[1][0]["text"], "All of it")

    def test_a_whole_event_is_taken_as_it_is(self):
        self.published("--json", '{"type":"error","code":"BOOM","message":"it broke","n":1.50}')
        code, events = self.events()
        self.assertEqual(code, 1)
        self.assertEqual((events[0]["code"], events[0]["n"]), ("BOOM", 1.5))

    def test_standard_input_is_a_run_and_each_piece_a_delta(self):
        tail = self.tail("--raw", "--from", "start")
        emit = Tool("emit", *self.far, "--task", self.task)
        for word in ["one ", "two ", "three ✓"]:
            emit.write(word)
            self.assertEqual(json.loads(tail.line())["text"], word)
        emit.end_input()
        self.assertEqual(emit.wait(), (0, "", ""))
        last = json.loads(tail.line())
        self.assertEqual(last["type"], "completion")
        self.assertEqual(last["text"], "one two three ✓")
        self.assertEqual(last["run_text"], "one two three ✓")
        self.assertEqual(tail.wait()[0], 0)

    def test_a_large_input_arrives_whole_and_in_order(self):
        text = "".join(f"line {i} é漢😀\n" for i in range(9000))
        self.published(text=text)
        code, events = self.events()
        self.assertEqual(code, 0)
        self.assertEqual(events[-1]["text"], text)

    def test_reasoning_from_standard_input_leaves_the_run_open(self):
        self.published("--type", "reasoning", text="thinking hard")
        self.assertEqual(self.broker.get(f"/v1/tasks/{self.task}")["state"], "running")
        self.published(text="the answer")
        events = self.events()[1]
        self.assertEqual(events[-1]["type"], "completion")

    def test_no_completion_leaves_the_run_open_for_others(self):
        self.published("--no-completion", text="one ")
        self.published("--no-completion", text="two")
        self.published("--type", "completion")
        events = self.events()[1]
        self.assertEqual(events[-1]["text"], "one two")

    def test_json_lines_are_events(self):
        lines = [{"type": "reasoning", "text": "r", "partial": True},
                 {"type": "text", "text": "a", "partial": True, "id": "5-1"},
                 {"type": "usage", "tokens_in": 5, "tokens_out": 15},
                 {"type": "text", "text": "b", "partial": True}]
        self.published("--json-lines", text="\n".join(map(json.dumps, lines)) + "\n\n")
        events = self.events()[1]
        self.assertEqual(said(events, "text"), "ab")
        self.assertEqual([e["type"] for e in events][-1], "completion")
        self.assertEqual(next(e for e in events if e["type"] == "usage")["tokens_out"], 15)

    def test_json_lines_may_end_the_run_themselves(self):
        self.published("--json-lines", text='{"type":"stopped","length":3}\n')
        code, events = self.events()
        self.assertEqual((code, len(events)), (3, 1))

    def test_a_bad_line_is_named_and_ends_the_run_with_an_error(self):
        code, _, error = self.emit("--json-lines", text=(
            '{"type":"text","text":"good","partial":true}\n{"type":"text"}\n'))
        self.assertEqual(code, 2)
        self.assertIn("line 2", error)
        code, events = self.events()
        self.assertEqual(code, 1)
        self.assertEqual([e["type"] for e in events], ["text", "error"])
        self.assertEqual(events[1]["code"], "BAD_INPUT")

    def test_a_run_of_another_producer_is_closed_to_single_events(self):
        owner = Tool("emit", *self.far, "--task", self.task)
        tail = self.tail("--raw")
        owner.write("mine")
        tail.line()
        code, _, error = self.emit("yours")
        # A lease keeps strangers out; over HTTP there is none, and whoever comes joins.
        self.assertEqual(code, 5 if self.over == "redis" else 0)
        self.assertEqual("belongs to another producer" in error, self.over == "redis")
        owner.end_input()
        self.assertEqual(owner.wait()[0], 0)
        self.assertEqual(tail.wait()[0], 0)

    def test_a_newer_run_ends_an_older_producer(self):
        old = Tool("emit", *self.far, "--task", self.task)
        old.write("old")
        until(lambda: self.has_text("old"), "the older run's text")
        new = Tool("emit", *self.far, "--task", self.task)
        new.write("new")
        until(lambda: self.has_text("new"), "the newer run's text")
        old.write("more")
        old.end_input()
        self.assertEqual(old.wait()[0], 5)
        new.end_input()
        self.assertEqual(new.wait()[0], 0)
        self.assertEqual(self.broker.get(f"/v1/tasks/{self.task}")["text"], "new")

    def has_text(self, text):
        try:
            return self.broker.get(f"/v1/tasks/{self.task}")["text"] == text
        except OSError:
            return False

    # ---- tail ----

    def test_tail_without_a_terminal_prints_reasoning_and_text(self):
        tail = self.tail()
        self.published("--type", "reasoning", "Hmm")
        self.published("--type", "text", "Hello")
        self.published("--type", "completion")
        self.assertEqual(tail.wait(), (0, "Hmm\n\nHello\n", ""))
        self.assertEqual(self.tail("--only-text").wait(), (0, "Hello\n", ""))

    def test_a_late_tail_sees_what_an_early_one_saw(self):
        early = self.tail("--only-text")
        self.published(text="all of the answer")
        self.assertEqual(early.wait()[:2], (0, "all of the answer\n"))
        self.assertEqual(self.tail("--only-text").wait()[:2], (0, "all of the answer\n"))

    def test_tail_tells_how_the_run_ended_by_its_exit_code(self):
        self.published("--type", "error", "--code", "BOOM", "it broke")
        code, out, _ = self.tail().wait()
        self.assertEqual((code, out), (1, "✖ BOOM: it broke\n"))
        self.published("--type", "stopped")
        self.assertEqual(self.tail().wait()[0], 3)
        self.task = "nobody-knows-it"
        code, _, error = self.tail().wait()
        self.assertEqual(code, 5)
        self.assertIn("UNKNOWN_TASK", error)

    def test_stop_tells_what_became_of_it(self):
        stop = ["stop", self.task, "--url", self.broker.url]
        self.assertEqual(run(*stop), (5, "unknown_task\n", ""))
        self.published("--no-completion", text="half of it")
        self.assertEqual(run(*stop, "--epoch", "7"), (5, "stale_epoch\n", ""))
        self.assertEqual(run(*stop), (0, "no_producer\n", ""))
        self.assertEqual(run(*stop), (0, "already_finished\n", ""))
        self.assertEqual(self.events()[0], 3)

    def test_a_completion_that_says_more_than_the_deltas_is_shown_whole(self):
        tail = self.tail("--only-text")
        self.published("--type", "text", "Hel")
        self.published("--type", "completion", "Hello, all")
        self.assertEqual(tail.wait()[:2], (0, "Hello, all\n"))

    def test_an_interrupted_tail_ends_its_line(self):
        tail = self.tail("--from", "start")
        self.published("--type", "text", "half")
        until(lambda: self.has_text("half"), "the text")
        terminal = Terminal("tail", self.task, "--url", self.broker.url)
        terminal.until(b"half")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.wait(), 130)
        self.assertTrue(terminal.seen.endswith(b"\n"))
        self.published("--type", "completion")
        self.assertEqual(tail.wait()[:2], (0, "half\n"))

    def test_the_thinking_timer_counts_until_the_text_begins(self):
        terminal = Terminal("tail", self.task, "--url", self.broker.url)
        self.published("--type", "reasoning", "Analyzing")
        terminal.until(THINKING + b"0s").until(THINKING + b"1s").until(THINKING + b"2s")
        second = terminal.when(THINKING + b"2s") - terminal.when(THINKING + b"1s")
        self.assertAlmostEqual(second, 1.0, delta=0.4)
        self.published("--type", "reasoning", " more")
        terminal.until(b"more")
        self.published("--type", "text", "Answer \x1b[31mred\x07")
        self.published("--type", "completion")
        self.assertEqual(terminal.wait(), 0)
        seen = terminal.seen
        self.assertIn(b"\x1b[2mAnalyzing\x1b[0m", seen)
        answer = seen[seen.index(b"Answer"):]
        self.assertNotIn(THINKING, answer)
        self.assertIn("Answer \ufffd[31mred\ufffd".encode(), answer)
        self.assertLess(seen.index(b"Analyzing"), seen.index(b"more"))
        self.assertLess(seen.rindex(THINKING), seen.index(b"\x1b[J", seen.rindex(THINKING)))

    def test_a_late_terminal_sees_the_timer_at_its_true_value(self):
        self.published("--type", "reasoning", "Hmm")
        time.sleep(1.2)
        terminal = Terminal("tail", self.task, "--url", self.broker.url)
        terminal.until(THINKING)
        first = terminal.seen[terminal.seen.index(THINKING) + len(THINKING):][:1]
        self.assertIn(first, (b"1", b"2"))
        self.published("--type", "completion", "x")
        self.assertEqual(terminal.wait(), 0)


class OnRedis(OnBroker):
    over = "redis"

    def test_a_redis_that_dies_in_the_middle_costs_no_text(self):
        tail = self.tail("--only-text")
        emit = Tool("emit", *self.far, "--task", self.task)
        emit.write("before ")
        tail.until("before ")
        self.redis.kill()
        emit.write("during ")
        self.redis.start()
        emit.write("after")
        emit.end_input()
        self.assertEqual(emit.wait()[0], 0)
        self.assertEqual(tail.wait()[:2], (0, "before during after\n"))

    def test_a_broker_that_dies_is_reconnected_to_and_nothing_is_printed_twice(self):
        tail = self.tail("--only-text")
        emit = Tool("emit", *self.far, "--task", self.task)
        emit.write("before ")
        tail.until("before ")
        self.broker.kill()
        emit.write("during ")
        self.broker.start()
        emit.write("after")
        emit.end_input()
        self.assertEqual(emit.wait()[0], 0)
        self.assertEqual(tail.wait()[:2], (0, "before during after\n"))


class OnAnything(unittest.TestCase):
    def test_an_unknown_subcommand_lists_what_exists(self):
        code, out, error = run("frobnicate")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("frobnicate", error)
        self.assertIn("emit tail", error)
        self.assertEqual(run()[0], 2)

    def test_help_teaches_by_example(self):
        for words, needle in [(["--help"], "thinkwire tail t1"), (["help"], "emit"),
                              (["emit", "--help"], "| thinkwire emit --task t1\n"),
                              (["tail", "--help"], "thinkwire tail t1 --raw | jq .type\n")]:
            code, out, error = run(*words)
            self.assertEqual((code, error), (0, ""))
            self.assertIn(needle, out)
        self.assertRegex(run("--version")[1], r"^thinkwire \d+\.\d+\.\d+\n$")

    def test_malformed_command_lines_say_what_is_wrong(self):
        for words, needle in [
                (["emit", "x"], "--task"),
                (["emit", "--task", "a/b", "x"], "task id"),
                (["emit", "--task", "t", "--site", "a/b", "x"], "site"),
                (["emit", "--task", "t", "--json-lines", "x"], "--json-lines"),
                (["emit", "--task", "t", "--url", "ftp://x", "x"], "redis://"),
                (["emit", "--task", "t", "--tpye", "x"], "type"),
                (["tail"], "which task"),
                (["tail", "a b"], "task id"),
                (["tail", "t", "--from", "elsewhere"], "--from"),
                (["tail", "t", "--url", "redis://127.0.0.1"], "--url"),
                (["stop"], "which task"),
                (["stop", "a b"], "task id"),
                (["stop", "t", "--url", "redis://127.0.0.1"], "--url")]:
            code, out, error = run(*words)
            self.assertEqual((code, out), (2, ""), words)
            self.assertIn(needle, error)

    def test_nobody_listening_is_told_soon_and_clearly(self):
        port = free_port()
        for words in [["emit", "--redis", f"redis://127.0.0.1:{port}", "--task", "t", "x"],
                      ["emit", "--http", f"http://127.0.0.1:{port}", "--task", "t", "x"],
                      ["tail", "t", "--url", f"http://127.0.0.1:{port}"],
                      ["stop", "t", "--url", f"http://127.0.0.1:{port}"]]:
            began = time.monotonic()
            code, out, error = run(*words)
            self.assertEqual((code, out), (4, ""))
            self.assertIn("nothing answers", error)
            self.assertIn(str(port), error)
            self.assertLess(time.monotonic() - began, 5)

    def test_a_memory_broker_that_restarts_gets_the_whole_text_again(self):
        broker = Broker("--wait-unknown-ms", "5000").start()
        self.addCleanup(lambda: broker.stop())
        emit = Tool("emit", "--http", broker.url, "--task", "t")
        tail = Tool("tail", "t", "--url", broker.url, "--only-text")
        emit.write("before ")
        tail.until("before ")
        broker.kill()
        emit.write("during ")
        broker.start()
        emit.write("after")
        emit.end_input()
        self.assertEqual(emit.wait(), (0, "", ""))
        self.assertEqual(tail.wait()[:2], (0, "before during after\n"))
        self.assertEqual(broker.get("/v1/tasks/t")["text"], "before during after")

    def test_the_environment_names_the_far_end(self):
        port = free_port()
        code, _, error = run("emit", "--task", "t", "x",
                             env={"THINKWIRE_URL": f"http://127.0.0.1:{port}"})
        self.assertEqual(code, 4)
        self.assertIn(str(port), error)

    def test_a_password_is_never_repeated(self):
        port = free_port()
        for url in [f"redis://:sesame@127.0.0.1:{port}", "redis://:sesame@", "x://:sesame@h"]:
            code, out, error = run("emit", "--redis", url, "--task", "t", "x")
            self.assertIn(code, (2, 4))
            self.assertNotIn("sesame", out + error)


if __name__ == "__main__":
    unittest.main()
