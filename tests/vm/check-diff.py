#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what diff.sh left: does `diff` name the hop that was held up?

    check-diff.py IVMTRACE TABLE OUT ROUNDS RUNS

A hop is named if diff says that it is slower or new, and the first one named is that which explains
most of the total's change.  It has to be one that the table gives for the place.  Where nothing was
held up the table has `-`, and nothing may have changed.  One of 20 comparisons may be wrong.

Prints what is named, and TAP.
"""
import json
import os
import subprocess
import sys

from judge import Tap

STATS = "p50", "p99", "mean"
RATE = 20       # one wrong answer in so many


def diff(ivmtrace, out, trial, runs):
    """The group's rows, total first"""
    a, b = ([os.path.join(out, f"{trial}-{side}{k}.ivm") for k in range(1, runs + 1)]
            for side in "ab")
    argv = [ivmtrace, "diff", "--format", "json", *(f"--baseline={path}" for path in a[1:]),
            a[0], *b]
    found = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    group, = found["groups"]
    return group["total"], group["hops"]


def is_slower(row):
    return row["new"] or any(row[s]["changed"] and row[s]["shift_ns"] > 0 for s in STATS)


def has_changed(row):
    return row["new"] or row["gone"] or any(row[s]["changed"] for s in STATS)


def named(hops):
    """Hops said to be slower, those that explain most first"""
    return [h["name"].replace("~", "") for h in sorted(hops, key=lambda h: -h["part_ns"])
            if is_slower(h)]


def check_codes(tap, out, name, rounds, runs):
    codes = []
    for i in range(1, rounds + 1):
        for run in (f"{name}-{i}-{side}{k}" for side in "ab" for k in range(1, runs + 1)):
            try:
                codes.append(int(open(os.path.join(out, run + ".code")).read()))
            except (OSError, ValueError):
                codes.append(None)
    tap.check(not any(codes) and None not in codes, f"{name}: {len(codes)} runs", codes)


def judge(ivmtrace, words, out, rounds, runs):
    name, wanted = words[0], words[7:]
    wrong = []
    for i in range(1, rounds + 1):
        try:
            total, hops = diff(ivmtrace, out, f"{name}-{i}", runs)
        except (subprocess.SubprocessError, ValueError, KeyError) as error:
            wrong.append(repr(error))
            continue
        slower = named(hops)
        print(f"# {name}-{i}: {' '.join(slower) or '-'}")
        if wanted == ["-"]:
            changed = [h["name"] for h in hops if has_changed(h)]
            if changed or has_changed(total):
                wrong.append(f"round {i}: {changed or 'total'}")
        elif not slower or slower[0] not in wanted:
            wrong.append(f"round {i}: {slower}")
    for why in wrong:
        print(f"# {name}: wrong: {why}")
    return len(wrong)


def main(ivmtrace, table, out, rounds, runs):
    tap = Tap()
    rounds, runs = int(rounds), int(runs)
    wrong = done = 0
    for line in open(table):
        words = line.split()
        check_codes(tap, out, words[0], rounds, runs)
        wrong += judge(ivmtrace, words, out, rounds, runs)
        done += rounds
    tap.check(wrong <= done // RATE, f"{done - wrong} of {done} comparisons are right")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
