#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what run-delays.sh left: does a delay show in its row, whole, and nowhere else?

    check-delays.py CASES OUT [BOUND]

Every second doorbell was held up at one place, for a time that the injector
measured; those between were not.  The difference of the medians must be that
time in the one row that belongs to the place, and nothing in any other one.
BOUND is how much of the delay may be missing, or show elsewhere: 0.05.

Prints a table, then TAP.
"""
import os
import sqlite3
import statistics
import struct
import sys

from judge import PONG, Tap, open_recording, read_lanes

POINTS = ("exit", "dispatch", "user", "send", "signal", "wake", "run", "recv", "unmask", "defer",
          "work", "route", "accept", "kick", "vcpu_exit", "vcpu_wake", "vcpu_run", "unhalt",
          "window", "inject", "eoi_standin", "entry")


def delays_of_injector(path):
    """{number of the doorbell: ns}"""
    rows = [line.split() for line in open(path) if line[0].isdigit()]
    return {int(n): int(end) - int(begin) for n, begin, end in rows}


def delays_of_guest(path):
    """The same, of the even ones; the odd ones were let through at once"""
    lane = read_lanes(path)[PONG]
    return {number: lane.ns(end - begin) for number, _, begin, end in lane.delays
            if number % 2 == 0}


def read_journeys(path):
    """{cookie: {point: ns}} of those delivered"""
    db = open_recording(path)
    columns = ", ".join(f'"{p}"' for p in POINTS)
    rows = db.execute(f"SELECT cookie, {columns} FROM journeys WHERE outcome = 'delivered'")
    return {row[0]: {p: t for p, t in zip(POINTS, row[1:]) if t is not None} for row in rows}


def rows_of(journey):
    points = [p for p in POINTS if p in journey]
    return list(zip(points, points[1:]))


def median_of(journeys, row):
    """Over those that have both points, whatever they have in between; None: too few"""
    values = [j[row[1]] - j[row[0]] for j in journeys if row[0] in j and row[1] in j]
    return statistics.median(values) if len(values) > len(journeys) / 4 else None


def shifts(held, free):
    """{row: (median if held up, difference of the medians)} of rows that most held ones have"""
    result = {}
    for row in {r for j in held for r in rows_of(j)}:
        with_row = [j for j in held if row in rows_of(j)]
        if len(with_row) > len(held) / 4:
            median = median_of(with_row, row)
            usual = median_of(free, row)
            result[row] = (median, median - (usual or 0), len(with_row))
    return result


def name(row):
    return "..".join(row)


def judge(tap, case, wanted, times, delays, journeys, bound):
    held = [journeys[n] for n in delays if n in journeys]
    free = [j for n, j in journeys.items() if n not in delays]
    # On a busy host one may come while its predecessor still pends: those coalesce
    tap.check(len(delays) >= times and len(held) >= 0.8 * times and len(free) >= 0.8 * times,
              f"{case}: {len(held)} doorbells held up and delivered, {len(free)} just delivered",
              f"{len(delays)} held up")
    if not held or not free:
        return
    injected = statistics.median(delays.values())
    moved = shifts(held, free)
    target = max((r for r in moved if name(r) in wanted), key=lambda r: moved[r][1], default=None)
    others = {r: v for r, v in moved.items() if r != target}
    worst = max(others, key=lambda r: abs(others[r][1]), default=None)
    # Journey for journey, so that one median cannot hide another
    close = sum(abs(journeys[n][target[1]] - journeys[n][target[0]] - (moved[target][0] -
                moved[target][1]) - ns) <= bound * ns for n, ns in delays.items()
                if n in journeys and target and set(target) <= set(journeys[n]))
    print(f"# {case:13} {name(target) if target else '-':22} {injected / 1e6:9.3f} "
          f"{moved[target][1] / 1e6 if target else 0:9.3f} {close:4}/{len(held)}  "
          f"{others[worst][1] / 1e6 if worst else 0:7.3f} {name(worst) if worst else ''}")
    tap.check(injected >= 2e6, f"{case}: delays of 2 ms and more", f"{injected}")
    tap.check(target and abs(moved[target][1] - injected) <= bound * injected,
              f"{case}: the row moves by the delay",
              f"{injected} ns in one of {wanted}: { {name(r): v for r, v in moved.items()} }")
    tap.check(not worst or abs(others[worst][1]) < bound * injected,
              f"{case}: no other row moves",
              f"{ {name(r): v for r, v in others.items() if abs(v[1]) >= bound * injected} }")


def check_case(tap, out, words, bound):
    case, _, place, _, _, times = words[:6]
    base = os.path.join(out, case)
    try:
        code = int(open(base + ".code").read())
        guest = place.startswith("guest:")
        delays = delays_of_guest(base + ".lanes") if guest else delays_of_injector(base + ".log")
        journeys = read_journeys(base + ".ivm")
    except (OSError, ValueError, KeyError, sqlite3.Error, struct.error) as error:
        tap.check(False, f"{case}: ran", repr(error))
        return
    tap.check(code == 0, f"{case}: recorded", f"exit code {code}")
    judge(tap, case, words[6:], int(times), delays, journeys, bound)


def main(cases, out, bound=0.05):
    tap = Tap()
    print("# disturbance   row                    injected  shift, ms  each   worst other, ms")
    for line in open(cases):
        words = line.split()
        if words and not line.startswith("#"):
            check_case(tap, out, words, float(bound))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
