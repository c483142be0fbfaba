#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tracer costs, measured on this machine; see tests/perf/README.md.

    run.py [PART...]    observer, journeys, options, links, throughput, reports; all of them
                        without an argument

Prints what was measured and, last, one NAME=VALUE a line.  Exit code 0: all limits are met; 2:
one is not; 1: it could not be measured.  Says why and exits with 0 where there is no KVM.
"""
import os
import sys
import time

sys.dont_write_bytecode = True

import journeys     # noqa: E402
import links        # noqa: E402
import observer     # noqa: E402
import options      # noqa: E402
import reports      # noqa: E402
import throughput   # noqa: E402
from rig import KEEP, Failed, say    # noqa: E402

PARTS = {"observer": observer.main, "journeys": journeys.main,
         "options": options.main, "links": links.main,
         "throughput": throughput.main, "reports": reports.main}
DEFAULT_SEED = 20260
TRACEFS = "/sys/kernel/tracing"


def why_not():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be used here"
    if os.geteuid() != 0:
        return "it takes root to attach BPF programs"
    return None


def with_tracefs():
    """Mounts tracefs for this process alone, if it is not mounted."""
    if os.path.isdir(f"{TRACEFS}/events"):
        return
    if os.environ.get("IVM_PERF_MOUNTED"):
        raise Failed(f"cannot mount tracefs at {TRACEFS}")
    os.environ["IVM_PERF_MOUNTED"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c",
                          f'mount -t tracefs tracefs {TRACEFS}; exec "$@"', "sh",
                          sys.executable, *sys.argv])


def measure(parts):
    quick = os.environ.get("IVM_PERF_QUICK", "0") not in ("", "0")
    seed = int(os.environ.get("IVM_PERF_SEED", DEFAULT_SEED))
    start = time.monotonic()
    figures, limits = {}, []

    os.makedirs(KEEP, exist_ok=True)
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"note: load average {load:.2f} before anything was started: this host is not quiet")
    for part in parts:
        limits += PARTS[part](figures, seed, quick)
        say()
    for what, met in limits:
        say(f"{'met' if met else 'NOT MET':<8} {what}")
    say(f"{'quick run, ' if quick else ''}{time.monotonic() - start:.0f} s; kept in {KEEP}\n")
    for name, value in figures.items():
        say(f"{name}={value}")
    return 0 if all(met for _, met in limits) else 2


def main():
    parts = sys.argv[1:] or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        print(f"perf: no part '{unknown[0]}': {', '.join(PARTS)}", file=sys.stderr)
        return 1
    why = why_not()
    if why:
        say(f"perf: skipped: {why}")
        return 0
    try:
        with_tracefs()
        return measure(parts)
    except Failed as error:
        print(f"perf: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
