# SPDX-License-Identifier: GPL-2.0-or-later
"""What `record --context` and `record --profile` cost beside a recording without them.

Their programs bear other names than those that every recording has: their run time can be told
apart within one and the same recording, and needs no comparison of two.
"""
import time

from journeys import Cost
from rig import Pair, Probes, say


def main(figures, _seed, quick):
    seconds = 2 if quick else 8
    say("options: ping-pong in direct mode, run times of the programs that an option adds")
    with Probes() as probes, Pair("pingpong") as pair:
        time.sleep(0.5)
        plain = Cost(pair, probes, seconds, "plain")
        for option in "context", "profile":
            cost = Cost(pair, probes, seconds, option, options=[f"--{option}"])
            added = {name: spent for name, spent in cost.costs.items() if name not in plain.costs}
            runs = sum(runs for runs, _ in added.values())
            ns = sum(ns for _, ns in added.values())
            say(f"  --{option}: {runs} runs, {ns / max(runs, 1):.0f} ns each,"
                f" {ns / cost.journeys:.0f} ns a journey; {cost.lost} lost")
            figures[f"{option}_ns_per_journey"] = f"{ns / cost.journeys:.0f}"
            figures[f"{option}_ns_per_run"] = f"{ns / max(runs, 1):.0f}"
    return []
