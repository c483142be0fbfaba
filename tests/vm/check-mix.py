#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges many links at once: no journey may be that of another link, or another doorbell.

    check-mix.py CASES OUT RIG

Beside the counts, which check-cases.py knows to judge, there are two witnesses
that the tracer has no part in: the numbers of the doorbells, which are different
on each end of each link, and the guests' own time stamps.  A guest's clock runs
at an unknown distance from the host's.  But each of its handlers ran after the
interrupt was put into the guest and before the next one of that vector was, and
each doorbell was rung before KVM dispatched it.  There must be one distance for
which all of that is true.
"""
import glob
import json
import os
import sqlite3
import struct
import sys

from judge import HANDLER, PING, PONG, RING, Tap, open_recording, read_lanes, sibling

DRIFT = 2e-6            # of clocks that are known to a kHz
SLACK_NS = 2000         # events are stamped where they are traced


def rings(lane):
    return [(cookie, vector, lane.ns(tsc)) for cookie, vector, kind, tsc in lane.stamps
            if kind == RING]


def handlers(lane, vector):
    """In the order in which they ran"""
    return [lane.ns(tsc) for _, tsc in sorted(
        (cookie, tsc) for cookie, v, kind, tsc in lane.stamps if kind == HANDLER and v == vector)]


def by_end(path):
    lanes = read_lanes(path)
    return {"ping": lanes[PING], "pong": lanes[PONG]}


def read_journeys(db):
    rows = db.execute("""SELECT e.link, v.name, w.name, j.vector, j.cookie, j.outcome,
        j."dispatch", coalesce(j.inject, j.eoi_standin) FROM journeys j
        JOIN ends e ON e.id = j.from_end JOIN vms v ON v.id = e.vm
        LEFT JOIN ends f ON f.id = j.to_end LEFT JOIN vms w ON w.id = f.vm""")
    keys = ("link", "from", "to", "vector", "cookie", "outcome", "dispatch", "end")
    return [dict(zip(keys, row)) for row in rows]


def end_name(vm, link):
    return vm[len(link) + 1:] if vm and vm.startswith(link + "-") else None


def check_cookies(tap, case, lanes, journeys):
    """Each doorbell once, by the link, end and vector that rang it, and none else"""
    bad, rung = [], 0
    for link, ends in lanes.items():
        for end, lane in ends.items():
            want = sorted((cookie, vector) for cookie, vector, _ in rings(lane))
            got = sorted((j["cookie"], j["vector"]) for j in journeys
                         if j["link"] == link and end_name(j["from"], link) == end)
            rung += len(want)
            if not lane.complete:
                bad.append((link, end, "stamps overrun"))
            elif got != want:
                bad.append((link, end, len(got), len(want), sorted(set(got) ^ set(want))[:3]))
    cookies = [c for ends in lanes.values() for lane in ends.values() for c, _, _ in rings(lane)]
    tap.check(len(set(cookies)) == len(cookies), f"{case}: no two guests' doorbells are alike")
    tap.check(rung and len(journeys) == rung and not bad,
              f"{case}: each of {rung} journeys is the doorbell of one guest's stamp",
              f"{len(journeys)} journeys; {bad[:3]}")


def check_receivers(tap, case, journeys):
    """From one end of a link to its other end"""
    other = {"ping": "pong", "pong": "ping"}
    bad = [j for j in journeys
           if end_name(j["to"], j["link"]) != other.get(end_name(j["from"], j["link"]))]
    tap.check(journeys and not bad, f"{case}: each goes to the other end of its link",
              f"{len(bad)}: {bad[:2]}")


def distances(link, end, lane, journeys):
    """Bounds of host time - guest time: the largest lower one, the smallest upper one"""
    low, high = [], []
    dispatch = {j["cookie"]: j["dispatch"] for j in journeys
                if j["link"] == link and end_name(j["from"], link) == end}
    for cookie, _, ns in rings(lane):
        if cookie in dispatch:
            high.append(dispatch[cookie] - ns)
    for vector in {v for _, v, kind, _ in lane.stamps if kind == HANDLER}:
        ends = sorted(j["end"] for j in journeys if j["outcome"] == "delivered" and
                      j["link"] == link and end_name(j["to"], link) == end and
                      j["vector"] == vector)
        ran = handlers(lane, vector)
        if len(ends) != len(ran):
            return None
        low += [end_ns - ns for end_ns, ns in zip(ends, ran)]
        high += [end_ns - ns for end_ns, ns in zip(ends[1:], ran)]
    return (max(low) if low else None, min(high) if high else None)


def check_stamps(tap, case, lanes, journeys):
    """One distance of the clocks that explains all stamps of a guest"""
    first = min(j["dispatch"] for j in journeys)
    last = max(j["dispatch"] for j in journeys)
    slack = SLACK_NS + DRIFT * (last - first)
    bad, widths = [], []
    for link, ends in lanes.items():
        for end, lane in ends.items():
            bounds = distances(link, end, lane, journeys)
            if bounds is None:
                bad.append((link, end, "not as many ends as handlers"))
            elif None not in bounds:
                widths.append(bounds[1] - bounds[0])
                if bounds[1] - bounds[0] < -slack:
                    bad.append((link, end, bounds[1] - bounds[0]))
    tap.check(widths and not bad, f"{case}: the stamps of {len(widths)} guests agree with all "
              f"their journeys, to {max(widths, default=0) / 1000:.0f} us", f"{bad[:4]}")


def check_noise(tap, case, lanes):
    quiet = [(link, end, lane.noise) for link, ends in lanes.items()
             for end, lane in ends.items() if not all(lane.noise)]
    total = sum(n for ends in lanes.values() for lane in ends.values() for n in lane.noise)
    tap.check(lanes and not quiet, f"{case}: {total} other interrupts beside the links'",
              f"{quiet[:4]}")


def check_case(tap, cc, case, args, out):
    base = os.path.join(out, case)
    try:
        code = int(open(base + ".code").read())
        errors = open(base + ".err").read().strip()
        report = json.load(open(base + ".json"))
        journeys = read_journeys(open_recording(base + ".ivm"))
        lanes = {os.path.basename(p)[:-len(".lanes")]: by_end(p)
                 for p in glob.glob(f"{base}.lanes/*.lanes")}
    except (OSError, ValueError, KeyError, sqlite3.Error, struct.error) as error:
        tap.check(False, f"{case}: ran", repr(error))
        return
    tap.check(code == 0, f"{case}: bench exits 0", f"{code}: {errors[-600:]}")
    links = int(args[args.index("--links") + 1])
    tap.check(len(lanes) == links, f"{case}: {links} links", f"{len(lanes)}")
    cc.check_modes(tap, case, report["groups"])
    cc.check_counts(tap, case, report)
    cc.check_sums(tap, case, report["groups"])
    cc.check_lost(tap, case, report["lost"])
    if "--noise" in args:
        check_noise(tap, case, lanes)
    check_cookies(tap, case, lanes, journeys)
    check_receivers(tap, case, journeys)
    check_stamps(tap, case, lanes, journeys)


def main(cases, out, _):
    cc = sibling("check-cases")
    tap = Tap()
    for line in open(cases):
        name, _, args = line.strip().partition(" ")
        if name and not name.startswith("#"):
            check_case(tap, cc, name, args.split(), out)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
