# SPDX-License-Identifier: GPL-2.0-or-later
"""How many journeys a second get through ring buffer, reader and SQLite.

A producer submits journeys into the ring buffer of a real `ivmtrace record`, with the records and
in the way of the tracer's own programs (producer.bpf.c); everything behind is the product.
"""
import os
import statistics
import subprocess
import time

from rig import OUT, REPLY_S, Failed, Recorder, say

PRODUCER = os.path.join(OUT, "perf/producer")
RATE = 300000
RSS_LIMIT_BYTES = 1 << 20
SAMPLE_S = 0.25


def sample_rss(recorder, producer, seconds):
    samples = []
    deadline = time.monotonic() + seconds + REPLY_S
    while producer.poll() is None:
        if time.monotonic() > deadline:
            producer.kill()
            raise Failed("the producer did not end")
        samples.append(recorder.rss_bytes())
        time.sleep(SAMPLE_S)
    return samples


def growth_bytes(samples):
    """Last third against the second: in the first buffers and caches find their size."""
    third = len(samples) // 3
    if not third:
        raise Failed("too short for a comparison of memory")
    return int(statistics.mean(samples[-third:]) - statistics.mean(samples[third:2 * third]))


class Run:
    """So many journeys a second into one recording."""

    def __init__(self, seconds, *options):
        with Recorder("throughput", "-d", "600", *options) as recorder:
            cpu_s = recorder.cpu_s()
            with subprocess.Popen([PRODUCER, str(recorder.pid), str(RATE), str(seconds)],
                                  stdout=subprocess.PIPE, text=True) as producer:
                self.samples = sample_rss(recorder, producer, seconds)
                said = producer.stdout.read().split()
            time.sleep(0.5)     # the reader empties the buffer
            self.cpu_s = recorder.cpu_s() - cpu_s
        if producer.returncode or len(said) != 3:
            raise Failed("the producer failed")
        self.made, self.no_room, self.ns = map(int, said)
        self.rows = recorder.query("SELECT count(*) FROM journeys")[0][0]
        self.counted = recorder.rung()
        self.lost = self.no_room + recorder.lost()
        self.missing = self.made - self.no_room - self.counted
        self.rate = self.made * 1e9 / self.ns
        self.reader_ns = self.cpu_s * 1e9 / max(self.counted, 1)
        os.unlink(recorder.path)


def overload(figures, quick):
    """A buffer far too small: what is lost is counted, and what is counted is not lost."""
    run = Run(1 if quick else 3, "-m", "64K")
    say(f"  with a buffer of 64 KiB: {run.made} made = {run.counted} counted + {run.no_room} lost"
        f" + {run.missing} missing; {run.rows} in the file")
    figures["overload_lost"] = run.no_room
    figures["overload_missing"] = run.missing
    return [(f"overload: {run.missing} of {run.made} journeys neither counted nor lost",
             not run.missing and run.rows == run.counted)]


def main(figures, _seed, quick):
    if not os.path.exists(PRODUCER):
        say("throughput: skipped: this tracer's programs hand over events, not journeys")
        figures["journeys_per_s"] = "skipped"
        return []
    seconds = 4 if quick else 25
    say(f"throughput: {RATE} synthetic journeys/s for {seconds} s")
    run = Run(seconds)
    growth = growth_bytes(run.samples)
    say(f"  {run.made} made, {run.counted} counted, {run.rows} in the file, {run.lost} lost;"
        f" {run.rate:.0f}/s; reader {run.reader_ns:.0f} ns each,"
        f" {100 * run.cpu_s * 1e9 / run.ns:.0f} % of a CPU;"
        f" RSS {run.samples[-1] >> 10} KiB, last third {growth >> 10:+d} KiB")
    figures["journeys_per_s"] = f"{run.rate:.0f}"
    figures["journeys_lost"] = run.lost
    figures["journeys_missing"] = run.missing
    figures["reader_ns_per_synthetic_journey"] = f"{run.reader_ns:.0f}"
    figures["rss_growth_bytes"] = growth
    return [
        (f"{run.rate:.0f} journeys/s, at least 98 % of {RATE}", run.rate >= 0.98 * RATE),
        (f"{run.lost} lost and {run.missing} missing of {run.made}",
         not run.lost and run.rows == run.counted == run.made),
        (f"memory of record grew by {growth} bytes, at most {RSS_LIMIT_BYTES}",
         growth <= RSS_LIMIT_BYTES),
    ] + overload(figures, quick)
