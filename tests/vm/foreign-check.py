#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what foreign-run.sh left: foreign-check.py OUT on|off|writer NAME, in TAP, no plan."""

import json
import sys
from pathlib import Path

out, kind, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
vectors = 2


def ok(good, what, got=None):
    print(f"{'ok' if good else 'not ok'} - {name}: {what}")
    if not good:
        print(f"# got {got}")


def read(file):
    return (out / file).read_text() if (out / file).exists() else ""


def doorbells(irqfds):
    return {(i["doorbell"]["pid"], i["doorbell"]["value"], i["target"]["pid"])
            for i in irqfds if i["doorbell"]}


def check_list(pong, ping):
    """KVM's tables, against the device's contract and /proc."""
    irqfds = [i for i in json.loads(read("list.json"))["irqfds"]
              if i["target"] and i["target"]["pid"] in (pong, ping)]
    fdinfo = {(int(pid), int(fd)): int(id_) for pid, fd, id_ in
              (line.split() for line in read("fdinfo").splitlines())}
    holders = {(h["pid"], h["fd"]): i["eventfd"] for i in irqfds for h in i["holders"]}

    ok(read("list.err") == "" or "ivm-mailbox" in read("list.err"), "list warns of nothing",
       read("list.err"))
    ok(holders and all(fdinfo.get(k) == v for k, v in holders.items()),
       "every descriptor is the eventfd that fdinfo says", (holders, fdinfo))
    raised = {(i["target"]["pid"], i["eventfd"]) for i in irqfds}
    ok({pid for pid, _ in raised} == {pong, ping} and len(raised) == 2 * vectors,
       "each VM has an irqfd a vector", raised)
    # Peer 0 is whoever came first; the value's upper half says whom it rings
    pairs = doorbells(irqfds)
    to = {value >> 16: target for _, value, target in pairs}
    if kind != "off":
        ok(len(pairs) == 4 * vectors and set(to.values()) == {pong, ping} and
           all(to[value >> 16] == target for _, value, target in pairs),
           "each doorbell value leads to its peer's VM", pairs)
    else:
        ok(not pairs, "no doorbell has an ioeventfd", pairs)


def check_recorder():
    """Nothing lost; tracefs may leave out switches on a busy host, which lacks points only."""
    causes = [line for line in read("record.err").splitlines() if "strict:" in line]
    if kind != "on":
        causes = [c for c in causes if "context switches were left out by tracefs" not in c]
    ok(read("record.code").strip() in ("0", "2") and not causes, "record --strict finds nothing",
       read("record.err"))


def check_group(group):
    what = f"vm {group['from']} to {group['to']}, vector {group['vector']}"
    ok(group["mode"] == "ivshmem", f"{what}: mode", group["mode"])
    ok(group["rung"] == group["delivered"] + group["coalesced"], f"{what}: counts close", group)
    return group["rung"], group["delivered"]


def check_report(pong, ping, results):
    report = json.loads(read("report.json"))
    vms = {vm["id"]: vm["pid"] for vm in report["vms"]}
    groups = report["groups"]
    sent = {pong: results[0], ping: results[2]}
    handled = {pong: results[1], ping: results[3]}

    check_recorder()
    ok(len(groups) == 2 * vectors, "one group a direction and vector", len(groups))
    for pid, other in ((pong, ping), (ping, pong)):
        mine = [check_group(g) for g in groups if vms[g["from"]] == pid]
        ok(all(vms[g["to"]] == other for g in groups if vms[g["from"]] == pid),
           f"{pid} rings {other} only")
        ok(sum(r for r, _ in mine) == sent[pid], f"rung by {pid} = sent by its guest",
           (mine, sent[pid]))
        ok(sum(d for _, d in mine) == handled[other], f"delivered to {other} = its handlers ran",
           (mine, handled[other]))
    check_points(groups)


def check_points(groups):
    points = points_of(groups)
    through_qemu = {"user", "send"}
    if kind == "on":
        ok(all({"dispatch", "route", "accept"} <= p for p in points), "points as in mode direct",
           points)
        ok(not any(through_qemu & p for p in points), "none of QEMU's points", points)
    else:
        ok(all({"send", "route", "accept"} <= p for p in points), "points as in mode irqfd",
           points)


def check_writer(pong):
    """A process without a VM: what it wrote, and what became of it."""
    report = json.loads(read("report.json"))
    vms = {vm["id"]: vm for vm in report["vms"]}
    writer = int(read("writer").split()[1])
    groups = [g for g in report["groups"] if vms[g["from"]]["pid"] == writer]

    check_recorder()
    ok(len(groups) == 1 and groups[0]["mode"] == "foreign", "one group, mode foreign",
       report["groups"])
    if len(groups) != 1:
        return
    group = groups[0]
    ok(vms[group["to"]]["pid"] == pong, "it goes to the VM whose eventfd it is", group["to"])
    ok(vms[group["from"]]["name"] == "[foreign-writer]", "the writer has its name", vms)
    ok(group["rung"] == int(sys.argv[4]), "every write is a journey", group["rung"])
    ok(group["delivered"] and group["rung"] == group["delivered"] + group["coalesced"],
       "every one arrives", group)
    check_points(groups)


def points_of(groups):
    return [{p for hop in g["hops"] for p in (hop["from"], hop["to"])} for g in groups]


def main():
    started = read("pair").splitlines()
    actor = "writer" if kind == "writer" else "pair"
    done = [line for line in read(actor).splitlines() if line.startswith("done")]

    ok(bool(done), "it came to its end", read(actor) + read(actor + ".err"))
    if not done:
        return
    _, pong, ping = started[0].split()
    check_list(int(pong), int(ping))
    if kind == "writer":
        check_writer(int(pong))
    else:
        check_report(int(pong), int(ping), [int(n) for n in done[0].split()[1:]])


main()
