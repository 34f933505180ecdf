# test_trouble.py - what a request pays when Redis is away, hangs or comes back; threads and forks.
# SPDX-License-Identifier: MIT
import os
import signal
import socket
import threading
import time
import unittest
from unittest import mock

from peers import PATIENCE, Lines, Listener, Redis, Subscriber, free_port

import thinkwire_frappe
from thinkwire_frappe import Emitter, counters

TIMEOUT = 0.2
SLACK = 0.5  # for a busy machine: still far below what waiting without a bound would take


class Clock:
    """The helper's clock, moved by hand."""

    def __init__(self, test):
        self.now = 1000.0
        patched = mock.patch.object(thinkwire_frappe, "_clock", lambda: self.now)
        patched.start()
        test.addCleanup(patched.stop)


class Case(unittest.TestCase):
    def setUp(self):
        thinkwire_frappe._forget()  # every test is a process of its own
        self.log = Lines(self)
        self.clock = Clock(self)

    def emitter(self, url, task_id="t1", timeout=PATIENCE, pause=5):
        return Emitter(task_id, url=url, timeout=timeout, pause=pause)

    def troubles(self):
        return [line.split("] ", 2)[2][:2].strip() for line in self.log.lines if "emitted" not in line]

    def assert_within(self, seconds, call):
        began = time.monotonic()
        result = call()
        self.assertLess(time.monotonic() - began, seconds)
        return result


