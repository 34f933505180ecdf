# worker.py - the rows of the generation worker: first token, many at once, stops, long streams.
# SPDX-License-Identifier: MIT
"""The stand-in provider of tests/provider, a broker or two and one worker, each a process of
its own, on the private Redis."""
import http.client
import json
import os
import pathlib
import select
import time

from .processes import BenchError, Family, free_port
from .servers import Thinkwire, find_tool

PROVIDER = pathlib.Path(__file__).resolve().parent.parent.parent / "provider"
# What a process that has worked keeps beyond one that has not.
SPARE_BYTES = 4 << 20
SETTLE = 45  # seconds at most until what a load has used is given back


def percentile(values, share):
    """As samples.c has it: the smallest value that `share` of all do not pass."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 100)
    return ordered[max(int(rank), 1) - 1]


def spread(values):
    """In microseconds, from milliseconds; like a line of samples_print()."""
    return {"count": len(values), **{
        f"p{share}_us": percentile(values, share) * 1000 for share in (50, 90, 99)},
        "max_us": max(values) * 1000}


class Plant:
    """Everything a generation needs; `brokers` of them share the Redis."""

    def __init__(self, tools, family, brokers=1):
        self.tools, self.family = tools, family
        tools.empty_redis()
        self.provider_port = free_port()
        self.provider = family.start(
            [find_tool("node", "nodejs"), PROVIDER / "provider.mjs", "--port",
             self.provider_port])
        self.provider.wait_port(self.provider_port)
        self.brokers = [Thinkwire(tools, "sse", "native") for _ in range(brokers)]
        for broker in self.brokers:
            # Short retention: what finished tasks take is no part of the level afterwards.
            broker.extra = ("--retain-finished-ms", 5000)
            broker.start(family)
        self.worker = self.start_worker()

    def start_worker(self):
        folder = pathlib.Path(self.tools.scratch)
        conf = folder / f"providers-{self.provider_port}.conf"
        conf.write_text(f"""default-model m
provider stand-in
    url http://127.0.0.1:{self.provider_port}/v1
    api chat
    max-connections 1000
    keep-alive-ms 2000
    first-token-timeout-ms 10000
    idle-timeout-ms 10000
