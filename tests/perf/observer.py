# SPDX-License-Identifier: GPL-2.0-or-later
"""The observer effect: how much longer a round trip takes while it is looked at.

One pair plays ping-pong all the time.  Blocks of 0.4 s are measured in steady state; each
block with a tracer stands between two without, in an order drawn anew for each round, and is
compared with the geometric mean of these two: a drift of the host cancels out.
"""
import contextlib
import csv
import glob
import math
import os
import random
import shutil
import subprocess
import time

import estimate
from rig import KEEP, Failed, Pair, Probes, Recorder, say, warn

TRACEFS = "/sys/kernel/tracing"
SETTLE_S = 0.2          # from attached, or detached, to the block
EXCESS_LIMIT = 2.5      # times the excess of empty programs
UPPER_LIMIT = 1.04


@contextlib.contextmanager
def off():
    yield


@contextlib.contextmanager
def empty(probes):
    probes.ask("attach")
    try:
        yield
    finally:
        probes.ask("detach")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@contextlib.contextmanager
def tracefs(events):
    """The cheapest use: an instance of its own, binary pages, nobody decodes them."""
    instance = f"{TRACEFS}/instances/ivmtrace-perf-{os.getpid()}"
    os.mkdir(instance)
    readers = []
    try:
        for path in glob.glob(f"{instance}/per_cpu/cpu*/trace_pipe_raw"):
            readers.append(subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL))
        for system, name in events:
            write(f"{instance}/events/{system}/{name}/enable", "1")
        yield
        for system, name in events:
            write(f"{instance}/events/{system}/{name}/enable", "0")
    finally:
        for reader in readers:
            reader.terminate()
            reader.wait()
        os.rmdir(instance)


@contextlib.contextmanager
def perf_record(events):
    """All CPUs, as one has to when the threads of interest are of several processes."""
    control, control_write = os.pipe()
    ack_read, ack = os.pipe()
    path = os.path.join(KEEP, "perf.data")
    argv = ["perf", "record", "-q", "-a", "-o", path, "-D", "-1",
            f"--control=fd:{control},{ack}"]
    for system, name in events:
        argv += ["-e", f"{system}:{name}"]
    process = subprocess.Popen(argv, pass_fds=(control, ack), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(control)
    os.close(ack)
    try:
        os.write(control_write, b"enable\n")
        if not os.read(ack_read, 16):
            raise Failed("perf record: " + process.communicate()[1].decode().strip())
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)
        os.close(control_write)
        os.close(ack_read)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def bpftrace_script(events):
    probes = ",\n".join(f"tracepoint:{system}:{name}" for system, name in events)
    return 'BEGIN { printf("ready\\n"); }\n' + probes + \
        "\n{ @last[tid] = nsecs; @count[probe] = count(); }\n"


