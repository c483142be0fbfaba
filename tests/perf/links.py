# SPDX-License-Identifier: GPL-2.0-or-later
"""What a thousand links that nobody uses add to the cost of a journey on one that is used.

The idle links are link pages without a QEMU behind them (links.c): discovery reads and follows
them, and all maps have their entries.  Recordings with and without them take turns; each pair
gives one ratio.
"""
import math
import statistics
import time

from journeys import Cost
from rig import LINK, Failed, IdleLinks, Pair, Probes, say

COUNT = 1000
LIMIT = 1.2
GROWN_UP_S = 11         # discovery looks at new processes more often than at others


def measure(pair, probes, seconds, known):
    cost = Cost(pair, probes, seconds, "links", link=f"{LINK}*")
    if cost.links != known:
        raise Failed(f"record knew {cost.links} links, not {known}")
    return cost


def measure_pairs(pair, probes, seconds, count):
    """Recordings with one link and with all."""
    one = [measure(pair, probes, seconds, 1) for _ in range(count)]
    with IdleLinks(COUNT - 1):
        time.sleep(GROWN_UP_S)
        many = [measure(pair, probes, seconds, COUNT) for _ in range(count)]
    return list(zip(one, many))


def ratio(pairs, what):
    logs = [math.log(what(many) / what(one)) for one, many in pairs]
    return math.exp(statistics.median(logs))


def main(figures, _seed, quick):
    seconds, rounds, count = (1, 1, 1) if quick else (3, 2, 2)
    pairs = []
    with Probes() as probes, Pair("flood") as pair:
        time.sleep(0.5)
        for _ in range(rounds):
            pairs += measure_pairs(pair, probes, seconds, count)
    say(f"links: {COUNT} known, one in use, a flood, {len(pairs)} pairs of recordings")
    for number, costs in zip((1, COUNT), zip(*pairs)):
        say(f"  {number:>5} known: {statistics.median(c.bpf_ns for c in costs):.0f} ns a journey in"
            f" BPF programs, {statistics.median(c.reader_ns for c in costs):.0f} ns in the reader")
    bpf = ratio(pairs, lambda cost: cost.bpf_ns)
    both = ratio(pairs, lambda cost: cost.bpf_ns + cost.reader_ns)
    figures[f"cost_ratio_{COUNT}_links"] = f"{bpf:.3f}"
    figures[f"cost_ratio_{COUNT}_links_with_reader"] = f"{both:.3f}"
    return [(f"cost of a journey with {COUNT} links known {bpf:.3f} x that with one, with the"
             f" reader {both:.3f} x, at most {LIMIT}", max(bpf, both) <= LIMIT)]
