# report.py - targets, the table on the terminal.
# SPDX-License-Identifier: MIT
"""Judges measured rows against the targets of design.md section 7 and prints them. Ratios
are taken within one repetition, then the median: a machine that slows down slows both."""
import functools
import statistics

from . import worker_report


def median_of(results, key):
    return statistics.median(result[key] for result in results)


def by_subject(results):
    """Subject name to its repetitions, in the order of the run."""
    grouped = {}
    for result in results:
        grouped.setdefault(result["subject"], []).append(result)
    return grouped


def ratio(results, subject, server):
    """Median over repetitions of CPU per delivery against `server`; None without it."""
    others = [result for result in results if result["server"] == server]
    ours = [result for result in results if result["subject"] == subject]
    if not others or not ours:
        return None
    return statistics.median(a["cpu_us_per_delivery"] / b["cpu_us_per_delivery"]
                             for a, b in zip(ours, others))


def verdict(row, who, what, value, limit, unit=""):
    """A judged target; `value` None means that what it is compared with was not run."""
    return {"row": row, "subject": who, "what": what, "value": value, "limit": limit,
            "unit": unit, "met": None if value is None else value <= limit}


# -- judging --

def ours_in(results, readers=("ws", "socketio")):
    return [name for name, runs in by_subject(results).items()
            if runs[0]["server"] == "thinkwire" and runs[0]["reader"] in readers]


def faults(results, subject):
    return sum(result[key] for result in results if result["subject"] == subject
               for key in ("lost", "duplicates", "reordered", "foreign", "closed"))


def judge_ceiling(row, results, limit):
    verdicts = []
    for name in ours_in(results):
        verdicts.append(verdict(row, name, "CPU per delivery / one send per event",
                                ratio(results, name, "ceiling"), limit))
    return verdicts + judge_faults(row, results)


def judge_faults(row, results):
    return [verdict(row, name, "lost + doubled + out of order", faults(results, name), 0)
            for name in ours_in(results, ("ws", "socketio", "sse"))]


def judge_fanout(results):
    return judge_ceiling("fanout", results, 0.25)


def judge_paced(results):
    return judge_ceiling("paced", results, 1.2)


def judge_many(results):
    verdicts = []
    peers = [result for result in results if result["server"] == "socketio"]
    theirs = median_of(peers, "p99_us") / 1000 if peers else None
    for name in ours_in(results):
        p99 = median_of(by_subject(results)[name], "p99_us") / 1000
        verdicts += [
            verdict("many", name, "CPU per event / Socket.IO server",
                    ratio(results, name, "socketio"), 0.3),
            verdict("many", name, "p99 latency", p99, 1.0, "ms"),
            verdict("many", name, "p99 latency / Socket.IO server",
                    p99 / theirs if theirs else None, 1.0)]
    return verdicts + judge_faults("many", results)


def judge_memory(results):
    verdicts = []
    limits = {"ws": 4096, "socketio": 8192}
    for result in results:
        if result["server"] != "thinkwire" or result["tasks"] != 1:
            continue
        if result["reader"] in limits:
            verdicts.append(verdict("memory", result["subject"], "per connection",
                                    result["bytes_per_connection"],
                                    limits[result["reader"]], "bytes"))
        if result["reader"] == "ws":
            verdicts.append(verdict("memory", "thinkwire", "idle PSS",
                                    result["idle_pss_bytes"] / 2**20, 12, "MB"))
    return verdicts


def judge_latejoin(results):
    verdicts = []
    for result in results:
        if result["server"] != "thinkwire":
            continue
        who = f"{result['subject']}, {result['case']}"
        odd = abs(result["merged"] - 2) + abs(result["fewest_merged"] - 2)
        verdicts += [verdict("latejoin", who, "subscribe to last byte, median",
                             result["median_us"] / 1000, 5, "ms"),
                     verdict("latejoin", who, "CPU per join",
                             result["cpu_us_per_join"] / 1000, 5, "ms"),
                     verdict("latejoin", who, "events beyond one per kind", odd, 0)]
    return verdicts


