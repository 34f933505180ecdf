# rows.py - the rows of the table in design.md section 7.
# SPDX-License-Identifier: MIT
"""Each row runs its subjects one after the other on an otherwise idle machine and answers
one dictionary per subject (and repetition). Servers are fresh for every measurement."""
import statistics
import time

from . import churn, worker
from .processes import BenchError, Family
from .servers import Ceiling, Nchan, SocketIo, Thinkwire

DEADLINE = 60  # seconds any single measurement may take


class Sizes:
    """How big the rows are."""

    def __init__(self, quick):
        self.quick = quick
        self.readers = 200 if quick else 1000
        self.repeats = 1 if quick else 3  # of the delivery rows
        self.fanout_events = 60 if quick else 300
        self.paced_events = 40 if quick else 100
        self.many_tasks = 200 if quick else 1000
        self.many_rate = 1000 if quick else 5000
        self.many_events = 10 if quick else 20  # per task: four seconds
        self.connections = 500 if quick else 2000
        self.words = 20000
        self.churn_readers = 400 if quick else 2000
        self.churn_events = 40 if quick else 120
        self.storm_events = 2000
        self.storm_joins = 300 if quick else 1000
        self.storm_joins_finished = 300 if quick else 3000
        self.soak_readers = 400 if quick else 2000
        self.soak_seconds = 60 if quick else 600
        self.soak_warmup = 20 if quick else 120
        self.seed = 1
        self.warm_joins = 50 if quick else 200
        self.cold_joins = 2 if quick else 10
        self.live_joins = 5 if quick else 50
        self.first_runs = 200 if quick else 1000
        self.first_warmup = 20
        self.spacing_streams = 20
        self.spacing_words = 100 if quick else 300
        self.ask_tasks = 100 if quick else 500
        self.ask_rounds = 2 if quick else 3
        self.stops = 50 if quick else 200
        self.long_streams = 100
        self.long_seconds = 20 if quick else 300


def start_load(subject, family, arguments):
    """A load client whose readers have all joined."""
    flat = [part for pair in arguments.items() for part in pair]
    load = family.start(
        [subject.tools.program("bench_load"), "--kind", subject.reader,
         "--port", subject.port, "--deadline-ms", DEADLINE * 1000, *flat,
         *subject.options], talks=True)
    first = load.read_json(DEADLINE + 5)
    if first["phase"] != "ready":
        raise BenchError(f"{subject.name}: only {first.get('ready')} of "
                         f"{first.get('readers')} readers joined" + load.log_tail())
    return load


def deliver(subject, readers, tasks, warmup, events, rate):
    """One run: what was delivered, how fast, and what the server paid for it."""
    with Family() as family:
        subject.tools.empty_redis()
        if isinstance(subject, Ceiling):
            subject.readers, subject.tasks = readers, tasks
        subject.start(family)
        load = start_load(subject, family, {
            "--readers": readers, "--tasks": tasks, "--warmup": warmup,
            "--events": events})
        subject.publish(family, 0, warmup, tasks, rate, DEADLINE)
        phase = load.read_json(DEADLINE)
        if phase["phase"] != "warm":
            raise BenchError(f"{subject.name}: warm-up was not delivered: {phase}"
                             + load.log_tail())
        time.sleep(0.3)  # what the warm-up left to do is not charged to the run
        payers = (subject.process, subject.tools.redis, load)
        before = [payer.cpu_us() for payer in payers]
        published = subject.publish(family, warmup, events, tasks, rate, DEADLINE)
        result = load.read_json(DEADLINE + 5)
        cost = [payer.cpu_us() - start for payer, start in zip(payers, before)]
        pss = subject.process.pss_bytes()
    deliveries = max(result["deliveries"], 1)
    result.update(
        subject=subject.name, server=subject.server, reader=subject.reader,
        feed=subject.feed, cpu_us=cost[0], cpu_us_per_delivery=cost[0] / deliveries,
        redis_cpu_us_per_event=cost[1] / (events * tasks),
        load_cpu_us_per_delivery=cost[2] / deliveries, pss_bytes=pss,
        publisher_late_us=published.get("late_max_us"))
    del result["phase"]
    return result


def live_subjects(tools, servers):
    """Fresh subjects of the delivery rows, ours first."""
    chosen = []
    if "thinkwire" in servers:
        chosen += [Thinkwire(tools, "ws"), Thinkwire(tools, "socketio"),
                   Thinkwire(tools, "sse"), Thinkwire(tools, "ws", "native")]
    if "socketio" in servers:
        chosen.append(SocketIo(tools))
    if "nchan" in servers:
        chosen.append(Nchan(tools))
    if "ceiling" in servers:
        chosen.append(Ceiling(tools))
    return chosen


def repeated(tools, servers, sizes, say, row, load):
    """The repetitions are interleaved over the subjects: all see the same weather."""
    results = []
    for repeat in range(sizes.repeats):
        for subject in live_subjects(tools, servers):
            say(f"{row} {repeat + 1}/{sizes.repeats}: {subject.name}")
            results.append(deliver(subject, **load))
            results[-1]["repeat"] = repeat
    return results


def fanout(tools, servers, sizes, say):
    return repeated(tools, servers, sizes, say, "fanout", {
        "readers": sizes.readers, "tasks": 1, "warmup": 30,
        "events": sizes.fanout_events, "rate": 0})


def paced(tools, servers, sizes, say):
    return repeated(tools, servers, sizes, say, "paced", {
        "readers": sizes.readers, "tasks": 1, "warmup": 20,
        "events": sizes.paced_events, "rate": 20})


def many(tools, servers, sizes, say):
    return repeated(tools, servers, sizes, say, "many", {
        "readers": sizes.many_tasks, "tasks": sizes.many_tasks, "warmup": 10,
        "events": sizes.many_events, "rate": sizes.many_rate})


