# worker_report.py - targets and tables of the worker's rows.
# SPDX-License-Identifier: MIT
"""`verdict`, `table` and `number` are report.py's, which stands on this file."""

from .worker import SPARE_BYTES

SPARE_CONNECTIONS = 2  # to Redis, of housekeeping that comes and goes


def own_share(result):
    """Of the first token, in milliseconds: through the worker less directly, p50 and p99."""
    through, direct = result["through"]["share"], result["direct"]["share"]
    return {key: (through[key] - direct[key]) / 1000 for key in ("p50_us", "p99_us")}


# -- judging --

def judge_first_token(verdict, results):
    verdicts = []
    for result in results:
        who = result["subject"]
        share = own_share(result)
        verdicts += [verdict("worker-ttft", who, "own share of the first token, p50",
                             share["p50_us"], 1, "ms"),
                     verdict("worker-ttft", who, "own share of the first token, p99",
                             share["p99_us"], 5, "ms")]
    return verdicts


def unexplained(result):
    return result["wrong"] + result["unexpected"] + result["unended"] + result["refused"]


def judge_many(verdict, results):
    verdicts = []
    for result in results:
        who = result["subject"]
        verdicts += [
            verdict("worker-many", who, "words of another task", result["foreign"], 0),
            verdict("worker-many", who, "errors beyond what the faults explain",
                    100 * unexplained(result) / result["tasks"], 1, "%")]
    return verdicts + judge_levels(verdict, "worker-many", results)


def judge_levels(verdict, row, results):
    """The level is that of the processes before the first load."""
    before, after = results[0]["before"], results[-1]["after"]
    verdicts = []
    for name in before:
        more = {key: after[name][key] - before[name][key] for key in before[name]}
        verdicts += [
            verdict(row, name, "descriptors that did not come back",
                    more["descriptors"], SPARE_CONNECTIONS),
            verdict(row, name, "PSS above the level before", more["pss_bytes"] / 2**20,
                    SPARE_BYTES >> 20, "MB")]
    return verdicts


def judge_stop(verdict, results):
    return [judged for result in results for judged in (
        verdict("worker-stop", result["subject"], "stop to terminal event, p99",
                result["stop"]["p99_us"] / 1000, 250, "ms"),
        verdict("worker-stop", result["subject"], "runs that did not end as stopped",
                result["unexpected"] + result["unended"] + result["refused"], 0))]


def judge_long(verdict, results):
    verdicts = []
    for result in results:
        lost = result["tasks"] - result["whole"]
        verdicts.append(verdict("worker-long", result["subject"], "streams lost",
                                100 * lost / result["tasks"], 1, "%"))
    return verdicts + judge_levels(verdict, "worker-long", results)


JUDGES = {"worker-ttft": judge_first_token, "worker-many": judge_many,
          "worker-stop": judge_stop, "worker-long": judge_long}


# -- printing --

def times(number, name, spread):
    return [name, spread["count"]] + [number(spread[key] / 1000, 2) for key in
                                      ("p50_us", "p90_us", "p99_us", "max_us")]


TIMES_HEADER = ["", "count", "p50 ms", "p90 ms", "p99 ms", "max ms"]


def first_token_table(table, number, results):
    lines = []
    for result in results:
        for way in ("direct", "through"):
            lines += [times(number, f"{way}: {name}", spread)
                      for name, spread in result[way].items()]
        share = own_share(result)
        lines.append(["the worker's own share (through less direct)", "",
                      number(share["p50_us"]), "-", number(share["p99_us"]), "-"])
        lines += spacing_lines(number, result["spacing"])
    return table(TIMES_HEADER, lines)


def spacing_lines(number, result):
    names = {"lag": "provider writes -> reader has it", "gap_sent": "gap at the provider",
             "gap_seen": "gap at the reader", "gap_off": "difference of the two gaps"}
    return [times(number, f"spacing: {words}", result[key]) for key, words in names.items()]


def level_lines(number, results):
    lines = []
    for result in results:
        for name in result["before"]:
            lines.append([f"{result['subject']}: {name}"] + [
                cell for when in ("before", "peak", "after") for cell in (
                    number(result[when][name]["pss_bytes"] / 2**20, 1),
                    result[when][name]["descriptors"])])
    return lines


LEVEL_HEADER = ["", "PSS MB before", "descriptors", "at the peak", "descriptors", "after",
                "descriptors"]


def many_table(table, number, results):
    first = table(
        ["", "tasks", "met a fault", "whole", "explained", "unexplained", "foreign",
         "seconds", "first token p50 ms", "p99 ms", "worker CPU us/token"],
        [[result["subject"], result["tasks"], result["met_fault"], result["whole"],
          result["explained"], unexplained(result), result["foreign"],
          number(result["seconds"], 1), number(result["first"]["p50_us"] / 1000, 0),
          number(result["first"]["p99_us"] / 1000, 0),
          number(result["worker_cpu_us_per_token"], 0)] for result in results])
    return first + "\n\n" + table(LEVEL_HEADER, level_lines(number, results))


def stop_table(table, number, results):
    return table(TIMES_HEADER, [line for result in results for line in (
        times(number, f"{result['subject']}: stop -> terminal event", result["stop"]),
        times(number, f"{result['subject']}: stop -> provider sees the close",
              result["cut"]))])


def long_table(table, number, results):
    lines = [line for result in results for line in
             [["streams, of these whole", result["tasks"], result["whole"], "", "", ""],
              ["worker CPU us/token", "", number(result["worker_cpu_us_per_token"], 0), "",
               "", ""], *spacing_lines(number, result)]]
    return table(TIMES_HEADER, lines) + "\n\n" + table(LEVEL_HEADER,
                                                       level_lines(number, results))


TABLES = {"worker-ttft": first_token_table, "worker-many": many_table,
          "worker-stop": stop_table, "worker-long": long_table}


def titles(sizes):
    return {
        "worker-ttft": f"worker-ttft: {sizes.first_runs} requests one after the other, by "
                       f"turns with direct ones; then {sizes.spacing_streams} streams, a chunk "
                       "every 30 ms",
        "worker-many": f"worker-many: {sizes.ask_tasks} generations at once through one worker, "
                       "2 % meet a fault",
        "worker-stop": f"worker-stop: {sizes.stops} stops at one broker, watched at another, "
                       "generated in a third process",
        "worker-long": f"worker-long: {sizes.long_streams} streams of {sizes.long_seconds} s at "
                       "once, 10 chunks per second each"}
