#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges profile.t: what was burnt where, and every sample within its hop.

check-profile.py OUT
"""
import json
import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from judge import Tap, open_recording, read_lost  # noqa: E402

RECV, SEND = "burn_before_recv", "burn_before_send"


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def hits(hop, function):
    return sum(f["samples"] for f in hop["functions"] if f["name"] == function)


def top(hops):
    """The function with the most samples in some hops"""
    sums = {}
    for hop in hops:
        for f in hop["functions"]:
            sums[f["name"]] = sums.get(f["name"], 0) + f["samples"]
    return max(sums, key=sums.get) if sums else None


def misplaced(db):
    """Samples that are not between the points of their hop, or on another thread"""
    ends = dict(db.execute("SELECT id, vm FROM ends"))
    pids = dict(db.execute("SELECT id, pid FROM vms"))
    vcpus = dict(db.execute("SELECT vm, tid FROM vcpus"))
    columns = [row[1] for row in db.execute("PRAGMA table_info(journeys)")]
    bad, count = [], 0
    for s in db.execute("SELECT journey, from_point, to_point, thread, tid, t_ns, from_end, to_end"
                        " FROM profile_samples"):
        journey, first, last, thread, tid, t_ns, from_end, to_end = s
        row = db.execute("SELECT * FROM journeys WHERE id = ?", (journey,)).fetchone()
        j = dict(zip(columns, row))
        last_ns = j["eoi_standin"] if last == "eoi" else j[last]
        owner = {"sender": vcpus[ends[from_end]], "receiver": vcpus[ends[to_end]],
                 "main-loop": pids[ends[to_end]]}.get(thread)
        count += 1
        if not j[first] <= t_ns < last_ns or tid != owner:
            bad.append(s)
    return count, bad


def main(out):
    tap = Tap()
    for run in "with", "without":
        tap.check(text(f"{out}/{run}.code").strip() == "0", f"{run} --profile: recorded, and strict",
                  "code " + text(f"{out}/{run}.code"))
    tap.check(int(text(f"{out}/with.ivm.programs")) > 0, "a program samples",
              text(f"{out}/with.ivm.programs"))
    tap.check(text(f"{out}/without.ivm.programs").strip() == "0",
              "without --profile no such program is there", text(f"{out}/without.ivm.programs"))
    try:
        db = open_recording(f"{out}/without.ivm")
        tap.check(db.execute("SELECT count(*) FROM profile_samples").fetchone() == (0,),
                  "... and no sample")
        db = open_recording(f"{out}/with.ivm")
        lost = read_lost(db)
        count, bad = misplaced(db)
        profile = json.loads(text(f"{out}/report.json"))["profile"]
    except (sqlite3.Error, OSError, ValueError, KeyError) as err:
        tap.check(False, "there are recordings", err)
        return tap.end()
    tap.check(lost.get("profile") == 0 and lost.get("profile_cut") == 0, "no sample is lost", lost)
    tap.check(count and not bad, f"each of {count} samples is in its hop, on its thread", bad[:5])

    vms = {row[0]: row[1] for row in db.execute("SELECT id, name FROM vms")}
    there = [h for h in profile["hops"] if vms[h["from"]].endswith("ping")]
    back = [h for h in profile["hops"] if vms[h["from"]].endswith("pong")]
    recv = [h for h in there if h["hop"].endswith("..recv")]
    send = [h for h in there if h["hop"].endswith("..send")]
    tap.check({h["thread"] for h in recv} == {"main-loop"} and top(recv) == RECV,
              "the receiving main loop burns before recv", recv)
    tap.check({h["thread"] for h in send} == {"sender"} and top(send) == SEND,
              "the sending vCPU burns before send", send)
    others = [(h["hop"], f) for h in there + back if h not in recv + send
              for f in h["functions"] if f["name"] in (RECV, SEND)]
    wrong = [(h["hop"], f) for h in recv for f in h["functions"] if f["name"] == SEND] + \
            [(h["hop"], f) for h in send for f in h["functions"] if f["name"] == RECV]
    tap.check(not others + wrong, "nowhere else does it", others + wrong)

    folded = text(f"{out}/folded.txt")
    tap.check(re.search(rf"^profile;qemu;\w+\.\.recv;.*;qemu_main_loop;.*;{RECV} \d+$", folded, re.M),
              "its stack is known from the main loop on", folded[:2000])
    tap.check(re.search(rf"^profile;qemu;\w+\.\.send;.*;kvm_cpu_exec;.*;{SEND} \d+$", folded, re.M),
              "... and from the vCPU's loop", folded[:2000])
    tap.check(sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines()) == count,
              "folded stacks are all samples")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