""")
        environment = {name: value for name, value in os.environ.items()
                       if not name.lower().endswith("_proxy")}
        worker = self.family.start(
            [self.tools.program("thinkwire-worker"), "--bus",
             f"redis://127.0.0.1:{self.tools.redis_port}", "--providers", conf,
             "--telemetry-dir", folder / "telemetry", "--log-level", "warn"],
            env=environment, cwd=folder)
        return worker

    def ask_provider(self, method, path, body=None):
        link = http.client.HTTPConnection("127.0.0.1", self.provider_port, timeout=30)
        link.request(method, path, body and json.dumps(body))
        answer = json.loads(link.getresponse().read())
        link.close()
        return answer

    def script(self, **rules):
        self.ask_provider("POST", "/scripts", {name: [rule] if isinstance(rule, dict) else rule
                                               for name, rule in rules.items()})

    def calls(self):
        """What the provider was asked, by the first word of the last message."""
        return {call["body"]["messages"][-1]["content"]: call
                for call in self.ask_provider("GET", "/calls")["calls"]}

    def wait_worker(self):
        """A first run tells that it is there, and touches code that is no cost of a load."""
        self.ask(tasks=1, first=65535, words=3, deadline=30)

    def start_ask(self, tasks, words, first=0, deadline=120, **more):
        flat = [part for name, value in more.items()
                for part in ("--" + name.replace("_", "-"), value)]
        return self.family.start(
            [self.tools.program("bench_ask"), "--port", self.brokers[0].port, "--tasks", tasks,
             "--words", words, "--first", first, "--deadline-ms", deadline * 1000, *flat],
            talks=True)

    def ask(self, tasks, words, first=0, deadline=120, **more):
        return self.start_ask(tasks, words, first, deadline, **more).read_json(deadline + 10)


# -- first token, spacing --

def first_token(tools, servers, sizes, say):
    if "thinkwire" not in servers:
        return []
    with Family() as family:
        plant = Plant(tools, family)
        plant.script(m={"words": 3}, fast={"words": 3, "pace_ms": 5},
                     stamped={"words": sizes.spacing_words, "pace_ms": 30, "stamp": True})
        plant.wait_worker()
        say(f"worker-ttft: {sizes.first_runs} requests, by turns")
        result = first_token_segments(plant, sizes)
        plant.script(m={"words": sizes.spacing_words, "pace_ms": 30, "stamp": True})
        say(f"worker-ttft: spacing of {sizes.spacing_streams} streams")
        spacing = plant.ask(sizes.spacing_streams, sizes.spacing_words, first=20000)
    result.update(subject="thinkwire-worker", spacing=spacing)
    if spacing["whole"] != sizes.spacing_streams:
        raise BenchError(f"a stream was not whole: {spacing}")
    return [result]


def first_token_segments(plant, sizes):
    load = plant.family.start(
        [plant.tools.program("bench_first"), "--provider", plant.provider_port, "--broker",
         plant.brokers[0].port, "--redis", plant.tools.redis_port, "--runs",
         sizes.first_runs + sizes.first_warmup], talks=True)
    runs = []
    cpu = plant.worker.cpu_us()
    while True:
        one = load.read_json(60)
        if one["phase"] == "result":
            break
        runs.append(one)
    cpu = (plant.worker.cpu_us() - cpu) / (sizes.first_runs + sizes.first_warmup)
    runs = runs[2 * sizes.first_warmup:]
    calls = plant.calls()
    direct = [segments_direct(run, calls[run["key"]]) for run in runs
              if run["phase"] == "direct"]
    through = [segments_through(run, calls[run["key"]]) for run in runs
               if run["phase"] == "through"]
    return {"worker_cpu_us_per_run": cpu,
            "direct": {name: spread([one[name] for one in direct]) for name in direct[0]},
            "through": {name: spread([one[name] for one in through]) for name in through[0]}}


def segments_direct(run, call):
    return {"asked -> provider has it": call["at"] - run["asked"],
            "provider writes -> seen": run["seen"] - call["first_at"],
            "share": call["at"] - run["asked"] + run["seen"] - call["first_at"],
            "whole": run["seen"] - run["asked"]}


def segments_through(run, call):
    return {"posted -> queued in Redis": run["queued"] - run["posted"],
            "queued in Redis -> provider has it": call["at"] - run["queued"],
            "provider writes -> told in Redis": run["told"] - call["first_at"],
            "told in Redis -> seen by SSE": run["seen"] - run["told"],
            "share": call["at"] - run["queued"] + run["told"] - call["first_at"],
            "whole": run["seen"] - run["posted"]}


# -- many --

# What happens to the tasks that meet a fault, and what must come of it: see ask.c.
PACE = {"words": 50, "pace_ms": 100}
FAULTS = {
    "wrefused": [{"refuse": True, "times": 1}, PACE],
    "w500": [{"status": 500, "times": 1}, PACE],
    "wcut": [{"mode": "stream", "cut_at": 20, **PACE}, {"words": 50}],
    "wsilent": [{"mode": "stream", "silent_at": 20, **PACE}, {"words": 50}],
    "wbroken": [{"mode": "stream", "error_at": 20, **PACE}, {"words": 50}],
    "weof": [{"mode": "stream", "eof_at": 20, **PACE}, {"words": 50}],
    "e400": [{"status": 400}],
}


class Level:
    """Memory and descriptors of some processes: now, and the most there was."""

    def __init__(self, processes):
        self.processes = processes
        self.peak = self.now()

    def now(self):
        return {name: {"pss_bytes": one.pss_bytes(), "descriptors": one.descriptors()}
                for name, one in self.processes.items()}

    def look(self):
        for name, facts in self.now().items():
            for key, value in facts.items():
                self.peak[name][key] = max(self.peak[name][key], value)

    def until(self, load, seconds):
        """Watches until `load` has something to say, and answers that."""
        limit = time.monotonic() + seconds
        while not select.select([load.child.stdout], [], [], 0.1)[0]:
            self.look()
            if time.monotonic() > limit:
                break
        return load.read_json(1)


def many(tools, servers, sizes, say):
    if "thinkwire" not in servers:
        return []
    with Family() as family:
        plant = Plant(tools, family)
        plant.script(m=PACE, **FAULTS)
        plant.wait_worker()
        results = []
        for round_ in range(sizes.ask_rounds):
            say(f"worker-many: {sizes.ask_tasks} generations at once, round {round_ + 1}")
            results.append(many_round(plant, sizes, round_))
    return results


def many_round(plant, sizes, round_):
    level = Level({"worker": plant.worker, "broker": plant.brokers[0].process})
    before, cpu = level.now(), plant.worker.cpu_us()
    load = plant.start_ask(sizes.ask_tasks, 50, first=round_ * sizes.ask_tasks,
                           fault_every=50, fault_models=",".join(FAULTS))
    result = level.until(load, 130)
    cpu = plant.worker.cpu_us() - cpu
    after = settled(level, before)
    result.update(subject=f"round {round_ + 1}", before=before, peak=level.peak, after=after,
                  worker_cpu_us_per_token=cpu / max(result["tokens"], 1))
    return result


def settled(level, before):
    """The level once finished tasks are forgotten, idle connections closed, and what is free
    has been given back: as low as before, or as it is when patience ends."""
    limit = time.monotonic() + SETTLE
    while time.monotonic() < limit:
        after = level.now()
        if all(after[name]["descriptors"] <= before[name]["descriptors"]
               and after[name]["pss_bytes"] < before[name]["pss_bytes"] + SPARE_BYTES
               for name in after):
            break
        time.sleep(0.2)
    return after


# -- stops --

def stop(tools, servers, sizes, say):
    if "thinkwire" not in servers:
        return []
    results = []
    with Family() as family:
        plant = Plant(tools, family, brokers=2)
        plant.script(m={"words": 3}, endless={"words": 1000, "pace_ms": 20})
        plant.wait_worker()
        for index, at_once in enumerate((1, 20)):
            say(f"worker-stop: {sizes.stops} stops, {at_once} stream(s) at once")
            plant.ask_provider("DELETE", "/calls")
            result = plant.ask(sizes.stops, 0, first=index * sizes.stops, stop_at=5,
                               at_once=at_once, stops_port=plant.brokers[1].port)
            time.sleep(0.5)
            calls = plant.calls()
            cut = [calls[task]["closed_at"] - asked for task, asked in
                   result.pop("stops").items()]
            result.update(subject=f"{at_once} at once", cut=spread(cut))
            results.append(result)
    return results


# -- long streams --

def long(tools, servers, sizes, say):
    if "thinkwire" not in servers:
        return []
    words = sizes.long_seconds * 10
    with Family() as family:
        plant = Plant(tools, family)
        plant.script(m={"words": 3})
        plant.wait_worker()
        plant.script(m={"words": words, "pace_ms": 100, "stamp": True})
        level = Level({"worker": plant.worker, "broker": plant.brokers[0].process})
        before, cpu = level.now(), plant.worker.cpu_us()
        say(f"worker-long: {sizes.long_streams} streams of {sizes.long_seconds} s")
        load = plant.start_ask(sizes.long_streams, words, deadline=sizes.long_seconds + 60)
        result = level.until(load, sizes.long_seconds + 70)
        cpu = plant.worker.cpu_us() - cpu
        after = settled(level, before)
    result.update(subject="thinkwire-worker", before=before, peak=level.peak, after=after,
                  worker_cpu_us_per_token=cpu / max(result["tokens"], 1))
    return [result]


ROWS = {"worker-ttft": first_token, "worker-many": many, "worker-stop": stop}
LONG_ROWS = {"worker-long": long}