def memory_of(subject, count, tasks):
    """Idle PSS, and what `count` subscribed connections add to it."""
    with Family() as family:
        subject.tools.empty_redis()
        subject.start(family)
        time.sleep(0.5)
        idle = subject.process.pss_bytes()
        # The first connection touches code and tables that are no cost per connection.
        start_load(subject, family, {"--readers": 1, "--tasks": 1})
        time.sleep(0.2)
        base = subject.process.pss_bytes()
        start_load(subject, family, {"--readers": count, "--tasks": tasks})
        time.sleep(0.5)
        full = subject.process.pss_bytes()
    return {"subject": subject.name, "server": subject.server, "reader": subject.reader,
            "connections": count, "tasks": tasks, "idle_pss_bytes": idle,
            "full_pss_bytes": full, "bytes_per_connection": (full - base) / count}


def memory(tools, servers, sizes, say):
    results = []
    for tasks in (1, sizes.connections):
        for subject in live_subjects(tools, set(servers) - {"ceiling"}):
            if subject.feed == "native":
                continue  # nothing is published: the same as /ws
            say(f"memory: {subject.name}, {tasks} task(s)")
            results.append(memory_of(subject, sizes.connections, tasks))
    return results


LIVE_WORDS = 3     # a joiner of a run that goes on stays for so many deltas
LIVE_RATE = 100    # deltas per second


def join_cost(subject, family, joins, words, live=0):
    """`joins` late joiners one after the other; times, and CPU per join."""
    extra = ["--from", "start"] if isinstance(subject, Nchan) else []
    before = subject.process.cpu_us()
    joiner = family.start(
        [subject.tools.program("bench_join"), "--kind", subject.reader, "--port",
         subject.port, "--words", words, "--joins", joins, "--live", live, *extra],
        talks=True)
    each = joiner.read_json(DEADLINE)["joins"]
    time.sleep(0.2)
    cpu = (subject.process.cpu_us() - before) / joins
    broken = [one for one in each if one["us"] < 0 or one["strange"]]
    if broken:
        raise BenchError(f"{subject.name}: a late joiner did not get the run: {broken[0]}"
                         + joiner.log_tail())
    return each, cpu


def join_result(subject, case, each, cpu):
    times = sorted(one["us"] for one in each)
    return {"subject": subject.name, "server": subject.server, "reader": subject.reader,
            "case": case, "joins": len(each), "median_us": statistics.median(times),
            "p99_us": times[(len(times) * 99 + 99) // 100 - 1],
            "max_us": max(times), "cpu_us_per_join": cpu, "bytes": each[0]["bytes"],
            "messages": each[0]["messages"],
            "merged": max(one["merged"] for one in each),
            "fewest_merged": min(one["merged"] for one in each)}


def latejoin_thinkwire(tools, sizes, say):
    results = []
    with Family() as family:
        tools.empty_redis()
        writer = Thinkwire(tools, "ws", "native")
        writer.start(family)
        # A reader that stays keeps the run in this broker's memory: the warm case.
        start_load(writer, family, {"--readers": 1, "--tasks": 1})
        writer.publish_words(family, sizes.words, DEADLINE)
        time.sleep(0.5)
        latejoin_cases(writer, family, sizes, say, results)
        # The same while the run goes on: each joiner sees snapshot and live meet.
        family.start([tools.program("bench_emit"), "--port", tools.redis_port, "--first",
                      sizes.words, "--words", sizes.words, "--events", 20 * LIVE_RATE * 60,
                      "--rate", LIVE_RATE, "--deadline-ms", 1200000])
        latejoin_cases(writer, family, sizes, say, results, LIVE_WORDS)
    return results


def latejoin_cases(writer, family, sizes, say, results, live=0):
    tail = ", live" if live else ""
    for reader in ("ws", "socketio", "sse"):
        writer.reader = reader
        say(f"latejoin: {writer.name}, warm{tail}")
        each, cpu = join_cost(writer, family,
                              sizes.live_joins if live else sizes.warm_joins,
                              sizes.words, live)
        results.append(join_result(writer, "warm" + tail, each, cpu))
        say(f"latejoin: {writer.name}, cold{tail}")
        colds = [cold_join(writer.tools, reader, sizes.words, live)
                 for _ in range(sizes.cold_joins)]
        results.append(join_result(writer, "cold" + tail, [one for one, _ in colds],
                                   statistics.median(cost for _, cost in colds)))


def cold_join(tools, reader, words, live):
    """One joiner on a broker that never saw the run."""
    with Family() as family:
        subject = Thinkwire(tools, reader, "native")
        subject.start(family)
        time.sleep(0.5)
        each, cpu = join_cost(subject, family, 1, words, live)
    return each[0], cpu


def latejoin(tools, servers, sizes, say):
    results = []
    if "thinkwire" in servers:
        results += latejoin_thinkwire(tools, sizes, say)
    if "nchan" in servers:  # for comparison: it can only replay every message
        with Family() as family:
            subject = Nchan(tools)
            subject.buffer = sizes.words + 1000
            say(f"latejoin: {subject.name}, replay of every message")
            subject.start(family)
            subject.publish_words(family, sizes.words, DEADLINE)
            joins = min(sizes.warm_joins, 5)  # a second each
            each, cpu = join_cost(subject, family, joins, sizes.words)
            results.append(join_result(subject, "replay", each, cpu))
    return results


ROWS = {"fanout": fanout, "paced": paced, "many": many, "memory": memory,
        "latejoin": latejoin, "storm": churn.storm, **worker.ROWS}
# Only when they are asked for: they take minutes.
LONG_ROWS = {"reconnect": churn.reconnect, "soak": churn.soak, **worker.LONG_ROWS}
