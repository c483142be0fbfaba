# SPDX-License-Identifier: GPL-2.0-or-later
"""How long the reports of a long recording take, and `perf script` for the same traffic.

`recordings` writes ten million journeys through the product's own writer.  perf's side is a real
recording of the same kind of events: a flood between two guests, as many events a journey as the tracer follows.
"""
import os
import shutil
import subprocess
import time

from observer import find_events
from rig import IVMTRACE, KEEP, OUT, Failed, Pair, Probes, Recorder, say

PROGRAM = os.path.join(OUT, "perf/recordings")
SECONDS_LIMIT = 2
HTML_SECONDS_LIMIT = 5
SPEEDUP_LIMIT = 20
RSS_GROWTH_LIMIT = 16 << 20     # what a full summary may take, see docs/recording.md


def run(argv, **more):
    """Seconds and resident bytes of a command; below those of this process it cannot be told."""
    start = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          **more) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{argv[0]}: {said.decode().strip()}")
    return time.monotonic() - start, usage.ru_maxrss << 10


def report(journeys):
    """Best of three: seconds and resident bytes of the text report, seconds of the page."""
    path = os.path.join(KEEP, "reports.ivm")
    written_s, _ = run([PROGRAM, path, str(journeys)])
    size = os.path.getsize(path)
    times, rss = zip(*(run([IVMTRACE, "report", path]) for _ in range(3)))
    html_s = min(run([IVMTRACE, "report", "-f", "html", path])[0] for _ in range(3))
    for name in (path, path + ".old"):
        if os.path.exists(name):
            os.unlink(name)
    say(f"  {journeys} journeys, {size >> 20} MiB, written in {written_s:.1f} s: report in"
        f" {min(times):.2f} s with {max(rss) >> 20} MiB, its page in {html_s:.2f} s")
    return min(times), max(rss), html_s


def perf_script(seconds):
    """Nanoseconds that `perf script` takes for the events of one journey."""
    data = os.path.join(KEEP, "perf.data")
    with Probes() as probes, Pair("flood") as pair:
        with Recorder("reports") as recorder:
            events = find_events([name for _, name in probes.ask(f"clone {recorder.pid}")])
        argv = ["perf", "record", "-q", "-a", "-o", data]
        for system, name in events:
            argv += ["-e", f"{system}:{name}"]
        before = pair.progress()
        run(argv + ["--", "sleep", str(seconds)])
        journeys = pair.progress().sent - before.sent
    taken_s, _ = run(["perf", "script", "-i", data])
    size = os.path.getsize(data)
    os.unlink(data)
    say(f"  perf script: {len(events)} events, {journeys} journeys, {size >> 20} MiB in"
        f" {taken_s:.1f} s")
    return taken_s * 1e9 / max(journeys, 1)


def main(figures, _seed, quick):
    journeys = 1000000 if quick else 10000000
    say("reports: how long a text report takes")
    _, small_rss, _ = report(journeys // 100)
    seconds, rss, html_s = report(journeys)
    figures["report_journeys"] = journeys
    figures["report_s"] = f"{seconds:.2f}"
    figures["report_html_s"] = f"{html_s:.2f}"
    figures["report_rss_bytes"] = rss
    limits = [(f"report of {journeys} journeys in {seconds:.2f} s, at most {SECONDS_LIMIT}",
               seconds <= SECONDS_LIMIT),
              (f"page of them in {html_s:.2f} s, at most {HTML_SECONDS_LIMIT}",
               html_s <= HTML_SECONDS_LIMIT),
              (f"it takes {(rss - small_rss) >> 10} KiB more than one of a hundredth of them, at"
               f" most {RSS_GROWTH_LIMIT >> 10}", rss - small_rss <= RSS_GROWTH_LIMIT)]
    if not shutil.which("perf"):
        figures["report_speedup"] = "skipped"
        say("  perf script skipped: perf is not installed")
        return limits
    speedup = perf_script(1 if quick else 4) * journeys / (seconds * 1e9)
    figures["report_speedup"] = f"{speedup:.0f}"
    limits.append((f"{speedup:.0f} times as fast as perf script, at least {SPEEDUP_LIMIT}",
                   speedup >= SPEEDUP_LIMIT))
    return limits