def judge_storm(results):
    """What Redis is asked does not depend on how many come at once."""
    verdicts = []
    ones = {(one["subject"], one["case"]): one for one in results if one["joins"] == 1}
    for result in results:
        if result["joins"] == 1:
            continue
        who = f"{result['subject']}, {result['case']}"
        more = result["redis_calls"] - ones[result["subject"], result["case"]]["redis_calls"]
        spare = STORM_REDIS_SLACK + round(STORM_REDIS_PER_S * result["last_ms"] / 1000)
        verdicts += [verdict("storm", who, "Redis commands beyond those of one join", more,
                             spare),
                     verdict("storm", who, "lost + doubled + out of order",
                             sum(result[key] for key in FAULTS), 0)]
    return verdicts


def judge_reconnect(results):
    verdicts = []
    for result in results:
        if result["server"] == "thinkwire":
            verdicts.append(verdict("reconnect", result["subject"],
                                    "lost + doubled + out of order + resynchronised",
                                    sum(result[key] for key in FAULTS)
                                    + result["resyncs"], 0))
    return verdicts


def judge_soak(results):
    verdicts = []
    for result in results:
        who = result["subject"]
        verdicts += [
            verdict("soak", who, "RSS slope after warm-up", result["rss_slope"],
                    SOAK_SLOPE_KB, "KB/min"),
            verdict("soak", who, "PSS slope after warm-up", result["pss_slope"],
                    SOAK_SLOPE_KB, "KB/min"),
            verdict("soak", who, "descriptors that did not come back",
                    result["descriptors_after"] - result["descriptors_before"], 0),
            verdict("soak", who, "lost + doubled + wrong",
                    sum(result[key] for key in ("lost", "duplicates", "foreign",
                                                "stuck")), 0)]
    return verdicts


FAULTS = ("lost", "duplicates", "reordered", "foreign")
# The broker's housekeeping (pings, a look at the open runs) goes on during a storm.
STORM_REDIS_SLACK = 20
STORM_REDIS_PER_S = 5
# Below what can be told from the allocator's own ups and downs in ten minutes.
SOAK_SLOPE_KB = 100

JUDGES = {"fanout": judge_fanout, "paced": judge_paced, "many": judge_many,
          "memory": judge_memory, "latejoin": judge_latejoin, "storm": judge_storm,
          "reconnect": judge_reconnect, "soak": judge_soak,
          **{name: functools.partial(judge, verdict)
             for name, judge in worker_report.JUDGES.items()}}


# -- printing --

def table(header, lines):
    """Aligned columns: the first to the left, numbers to the right."""
    rows = [header] + lines
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(header))]
    text = []
    for row in rows:
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:])]
        text.append("  " + "   ".join(cells).rstrip())
    text.insert(1, "  " + "   ".join("-" * width for width in widths))
    return "\n".join(text)


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def delivery_table(results):
    lines = []
    for name, runs in by_subject(results).items():
        lost = {key: sum(run[key] for run in runs)
                for key in ("lost", "duplicates", "reordered")}
        lines.append(
            [name, number(median_of(runs, "cpu_us_per_delivery"))]
            + [number(ratio(results, name, server))
               for server in ("ceiling", "socketio", "nchan")]
            + [number(median_of(runs, key) / 1000, 3)
               for key in ("p50_us", "p90_us", "p99_us", "max_us")]
            + [number(median_of(runs, "wall_ms"), 0)] + list(lost.values()))
    return table(["", "CPU us/delivery", "/ ceiling", "/ Socket.IO", "/ Nchan", "p50 ms",
                  "p90 ms", "p99 ms", "max ms", "wall ms", "lost", "doubled",
                  "reordered"], lines)


def memory_table(results):
    return table(["", "tasks", "connections", "idle PSS MB", "full PSS MB",
                  "bytes/connection"],
                 [[result["subject"], result["tasks"], result["connections"],
                   number(result["idle_pss_bytes"] / 2**20, 1),
                   number(result["full_pss_bytes"] / 2**20, 1),
                   number(result["bytes_per_connection"], 0)] for result in results])


def latejoin_table(results):
    return table(["", "case", "joins", "median ms", "p99 ms", "max ms", "server CPU ms/join",
                  "messages", "merged", "bytes"],
                 [[result["subject"], result["case"], result["joins"],
                   number(result["median_us"] / 1000), number(result["p99_us"] / 1000),
                   number(result["max_us"] / 1000),
                   number(result["cpu_us_per_join"] / 1000), result["messages"],
                   result["merged"], result["bytes"]] for result in results])


