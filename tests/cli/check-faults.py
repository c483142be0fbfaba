#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of faults must notice each outcome that is not the one a fault has."""
import sys

from falsify import (counted, judge, lost_rows, new_lane, test_judge, two_ends, write_lanes,
                     write_recording, write_text)

PING, PONG = judge.PING, judge.PONG


def rung(number, outcomes, **points):
    """That many journeys, the outcomes in turn"""
    return [{"id": n + 1, "mode": "direct", "configured": "direct", "from_end": 1, "to_end": 2,
             "cookie": n + 1, "outcome": outcomes[n % len(outcomes)], "irq_vector": 40,
             "to_vcpu": 0, **points} for n in range(number)]


def fault(name, handled=20, sent=20, journeys=(), guest=(), **terms):
    """A link that rang 20 times: what the host counted, what the guests did"""
    return {
        "code": "0",
        "log": "",
        "tables": {**two_ends(name), "journeys": list(journeys),
                   "counts": [counted(1, 2, rung=sent, **terms)],
                   "lost": lost_rows("records", "unmatched", "before_start", "stamp_lost")},
        "lanes": {"": [new_lane(PING, sent=[sent]),
                       new_lane(PONG, handled=[handled], **dict(guest))]},
    }


def moving(name):
    account = fault(name, 18, delivered=18, coalesced=2, guest={"moves": 7},
                    journeys=rung(20, ["delivered"]))
    for n, row in enumerate(account["tables"]["journeys"]):
        row.update(to_vcpu=n % 2, irq_vector=40 + n // 2 % 2)
    return account


def relinked():
    """end 1 and VM relinked-ping, then end 3 and VM relinked-second, both to end 2"""
    account = fault("relinked", handled=30, sent=20, delivered=20)
    tables = account["tables"]
    tables["vms"].append({"id": 3, "name": "relinked-second", "pid": 103})
    tables["ends"].append({"id": 3, "vm": 3, "peer": 2, "link": "relinked"})
    tables["counts"].append(counted(3, 2, rung=10, delivered=10))
    account["lanes"] = {"": [new_lane(PING, sent=[10]), new_lane(PONG, handled=[30])],
                        ".first": [new_lane(PING, sent=[20]), new_lane(PONG, handled=[20])]}
    return account


def both():
    account = fault("both", delivered=20, journeys=rung(20, ["delivered"]))
    account["tables"]["vms"] = [{"id": 1, "name": "both", "pid": 101}]
    for end in account["tables"]["ends"]:
        end["vm"] = 1
    return account


def fallback():
    account = fault("fallback", 19, delivered=19, coalesced=1, journeys=rung(
        20, ["delivered"], mode="irqfd", user=1000, send=2000))
    account["tables"]["lost"] += lost_rows(contradictions=1)
    account.update(code="2", log="strict: 20 journeys took another way than the link's mode says\n")
    return account


def no_irqfd():
    account = fault("no_irqfd", 19, delivered=19, coalesced=1, journeys=rung(
        20, ["delivered"], recv=1000))
    account.update(code="2", log="strict: 20 journeys waited for the receiving QEMU: KVM refused "
                   "it an irqfd\n")
    return account


def overload():
    account = fault("overload", 19, delivered=19, coalesced=1, journeys=rung(15, ["delivered"]))
    account["tables"]["lost"] += lost_rows(ringbuf=6)
    return account


def churn():
    account = fault("churn", 20, delivered=20)
    account["tables"]["counts"] = [counted(1, 2, rung=100, delivered=100)]
    account["tables"]["vms"] += [{"id": n, "name": "churn-old", "pid": 100 + n}
                                 for n in range(3, 11)]
    return account


def unmasked(name):
    account = fault(name, delivered=20, journeys=rung(20, ["delivered"]))
    for row in account["tables"]["journeys"][1::2]:
        row["unmask"] = 1000
    return account


def true_account():
    account = {name: fault(name, 19, delivered=19, coalesced=1)
               for name in ("late", "wandering")}
    account.update({name: moving(name) for name in ("moving", "moving_flood")})
    account.update({name: unmasked(name) for name in ("raised_msix", "raised_mask", "raised_qemu")})
    account.update({name: fault(name, 0, masked=20) for name in ("held_msix", "held_mask")})
    account["fanout"] = fault("fanout", 38, delivered=19, coalesced=1)
    account["deferred"] = fault("deferred", delivered=20, journeys=rung(
        20, ["delivered"], defer=1000, work=2000))
    account["init"] = fault("init", 10, delivered=10, dropped=10, guest={"cut_off": 10})
    account["killed"] = fault("killed", 11, delivered=12, coalesced=3, dropped=5)
    account["relinked"] = relinked()
    account["both"] = both()
    account["fallback"] = fallback()
    account["overload"] = overload()
    account["churn"] = churn()
    account["no_irqfd"] = no_irqfd()
    return account


def judged(account, directory):
    for name, left in account.items():
        write_recording(f"{directory}/{name}.ivm", left["tables"])
        write_text(f"{directory}/{name}.code", left["code"])
        write_text(f"{directory}/{name}.ivm.log", left["log"])
        for which, lanes in left["lanes"].items():
            write_lanes(f"{directory}/{name}{which}.lanes", lanes)
    return judge.sibling("check-faults").main(directory, *account)


def move_count(name, taken, given, row=0):
    """One ring has another outcome, so that the counts still close"""
    def change(account):
        counts = account[name]["tables"]["counts"][row]
        counts[taken] -= taken is not given
        counts[given] += 1
    return change


def more(name, term, row=0):
    def change(account):
        account[name]["tables"]["counts"][row][term] += 1
    return change


def lose(name, source):
    def change(account):
        for row in account[name]["tables"]["lost"]:
            row["count"] += row["source"] == source
    return change


def guest(name, what, value, role=PONG):
    def change(account):
        lane = account[name]["lanes"][""][role - 1]
        if isinstance(lane[what], list):
            value_then = [value] + lane[what][1:]
        else:
            value_then = value
        lane[what] = value_then
    return change


def all_journeys(name, **values):
    def change(account):
        for row in account[name]["tables"]["journeys"]:
            row.update(values)
    return change


def exits(name, code):
    return lambda account: account[name].update(code=code)


def to_the_other_link_up(account):
    """A doorbell of the second sender is counted as the first one's"""
    for row, step in zip(account["relinked"]["tables"]["counts"], (1, -1)):
        row["rung"] += step
        row["delivered"] += step


def none_dropped(account):
    counts = account["killed"]["tables"]["counts"][0]
    counts.update(coalesced=counts["coalesced"] + counts["dropped"], dropped=0)


def no_contradiction(account):
    account["fallback"]["tables"]["lost"].pop()


def nothing_lost(account):
    account["overload"]["tables"]["lost"].pop()


def a_vm_less(account):
    account["churn"]["tables"]["vms"].pop()


def falsehoods_of(name):
    """What is false of any fault"""
    changes = {
        "a ring more": more(name, "rung"),
        "an end more": more(name, "delivered"),
        "an unmatched end": lose(name, "unmatched"),
        "a lost record": lose(name, "records"),
        "another exit code": exits(name, "1"),
        "no exit code": exits(name, ""),
        "a doorbell that the guest alone knows": guest(name, "sent", 22, PING),
    }
    if name in ONCE:
        changes["one coalesced instead"] = move_count(name, "delivered", "coalesced")
        changes["one unfinished instead"] = move_count(name, "delivered", "unfinished")
    return {**changes, **OF_ONE.get(name, {})}


MOVING = {
    "never moved": lambda n: guest(n, "moves", 0),
    "one vCPU": lambda n: all_journeys(n, to_vcpu=0),
    "one IDT vector": lambda n: all_journeys(n, irq_vector=40),
}
HELD = {
    "one came through": lambda n: guest(n, "handled", 1),
    "one delivered instead": lambda n: move_count(n, "masked", "delivered"),
    "one dropped instead": lambda n: move_count(n, "masked", "dropped"),
}
RAISED = {"no unmask": lambda n: all_journeys(n, unmask=None)}
# Of which the guest tells how many were delivered
ONCE = ("late", "wandering", "moving", "moving_flood", "raised_msix", "raised_mask", "raised_qemu",
        "deferred", "init", "both", "fallback", "overload", "churn", "no_irqfd")
OF_ONE = {
    "relinked": {"the first is given the second's ring": to_the_other_link_up},
    "fanout": {"as many handlers as doorbells": guest("fanout", "handled", 20),
               "one masked instead": move_count("fanout", "delivered", "masked")},
    "deferred": {"not by the worker": all_journeys("deferred", work=None),
                 "not deferred": all_journeys("deferred", defer=None)},
    "init": {"none was pending": guest("init", "cut_off", 0),
             "one delivered instead of dropped": move_count("init", "dropped", "delivered"),
             "one coalesced instead of dropped": move_count("init", "dropped", "coalesced")},
    "killed": {"two more than handlers": guest("killed", "handled", 10),
               "fewer than handlers": guest("killed", "handled", 13),
               "one masked instead": move_count("killed", "delivered", "masked"),
               "nothing dropped": none_dropped},
    "both": {"to itself": all_journeys("both", to_end=1),
             "to nowhere": all_journeys("both", to_end=None)},
    "no_irqfd": {"through the sender's QEMU": all_journeys("no_irqfd", user=1000),
                 "called irqfd": all_journeys("no_irqfd", mode="irqfd"),
                 "never read": all_journeys("no_irqfd", recv=None),
                 "--strict is content": exits("no_irqfd", "0"),
                 "--strict says nothing": lambda a: a["no_irqfd"].update(log="")},
    "fallback": {"--strict is content": exits("fallback", "0"),
                 "called direct": all_journeys("fallback", mode="direct"),
                 "not through QEMU": all_journeys("fallback", user=None),
                 "never seen to send": all_journeys("fallback", send=None),
                 "no contradiction": no_contradiction,
                 "--strict says nothing": lambda a: a["fallback"].update(log="")},
    "overload": {"nothing lost": nothing_lost},
    "churn": {"a VM less": a_vm_less},
}
for _names, _changes in ((("moving", "moving_flood"), MOVING), (("held_msix", "held_mask"), HELD),
                         (("raised_msix", "raised_mask", "raised_qemu"), RAISED)):
    for _name in _names:
        OF_ONE[_name] = {what: change(_name) for what, change in _changes.items()}


def main():
    tap = judge.Tap()
    for name, account in true_account().items():
        test_judge(tap, name, {name: account}, falsehoods_of(name), judged)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
