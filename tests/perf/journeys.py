# SPDX-License-Identifier: GPL-2.0-or-later
"""What a journey costs: run time of the tracer's BPF programs, and CPU time of its reader.

The kernel keeps run times only on request, and asking for them costs by itself: the empty
programs of `probes` are measured the same way and show how much of each run that is.
"""
import os
import subprocess
import time

from rig import LINK, OUT, Failed, Pair, Probes, Recorder, say

BPF_LIMIT_NS = 1000


def difference(after, before):
    return {name: tuple(a - b for a, b in zip(after[name], before.get(name, (0, 0))))
            for name in after}


def table(costs, journeys):
    for name, (runs, ns) in sorted(costs.items(), key=lambda item: -item[1][1]):
        if runs:
            say(f"    {name:<28} {runs / journeys:7.3f} runs a journey, {ns / runs:6.0f} ns each,"
                f" {ns / journeys:7.0f} ns a journey")


class Cost:
    """One recording with statistics on, in steady state."""

    def __init__(self, pair, probes, seconds, name, link=LINK, options=()):
        with Recorder(name, *options, link=link) as recorder:
            time.sleep(0.5)
            probes.ask("stats on")
            before, cpu_s = probes.costs(recorder.pid), recorder.cpu_s()
            done = pair.measure(seconds)
            after = probes.costs(recorder.pid)
            self.reader_s = recorder.cpu_s() - cpu_s
            probes.ask("stats off")
        self.costs = difference(after, before)
        # In pingpong pong rings, too: each ring is one journey
        self.journeys = done.sent + (done.taken if pair.pattern == "pingpong" else 0)
        self.seconds = done.ns / 1e9
        self.bpf_ns = sum(ns for _, ns in self.costs.values()) / self.journeys
        self.reader_ns = self.reader_s * 1e9 / self.journeys
        self.lost = recorder.lost()
        self.links = recorder.query("SELECT count(*) / 2 FROM ends WHERE peer NOT NULL")[0][0]
        size = os.path.getsize(recorder.path)
        self.bytes = size / max(recorder.rung(), 1)

    def tell(self, title):
        say(f"  {title}: {self.journeys / self.seconds:.0f} journeys/s for {self.seconds:.1f} s,"
            f" {self.bpf_ns:.0f} ns a journey in BPF programs, {self.reader_ns:.0f} ns in the"
            f" reader, {self.bytes:.0f} bytes in the file, {self.lost} lost")
        table(self.costs, self.journeys)


def empty_ns(pair, probes, seconds):
    """The same for programs that do nothing at the same hooks: calling and measuring them."""
    with Recorder("clones") as recorder:
        probes.ask(f"clone {recorder.pid}")
    probes.ask("attach")
    probes.ask("stats on")
    before = probes.costs()
    done = pair.measure(seconds)
    costs = difference(probes.costs(), before)
    probes.ask("stats off")
    probes.ask("detach")
    return sum(ns for _, ns in costs.values()) / done.sent


def floor_ns(rounds):
    """What the least costs that has to be done at the hooks of a direct journey.

    {step: ns a journey}, each step with those before it; "record" is what no tracer is
    below that reads the clock at each of these points and hands over what it saw.
    """
    argv = [os.path.join(OUT, "perf/steps"), str(rounds), "400"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    if done.returncode:
        raise Failed("steps: the programs could not be measured")
    runs, ns = {}, {}
    for step, hook, hook_runs, hook_ns in (line.split() for line in done.stdout.splitlines()):
        ns[step] = ns.get(step, 0) + int(hook_ns)
        # Each journey of a flood has its route once
        if hook == "kvm_msi_set_irq":
            runs[step] = int(hook_runs)
    if not all(runs.values()):
        raise Failed("steps: no journey passed the hooks")
    return {step: ns[step] / runs[step] for step in ns}


def main(figures, _seed, quick):
    seconds = 2 if quick else 8
    say("journeys: direct mode, run times of all programs of `record`")
    with Probes() as probes:
        with Pair("flood") as pair:
            time.sleep(0.5)
            flood = Cost(pair, probes, seconds, "flood")
            flood.tell("flood")
            empty = empty_ns(pair, probes, seconds)
            say(f"  flood, empty programs at the same hooks: {empty:.0f} ns a journey")
            floor = floor_ns(1 if quick else 5)
            say("  flood, the least at the hooks of a direct journey, ns a journey: "
                + ", ".join(f"{step} {ns:.0f}" for step, ns in floor.items()))
        with Pair("pingpong") as pair:
            time.sleep(0.5)
            paced = Cost(pair, probes, seconds, "pingpong")
            paced.tell("ping-pong")
    figures["ns_per_journey"] = f"{flood.bpf_ns:.0f}"
    figures["ns_per_journey_empty"] = f"{empty:.0f}"
    figures["ns_per_journey_floor"] = f"{floor['record']:.0f}"
    figures["ns_per_journey_pingpong"] = f"{paced.bpf_ns:.0f}"
    figures["reader_ns_per_journey"] = f"{flood.reader_ns:.0f}"
    figures["flood_journeys_per_s"] = f"{flood.journeys / flood.seconds:.0f}"
    figures["flood_lost"] = flood.lost
    return [(f"{flood.bpf_ns:.0f} ns a journey of a flood in BPF programs, at most"
             f" {BPF_LIMIT_NS}", flood.bpf_ns <= BPF_LIMIT_NS)]
