# churn.py - the rows in which readers come and go: reconnect, storm, soak.
# SPDX-License-Identifier: MIT
import http.client
import json
import time

from .processes import BenchError, Family
from .servers import SocketIo, Thinkwire

RECONNECT_DEADLINE = 150  # seconds


class ReferenceRecovery(SocketIo):
    """The reference with the Redis-streams adapter and connection state recovery."""
    name = "Socket.IO + Redis streams, recovery"
    arguments = ("recovery",)


class Mixed(Thinkwire):
    """Our own clients, which resume by id."""
    name = "thinkwire, Socket.IO + SSE + /ws, since"


class Recovery(Thinkwire):
    """Stock Socket.IO clients, fed as the reference is."""
    name = "thinkwire, Socket.IO recovery"


# -- reconnect --

def reconnect_subjects(tools, servers, sizes):
    many = sizes.churn_readers
    subjects = []
    if "thinkwire" in servers:
        subjects += [(Mixed(tools, "socketio", "native"),
                      {"--socketio": many // 2, "--sse": many // 4, "--ws": many // 4}),
                     (Recovery(tools, "socketio"), {"--recovery": many})]
    if "socketio" in servers:
        subjects.append((ReferenceRecovery(tools), {"--recovery": many}))
    return subjects


def reconnect_one(subject, readers, sizes):
    with Family() as family:
        subject.tools.empty_redis()
        subject.start(family)
        flat = [part for pair in readers.items() for part in pair]
        load = family.start(
            [subject.tools.program("bench_churn"), "--port", subject.port,
             "--warmup", 1, "--events", sizes.churn_events, "--seed", sizes.seed,
             "--deadline-ms", RECONNECT_DEADLINE * 1000, *flat], talks=True)
        expect(subject, load, "ready", 60)
        subject.publish(family, 0, 1, 1, 0, 20)
        expect(subject, load, "warm", 20)
        payers = (subject.process, subject.tools.redis, load)
        before = [payer.cpu_us() for payer in payers]
        subject.publish(family, 1, sizes.churn_events, 1, 2, RECONNECT_DEADLINE)
        result = expect(subject, load, "result", RECONNECT_DEADLINE)
        cost = [payer.cpu_us() - start for payer, start in zip(payers, before)]
        peak = subject.process.peak_rss_bytes()
    result.update(subject=subject.name, server=subject.server, reader=subject.reader,
                  cpu_s=cost[0] / 1e6, redis_cpu_s=cost[1] / 1e6,
                  load_cpu_s=cost[2] / 1e6, peak_rss_bytes=peak)
    return result


def expect(subject, load, phase, seconds):
    answer = load.read_json(seconds)
    if answer["phase"] != phase:
        raise BenchError(f"{subject.name}: {phase} did not come: {answer}"
                         + load.log_tail())
    return answer


def reconnect(tools, servers, sizes, say):
    results = []
    for subject, readers in reconnect_subjects(tools, servers, sizes):
        say(f"reconnect: {subject.name}")
        results.append(reconnect_one(subject, readers, sizes))
    return results


# -- storm --

def finish(subject, task):
    link = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=10)
    link.request("POST", f"/v1/tasks/{task}/events", json.dumps(
        {"type": "completion", "partial": False, "text": "", "reasoning": ""}))
    answer = link.getresponse()
    if answer.status != 200:
        raise BenchError(f"{subject.name}: completion refused: {answer.read()}")
    link.close()


def storm_one(tools, reader, readers, events):
    """`readers` at once on a broker that never saw the run; Redis' calls and our CPU."""
    with Family() as family:
        subject = Thinkwire(tools, reader, "native")
        subject.start(family)
        time.sleep(1.5)  # its own housekeeping at the start is not the storm's
        calls, cpu = tools.redis_calls(), subject.process.cpu_us()
        load = family.start(
            [tools.program("bench_load"), "--kind", reader, "--port", subject.port,
             "--readers", readers, "--opening", readers, "--from", "snapshot",
             "--form", "object", "--events", events, "--settle-ms", 100,
             "--deadline-ms", 60000], talks=True)
        expect(subject, load, "ready", 60)
        result = expect(subject, load, "result", 60)
        cpu = subject.process.cpu_us() - cpu
        calls = tools.redis_calls() - calls
        peak = subject.process.peak_rss_bytes()
    result.update(subject=subject.name, server="thinkwire", reader=reader, joins=readers,
                  cpu_us_per_join=cpu / readers, redis_calls=calls, peak_rss_bytes=peak)
    return result


def storm(tools, servers, sizes, say):
    results = []
    if "thinkwire" not in servers:
        return results
    with Family() as family:
        tools.empty_redis()
        writer = Thinkwire(tools, "ws", "native")
        writer.start(family)
        writer.publish(family, 0, sizes.storm_events, 1, 0, 60)
        for case, joins in (("running", sizes.storm_joins),
                            ("finished", sizes.storm_joins_finished)):
            if case == "finished":
                finish(writer, "b0000")
            for reader in ("ws", "socketio", "sse"):
                for count in (1, joins):
                    say(f"storm: {count} x {reader} on a {case} run")
                    results.append(storm_one(tools, reader, count, sizes.storm_events))
                    results[-1]["case"] = case
    return results


# -- soak --

def soak(tools, servers, sizes, say):
    if "thinkwire" not in servers:
        return []
    with Family() as family:
        tools.empty_redis()
        subject = Thinkwire(tools, "ws")
        # Short retention, so that what finished tasks take has levelled out after warm-up.
        subject.extra = ("--retain-finished-ms", 15000, "--heartbeat-ms", 5000)
        subject.start(family)
        time.sleep(1)
        before = subject.process.descriptors()
        say(f"soak: {sizes.soak_readers} readers for {sizes.soak_seconds} s")
        load = family.start(
            [tools.program("bench_soak"), "--port", subject.port, "--readers",
             sizes.soak_readers, "--seconds", sizes.soak_seconds, "--seed", sizes.seed],
            talks=True)
        watched = watch(subject, load, sizes)
        result = expect(subject, load, "result", 60)
        time.sleep(3)
        after = subject.process.descriptors()  # before the request for metrics
        counters = metrics(subject)
        cpu = subject.process.cpu_us() / 1e6
    result.update(subject=subject.name, descriptors_before=before,
                  descriptors_after=after, cpu_s=cpu, counters=counters, **watched)
    return [result]


def watch(subject, load, sizes):
    """Samples memory once a second while both run."""
    samples, start = [], time.monotonic()
    while time.monotonic() - start < sizes.soak_seconds - 3:
        time.sleep(1)
        subject.process.must_run()
        load.must_run()
        samples.append((time.monotonic() - start, subject.process.rss_bytes(),
                        subject.process.pss_bytes(), subject.process.descriptors()))
    warm = [one for one in samples if one[0] >= sizes.soak_warmup]
    return {"samples": samples, "warmup_s": sizes.soak_warmup,
            "rss_slope": slope([(one[0], one[1]) for one in warm]),
            "pss_slope": slope([(one[0], one[2]) for one in warm]),
            "rss_bytes": warm[-1][1], "pss_bytes": warm[-1][2],
            "descriptors_peak": max(one[3] for one in samples)}


def slope(points):
    """Least squares, in KB per minute."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    across = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across * 60 / 1024


def metrics(subject):
    """The broker's own counters that tell of trouble or work."""
    link = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=10)
    link.request("GET", "/metrics")
    text = link.getresponse().read().decode()
    link.close()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines()
             if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs if float(value) != 0}