def storm_table(results):
    return table(["", "case", "joins", "CPU us/join", "Redis commands", "all have it ms",
                  "peak RSS MB", "lost", "doubled"],
                 [[result["subject"], result["case"], result["joins"],
                   number(result["cpu_us_per_join"], 0), result["redis_calls"],
                   number(result["last_ms"], 0),
                   number(result["peak_rss_bytes"] / 2**20, 1), result["lost"],
                   result["duplicates"]] for result in results])


def reconnect_table(results):
    """Two tables: what was delivered at what cost, and how late."""
    first = table(["", "deliveries", "cuts", "lost", "doubled", "reordered", "not resumed",
                   "CPU s", "Redis CPU s", "peak RSS MB"],
                  [[result["subject"], result["deliveries"], result["cuts"],
                    result["lost"], result["duplicates"], result["reordered"],
                    result["resyncs"], number(result["cpu_s"]),
                    number(result["redis_cpu_s"]),
                    number(result["peak_rss_bytes"] / 2**20, 1)] for result in results])
    lines = []
    for result in results:
        for key, words in (("live", "live"), ("missed", "missed, since it came back"),
                           ("all", "all"), ("rejoin", "connect to joined")):
            lines.append([f"{result['subject']}: {words}", result[key]["count"]]
                         + [number(result[key][percentile] / 1000, 1) for percentile in
                            ("p50_us", "p99_us", "p999_us", "max_us")])
    return first + "\n\n" + table(["latency", "count", "p50 ms", "p99 ms", "p99.9 ms",
                                    "max ms"], lines)


def soak_table(results):
    names = ["rss_bytes", "rss_slope", "pss_bytes", "pss_slope", "descriptors_before",
             "descriptors_peak", "descriptors_after", "cpu_s", "deliveries", "visits",
             "cuts", "tasks", "lost", "duplicates", "foreign", "stuck", "resyncs"]
    lines = []
    for result in results:
        lines += [[name, number(result[name], 1) if isinstance(result[name], float)
                   else result[name]] for name in names]
        lines += [[name, f"{value:.0f}"] for name, value in result["counters"].items()]
    return table(["soak", ""], lines)


def verdict_table(verdicts):
    words = {True: "met", False: "NOT MET", None: "not run"}
    lines = []
    for one in verdicts:
        digits = 0 if one["unit"] == "bytes" or one["limit"] == 0 else 2
        lines.append([f"{one['row']}: {one['subject']}: {one['what']}",
                      number(one["value"], digits),
                      f"<= {one['limit']} {one['unit']}".rstrip(), words[one["met"]]])
    return table(["target", "measured", "limit", ""], lines)


TABLES = {"fanout": delivery_table, "paced": delivery_table, "many": delivery_table,
          "memory": memory_table, "latejoin": latejoin_table, "storm": storm_table,
          "reconnect": reconnect_table, "soak": soak_table,
          **{name: functools.partial(show, table, number)
             for name, show in worker_report.TABLES.items()}}


def titles(sizes):
    times = f", {sizes.repeats} repetition(s)"
    return {
        "fanout": f"fanout: 1 task -> {sizes.readers} readers, {sizes.fanout_events} "
                  f"events back to back{times}",
        "paced": f"paced: 1 task -> {sizes.readers} readers, {sizes.paced_events} "
                 f"events at 20/s{times}",
        "many": f"many: {sizes.many_tasks} tasks x 1 reader, {sizes.many_rate} events/s"
                + times,
        "memory": f"memory: {sizes.connections} idle subscribed connections",
        "latejoin": f"latejoin: a run of {sizes.words} deltas, joined late",
        "storm": f"storm: all at once on a broker that never saw the run, "
                 f"{sizes.storm_events} deltas",
        "reconnect": f"reconnect: {sizes.churn_readers} readers, 1 task, "
                     f"{sizes.churn_events} events at 2/s, each connection cut about "
                     f"every 15 s for 2 s",
        "soak": f"soak: {sizes.soak_readers} readers, {sizes.soak_seconds} s",
        **worker_report.titles(sizes)}
