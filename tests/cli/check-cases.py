#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of benchmark reports must be able to fail: one falsified number each."""
import contextlib
import copy
import importlib.util
import io
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def load(path):
    spec = importlib.util.spec_from_file_location("check_cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failures(cc, report):
    """How many checks of a lab's report fail"""
    tap = cc.Tap()
    with contextlib.redirect_stdout(io.StringIO()):
        cc.check_schema(tap, "case", report)
        cc.check_counts(tap, "case", report)
        cc.check_sums(tap, "case", report["groups"])
        cc.check_lost(tap, "case", report["lost"])
        cc.check_hooks(tap, "case", report, "lab")
        cc.check_pingpong(tap, "case", report["groups"])
    return tap.failed


def add(value, *keys):
    """A report in which one number is larger than it was"""
    def change(report):
        at = report
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] += value
    return change


def set_to(value, *keys):
    def change(report):
        at = report
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value
    return change


def lose_group(report):
    report["groups"].pop()


def swap_groups(report):
    """Sums over all groups stay what they were"""
    first, last = report["groups"][0], report["groups"][-1]
    first["delivered"] -= 1
    first["rung"] -= 1
    last["delivered"] += 1
    last["rung"] += 1


FALSE = {
    "a ring more": add(1, "groups", 0, "rung"),
    "a ring fewer": add(-1, "groups", 0, "rung"),
    "an end more": add(1, "groups", 0, "delivered"),
    "one coalesced instead of delivered": lambda r: (add(-1, "groups", 0, "delivered")(r),
                                                     add(1, "groups", 0, "coalesced")(r)),
    "one unfinished": add(1, "groups", 1, "unfinished"),
    "one dropped": add(1, "groups", 1, "dropped"),
    "one masked": add(1, "groups", 1, "masked"),
    "a group less": lose_group,
    "a journey in another group": swap_groups,
    "a nanosecond in a total": add(1, "groups", 0, "total", "sum_ns"),
    "a nanosecond in a row": add(1, "groups", 0, "hops", 0, "sum_ns"),
    "a nanosecond in a path": add(1, "groups", 0, "paths", 0, "hops", 0, "sum_ns"),
    "a doorbell that the guest alone knows": add(1, "guest", 0, "sent"),
    "a handler that the guest alone knows": add(1, "guest", 0, "handled"),
    "a lost record": add(1, "lost", "records"),
    "an unmatched end": add(1, "lost", "unmatched"),
    "a disordered journey": add(1, "lost", "disordered"),
    "a hook that is silent": set_to("silent", "host", "hooks", "kvm_inj_virq"),
    "another schema": set_to("ivmtrace-report/2", "schema"),
}


def main():
    cc = load(os.path.join(HERE, "../vm/check-cases.py"))
    good = json.load(open(os.path.join(HERE, "../data/lab.json")))
    tap = cc.Tap()
    tap.check(failures(cc, good) == 0, "a true report passes")
    for name, change in FALSE.items():
        report = copy.deepcopy(good)
        change(report)
        tap.check(failures(cc, report) > 0, f"fails: {name}")
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
