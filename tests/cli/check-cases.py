#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of benchmark reports must be able to fail: one falsified number each."""
import copy
import json
import os
import sys

from falsify import judge, lost_rows, test_judge, two_ends, write_recording

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 10
ERR_NS = 40


def judge_report(report, _):
    """As it judges a lab's"""
    cc, tap = judge.sibling("check-cases"), judge.Tap()
    cc.check_schema(tap, "case", report)
    cc.check_counts(tap, "case", report)
    cc.check_sums(tap, "case", report["groups"])
    cc.check_lost(tap, "case", report["lost"])
    cc.check_hooks(tap, "case", report, "lab")
    cc.check_pingpong(tap, "case", report["groups"])
    return tap.end()


def judge_doctor(account, directory):
    """As it judges a lab's"""
    tap = judge.Tap()
    if account["doctor"]:
        with open(directory + "/doctor.json", "w", encoding="utf-8") as file:
            json.dump({"hooks": account["doctor"]}, file)
    judge.sibling("check-cases").check_doctor(tap, directory, "lab", account["report"])
    return tap.end()


def judge_stamps(tables, directory):
    tap = judge.Tap()
    write_recording(directory + "/case.ivm", tables)
    judge.sibling("check-cases").check_stamps(tap, "case", "--pattern pingpong",
                                              directory + "/case.ivm")
    return tap.end()


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


def rename_points(report):
    for group in report["groups"]:
        for hop in group["hops"]:
            hop.update({side: "dispatch" for side in ("from", "to") if hop[side] == "exit"})


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
    "a hook that never fired": set_to(0, "host", "hook_stats", "kvm_exit", "fired"),
    "no point of the way in": rename_points,
    "another schema": set_to("ivmtrace-report/2", "schema"),
}


def doctored(report):
    """A doctor that has foretold what the report says, of a host on which all hooks fire"""
    host = copy.deepcopy(report["host"])
    doctor = {h: {"state": state, "fires": "yes"} for h, state in host["hooks"].items()}
    for hook in judge.sibling("check-cases").NOT_NEEDED:
        doctor[hook] = {"state": "tracepoint", "fires": "yes"}
        host["hooks"][hook] = "unused"
    doctor["sched_switch"]["fires"] = "no"
    host["hook_stats"]["sched_switch"]["fired"] = 0
    return {"doctor": doctor, "report": {"host": host}}


FALSE_DOCTOR = {
    "no answer": lambda a: a.update(doctor=None),
    "another backend": set_to("tracefs", "report", "host", "backend"),
    "a hook attached otherwise": set_to("kprobe", "report", "host", "hooks", "kvm_exit"),
    "a hook attached for nothing": set_to("tracepoint", "report", "host", "hooks",
                                          "sys_enter_preadv2"),
    "a hook that fires after all": set_to(1, "report", "host", "hook_stats", "sched_switch",
                                          "fired"),
    "a hook that the probe did not see": set_to("no", "doctor", "kvm_inj_virq", "fires"),
}


def stamped():
    """Round trips of 8 us: two journeys with stamps at both ends, on clocks 5 ms apart"""
    tables = {**two_ends("case"), "journeys": [], "stamps": [],
              "lost": lost_rows("stamp_dropped", "stamp_disordered", "stamp_overrun",
                                "stamp_unmatched"),
              "stamp_bounds": [{"end": e, "ring_err_ns": ERR_NS, "isr_err_ns": ERR_NS}
                               for e in (1, 2)],
              "guests": [{"id": 1, "mode": "direct", "link": "case", "from_end": 1,
                          "rtt_count": ROUNDS}],
              "guest_rtt": [{"guest": 1, "rtt_ns": 8000} for _ in range(ROUNDS)]}
    for n in range(2 * ROUNDS):
        sender, receiver = 1 + n % 2, 2 - n % 2
        at = 10 ** 9 + 10 ** 6 * (n // 2) + 4500 * (n % 2)
        tables["journeys"].append({
            "id": n + 1, "mode": "direct", "configured": "direct", "outcome": "delivered",
            "from_end": sender, "to_end": receiver, "cookie": n, "ring": at,
            "dispatch": at + 500, "inject": at + 2500, "entry": at + 2600, "isr": at + 3500})
        tables["stamps"] += [
            {"end": sender, "kind": judge.RING, "cookie": n, "tsc": at - 5000000 * sender},
            {"end": receiver, "kind": judge.HANDLER, "cookie": n // 2,
             "tsc": at + 3500 - 5000000 * receiver}]
    return tables


def row(table, number, **values):
    return lambda tables: tables[table][number].update(values)


def later(number, point, ns):
    def change(tables):
        tables["journeys"][number][point] += ns
    return change


FALSE_STAMPS = {
    "a journey without ring": row("journeys", 4, ring=None),
    "a delivered one without isr": row("journeys", 4, isr=None),
    "a coalesced one with isr": row("journeys", 4, outcome="coalesced"),
    "a stamp dropped": row("lost", 0, count=1),
    "a stamp unmatched": row("lost", 3, count=1),
    "a loss that is not counted": lambda tables: tables["lost"].pop(),
    "a stamp nobody joined": lambda tables: tables["stamps"].append(
        {**tables["stamps"][-1], "id": 100}),
    "an isr that is too late": later(4, "isr", 5 * ERR_NS),
    "an isr of the way back": later(5, "isr", 5 * ERR_NS),
    "a ring that is too early": later(6, "ring", -5 * ERR_NS),
    "a round trip that the guest measured longer": row("guest_rtt", 3, rtt_ns=8000 + 5 * ERR_NS),
    "a round trip of seconds that the host does not see": row("guest_rtt", 3, rtt_ns=2 * 10**9),
    "a round trip that the host lacks": lambda tables: tables["guest_rtt"].append(
        {"guest": 1, "rtt_ns": 8000}),
    "no round trip": lambda tables: tables["guests"][0].update(rtt_count=0),
}


def main():
    tap = judge.Tap()
    report = json.load(open(os.path.join(HERE, "../data/lab.json")))
    test_judge(tap, "report", report, FALSE, judge_report)
    test_judge(tap, "doctor", doctored(report), FALSE_DOCTOR, judge_doctor)
    test_judge(tap, "stamps", stamped(), FALSE_STAMPS, judge_stamps)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
