#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of many links at once must notice a journey that is another link's."""
import json
import os
import sys

from falsify import (judge, new_lane, test_judge, two_ends, write_lanes, write_recording,
                     write_text)

MODES = ("qemu", "irqfd", "direct")
ROUNDS = 6
PING, PONG = judge.PING, judge.PONG


def clock_distance(end):
    """Host time - time of this end's guest"""
    return 1000000 * end + 12345


def journey(account, sender, receiver, mode, cookie, at):
    """Rung at that time of the host, dispatched, injected and handled 1, 6 and 7 us later"""
    account["tables"]["journeys"].append({
        "id": len(account["tables"]["journeys"]) + 1, "mode": mode, "configured": mode,
        "outcome": "delivered", "from_end": sender, "to_end": receiver, "cookie": cookie,
        "dispatch": at + 1000, "inject": at + 6000})
    lanes = account["lanes"]
    lanes[sender]["stamps"].append((cookie, 0, judge.RING, at - clock_distance(sender)))
    lanes[receiver]["stamps"].append((lanes[receiver]["handled"][0], 0, judge.HANDLER,
                                      at + 7000 - clock_distance(receiver)))
    lanes[sender]["sent"][0] += 1
    lanes[receiver]["handled"][0] += 1


def group(mode, sender, receiver):
    hops = [{"sum_ns": 5000 * ROUNDS}]
    return {"mode": mode, "configured": mode, "from": sender, "to": receiver, "vector": 0,
            "rung": ROUNDS, "delivered": ROUNDS, "coalesced": 0, "masked": 0, "dropped": 0,
            "unfinished": 0, "total": {"sum_ns": 5000 * ROUNDS}, "hops": hops,
            "paths": [{"hops": [dict(h) for h in hops]}]}


def true_account():
    account = {"code": "0", "lanes": {}, "tables": {"vms": [], "ends": [], "journeys": []},
               "report": {"groups": [], "guest": [],
                          "lost": {"records": 0, "unmatched": 0, "disordered": 0, "sources": {}}}}
    for number, mode in enumerate(MODES):
        ping, pong = 2 * number + 1, 2 * number + 2
        for table, rows in two_ends(f"bench-{mode}", mode, ping).items():
            account["tables"][table] += rows
        account["lanes"].update({end: new_lane(role, noise=(3, 4))
                                 for end, role in ((ping, PING), (pong, PONG))})
        for k in range(ROUNDS):
            at = 100000000 + 1000000 * k + 20000 * number
            journey(account, ping, pong, mode, 1000 * ping + k, at)
            journey(account, pong, ping, mode, 1000 * pong + k, at + 8000)
        for ends in (ping, pong), (pong, ping):
            account["report"]["groups"].append(group(mode, *ends))
            account["report"]["guest"].append({"mode": mode, "from": ends[0], "vector": 0,
                                               "sent": ROUNDS, "handled": ROUNDS})
    return account


def judged(account, directory):
    base = os.path.join(directory, "mixed")
    write_text(directory + "/cases", "mixed --links 3 --noise 100 --pattern pingpong\n")
    write_recording(base + ".ivm", account["tables"])
    write_text(base + ".code", account["code"])
    write_text(base + ".err", "")
    write_text(base + ".json", json.dumps(account["report"]))
    os.mkdir(base + ".lanes")
    links = {e["link"]: [] for e in account["tables"]["ends"]}
    for end in account["tables"]["ends"]:
        if end["id"] in account["lanes"]:
            links[end["link"]].append(account["lanes"][end["id"]])
    for link, lanes in links.items():
        if lanes:
            write_lanes(f"{base}.lanes/{link}.lanes", lanes)
    return judge.sibling("check-mix").main(directory + "/cases", directory, "native")


def of(number, **values):
    """One journey says something else"""
    return lambda account: account["tables"]["journeys"][number].update(values)


def earlier(number, point, ns):
    def change(account):
        account["tables"]["journeys"][number][point] -= ns
    return change


def swap(one, other, *columns):
    def change(account):
        a, b = (account["tables"]["journeys"][n] for n in (one, other))
        for column in columns:
            a[column], b[column] = b[column], a[column]
    return change


def drop_journey(account):
    account["tables"]["journeys"].pop()


def repeat_journey(account):
    journeys = account["tables"]["journeys"]
    journeys.append({**journeys[0], "id": len(journeys) + 1})


def forget_link(account):
    for end in (1, 2):
        del account["lanes"][end]


def same_cookies(account):
    """Two guests count alike: nothing tells their doorbells apart"""
    mine, theirs = account["lanes"][1]["stamps"], account["lanes"][3]["stamps"]
    cookies = iter([s[0] for s in mine if s[2] == judge.RING])
    account["lanes"][3]["stamps"] = [
        (next(cookies), *s[1:]) if s[2] == judge.RING else s for s in theirs]


def in_report(*keys, value=1):
    """A number of the report that is larger than it was"""
    def change(account):
        at = account["report"]
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] += value
    return change


def falls_back(account):
    account["report"]["groups"][4]["mode"] = "irqfd"


# Journeys of a link alternate: even ones are ping's.  0..11 qemu, 12..23 irqfd, 24..35 direct
FALSE = {
    "a doorbell of another link": swap(0, 12, "from_end"),
    "a journey with another link's receiver": swap(12, 24, "to_end"),
    "a journey to its own sender": of(2, to_end=1),
    "a journey to nowhere": of(2, to_end=None),
    "a doorbell nobody rang": of(0, cookie=99),
    "two doorbells of a link exchanged": swap(0, 4, "cookie"),
    "another vector": of(0, vector=1),
    "a journey missing": drop_journey,
    "a journey twice": repeat_journey,
    "a delivered one called coalesced": of(6, outcome="coalesced"),
    "the ends of two links exchanged": swap(12, 24, "inject"),
    "an end after its handler": earlier(8, "inject", -8000),
    "a dispatch before its doorbell": earlier(8, "dispatch", 8000),
    "a link not looked at": forget_link,
    "stamps written over": lambda a: a["lanes"][3].update(overrun=1),
    "guests that count alike": same_cookies,
    "no timer beside the link": lambda a: a["lanes"][2].update(noise=(0, 4)),
    "no IPI beside the link": lambda a: a["lanes"][5].update(noise=(3, 0)),
    "bench that complains": lambda a: a.update(code="2"),
    "a ring more": in_report("groups", 0, "rung"),
    "an end more": in_report("groups", 0, "delivered"),
    "one unfinished": in_report("groups", 0, "unfinished"),
    "a nanosecond in a row": in_report("groups", 0, "hops", 0, "sum_ns"),
    "a lost record": in_report("lost", "records"),
    "a link that fell back": falls_back,
}


def main():
    tap = judge.Tap()
    test_judge(tap, "many links", true_account(), FALSE, judged)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
