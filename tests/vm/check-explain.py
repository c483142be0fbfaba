#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges whether `ivmtrace explain` finds out what held doorbells up.

    check-explain.py IVMTRACE CASES OUT

run-delays.sh has left recordings, and which doorbells were held up when.  In 9 of
10 of these the cause must be the one that was made.  What else this host does
(its own load takes CPUs away, too) may take longer by chance: it is left out,
unless taking the CPU away was the disturbance.
"""
import importlib.util
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = {"preempted", "run-queue", "migrated", "irq", "softirq", "asleep"}
SILENT = {"usual", "unattributed"}
ENOUGH = 0.9


def load(name):
    path = os.path.join(HERE, name + ".py")
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def explained(ivmtrace, path):
    """{cookie: journey} of the direction that was held up, which is the slower one"""
    text = subprocess.run([ivmtrace, "explain", "-n", "50", "-f", "json", path], check=True,
                          capture_output=True, text=True, timeout=60).stdout
    groups = json.loads(text)["groups"]
    return {j["cookie"]: j for g in groups for j in g["journeys"]}


def cause_of(journey, wanted):
    left_out = SILENT if wanted & HOST else SILENT | HOST
    causes = {}
    for cause in journey["causes"]:
        if cause["cause"] not in left_out:
            causes[cause["cause"]] = causes.get(cause["cause"], 0) + cause["ns"]
    return max(causes, key=causes.get, default=None)


def check_case(tap, delays, ivmtrace, out, words):
    case, place, times, wanted = words[0], words[2], int(words[5]), set(words[6:])
    base = os.path.join(out, case)
    try:
        code = int(open(base + ".code").read())
        guest = place.startswith("guest:")
        held = delays.delays_of_guest(base + ".lanes") if guest else \
            delays.delays_of_injector(base + ".log")
        journeys = explained(ivmtrace, base + ".ivm")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        tap.check(False, f"{case}: ran", repr(error))
        return
    tap.check(code == 0, f"{case}: recorded", f"exit code {code}")
    seen = [journeys[n] for n in held if n in journeys]
    causes = [cause_of(j, wanted) for j in seen]
    right = sum(c in wanted for c in causes)
    wrong_sums = [j["id"] for j in journeys.values()
                  if sum(c["ns"] for c in j["causes"]) != j["total_ns"]]
    print(f"# {case:13} {right:3} of {len(seen):3} right, {len(held)} held up, "
          f"otherwise {sorted({str(c) for c in causes if c not in wanted})}")
    # On a busy host one may come while its predecessor still pends: those coalesce
    tap.check(len(seen) >= 0.5 * times, f"{case}: enough of them were delivered",
              f"{len(seen)} of {times}")
    tap.check(seen and right >= ENOUGH * len(seen), f"{case}: the right cause",
              f"{right} of {len(seen)}: {causes}")
    tap.check(not wrong_sums, f"{case}: causes add up to the whole", f"{wrong_sums}")
    tap.check(all(j["context"] for j in seen), f"{case}: their threads were looked at")


def main():
    ivmtrace, cases, out = sys.argv[1:4]
    tap = load("check-cases").Tap()
    delays = load("check-delays")
    for line in open(cases):
        words = line.split()
        if words and not line.startswith("#"):
            check_case(tap, delays, ivmtrace, out, words)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
