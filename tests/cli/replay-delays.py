#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A delay put between two events shows in the one row that it belongs to.

The comments of these files name the points that their lines stamp.  Each line in turn comes 2 ms
later than it did, with all that follows it: the row that ends with the next point must grow by 2 ms,
and no other row by anything.  Before a journey's first point and after its last one nothing may grow.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

DELAY_NS = 2000000
FILES = ["direct-pingpong", "irqfd-pingpong", "qemu-pingpong", "stand-in"]
ivmtrace = os.environ.get("IVMTRACE", ".output/ivmtrace")
data = os.environ.get("IVM_TEST_DATA", "tests/data") + "/replay"


def report(lines):
    """Sums of all rows, by (sending VM, row), and what was counted"""
    with tempfile.NamedTemporaryFile("w", suffix=".events") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        out = subprocess.run([ivmtrace, "replay", "-f", "json", f.name], check=True,
                             stdout=subprocess.PIPE, timeout=60).stdout
    groups = json.loads(out)["groups"]
    rows = {(g["from"], h["name"]): h["sum_ns"] for g in groups for h in g["hops"]}
    rows.update({(g["from"], "total"): g["total"]["sum_ns"] for g in groups})
    counts = [(g["mode"], g["rung"], g["delivered"], g["unfinished"]) for g in groups]
    return rows, counts


def journeys(lines):
    """The line number of each point, journey by journey"""
    found = []
    for number, line in enumerate(lines):
        point = re.search(r"\t# ([a-z_]+)$", line)
        if not point:
            continue
        if point[1] == "exit" or not found:
            found.append([])
        found[-1].append((number, point[1]))
    return found


def expected(found, number):
    """The rows that a delay of this line has to move: one and its total, or none"""
    for sender, points in enumerate(found, 1):
        for (before, left), (after, right) in zip(points, points[1:]):
            if before < number <= after:
                return {(sender, f"{left}..{right}"): DELAY_NS, (sender, "total"): DELAY_NS}
    return {}


def moved(base, now):
    return {key: now.get(key, 0) - base.get(key, 0) for key in base.keys() | now.keys()
            if now.get(key, 0) != base.get(key, 0)}


def main():
    number = failed = 0
    for name in FILES:
        with open(f"{data}/{name}.events") as f:
            lines = f.read().split("\n")
        found = journeys(lines)
        base, counts = report(lines)
        seen = {key for key in base if key[1] != "total"}
        hit = set()
        for i, line in enumerate(lines):
            delta = re.match(r"\+(\d+)", line)
            if not delta:
                continue
            later = lines[:]
            later[i] = f"+{int(delta[1]) + DELAY_NS}" + line[delta.end():]
            now, now_counts = report(later)
            want, got = expected(found, i), moved(base, now)
            hit |= {key for key in want if key[1] != "total"}
            number += 1
            ok = got == want and now_counts == counts
            failed += not ok
            print(f"{'ok' if ok else 'not ok'} {number} - {name}:{i + 1}: 2 ms more before it")
            if not ok:
                print(f"# {line}\n# wanted {want}\n# moved  {got}\n# counts {now_counts}")
        number += 1
        failed += hit != seen
        print(f"{'ok' if hit == seen else 'not ok'} {number} - {name}: each row had its delay")
    print(f"1..{number}")
    return failed != 0


sys.exit(main())
