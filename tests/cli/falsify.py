# SPDX-License-Identifier: GPL-2.0-or-later
"""For the tests of the judges: recordings and shared memory made by hand, and made false.

A judge is worth something if each of its checks can fail.  So every test here has a
true account, which must pass, and falsehoods, each of which must fail; and every
check that the true account passed must have failed on one of them.
"""
import contextlib
import copy
import io
import os
import re
import sqlite3
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../vm"))

import judge  # noqa: E402 pylint: disable=wrong-import-position

KHZ = 1000000                   # of a guest whose TSC counts nanoseconds
RESULT_AT, STAMPS_AT = 0x100, 0x2000
COUNTED = ("rung", "accepted", "posted", "delivered", "coalesced", "masked", "dropped",
           "unfinished")


def schema():
    with open(os.path.join(HERE, "../../docs/recording.md")) as file:
        return re.search(r"^```sql$(.*?)^```$", file.read(), re.M | re.S)[1]


def needed(db, table):
    """What a row must have, with a value to begin with"""
    return {name: "" if kind == "TEXT" else 0 for _, name, kind, notnull, _, key in
            db.execute(f"PRAGMA table_info({table})") if notnull and not key}


def write_recording(path, tables):
    """tables: {name: [{column: value}]}; columns left out are 0, empty or NULL"""
    db = sqlite3.connect(path)
    db.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;" + schema())
    for table, rows in tables.items():
        defaults = needed(db, table)
        for row in rows:
            full = {**defaults, **row}
            columns = ", ".join(f'"{c}"' for c in full)
            marks = ", ".join("?" * len(full))
            db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(full.values()))
    db.commit()
    db.close()


def two_ends(link, mode="direct", first=1, names=("ping", "pong")):
    """The VMs and ends of a link: numbers first and first + 1"""
    numbers = (first, first + 1)
    return {
        "vms": [{"id": n, "name": f"{link}-{name}", "pid": 100 + n}
                for n, name in zip(numbers, names)],
        "ends": [{"id": n, "vm": n, "peer": sum(numbers) - n, "link": link, "configured": mode}
                 for n in numbers],
    }


def counted(end, peer, vector=0, **terms):
    """A row of counts; all that was rung was accepted"""
    row = {"from_end": end, "to_end": peer, "vector": vector, **{t: 0 for t in COUNTED}}
    return {**row, "accepted": terms.get("rung", 0), **terms}


def lost_rows(*sources, **counts):
    return [{"source": s, "count": counts.get(s, 0)} for s in (*sources, *counts)]


def new_lane(role, **what):
    """As judge.Lane has it: sent and handled by vector, stamps, delays, ..."""
    lane = {"role": role, "khz": KHZ, "sent": [0] * 256, "handled": [0] * 256, "stamps": [],
            "noise": (0, 0), "moves": 0, "cut_off": 0, "delays": [], "overrun": 0}
    lane.update(what)
    for key in ("sent", "handled"):
        lane[key] = lane[key] + [0] * (256 - len(lane[key]))
    return lane


def pack_lane(lane, size):
    data = bytearray(size)
    stamps, delays = lane["stamps"], lane["delays"]
    delays_at = STAMPS_AT + 16 * len(stamps)
    struct.pack_into("<12IQ2I", data, 0, 0x4c4d5649, 1, size, 1, 0, 0, 0, 0, 1, STAMPS_AT,
                     len(stamps), 0, len(stamps) + lane["overrun"], RESULT_AT, 0)
    struct.pack_into("<I", data, RESULT_AT + judge.ROLE_AT, lane["role"])
    struct.pack_into("<I", data, RESULT_AT + judge.KHZ_AT, lane["khz"])
    struct.pack_into("<256Q", data, RESULT_AT + judge.SENT_AT, *lane["sent"])
    struct.pack_into("<256Q", data, RESULT_AT + judge.HANDLED_AT, *lane["handled"])
    struct.pack_into("<6Q2I", data, RESULT_AT + judge.LATER_AT, 0, *lane["noise"], lane["moves"],
                     lane["cut_off"], len(delays), delays_at, len(delays))
    for i, stamp in enumerate(stamps):
        struct.pack_into("<IHHQ", data, STAMPS_AT + 16 * i, *stamp)
    for i, delay in enumerate(delays):
        struct.pack_into("<IIQQ", data, delays_at + 24 * i, *delay)
    return bytes(data)


def write_lanes(path, lanes):
    size = STAMPS_AT + max(16 * len(l["stamps"]) + 24 * len(l["delays"]) for l in lanes) + 64
    with open(path, "wb") as file:
        file.write(b"".join(pack_lane(lane, size) for lane in lanes))


def write_text(path, text):
    with open(path, "w") as file:
        file.write(text)


def results(call):
    """{check: passed?} of a judge's TAP, and what it exits with"""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = call()
    lines = [line.partition(" - ") for line in out.getvalue().splitlines()
             if re.match(r"(not )?ok ", line)]
    return {re.sub(r"\d+", "N", name): head.startswith("ok") for head, _, name in lines}, code


def test_judge(tap, what, account, falsehoods, call):
    """
    account is what is true.  A falsehood changes a copy of it.  call(account, directory)
    writes one into a directory and has it judged; returns what the judge exits with.
    """
    def judged(change=lambda a: None):
        changed = copy.deepcopy(account)
        change(changed)
        with tempfile.TemporaryDirectory() as directory:
            return results(lambda: call(changed, directory))

    checks, code = judged()
    bad = [name for name, good in checks.items() if not good]
    tap.check(checks and code == 0 and not bad, f"{what}: what is true passes", *bad)
    never = set(checks)
    for name, change in falsehoods.items():
        now, code = judged(change)
        failed = {check for check, good in now.items() if not good}
        never -= failed
        tap.check(failed and code != 0, f"{what}: fails: {name}")
    tap.check(not never, f"{what}: each of {len(checks)} checks has failed", *sorted(never))
