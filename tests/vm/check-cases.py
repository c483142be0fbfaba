#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what run-cases.sh left: the host's counts against the guests' own.

    check-cases.py CASES OUT RIG

Prints TAP.  The report's numbers are added up here again from the groups, so
that an error in bench's own cross-check does not hide one in the report.
"""
import json
import os
import sys

import jsonschema

from judge import Tap, open_recording

MODES = ("qemu", "irqfd", "direct")
# Hooks a journey must pass on a stock KVM; fentry or kprobe for the last
LAB_HOOKS = ("kvm_exit", "kvm_entry", "kvm_inj_virq", "eventfd_signal")
# Attached once KVM has refused an irqfd, which it does for no case of these
NOT_NEEDED = ("sys_enter_preadv2", "sys_exit_preadv2")
SEEN = ("tracepoint", "tp_btf", "raw_tp", "fentry", "kprobe")


SCHEMA = os.path.join(os.path.dirname(__file__), "../../docs/report.schema.json")

# Guests keep round trips in 32 bits of TSC ticks: longer ones are cut off, not before this
CUT_OFF_NS = 10**9


def by_vector(rows, value):
    sums = {}
    for row in rows:
        where = (row["mode"], row["from"], row["vector"])
        sums[where] = sums.get(where, 0) + row[value]
    return sums


def check_counts(tap, case, report):
    """Rule 2, and both sides against the guests."""
    groups, guest = report["groups"], report["guest"]
    want = by_vector(guest, "sent")
    got = by_vector(groups, "rung")
    sent = {k: v for k, v in want.items() if v or k in got}
    tap.check(got == sent and sum(got.values()) > 0, f"{case}: rung = doorbells the guests rang",
              f"rung {diff(got, sent)}")
    want = by_vector(guest, "handled")
    got = by_vector(groups, "delivered")
    handled = {k: v for k, v in want.items() if v or k in got}
    tap.check(got == handled, f"{case}: delivered = handler entries",
              f"delivered {diff(got, handled)}")
    bad = [g for g in groups if g["rung"] != sum(
        g[k] for k in ("delivered", "coalesced", "masked", "dropped", "unfinished"))]
    tap.check(not bad, f"{case}: counts close in each of {len(groups)} groups", f"{bad[:1]}")
    bad = [g for g in groups if g["unfinished"] or g["dropped"] or g["masked"]]
    tap.check(not bad, f"{case}: none unfinished, masked or dropped", f"{bad[:1]}")


def diff(got, want):
    rows = [(k, got.get(k), want.get(k)) for k in sorted(set(got) | set(want))
            if got.get(k) != want.get(k)]
    return f"differs in {len(rows)} of {len(want)}: (where, host, guest) {rows[:4]}"


def check_sums(tap, case, groups):
    """Rule 1: rows add up to the total to the nanosecond, in the paths too."""
    bad = []
    for g in groups:
        rows = sum(h["sum_ns"] for h in g["hops"])
        paths = sum(h["sum_ns"] for p in g["paths"] for h in p["hops"])
        if not g["total"]["sum_ns"] == rows == paths:
            bad.append((g["mode"], g["vector"], g["total"]["sum_ns"], rows, paths))
    tap.check(groups and not bad, f"{case}: hops add up to the total", f"{bad[:3]}")


def check_modes(tap, case, groups):
    modes = {g["mode"] for g in groups}
    odd = [g for g in groups if g["mode"] != g["configured"]]
    tap.check(modes == set(MODES) and not odd, f"{case}: three modes, each as configured",
              f"{modes} {odd[:1]}")


def check_lost(tap, case, lost):
    bad = {k: v for k, v in lost.items() if k != "sources" and v}
    tap.check(not bad, f"{case}: nothing lost, unmatched or disordered", f"{lost}")


def check_hooks(tap, case, report, rig):
    hooks = report["host"]["hooks"]
    hops = {p for g in report["groups"] for h in g["hops"] for p in (h["from"], h["to"])}
    if rig == "lab":
        bad = {h: hooks.get(h) for h in LAB_HOOKS if hooks.get(h) not in SEEN}
        tap.check(not bad, f"{case}: exit, inject and signal hooks work", f"{bad}")
        stats = report["host"]["hook_stats"]
        bad = {h: stats.get(h) for h in LAB_HOOKS if not (stats.get(h) or {}).get("fired")}
        tap.check(not bad, f"{case}: they fired", f"{bad}")
        missing = {"exit", "signal", "inject", "entry"} - hops
        tap.check(not missing, f"{case}: their points are in the report", f"{missing}")
    else:
        quiet = {"kvm_exit": "exit", "kvm_inj_virq": "inject", "kvm_entry": "entry"}
        bad = {h: hooks.get(h) for h, p in quiet.items()
               if hooks.get(h) in ("silent", "absent") and p in hops}
        tap.check(not bad, f"{case}: no number for a hook that never fired", f"{bad}")


def check_schema(tap, case, report):
    errors = jsonschema.Draft202012Validator(json.load(open(SCHEMA))).iter_errors(report)
    first = [f"{list(e.path)}: {e.message}" for _, e in zip(range(3), errors)]
    tap.check(not first, f"{case}: conforms to the schema", f"{first}")


def check_doctor(tap, out, rig, report):
    """What doctor said before any traffic is what the recording then saw."""
    try:
        doctor = json.load(open(os.path.join(out, "doctor.json")))["hooks"]
    except (OSError, ValueError, KeyError) as error:
        tap.check(False, "doctor prints its hooks as JSON", str(error))
        return
    seen = report["host"]["hooks"]
    tap.check(report["host"]["backend"] == "bpf", "this host does not refuse BPF")
    want = {h: "unused" if h in NOT_NEEDED and d["state"] != "absent" else d["state"]
            for h, d in doctor.items()}
    bad = {h: (state, seen.get(h)) for h, state in want.items() if state != seen.get(h)}
    tap.check(doctor and not bad, "doctor and recording agree on each hook", f"{bad}")
    fired = {h: s["fired"] for h, s in report["host"]["hook_stats"].items()}
    bad = {h: d["fires"] for h, d in doctor.items() if d["fires"] == "no" and fired.get(h)}
    tap.check(not bad, "what doctor says never fires never fired", f"{bad}")
    if rig == "lab":
        bad = {h: doctor.get(h) for h in LAB_HOOKS if doctor[h]["fires"] != "yes"}
        tap.check(not bad, "doctor saw exit, entry, inject and signal fire", f"{bad}")


def check_pingpong(tap, case, groups):
    bad = [g for g in groups if g["delivered"] != g["rung"]]
    tap.check(not bad, f"{case}: every ring is delivered", f"{bad[:1]}")


def rows(db, sql, *args):
    return db.execute(sql, args).fetchall()


def check_stamp_counts(tap, case, db):
    """Every journey has its stamps, and every stamp its journey."""
    bad = rows(db, "SELECT mode, id, ring, isr FROM journeys WHERE ring IS NULL"
                   " OR (isr IS NULL) != (outcome != 'delivered')")
    tap.check(not bad, f"{case}: every journey has ring, every delivered one isr",
              f"{len(bad)} have not: {bad[:3]}")
    bad = rows(db, "SELECT * FROM lost WHERE source LIKE 'stamp%' AND count")
    known = rows(db, "SELECT count(*) FROM lost WHERE source LIKE 'stamp%'")[0][0]
    tap.check(known == 4 and not bad, f"{case}: no stamp lost, unmatched or contradicting", f"{bad}")


class Direction:
    """One vector of one end, with all its doorbells delivered: raw stamps, and what became of them."""

    def __init__(self, db, end, peer, vector):
        sql = 'SELECT tsc FROM stamps WHERE "end" = ? AND kind = ? AND vector = ? ORDER BY id'
        self.rung = [r[0] for r in rows(db, sql, end, 1, vector)]
        self.handled = [r[0] for r in rows(db, sql, peer, 2, vector)]
        self.host = rows(db, "SELECT ring, isr FROM journeys WHERE from_end = ? AND vector = ?"
                             " ORDER BY dispatch", end, vector)
        bounds = dict(rows(db, 'SELECT "end", ring_err_ns FROM stamp_bounds'))
        peers = dict(rows(db, 'SELECT "end", isr_err_ns FROM stamp_bounds'))
        self.err_ns = (bounds.get(end) or 0) + (peers.get(peer) or 0)

    def is_whole(self):
        return (len(self.rung) == len(self.handled) == len(self.host) > 1 and
                all(ring and isr for ring, isr in self.host))

    def worst_ns(self):
        """The guests' one-way times against the host's, but for what both clocks always differ."""
        pace = ((self.host[-1][0] - self.host[0][0]) / (self.rung[-1] - self.rung[0]))
        off = [(isr - ring) - (handled - rung) * pace
               for (ring, isr), rung, handled in zip(self.host, self.rung, self.handled)]
        return max(abs(o - off[0]) for o in off)


def check_one_way(tap, case, db):
    """
    The guests' stamps by themselves, in the order of their lanes, against ring..isr.

    Two guests' TSCs differ by a constant that no guest knows, so that the
    times may differ by the same in every journey, and by nothing else.
    """
    bad, seen = [], 0
    for end, peer, vector in rows(db, "SELECT DISTINCT from_end, to_end, vector FROM journeys"):
        way = Direction(db, end, peer, vector)
        if not way.is_whole():
            bad.append((end, vector, "stamps and journeys are not equally many"))
        elif way.worst_ns() > 2 * way.err_ns:
            bad.append((end, vector, way.worst_ns(), way.err_ns))
        seen += 1
    tap.check(seen and not bad, f"{case}: guests' one-way times are the host's, within err_ns",
              f"{len(bad)} of {seen}: {bad[:3]}")


def check_round_trip(tap, case, db):
    """What the guest measured with its own TSC against two journeys of the host's."""
    worst, count, bad = 0, 0, []
    for guest, end, vector in rows(db, "SELECT id, from_end, vector FROM guests"
                                       " WHERE rtt_count > 0"):
        peer, = rows(db, "SELECT to_end FROM journeys WHERE from_end = ? LIMIT 1", end)[0]
        there = Direction(db, end, peer, vector)
        back = Direction(db, peer, end, vector)
        rtt = [r[0] for r in rows(db, "SELECT rtt_ns FROM guest_rtt WHERE guest = ?"
                                      " ORDER BY rowid", guest)]
        host = [(isr or 0) - (ring or 0)
                for (ring, _), (_, isr) in zip(there.host, back.host)][-len(rtt):]
        if len(host) != len(rtt) or not there.is_whole() or not back.is_whole():
            bad.append((end, vector, len(host), len(rtt)))
            continue
        for mine, theirs in zip(host, rtt):
            if mine > theirs >= CUT_OFF_NS:
                continue
            # The guest knows its TSC's pace to 10 ppm, and in whole ns
            worst = max(worst, abs(mine - theirs))
            if abs(mine - theirs) - theirs * 1e-5 - 2 > there.err_ns + back.err_ns:
                bad.append((end, vector, mine, theirs))
        count += len(rtt)
    tap.check(count and not bad, f"{case}: {count} round trips by the guest's clock are the host's,"
              " within err_ns", f"{len(bad)} are not: {bad[:3]}")
    print(f"# {case}: round trips differ by {worst} ns at the most")