@contextlib.contextmanager
def bpftrace(events):
    """What one would write by hand: a time per thread and a count, both in maps."""
    process = subprocess.Popen(["bpftrace", "-e", bpftrace_script(events)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for line in process.stdout:
            if line.strip() == "ready":
                break
        else:
            raise Failed("bpftrace: " + process.stderr.read().strip())
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            # It takes its probes away one by one; without it the kernel does
            process.kill()
            process.communicate()


def find_events(hooks):
    """(system, name) of the tracepoints among the hooks; functions have no event."""
    events = []
    for name in hooks:
        found = glob.glob(f"{TRACEFS}/events/*/{name}/enable")
        events += [tuple(path.split("/")[-3:-1]) for path in found]
    return events


class Observer:
    def __init__(self, pair, probes, seed, block_s):
        self.pair, self.probes, self.block_s = pair, probes, block_s
        self.random = random.Random(seed)
        self.blocks = []            # (variant, ns, round trips)
        self.ratios = {}            # variant -> logarithms
        self.skipped = {}           # variant -> why
        with Recorder("observer") as recorder:
            hooks = probes.ask(f"clone {recorder.pid}")
        self.ways = hooks
        self.events = find_events([name for _, name in hooks])
        if not self.events:
            raise Failed(f"no events under {TRACEFS}/events")

    def variants(self):
        return {
            "empty": lambda: empty(self.probes),
            "record": lambda: Recorder("observer"),
            "tracefs": lambda: tracefs(self.events),
            "perf_record": lambda: perf_record(self.events),
            "bpftrace": lambda: bpftrace(self.events),
        }

    def block(self, variant, context):
        with context:
            time.sleep(SETTLE_S)
            done = self.pair.measure(self.block_s)
        if not done.returned:
            raise Failed(f"the guests stood still in a block of {variant}")
        self.blocks.append((variant, done.ns, done.returned))
        return done.ns / done.returned

    def between(self, variant, before):
        """A block of a variant and the one without a tracer that follows it."""
        rtt_ns = self.block(variant, self.variants()[variant]())
        after = self.block("off", off())
        self.ratios.setdefault(variant, []).append(
            math.log(rtt_ns) - (math.log(before) + math.log(after)) / 2)
        return after

    def run(self, rounds, rare, rare_every):
        """@rare variants take part in every so manieth round only."""
        before = self.block("off", off())
        for number in range(rounds):
            order = ["empty", "record", "tracefs"]
            if number % rare_every == 0:
                order += [name for name in rare if name not in self.skipped]
            self.random.shuffle(order)
            for variant in order:
                before = self.between(variant, before)
            if number % 10 == 9:
                warn(f"observer effect: {number + 1} of {rounds} rounds")

    def save(self):
        with open(os.path.join(KEEP, "blocks.csv"), "w", encoding="ascii", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("variant", "ns", "round_trips"))
            rows.writerows(self.blocks)


def missing_tool(name):
    """Why this one cannot be compared with, or None."""
    return None if shutil.which(name) else f"{name} is not installed"


def try_variant(observer, variant):
    """A tool that does not work on this host is left out, with what it says."""
    try:
        observer.block(variant, observer.variants()[variant]())
        observer.blocks.pop()
    except (Failed, OSError, subprocess.SubprocessError) as error:
        observer.skipped[variant] = str(error).splitlines()[0] or type(error).__name__


def judge(figures, results):
    """The limits: (what, met)."""
    excess = results["record"].value - 1
    excess_empty = results["empty"].value - 1
    figures["observer_effect_excess_ratio"] = \
        f"{excess / excess_empty:.2f}" if excess_empty > 0 else "undefined"
    return [
        (f"excess {100 * excess:.2f} % at most {EXCESS_LIMIT} x that of empty programs,"
         f" {100 * excess_empty:.2f} %", excess <= EXCESS_LIMIT * excess_empty),
        (f"upper bound {results['record'].high:.4f} at most {UPPER_LIMIT}",
         results["record"].high <= UPPER_LIMIT),
        (f"{results['record'].value:.4f} below raw tracefs, {results['tracefs'].value:.4f}",
         results["record"].value < results["tracefs"].value),
    ]


def main(figures, seed, quick):
    """Measures; fills @figures, returns the limits with whether they are met."""
    rounds, rare_every, block_s = (6, 3, 0.3) if quick else (60, 10, 0.4)
    rare = ("perf_record", "bpftrace")
    with Pair("pingpong") as pair, Probes() as probes:
        time.sleep(1)
        observer = Observer(pair, probes, seed, block_s)
        say(f"observer effect: direct ping-pong, {rounds} rounds, seed {seed}, hooks: "
            + ", ".join(f"{name} ({way})" for way, name in observer.ways))
        for name in rare:
            why = missing_tool(name.split("_", maxsplit=1)[0])
            if why:
                observer.skipped[name] = why
            else:
                try_variant(observer, name)
        observer.run(rounds, rare, rare_every)
        observer.save()
    plain = [ns / trips for variant, ns, trips in observer.blocks if variant == "off"]
    say(f"  {'off':<12} {estimate.trimmed_mean(plain) / 1e3:.2f} us a round trip"
        f"  ({len(plain)} blocks)")
    results = {}
    for variant in observer.variants():
        name = "observer_effect" + ("" if variant == "record" else f"_{variant}")
        if variant in observer.skipped:
            say(f"  {variant:<12} skipped: {observer.skipped[variant]}")
            figures[name] = "skipped"
            continue
        results[variant] = estimate.ratio(observer.ratios[variant], seed)
        say(f"  {variant:<12} {results[variant]}")
        figures[name] = f"{results[variant].value:.4f}"
    figures["observer_effect_upper"] = f"{results['record'].high:.4f}"
    return judge(figures, results)
