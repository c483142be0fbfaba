#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording's summary says is what its journeys say.

Doorbells with random times are replayed into a recording, as `record` would write it.  Each figure of
its report is computed once more from the rows of the table journeys, in plain Python: percentiles
must be within the 0.8 % that docs/recording.md promises, all else must be equal.  With --exact, and without a
summary, percentiles must be equal, too.
"""
import csv
import io
import json
import math
import os
import random
import sqlite3
import subprocess
import tempfile

COUNT = 4000
PERCENTILES = {"p50_ns": 500, "p90_ns": 900, "p99_ns": 990, "p999_ns": 999}
POINTS = ["exit", "dispatch", "signal", "route", "accept", "kick", "vcpu_exit", "vcpu_wake",
          "vcpu_run", "unhalt", "inject", "entry"]
ERROR = 1 / 128
ivmtrace = os.environ.get("IVMTRACE", ".output/ivmtrace")
number = failed = 0

HEAD = """ivmtrace-events 1
meta kernel=6.12.0 arch=x86_64 backend=bpf rig=lab start=2026-01-01T00:00:00Z
vm 1 tgid=100 name=a
vcpu 1/0 tid=101
vm 2 tgid=200 name=b
vcpu 2/0 tid=201
end 1/1 name=a-b link_id=0x1 up=1 accel=1 configured=direct tx=direct rx=direct bar0=0xfebf0000 \
vectors=1 peer_vectors=1
vector 1/0 address=0xfee00000 data=0x41 flags=deliverable,irqfd
end 2/2 name=a-b link_id=0x1 up=1 side=1 accel=1 configured=direct tx=direct rx=direct \
bar0=0xfebf0000 vectors=1 peer_vectors=1
vector 2/0 address=0xfee00000 data=0x41 flags=deliverable,irqfd
1000000 arm
+1000 200/201 1 sched_switch_in
+0 200/201 1 kvm_entry
"""


def check(good, name, why=""):
    global number, failed
    number += 1
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        failed += 1
        print("\n".join(f"# {line}" for line in str(why).splitlines()[:20]))


def one(random_ns, number):
    a = "100/101 0"
    b = "200/201 1"
    lines = [f"+500 {a} kvm_exit reason=0x400 isa=2",
             f"+{random_ns()} {a} kvm_mmio address=0xfebf1000 value={number} bytes=4",
             f"+{random_ns()} {a} eventfd_signal ctx=0xff00 id=5",
             f"+{random_ns()} {a} kvm_msi_set_irq address=0xfee00000 data=0x41",
             f"+{random_ns()} {a} kvm_apic_accept_irq vcpu=0 vector=0x41"]
    if number % 3:
        lines.append(f"+{random_ns()} {a} ipi_send_cpu cpu=1")
    lines += [f"+{random_ns()} {b} kvm_exit reason=0x60 isa=2",
              f"+200 {a} kvm_entry",
              f"+{random_ns()} {b} kvm_inj_virq vector=0x41",
              f"+{random_ns()} {b} kvm_entry",
              f"+{random.randrange(1000000)} {b} sched_switch_in"]
    return lines


def make_recording(path, count):
    random.seed(20260101)
    with tempfile.NamedTemporaryFile("w", suffix=".events") as f:
        f.write(HEAD)
        for i in range(1, count + 1):
            f.write("\n".join(one(lambda: int(random.lognormvariate(7, 2)) + 1, i)) + "\n")
        f.write("+9000 stop\n")
        f.flush()
        subprocess.run([ivmtrace, "replay", "-o", path, f.name], check=True, timeout=120)


def report(path, *arguments):
    done = subprocess.run([ivmtrace, "report", *arguments, path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def durations(path):
    """All rows' and the total's durations, point by point as the rules have it"""
    db = sqlite3.connect(path)
    rows = {}
    wanted = ", ".join(f'"{p}"' for p in POINTS)
    for times in db.execute(f"SELECT {wanted} FROM journeys WHERE outcome = 'delivered' AND"
                            " NOT disordered"):
        seen = [(p, t) for p, t in zip(POINTS, times) if t]
        for (p, t), (q, u) in zip(seen, seen[1:]):
            rows.setdefault(f"{p}..{q}", []).append(u - t)
        rows.setdefault("total", []).append(seen[-1][1] - seen[0][1])
    db.close()
    return {name: sorted(ns) for name, ns in rows.items()}


def nearest_rank(values, permille):
    return values[max(math.ceil(len(values) * permille / 1000), 1) - 1]


def wrong(said, values, error, keys):
    if (said["count"], said["sum_ns"], said["max_ns"]) != (len(values), sum(values), values[-1]):
        return f"{said}: {len(values)} values, sum {sum(values)}, max {values[-1]}"
    for key in keys:
        true = nearest_rank(values, PERCENTILES[key])
        if abs(said[key] - true) > error * true + (error > 0):
            return f"{key}: {said[key]}, is {true}"
    return ""


def compare(name, group, true, error):
    rows = {h["name"]: h for h in group["hops"]}
    check(set(rows) | {"total"} == set(true), f"{name}: rows", f"{sorted(rows)} {sorted(true)}")
    bad = [f"{r}: {w}" for r in rows
           if (w := wrong(rows[r], true[r], error, ("p50_ns", "p99_ns")))]
    bad += filter(None, [wrong(group["total"], true["total"], error, PERCENTILES)])
    check(not bad, f"{name}: figures", "\n".join(bad))


def compare_blocks(path):
    db = sqlite3.connect(path)
    blocks = db.execute("SELECT b.id, start_ns, end_ns, sum(count) FROM blocks b JOIN cells ON"
                        " block = b.id GROUP BY 1").fetchall()
    bad = [b for b in blocks if db.execute(
        "SELECT count(*) FROM journeys WHERE dispatch >= ? AND dispatch < ?", b[1:3]).fetchone()[0]
        != b[3]]
    check(len(blocks) > 10 and not bad, "each block has the journeys rung in it", bad)
    merged = db.execute("""SELECT sum(value), max(key + 0) FROM spans, json_each(buckets)
        WHERE from_point = 'exit' AND to_point = 'entry'""").fetchone()
    check(merged[0] == COUNT, "SQL can merge buckets", merged)
    db.close()


def compare_csv(path):
    for by in ("mode", "direction", "link", "vector", "from-vcpu", "to-vcpu", "phase", "path",
               "link,path"):
        code, out, err = report(path, "--format", "csv", "--by", by)
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        hops = sum(int(r["sum_ns"]) for r in rows if r["kind"] == "hop")
        totals = [r for r in rows if r["kind"] == "total"]
        check(code == 0 and all(len(r) == 37 and None not in r.values() for r in rows) and
              hops == sum(int(r["sum_ns"]) for r in totals) > 0 and
              sum(int(r["rung"]) for r in totals) == COUNT, f"CSV by {by} adds up", out + err)


def edit(path, sql):
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


def main():
    with tempfile.TemporaryDirectory() as tmp:
        path = f"{tmp}/x.ivm"
        make_recording(path, COUNT)
        true = durations(path)
        group = json.loads(report(path, "-f", "json")[1])["groups"][0]
        check(group["percentiles"] == "histogram", "percentiles are from histograms")
        compare("summary", group, true, ERROR)
        code, text, err = report(path)
        check(code == 0 and "within 0.8 %" in text, "text says so", text + err)
        group = json.loads(report(path, "-f", "json", "--exact")[1])["groups"][0]
        check(group["percentiles"] == "exact", "--exact: they are exact")
        compare("--exact", group, true, 0)
        compare_blocks(path)
        compare_csv(path)
        edit(path, "DELETE FROM journeys")
        code, after, err = report(path)
        check(code == 0 and after == text, "the report needs no journeys", err)
        code, out, err = report(path, "--exact")
        check(code == 1 and "damaged" in err, "--exact does", out + err)
        edit(path, "INSERT INTO meta VALUES ('not_kept', 4000)")
        code, out, err = report(path, "--exact")
        check(code == 1 and "not every journey is in" in err and err.count("\n") == 1,
              "--exact says why not", out + err)
        edit(path, "UPDATE spans SET buckets = replace(buckets, ':', ':1')")
        code, out, err = report(path)
        check(code == 1 and not out and "damaged" in err, "a damaged summary is refused", err)
        for count in (0, 1):
            make_recording(path, count)
            code, out, err = report(path)
            check(code == 0 and "nan" not in out.lower(), f"{count} journeys", out + err)
            code, out, err = report(path, "-f", "csv")
            check(code == 0 and out.count("\r\n") == out.count("\n") == (10 if count else 1) and
                  "nan" not in out, f"{count} journeys: CSV", out + err)
    print(f"1..{number}")
    return failed > 0


raise SystemExit(main())
