#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares recordings of the same doorbells: our own, and imported from another tracer.

    check-import.py OUT MODE...

Journeys are the same if cookie, direction and vector are; they must have the same
outcome, mode and points, but for few in which the two stamped what happens on several
CPUs in another order.  Medians of the hops are printed and not judged: machines that run
tests are busy.
"""
import importlib.util
import os
import sqlite3
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
POINTS = ("exit", "dispatch", "user", "send", "wake", "run", "recv", "route", "accept", "kick", "vcpu_exit",
          "vcpu_wake", "vcpu_run", "unhalt", "window", "inject", "eoi_standin",
          "entry")
MISSING = 0.02


def load_tap():
    spec = importlib.util.spec_from_file_location("check_cases",
                                                  os.path.join(HERE, "check-cases.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Tap()


def read(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    columns = ", ".join(f'"{p}"' for p in POINTS)
    rows = db.execute(f"SELECT from_end, vector, cookie, mode, outcome, {columns} FROM journeys")
    return {row[:3]: (row[3], row[4], {p: t for p, t in zip(POINTS, row[5:]) if t is not None})
            for row in rows}


def hops(points):
    seen = [p for p in POINTS if p in points]
    return {(a, b): points[b] - points[a] for a, b in zip(seen, seen[1:])}


def medians(journeys):
    rows = {}
    for _, _, points in journeys:
        for hop, ns in hops(points).items():
            rows.setdefault(hop, []).append(ns)
    return {hop: statistics.median(ns) for hop, ns in rows.items() if len(ns) > len(journeys) / 4}


def check_mode(tap, out, mode):
    try:
        code = int(open(f"{out}/{mode}.code").read())
        own, imported = read(f"{out}/{mode}.ivm"), read(f"{out}/{mode}-import.ivm")
    except (OSError, ValueError, sqlite3.Error) as error:
        tap.check(False, f"{mode}: ran", repr(error))
        return
    tap.check(code == 0, f"{mode}: recorded and imported", f"exit code {code}")
    both = sorted(own.keys() & imported.keys())
    tap.check(len(own) >= 60 and len(both) >= (1 - MISSING) * len(own),
              f"{mode}: the same doorbells", f"{len(own)}, {len(imported)}, {len(both)} in both")
    for what, index in (("mode", 0), ("outcome", 1)):
        other = [k for k in both if own[k][index] != imported[k][index]]
        tap.check(len(other) <= MISSING * len(both), f"{mode}: the same {what}",
                  f"{[(k, own[k][index], imported[k][index]) for k in other[:5]]}")
    other = [k for k in both if own[k][2].keys() != imported[k][2].keys()]
    tap.check(len(other) <= 0.05 * len(both), f"{mode}: the same points",
              f"{len(other)}: {[(k, own[k][2].keys() ^ imported[k][2].keys()) for k in other[:5]]}")
    ours, theirs = (medians([j[k] for k in both]) for j in (own, imported))
    for hop in sorted(ours.keys() | theirs.keys()):
        print(f"# {mode:7} {'..'.join(hop):22} {ours.get(hop)} {theirs.get(hop)}")
    tap.check(ours.keys() == theirs.keys(), f"{mode}: the same rows in the breakdown",
              f"{sorted(ours.keys() ^ theirs.keys())}")


def main():
    tap = load_tap()
    for mode in sys.argv[2:]:
        check_mode(tap, sys.argv[1], mode)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