class Away(Case):
    def test_a_redis_that_is_down_costs_one_refusal_and_then_nothing(self):
        emitter = self.emitter(f"redis://127.0.0.1:{free_port()}", timeout=TIMEOUT)
        self.assertFalse(self.assert_within(TIMEOUT + SLACK, lambda: emitter.text("x")))
        answers = self.assert_within(SLACK, lambda: [emitter.text("x") for _ in range(1000)])
        self.assertFalse(any(answers))
        self.assertEqual((emitter.emitted, emitter.failed, emitter.skipped), (0, 1, 1000))
        self.assertEqual(counters(), {"emitted": 0, "failed": 1, "skipped": 1000, "unheard": 0})

    def test_one_line_tells_that_redis_is_away_and_none_that_an_event_was_emitted(self):
        emitter = self.emitter(f"redis://127.0.0.1:{free_port()}")
        for _ in range(3):
            emitter.text("x")
            self.clock.now += 6
        self.assertEqual(emitter.failed, 3)
        self.assertEqual(len(self.log.lines), 1, self.log.lines)
        self.assertIn("[WebSocket] ⚠️ Redis does not take ai_progress events (ConnectionError)",
                      self.log.lines[0])

    def test_while_redis_rests_nobody_calls_it_and_afterwards_one_does(self):
        listener = Listener(self)
        emitter = self.emitter(listener.url, timeout=TIMEOUT)
        emitter.text("x")  # connects, and gets no answer
        self.assertEqual(listener.callers(), 1)
        for seconds, callers in ((4.9, 0), (0.2, 1), (4.9, 0), (0.2, 1)):
            self.clock.now += seconds
            for _ in range(10):
                emitter.text("x")
            self.assertEqual(listener.callers(), callers)
        self.assertEqual((emitter.failed, emitter.skipped), (3, 38))

    def test_only_one_of_many_requests_tries_again(self):
        listener = Listener(self)
        self.emitter(listener.url, timeout=TIMEOUT).text("x")
        self.assertEqual(listener.callers(), 1)
        self.clock.now += 6
        threads = [threading.Thread(target=self.emitter(listener.url, timeout=TIMEOUT).text, args="x")
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(listener.callers(), 1)
        self.assertEqual((counters()["failed"], counters()["skipped"]), (2, 7))

    def test_one_dead_redis_does_not_stop_another(self):
        server = Redis(self)
        self.assertFalse(self.emitter(f"redis://127.0.0.1:{free_port()}").text("x"))
        self.assertTrue(self.emitter(server.url).text("x"))

    def test_addresses_that_make_no_sense_are_failures(self):
        for url in ("http://127.0.0.1:1", "redis://127.0.0.1:port", "nonsense", "unix:///none",
                    "redis://:se/cret@h"):
            emitter = self.emitter(url)
            self.assertFalse(emitter.text("x"), url)
            self.assertEqual(emitter.failed, 1, url)
        self.assertNotIn("cret", "".join(self.log.lines))

    def test_a_name_that_is_looked_up_for_ever_costs_one_time_out(self):
        release = threading.Event()
        self.addCleanup(release.set)
        look_up = socket.getaddrinfo

        def hanging(host, *rest, **named):
            if host == "redis.invalid":
                release.wait(PATIENCE)
                raise socket.gaierror("no such name")
            return look_up(host, *rest, **named)

        with mock.patch.object(socket, "getaddrinfo", hanging):
            emitter = self.emitter("redis://redis.invalid:6379", timeout=TIMEOUT)
            self.assertFalse(self.assert_within(TIMEOUT + SLACK, lambda: emitter.text("x")))
        self.assertEqual(emitter.failed, 1)
        self.assertIn("(TimeoutError)", self.log.lines[0])


class Frozen(Case):
    def setUp(self):
        super().setUp()
        self.redis = Redis(self)

    def test_a_redis_that_hangs_costs_one_time_out_and_then_nothing(self):
        emitter = self.emitter(self.redis.url, timeout=TIMEOUT)
        self.redis.freeze()
        self.assertFalse(self.assert_within(TIMEOUT + SLACK, lambda: emitter.text("x")))
        self.assert_within(SLACK, lambda: [emitter.text("x") for _ in range(1000)])
        self.assertEqual((emitter.failed, emitter.skipped), (1, 1000))
        self.assertIn("(TimeoutError)", self.log.lines[0])

    def test_it_costs_the_same_over_a_connection_that_worked(self):
        self.assertTrue(self.emitter(self.redis.url).text("warm"))
        emitter = self.emitter(self.redis.url, timeout=TIMEOUT)
        while not emitter.text("warm"):  # its own first connection, on a busy machine
            self.clock.now += 6
        failed = emitter.failed
        self.redis.freeze()
        self.assertFalse(self.assert_within(TIMEOUT + SLACK, lambda: emitter.text("x")))
        self.assertEqual(emitter.failed, failed + 1)

    def test_it_costs_the_same_when_the_text_is_larger_than_the_kernel_takes(self):
        emitter = self.emitter(self.redis.url, timeout=TIMEOUT)
        self.redis.freeze()
        payload = "x" * (32 << 20)
        began = time.monotonic()
        with mock.patch.object(thinkwire_frappe, "frappe_bytes", return_value=payload.encode()):
            self.assertFalse(emitter.text("x"))
        self.assertLess(time.monotonic() - began, TIMEOUT + SLACK)
        self.assertEqual(emitter.failed, 1)

    def test_an_event_that_timed_out_is_not_sent_again(self):
        subscriber = Subscriber(self, self.redis)
        emitter = self.emitter(self.redis.url, timeout=TIMEOUT)
        self.redis.freeze()
        self.assertFalse(emitter.text("in doubt"))
        self.assertFalse(emitter.text("skipped"))
        self.redis.thaw()
        self.assertTrue(self.emitter(self.redis.url).text("next"))
        seen = [subscriber.messages(1)[0]["text"]]
        while seen[-1] != "next":
            seen += [subscriber.messages(1)[0]["text"]]
        self.assertLessEqual(seen.count("in doubt"), 1)
        self.assertNotIn("skipped", seen)

    def test_when_it_goes_on_so_do_the_events_with_one_line_each_way(self):
        emitter = self.emitter(self.redis.url, timeout=TIMEOUT)
        self.redis.freeze()
        emitter.text("a")
        emitter.text("b")
        self.redis.thaw()
        self.redis.client().ping()
        emitted = False
        while not emitted:
            self.clock.now += 6
            emitted = emitter.text("c")
        self.assertTrue(emitter.text("d"))
        self.assertEqual(self.troubles(), ["⚠️", "🔌"])
        self.assertIn("1 were skipped", self.log.lines[1])

    def publishers(self):
        return {one["id"] for one in self.redis.client().client_list() if one["cmd"] == "publish"}

    def emit_while_frozen(self, count):
        """Starts that many requests at once; they wait for Redis until it goes on."""
        take, took = thinkwire_frappe._Wire._take, threading.Semaphore(0)

        def telling(wire):
            connection = take(wire)
            took.release()
            return connection

        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.emitter(self.redis.url).text("x")))
                   for _ in range(count)]
        with mock.patch.object(thinkwire_frappe._Wire, "_take", telling):
            self.redis.freeze()
            for thread in threads:
                thread.start()
            for _ in threads:
                self.assertTrue(took.acquire(timeout=PATIENCE))
        self.redis.thaw()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [True] * count)

    def test_a_failure_closes_the_connections_at_rest_which_may_hang_as_well(self):
        self.emit_while_frozen(2)
        before = self.publishers()
        self.assertEqual(len(before), 2)
        emitter = self.emitter(self.redis.url)

        def no_answer(*ignored):
            raise TimeoutError

        with mock.patch("redis.Connection.read_response", no_answer):
            self.assertFalse(emitter.text("x"))
        self.clock.now += 6
        self.assertTrue(emitter.text("x"))
        self.assertEqual(len(self.publishers()), 1)
        self.assertFalse(self.publishers() & before)

    def test_a_connection_whose_answer_nobody_took_is_not_used_again(self):
        emitter = self.emitter(self.redis.url)
        self.assertTrue(emitter.text("warm"))
        before = self.publishers()

        def alarm(*ignored):
            raise InterruptedJob

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, alarm))
        self.redis.freeze()
        signal.setitimer(signal.ITIMER_REAL, TIMEOUT)
        with self.assertRaises(InterruptedJob):  # a job's own time-out is not ours to swallow
            emitter.text("x")
        self.emit_while_frozen(1)
        self.assertEqual(len(self.publishers()), 1)
        self.assertFalse(self.publishers() & before)


