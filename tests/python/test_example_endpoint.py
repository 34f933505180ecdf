# test_example_endpoint.py - a whole Frappe endpoint, with a provider that streams in steps.
# SPDX-License-Identifier: MIT
import importlib
import sys
import threading
import time
import unittest

from peers import PATIENCE, Lines, Provider, Redis, Subscriber, frappe, free_port

import thinkwire_frappe

QUESTION = {"messages": [{"role": "user", "content": "Why?"}], "mode": "agent"}


class Case(unittest.TestCase):
    def setUp(self):
        thinkwire_frappe._forget()  # every test is a process of its own
        self.log = Lines(self)
        self.provider = Provider(self)
        self.redis = Redis(self)
        self.subscriber = Subscriber(self, self.redis)
        self.frappe = frappe(self, {"redis_queue": self.redis.url, "ai_base_url": self.provider.url,
                                    "ai_model": "small", "ai_api_key": "key",
                                    "ai_agent_prompt": "You act."})
        self.endpoint = importlib.import_module("example_endpoint")
        self.addCleanup(sys.modules.pop, "example_endpoint")

    def call(self, **arguments):
        """The endpoint in a thread, as a web worker runs it; answers what to wait for."""
        outcome = []

        def run():
            try:
                outcome.append(self.endpoint.chat_completion(**{**QUESTION, **arguments}))
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=run)
        thread.start()

        def answer():
            thread.join(PATIENCE)
            return outcome[0]
        return answer

    def speak(self):
        self.provider.delta(role="assistant", content="")
        self.provider.delta(reasoning_content="Let me see… ")
        self.provider.delta(reasoning="Light.")
        self.provider.delta(content="Because of ")
        self.provider.delta(content="é😀.")
        self.provider.done()


class Streams(Case):
    def test_reasoning_text_and_completion_are_told_and_the_answer_returned(self):
        answer = self.call(task_id="task_1")
        self.speak()
        self.assertEqual(answer(), {"task_id": "task_1", "text": "Because of é😀.",
                                    "reasoning": "Let me see… Light."})
        events = self.subscriber.events(5)
        self.assertEqual({(e["event"], e["room"], e["namespace"], e["message"]["task_id"]) for e in events},
                         {("ai_progress", "user:a@example.com", "site1.local", "task_1")})
        self.assertEqual([(m["type"], m["text"], m["partial"]) for m in (e["message"] for e in events)],
                         [("reasoning", "Let me see… ", True), ("reasoning", "Light.", True),
                          ("text", "Because of ", True), ("text", "é😀.", True),
                          ("completion", "Because of é😀.", False)])
        self.assertEqual(events[-1]["message"]["reasoning"], "Let me see… Light.")

    def test_each_event_is_out_before_the_provider_goes_on(self):
        answer = self.call()
        for kind, delta in (("reasoning", {"reasoning_content": "a"}), ("text", {"content": "b"})):
            self.provider.delta(**delta)
            self.assertEqual(self.subscriber.messages(1)[0]["type"], kind)
        self.provider.done()
        self.assertEqual(answer()["text"], "b")

    def test_the_provider_is_asked_to_stream_and_told_of_the_mode(self):
        for mode, roles in (("agent", ["system", "user"]), ("chat", ["user"])):
            answer = self.call(mode=mode)
            self.speak()
            answer()
            path, headers, body = self.provider.requests[-1]
            self.assertEqual((path, headers["Authorization"]), ("/v1/chat/completions", "Bearer key"))
            self.assertEqual((body["stream"], body["model"]), (True, "small"))
            self.assertEqual([message["role"] for message in body["messages"]], roles)

    def test_each_request_without_a_task_gets_one_of_its_own(self):
        answers = []
        for _ in range(2):
            answer = self.call()
            self.speak()
            answers.append(answer()["task_id"])
        self.assertRegex(answers[0], r"^task_[0-9a-f]{32}$")
        self.assertNotEqual(*answers)
        self.assertEqual({m["task_id"] for m in self.subscriber.messages(10)}, set(answers))

    def test_each_emission_has_a_log_line(self):
        answer = self.call()
        self.speak()
        answer()
        self.assertEqual([line.split("] ")[-1] for line in self.log.lines],
                         ["💭 REASONING emitted: 12 chars", "💭 REASONING emitted: 6 chars",
                          "📝 TEXT emitted: 11 chars", "📝 TEXT emitted: 3 chars",
                          "✅ COMPLETION emitted"])


class Fails(Case):
    def test_without_redis_the_chat_works_all_the_same(self):
        self.frappe.conf["redis_queue"] = f"redis://127.0.0.1:{free_port()}"
        answer = self.call()
        self.speak()
        self.assertEqual(answer()["text"], "Because of é😀.")
        self.assertEqual(thinkwire_frappe.counters(),
                         {"emitted": 0, "failed": 1, "skipped": 4, "unheard": 0})

    def test_with_a_redis_that_hangs_the_chat_is_late_by_one_time_out(self):
        self.redis.freeze()
        self.speak()
        began = time.monotonic()
        self.assertEqual(self.call()()["text"], "Because of é😀.")
        self.assertLess(time.monotonic() - began, thinkwire_frappe.TIMEOUT + 1)
        self.assertEqual(thinkwire_frappe.counters(),
                         {"emitted": 0, "failed": 1, "skipped": 4, "unheard": 0})

    def test_a_provider_that_breaks_off_ends_the_run_with_an_error(self):
        answer = self.call()
        self.provider.delta(content="half")
        self.provider.breaks_off()
        self.assertIsInstance(answer(), ConnectionError)
        self.assertEqual([m["type"] for m in self.subscriber.messages(2)], ["text", "error"])

    def test_an_error_within_the_stream_ends_the_run_with_an_error(self):
        answer = self.call()
        self.provider.chunks.put('{"error": {"message": "secret"}}')
        self.assertIsInstance(answer(), ConnectionError)
        self.provider.breaks_off()
        end, = self.subscriber.messages(1)
        self.assertEqual((end["type"], end["code"]), ("error", "SERVER_ERROR"))
        self.assertNotIn("secret", str(end))


class Refuses(Case):
    def test_guests_and_other_methods_are_refused_by_frappe(self):
        self.assertEqual(self.frappe.whitelisted, [("chat_completion", False, ["POST"])])

    def test_requests_without_sense_are_refused_before_the_provider_is_asked(self):
        user = {"role": "user", "content": "x"}
        bad = [{"messages": None}, {"messages": []}, {"messages": "no json"}, {"messages": ["x"]},
               {"messages": [{"role": "root", "content": "x"}]}, {"messages": [{"role": "user"}]},
               {"messages": [{"role": "user", "content": 5}]}, {"messages": [user] * 201},
               {"messages": [{"role": "user", "content": "x" * 200_001}]}, {"mode": "other"},
               {"task_id": ""}, {"task_id": "a b"}, {"task_id": "x" * 129}, {"task_id": 5}]
        for arguments in bad:
            with self.assertRaises(self.frappe.ValidationError, msg=arguments):
                self.endpoint.chat_completion(**{**QUESTION, **arguments})
        self.assertEqual(self.provider.requests, [])

    def test_messages_of_a_form_are_read_as_json(self):
        answer = self.call(messages='[{"role": "user", "content": "é", "extra": 1}]', mode="chat")
        self.speak()
        answer()
        self.assertEqual(self.provider.requests[0][2]["messages"], [{"role": "user", "content": "é"}])


if __name__ == "__main__":
    unittest.main()
