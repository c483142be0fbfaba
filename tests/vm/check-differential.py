#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges two recordings of the same traffic, one by each backend.

    check-differential.py OUT RIG

Doorbells bear numbers, so a journey of one recording has its twin in the other.
Counts must be the same, and so must modes, outcomes, points and their order.

The two stamp the same event one after the other, and what happens on another
CPU in between is before it for the one and after it for the other.  Only what
can be due to that may differ, in few journeys: points of the receiving vCPU and
of the thread that reads the socket, and which of several rings that were pending
together is the one delivered.  How far stamps of one event lie apart is printed
and not judged: machines that run tests are busy.  In the lab, where a CPU is a
thread of a busy machine, that is milliseconds.
"""
import os
import sqlite3
import sys

POINTS = ("exit dispatch user send signal wake run recv defer work route accept kick vcpu_exit "
          "vcpu_wake vcpu_run unhalt window inject eoi_standin entry").split()
COUNTS = "rung accepted posted delivered coalesced masked dropped unfinished".split()
CONCURRENT = {"wake", "run", "kick", "vcpu_exit", "vcpu_wake", "vcpu_run", "unhalt"}
END = {"window", "inject", "eoi_standin", "entry"}
RACES_MAX = {"native": .005, "lab": .05}       # share of the journeys
# Some kernels leave out switches where BPF programs are, too (docs/hooks.md)
NATIVE_LOSS = "context switches were left out by tracefs"
LIMITS_NS = {"p50": 1000, "p99": 5000}


class Recording:
    def __init__(self, path):
        db = sqlite3.connect(path)
        db.row_factory = sqlite3.Row
        sender = "JOIN ends e ON e.id = from_end JOIN vms v ON v.id = e.vm"
        self.journeys = {
            (row["link"], row["pid"], row["vector"], row["cookie"]): row
            for row in db.execute(f"SELECT e.link, v.pid, j.* FROM journeys j {sender}")}
        self.rows = db.execute("SELECT count(*) FROM journeys").fetchone()[0]
        self.counts = {
            (row["link"], row["pid"], row["vector"]): tuple(row[c] for c in COUNTS)
            for row in db.execute(f"SELECT e.link, v.pid, c.* FROM counts c {sender}")}
        self.lost = dict(db.execute("SELECT source, count FROM lost"))
        self.backend = db.execute("SELECT value FROM meta WHERE key = 'backend'").fetchone()[0]


def order(journey):
    """Its points in the order in which they happened"""
    seen = [p for p in POINTS if journey[p] is not None]
    return sorted(seen, key=lambda p: journey[p])


def shape(journey):
    return journey["mode"], journey["outcome"], order(journey)


def is_race(a, b):
    """May the two differ because of what happened between their stamps?"""
    def certain(j):
        return j["mode"], [p for p in order(j) if p not in CONCURRENT | END]
    return certain(a) == certain(b) and {a["outcome"], b["outcome"]} <= {"delivered", "coalesced"}


class Tap:
    def __init__(self):
        self.number = 0
        self.failed = False

    def check(self, what, good, *why):
        self.number += 1
        self.failed |= not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {what}")
        for line in () if good else why:
            print(f"# {line}")


def percentile(values, share):
    return values[min(int(len(values) * share), len(values) - 1)]


def print_deltas(name, bpf, tracefs):
    by_point = {p: [] for p in POINTS}
    for key in bpf.journeys.keys() & tracefs.journeys.keys():
        a, b = bpf.journeys[key], tracefs.journeys[key]
        if shape(a) != shape(b):
            continue
        for p in order(a):
            by_point[p].append(abs(a[p] - b[p]))
    by_point["all"] = [v for values in by_point.values() for v in values]
    for point, values in by_point.items():
        if values:
            values.sort()
            print(f"# {name}: |tracefs - bpf| {point}: count {len(values)}, "
                  f"p50 {percentile(values, .5)} ns, p99 {percentile(values, .99)} ns")
    if name == "paced" and by_point["all"]:
        within = all(percentile(by_point["all"], int(p[1:]) / 100) <= limit
                     for p, limit in LIMITS_NS.items())
        print(f"# {name}: {'within' if within else 'beyond'} {LIMITS_NS}")


def explain(key, a, b):
    def text(j):
        points = " ".join(f"{p}+{j[p] - j['dispatch']}" for p in order(j))
        return f"{j['mode']} {j['outcome']} {points}"
    return [f"{key}: bpf {text(a)}", f"{key}: tracefs {text(b)}"]


def judge(tap, out, rig, name):
    paths = {b: os.path.join(out, f"{name}.{b}.ivm") for b in ("bpf", "tracefs")}
    if not all(map(os.path.exists, paths.values())):
        tap.check(f"{name}: both backends left a recording", False, *os.listdir(out))
        return
    bpf, tracefs = Recording(paths["bpf"]), Recording(paths["tracefs"])
    for r in bpf, tracefs:
        path = os.path.join(out, f"{name}.{r.backend}")
        with open(path + ".code") as code, open(path + ".ivm.log") as log:
            text = log.read()
            causes = [line for line in text.splitlines() if "strict:" in line]
            known = rig == "native" and len(causes) == 1 and NATIVE_LOSS in causes[0]
            tap.check(f"{name}: {r.backend} lost nothing and understood all",
                      code.read().strip() == "0" or known, text, r.lost)
            if known:
                print(f"# {name}: {r.backend}: {causes[0]}")
        tap.check(f"{name}: {r.backend} has each doorbell once",
                  len(r.journeys) == r.rows > 0, f"{r.rows} rows, {len(r.journeys)} doorbells")
    tap.check(f"{name}: the same doorbells", bpf.journeys.keys() == tracefs.journeys.keys(),
              *sorted(bpf.journeys.keys() ^ tracefs.journeys.keys())[:5])
    tap.check(f"{name}: the same counts", bpf.counts == tracefs.counts,
              COUNTS, bpf.counts, tracefs.counts)
    differing, races = [], []
    for key in sorted(bpf.journeys.keys() & tracefs.journeys.keys()):
        a, b = bpf.journeys[key], tracefs.journeys[key]
        if shape(a) != shape(b):
            (races if is_race(a, b) else differing).append(explain(key, a, b))
    tap.check(f"{name}: the same modes, outcomes, points and order", not differing,
              f"{len(differing)} of {len(bpf.journeys)} differ",
              *(line for pair in differing[:5] for line in pair))
    tap.check(f"{name}: only few races between the stamps of one event",
              len(races) <= RACES_MAX[rig] * len(bpf.journeys) + tracefs.lost["switches"],
              *(line for pair in races[:5] for line in pair))
    print(f"# {name}: {len(bpf.journeys)} journeys, {len(races)} races")
    print_deltas(name, bpf, tracefs)


def main(out, rig):
    tap = Tap()
    for name in "paced", "flood":
        judge(tap, out, rig, name)
    print(f"1..{tap.number}")
    return tap.failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