class InterruptedJob(Exception):
    """As a job queue raises it, from a signal, wherever the job is."""


class Back(Case):
    def test_a_restart_between_two_events_loses_neither(self):
        server = Redis(self)
        emitter = self.emitter(server.url)
        self.assertTrue(emitter.text("before"))
        server.stop()
        server.start()
        subscriber = Subscriber(self, server)
        self.assertTrue(emitter.text("after"))
        self.assertEqual(subscriber.messages(1)[0]["text"], "after")
        self.assertEqual((emitter.failed, self.troubles()), (0, []))

    def test_after_an_outage_events_flow_again_by_themselves(self):
        server = Redis(self)
        emitter = self.emitter(server.url)
        self.assertTrue(emitter.text("before"))
        server.stop()
        self.assertFalse(emitter.text("lost"))
        server.start()
        subscriber = Subscriber(self, server)
        self.assertFalse(emitter.text("rests"))
        self.clock.now += 6
        self.assertTrue(emitter.completion())
        self.assertEqual(subscriber.messages(1)[0]["text"], "beforelostrests")
        self.assertEqual(self.troubles(), ["⚠️", "🔌"])


class Together(Case):
    def setUp(self):
        super().setUp()
        self.redis = Redis(self)

    def publishers(self):
        return [one["id"] for one in self.redis.client().client_list() if one["cmd"] == "publish"]

    def test_requests_one_after_another_share_a_connection(self):
        for n in range(20):
            with self.emitter(self.redis.url, f"t{n}") as progress:
                progress.text("x")
        self.assertEqual(len(self.publishers()), 1)

    def test_threads_do_not_mix_their_events_and_few_connections_stay(self):
        subscriber = Subscriber(self, self.redis)
        gate = threading.Barrier(16)

        def request(n):
            emitter = self.emitter(self.redis.url, f"t{n}")
            gate.wait(PATIENCE)
            for k in range(50):
                emitter.text(f"{n}:{k}")

        threads = [threading.Thread(target=request, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = {f"t{n}": [] for n in range(16)}
        for message in subscriber.messages(16 * 50):
            told[message["task_id"]].append(message["text"])
        self.assertEqual(told, {f"t{n}": [f"{n}:{k}" for k in range(50)] for n in range(16)})
        self.assertEqual(counters(), {"emitted": 800, "failed": 0, "skipped": 0, "unheard": 0})
        self.assertLessEqual(len(self.publishers()), thinkwire_frappe.MAX_IDLE)

    def test_a_forked_child_has_connections_and_figures_of_its_own(self):
        subscriber = Subscriber(self, self.redis)
        emitter = self.emitter(self.redis.url)
        self.assertTrue(emitter.text("parent 0"))
        mine = self.publishers()
        says, told = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:  # never returns into the test runner
            emitted = [emitter.text(f"child {n}") for n in range(100)]
            is_apart = counters() == {"emitted": 100, "failed": 0, "skipped": 0, "unheard": 0}
            os.write(says[1], b"y" if all(emitted) and is_apart else b"n")
            os.close(told[1])
            os.read(told[0], 1)
            os._exit(0)
        emitted = [emitter.text(f"parent {n}") for n in range(1, 101)]
        self.assertEqual(os.read(says[0], 1), b"y")
        publishers = self.publishers()
        os.close(told[1])
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        for end in (*says, told[0]):
            os.close(end)
        self.assertTrue(all(emitted))
        self.assertEqual(len(publishers), 2)
        self.assertEqual([one for one in publishers if one in mine], mine)
        texts = [message["text"] for message in subscriber.messages(201)]
        self.assertEqual([t for t in texts if t.startswith("p")], [f"parent {n}" for n in range(101)])
        self.assertEqual([t for t in texts if t.startswith("c")], [f"child {n}" for n in range(100)])

    def test_a_child_tries_again_what_rests_in_its_parent(self):
        emitter = self.emitter(self.redis.url)
        self.redis.stop()
        self.assertFalse(emitter.text("x"))
        self.redis.start()
        self.assertFalse(emitter.text("rests"))
        child = os.fork()
        if child == 0:
            os._exit(0 if emitter.text("x") else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
