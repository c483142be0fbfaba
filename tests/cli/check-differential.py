#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of the two backends must notice where one of them says otherwise."""
import copy
import sys

from falsify import counted, judge, lost_rows, test_judge, two_ends, write_recording, write_text

TRAFFIC = ("paced", "flood")
BACKENDS = ("bpf", "tracefs")
RINGS = 40
POINTS = {"exit": 0, "dispatch": 1000, "signal": 2000, "route": 3000, "accept": 4000,
          "vcpu_wake": 5000, "vcpu_run": 7000, "unhalt": 8000, "inject": 9000, "entry": 9500}


def recording(backend, later_ns):
    journeys = [{"id": n, "mode": "direct", "configured": "direct", "outcome": "delivered",
                 "from_end": 1, "to_end": 2, "cookie": n,
                 **{p: 10 ** 9 + 10 ** 7 * n + ns + later_ns for p, ns in POINTS.items()}}
                for n in range(1, RINGS + 1)]
    return {"code": "0", "log": "ivmtrace: recording\n", "tables": {
        **two_ends("paced-direct"), "journeys": journeys,
        "counts": [counted(1, 2, rung=RINGS, delivered=RINGS)],
        "lost": lost_rows("records", "switches"),
        "meta": [{"key": "backend", "value": backend}]}}


def true_account():
    return {(t, b): recording(b, 300 * BACKENDS.index(b)) for t in TRAFFIC for b in BACKENDS}


def judged(account, directory, rig="native"):
    for (traffic, backend), left in account.items():
        base = f"{directory}/{traffic}.{backend}"
        write_recording(base + ".ivm", left["tables"])
        write_text(base + ".code", left["code"])
        write_text(base + ".ivm.log", left["log"])
    return judge.sibling("check-differential").main(directory, rig)


def alter(change, traffic="paced", backend="tracefs"):
    return lambda account: change(account[(traffic, backend)])


def journey(number, **values):
    return lambda left: left["tables"]["journeys"][number].update(values)


def several(number, **values):
    def change(left):
        for row in left["tables"]["journeys"][:number]:
            row.update(values)
    return change


def later(number, point, ns):
    def change(left):
        left["tables"]["journeys"][number][point] += ns
    return change


def drop(left):
    left["tables"]["journeys"].pop()


def repeat(left):
    rows = left["tables"]["journeys"]
    rows.append({**copy.deepcopy(rows[0]), "id": len(rows) + 1})


def count(term):
    def change(left):
        left["tables"]["counts"][0][term] += 1
    return change


def says(code, log):
    return lambda left: left.update(code=code, log=log)


CHANGES = {
    "a journey less": drop,
    "a journey twice": repeat,
    "another doorbell": journey(0, cookie=999),
    "another vector": journey(0, vector=1),
    "another mode": journey(0, mode="irqfd"),
    "another outcome": journey(0, outcome="dropped"),
    "a point less": journey(0, signal=None),
    "a point more": journey(0, user=10 ** 9 + 10 ** 7 + 1500),
    "two points in another order": later(0, "signal", 1500),
    "a wake-up that only one saw, too often": several(6, vcpu_wake=None),
    "one more rung": count("rung"),
    "one more delivered": count("delivered"),
    "one more coalesced": count("coalesced"),
    "a loss": says("2", "ivmtrace: strict: 3 records were lost\n"),
    "two causes": says("2", "strict: 3 context switches were left out by tracefs\nstrict: 1 lost\n"),
    "no way to an end": says("1", ""),
}
FALSE = {f"{traffic}, {backend}: {name}": alter(change, traffic, backend)
         for name, change in CHANGES.items()
         for traffic, backend in (("paced", "tracefs"), ("flood", "bpf"))}
FALSE.update({f"{traffic}, {backend}: {name}": alter(CHANGES[name], traffic, backend)
              for name in ("a journey twice", "a loss")
              for traffic, backend in (("paced", "bpf"), ("flood", "tracefs"))})
for _traffic in TRAFFIC:
    for _backend in BACKENDS:
        FALSE[f"no recording of {_traffic} by {_backend}"] = (
            lambda account, key=(_traffic, _backend): account.pop(key))


def main():
    tap = judge.Tap()
    test_judge(tap, "two backends", true_account(), FALSE, judged)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
