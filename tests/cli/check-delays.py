#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of injected delays must notice one that is not whole, or in another row."""
import sys

from falsify import judge, new_lane, test_judge, two_ends, write_lanes, write_recording, write_text

TIMES = 10
DELAY_NS = 20000000
CASES = {
    "stopped": "direct vcpu 20 20 10 accept..vcpu_wake",
    "irq-off": "direct guest:irqoff 20 0 10 accept..window",
}
# ns after the doorbell; those of the second half come later by the delay
POINTS = {
    "stopped": ({"exit": 0, "dispatch": 1000, "route": 2000, "accept": 3000},
                {"vcpu_wake": 4000, "vcpu_run": 6000, "inject": 9000, "entry": 9500}),
    "irq-off": ({"exit": 0, "dispatch": 1000, "route": 2000, "accept": 3000},
                {"window": 4000, "inject": 5000, "entry": 5500}),
}


def journeys_of(case):
    before, behind = POINTS[case]
    for number in range(1, 2 * TIMES + 1):
        at, held = 10 ** 9 + 10 ** 8 * number, number % 2 == 0
        times = {**before, **{p: ns + held * DELAY_NS for p, ns in behind.items()}}
        yield {"id": number, "mode": "direct", "configured": "direct", "outcome": "delivered",
               "from_end": 1, "to_end": 2, "cookie": number,
               **{p: at + ns for p, ns in times.items()}}


def true_account():
    account = {}
    for case in CASES:
        tables = {**two_ends(case), "journeys": list(journeys_of(case))}
        held = [(n, 10 ** 9 + 10 ** 8 * n, 10 ** 9 + 10 ** 8 * n + DELAY_NS)
                for n in range(2, 2 * TIMES + 1, 2)]
        account[case] = {"tables": tables, "held": held, "code": "0"}
    return account


def judged(account, directory):
    lines = []
    for case, left in account.items():
        base = f"{directory}/{case}"
        lines.append(f"{case} {CASES[case]}\n")
        write_recording(base + ".ivm", left["tables"])
        write_text(base + ".code", left["code"])
        write_text(base + ".log", "ready\n" + "".join("%d %d %d\n" % h for h in left["held"]))
        free = [(n - 1, begin, begin) for n, begin, _ in left["held"]]
        delays = [(n, 1, begin, end) for n, begin, end in sorted(left["held"] + free)]
        write_lanes(base + ".lanes", [new_lane(judge.PING), new_lane(judge.PONG, delays=delays)])
    write_text(directory + "/cases", "".join(lines))
    return judge.sibling("check-delays").main(directory + "/cases", directory)


def move(case, share, *points):
    """Points of those held up come later by a share of the delay"""
    def change(account):
        for row in account[case]["tables"]["journeys"]:
            if row["cookie"] % 2 == 0:
                row.update({p: row[p] + int(share * DELAY_NS) for p in points})
    return change


def injector(case, change):
    """It says otherwise of each delay: change(number, begin, end)"""
    def apply(account):
        account[case]["held"] = [change(*h) for h in account[case]["held"]]
    return apply


def keep(case, which):
    def change(account):
        rows = account[case]["tables"]["journeys"]
        rows[:] = [r for r in rows if which(r["cookie"])]
    return change


def forget_delays(case):
    return lambda account: account[case]["held"].clear()


BEHIND = {case: tuple(behind) for case, (_, behind) in POINTS.items()}
FALSE = {}
for _case in CASES:
    _last = BEHIND[_case][-2:]
    FALSE.update({
        f"{_case}: 6 % of the delay missing": move(_case, -.06, *BEHIND[_case]),
        f"{_case}: 6 % too much": move(_case, .06, *BEHIND[_case]),
        f"{_case}: 6 % in a later row": move(_case, .06, *_last),
        f"{_case}: 6 % in an earlier row": move(_case, .06, "route", "accept", *BEHIND[_case]),
        f"{_case}: a later row shorter": move(_case, -.06, *_last),
        f"{_case}: all of it in the row before": move(_case, 1, "accept"),
        f"{_case}: none at all": move(_case, -1, *BEHIND[_case]),
        f"{_case}: the injector's were longer": injector(
            _case, lambda n, begin, end: (n, begin, end + DELAY_NS // 10)),
        f"{_case}: the injector held up the others": injector(
            _case, lambda n, begin, end: (n - 1, begin, end)),
        f"{_case}: too short to tell": injector(
            _case, lambda n, begin, end: (n, begin, begin + 1900000)),
        f"{_case}: half of them not delivered": keep(_case, lambda n: n % 2 or n % 4),
        f"{_case}: half of the others not delivered": keep(_case, lambda n: n % 2 == 0 or n % 4 < 2),
        f"{_case}: no journey at all": keep(_case, lambda n: False),
        f"{_case}: nothing was held up": forget_delays(_case),
        f"{_case}: record complains": lambda account, c=_case: account[c].update(code="2"),
        f"{_case}: no exit code": lambda account, c=_case: account[c].update(code=""),
    })


def main():
    tap = judge.Tap()
    test_judge(tap, "delays", true_account(), FALSE, judged)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
