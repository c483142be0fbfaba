#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what run-faults.sh left: each situation has the outcome docs/journey.md gives it.

    check-faults.py OUT [NAME...]

Prints TAP.  The guests' own counts are read from copies of the shared memory.
"""
import os
import sqlite3
import struct
import sys

from judge import PING, PONG, Tap, open_recording, read_lanes, read_lost

TERMS = ("rung", "delivered", "coalesced", "masked", "dropped", "unfinished")


class Guests:
    """What both guests of a link counted"""

    def __init__(self, path):
        lanes = read_lanes(path)
        pong = lanes.get(PONG)
        self.path = path
        self.sent = sum(lanes[PING].sent) if PING in lanes else 0
        self.handled = sum(pong.handled) if pong else 0
        self.moves, self.cut_off = (pong.moves, pong.cut_off) if pong else (0, 0)


class Recording:
    def __init__(self, path):
        self.path = path
        self.db = open_recording(path)
        self.lost = read_lost(self.db)

    def counts(self, vm):
        """Sums of what the VMs whose names end so have rung"""
        terms = ", ".join(f"coalesce(sum(c.{t}), 0)" for t in TERMS)
        row = self.db.execute(f"""SELECT {terms} FROM counts c JOIN ends e ON e.id = c.from_end
            JOIN vms v ON v.id = e.vm WHERE v.name LIKE ?""", ("%" + vm,)).fetchone()
        return dict(zip(TERMS, row))

    def number(self, where):
        return self.db.execute(f"SELECT count(*) FROM journeys WHERE {where}").fetchone()[0]


def check_closed(tap, name, recording, counts, known=()):
    total = sum(counts[t] for t in TERMS[1:])
    tap.check(counts["rung"] == total and counts["rung"] > 0, f"{name}: counts close", f"{counts}")
    # Lanes hold the stamps of two link-ups, of both ends or of a message's copies here:
    # what joins of them is stamps.t's business
    losses = {k: v for k, v in recording.lost.items() if v and not k.startswith("stamp_")
              and k not in known}
    tap.check(not losses, f"{name}: nothing lost, unmatched or from before the start", f"{losses}")


def expect(tap, name, recording, guests, vm="-ping", known=(), **want):
    """Rung as often as the guest says, and the outcomes given; the others 0"""
    counts = recording.counts(vm)
    check_closed(tap, name, recording, counts, known)
    want = {"rung": guests.sent, **{t: 0 for t in TERMS[1:]}, **want}
    bad = {t: (counts[t], want[t]) for t in TERMS if want[t] is not None and counts[t] != want[t]}
    tap.check(not bad, f"{name}: {counts['rung']} rung, the rest as it should be",
              f"(counted, expected) {bad}")


def delivered_once(tap, name, r, g):
    expect(tap, name, r, g, delivered=g.handled, coalesced=g.sent - g.handled)


def moving(tap, name, r, g):
    tap.check(g.moves > 1, f"{name}: moved {g.moves} times")
    delivered_once(tap, name, r, g)
    used = r.db.execute("SELECT count(DISTINCT to_vcpu || '/' || irq_vector) FROM journeys "
                        "WHERE outcome = 'delivered'").fetchone()[0]
    tap.check(used == 4, f"{name}: journeys say which vCPU and IDT vector they went to", f"{used}")


def fanout(tap, name, r, g):
    """Each vCPU takes it; the journey ends at the first one that does"""
    tap.check(g.handled > g.sent, f"{name}: {g.sent} doorbells, {g.handled} handlers")
    expect(tap, name, r, g, delivered=None, coalesced=None)


def deferred(tap, name, r, g):
    delivered_once(tap, name, r, g)
    missing = r.number("outcome = 'delivered' AND (defer IS NULL OR work IS NULL)")
    tap.check(not missing, f"{name}: all of them by the worker", f"{missing} not")


def held(tap, name, r, g):
    expect(tap, name, r, g, masked=g.sent)
    tap.check(g.handled == 0, f"{name}: the guest saw none")


def raised(tap, name, r, g):
    """Every second one is held for so long that it must have been unmasked"""
    delivered_once(tap, name, r, g)
    unmasked = r.number("outcome = 'delivered' AND unmask IS NOT NULL")
    tap.check(unmasked >= g.sent // 2, f"{name}: {unmasked} with the point unmask")


def init(tap, name, r, g):
    tap.check(g.cut_off > 0, f"{name}: {g.cut_off} pending at an INIT")
    expect(tap, name, r, g, delivered=g.handled, dropped=g.cut_off)


def killed(tap, name, r, g):
    """What was pending at the end is dropped; so is what the device refused afterwards"""
    counts = r.counts("-ping")
    g.sent += counts["rung"] == g.sent + 1      # stopped before it could count its last one
    expect(tap, name, r, g, delivered=None, coalesced=None, dropped=None)
    ahead = counts["delivered"] - g.handled
    tap.check(0 <= ahead <= 1, f"{name}: delivered = handler entries, or one ahead", f"{ahead}")
    tap.check(counts["dropped"] > 0, f"{name}: the rest is dropped", f"{counts}")


def relinked(tap, name, r, g):
    first = Guests(g.path.replace(".lanes", ".first.lanes"))
    one, two = r.counts("-ping"), r.counts("-second")
    # The first one was stopped, perhaps before it could count its last one
    tap.check(one["rung"] - first.sent in (0, 1) and two["rung"] == g.sent and two["rung"] > 0,
              f"{name}: each sender's doorbells are its own",
              f"{one['rung']}, {first.sent}; {two['rung']}, {g.sent}")
    delivered = one["delivered"] + two["delivered"]
    tap.check(delivered == g.handled, f"{name}: delivered = handler entries",
              f"{delivered}, {g.handled}")
    check_closed(tap, name, r, {t: one[t] + two[t] for t in TERMS})


def overload(tap, name, r, g):
    """What was not recorded is counted: the totals are those of the guests"""
    lost = r.lost.pop("ringbuf", 0)
    delivered_once(tap, name, r, g)
    rows = r.number("1")
    tap.check(lost > 0 and rows + lost >= g.sent > rows,
              f"{name}: {rows} journeys recorded, {lost} records lost", f"sent {g.sent}")


def churn(tap, name, r, g):
    """Each round's guests rang alike; only the last ones' memory is left"""
    g.sent, g.handled = 5 * g.sent, 5 * g.handled
    delivered_once(tap, name, r, g)
    vms = r.db.execute("SELECT count(*) FROM vms").fetchone()[0]
    tap.check(vms == 10, f"{name}: {vms} VMs, with room for 6 vCPUs")


def both(tap, name, r, g):
    expect(tap, name, r, g, vm="both", delivered=g.handled, coalesced=g.sent - g.handled)
    ends = r.db.execute("SELECT count(DISTINCT from_end), count(DISTINCT to_end) FROM journeys "
                        "WHERE from_end <> to_end").fetchone()
    tap.check(ends == (1, 1), f"{name}: from one end to the other", f"{ends}")


def fallback(tap, name, r, g):
    """The mode is the one observed, and --strict says what it is not"""
    expect(tap, name, r, g, known=("contradictions",), delivered=g.handled,
           coalesced=g.sent - g.handled)
    tap.check(r.lost.get("contradictions"), f"{name}: the link page is contradicted", f"{r.lost}")
    other = r.number("mode <> 'irqfd' OR configured <> 'direct' OR user IS NULL")
    tap.check(not other, f"{name}: all of them went through QEMU", f"{other} did not")
    # The first one is what tells that writes are to be looked at
    sent = r.number("send IS NOT NULL")
    tap.check(sent > g.sent // 2, f"{name}: {sent} with the point send")
    log = open(r.path + ".log").read()
    tap.check("strict: %d journeys took another way" % g.sent in log,
              f"{name}: --strict says how many", log)


def no_irqfd(tap, name, r, g):
    """KVM signals the eventfd, QEMU reads it and raises, and --strict says so"""
    delivered_once(tap, name, r, g)
    unread = r.number("recv IS NULL")
    tap.check(not unread, f"{name}: all of them with the point recv", f"{unread} without")
    log = open(r.path + ".log").read()
    tap.check("strict: %d journeys waited for the receiving QEMU" % g.sent in log,
              f"{name}: --strict says how many", log)
    other = r.number("mode <> 'direct' OR user IS NOT NULL OR unmask IS NOT NULL")
    tap.check(not other, f"{name}: all of them in mode direct", f"{other} not")


CASES = {
    "late": delivered_once, "moving": moving, "moving_flood": moving, "fanout": fanout,
    "deferred": deferred, "held_msix": held, "held_mask": held, "raised_msix": raised,
    "raised_mask": raised, "raised_qemu": raised, "init": init, "killed": killed,
    "relinked": relinked, "wandering": delivered_once, "both": both,
    "fallback": fallback, "no_irqfd": no_irqfd,
    "overload": overload, "churn": churn,
}
STRICT = {"fallback": 2, "no_irqfd": 2}       # what record exits with; 0 of others


def main(out, *names):
    tap = Tap()
    for name in names or CASES:
        base = os.path.join(out, name)
        try:
            code = int(open(base + ".code").read())
            recording, guests = Recording(base + ".ivm"), Guests(base + ".lanes")
        except (OSError, ValueError, sqlite3.Error, struct.error) as error:
            tap.check(False, f"{name}: ran", repr(error))
            continue
        tap.check(code == STRICT.get(name, 0), f"{name}: recorded", f"exit code {code}")
        CASES[name](tap, name, recording, guests)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
