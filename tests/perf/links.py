# SPDX-License-Identifier: GPL-2.0-or-later
"""What a thousand links that nobody uses add to the cost of a journey on one that is used.

The idle links are link pages without a QEMU behind them (links.c): discovery reads and follows
them, and all maps have their entries.  Recordings with and without them take turns; each pair
gives one ratio.
"""
import contextlib
import math
import statistics
import time

from journeys import Cost
from rig import LINK, Failed, IdleLinks, Pair, Probes, say

COUNT = 1000
LIMIT = 1.2


def measure(pair, probes, seconds, idle):
    with IdleLinks(idle) if idle else contextlib.nullcontext():
        cost = Cost(pair, probes, seconds, "links", link=f"{LINK}*")
    if cost.links != idle + 1:
        raise Failed(f"record knew {cost.links} links, not {idle + 1}")
    return cost


def ratio(pairs, what):
    logs = [math.log(what(many) / what(one)) for one, many in pairs]
    return math.exp(statistics.median(logs))


def main(figures, _seed, quick):
    seconds, rounds = (1, 1) if quick else (4, 5)
    pairs = []
    with Probes() as probes, Pair("flood") as pair:
        time.sleep(0.5)
        for _ in range(rounds):
            pairs.append([measure(pair, probes, seconds, idle) for idle in (0, COUNT - 1)])
    say(f"links: {COUNT} known, one in use, a flood, {rounds} pairs of recordings")
    for number, costs in zip((1, COUNT), zip(*pairs)):
        say(f"  {number:>5} known: {statistics.median(c.bpf_ns for c in costs):.0f} ns a journey in"
            f" BPF programs, {statistics.median(c.reader_ns for c in costs):.0f} ns in the reader")
    bpf = ratio(pairs, lambda cost: cost.bpf_ns)
    both = ratio(pairs, lambda cost: cost.bpf_ns + cost.reader_ns)
    figures[f"cost_ratio_{COUNT}_links"] = f"{bpf:.3f}"
    figures[f"cost_ratio_{COUNT}_links_with_reader"] = f"{both:.3f}"
    return [(f"cost of a journey with {COUNT} links known {bpf:.3f} x that with one, with the"
             f" reader {both:.3f} x, at most {LIMIT}", max(bpf, both) <= LIMIT)]