def check_margins(db, case):
    """How much room causality leaves for an error of the guests' clocks."""
    for mode, before, after in rows(
            db, 'SELECT mode, min(coalesce("exit", dispatch) - ring),'
                " min(isr - coalesce(entry, eoi_standin, inject)) FROM journeys GROUP BY 1"):
        print(f"# {case}: {mode}: never less than {before} ns from ring to the host, {after} ns"
              " from the host to isr")


def check_stamps(tap, case, args, path):
    db = open_recording(path)
    check_stamp_counts(tap, case, db)
    check_margins(db, case)
    if "pingpong" in args:
        check_one_way(tap, case, db)
        check_round_trip(tap, case, db)
    db.close()


def check_case(tap, case, args, out, rig):
    base = os.path.join(out, case)
    try:
        code = int(open(base + ".code").read())
        errors = open(base + ".err").read().strip()
    except (OSError, ValueError) as error:
        tap.check(False, f"{case}: ran", str(error))
        return
    tap.check(code == 0, f"{case}: bench exits 0", f"{code}: {errors[-600:]}")
    try:
        report = json.load(open(base + ".json"))
    except (OSError, ValueError) as error:
        tap.check(False, f"{case}: prints JSON", str(error))
        return
    groups = report["groups"]
    check_schema(tap, case, report)
    check_modes(tap, case, groups)
    check_counts(tap, case, report)
    check_sums(tap, case, groups)
    check_lost(tap, case, report["lost"])
    check_hooks(tap, case, report, rig)
    check_stamps(tap, case, args, base + ".ivm")
    if "pingpong" in args:
        check_pingpong(tap, case, groups)
    if case == "pingpong":
        check_doctor(tap, out, rig, report)


def main(cases, out, rig):
    tap = Tap()
    for line in open(cases):
        name, _, args = line.strip().partition(" ")
        if name and not name.startswith("#"):
            check_case(tap, name, args, out, rig)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
