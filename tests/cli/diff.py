#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings with known differences, and what a comparison of them has to say.

diff.py generate EMPTY DIRECTORY       fills copies of the recording EMPTY
diff.py judge DIRECTORY KIND           reads DIRECTORY/KIND-N.json, prints "named alarmed"
diff.py reference A B JSON             the same intervals once more, by numpy and scipy

Interrupts of one run resemble those around them: a slow drift and bursts, of
which each generated run has its own, are in all hops.
"""
import collections
import json
import math
import random
import shutil
import sqlite3
import sys

HOPS = (('dispatch', 'route', 900), ('route', 'accept', 500), ('accept', 'inject', 2500),
        ('inject', 'entry', 700))
SECONDS, JOURNEYS, START_NS = 3.2, 4000, 50_000_000_000
TRIALS = 20
# What is injected into one hop: a third more than it takes by itself
FACTOR = 1.35


def drift(rng):
    """Multiplies durations: a host that is busier at some times than at others"""
    level, burst = 0.0, 0
    while True:
        level = 0.995 * level + rng.gauss(0, 0.01)
        if burst == 0 and rng.random() < 0.001:
            burst = rng.randrange(5, 40)
        burst = max(0, burst - 1)
        yield math.exp(level) * (3 if burst else 1)


def journeys(seed, injected=None, host=1.0):
    rng = random.Random(seed)
    busy = drift(rng)
    for i in range(JOURNEYS):
        t_ns = START_NS + int(i * SECONDS * 1e9 / JOURNEYS)
        points, factor = {'dispatch': t_ns}, next(busy) * host
        for start, end, ns in HOPS:
            ns *= factor * rng.lognormvariate(0, 0.25) * (FACTOR if end == injected else 1)
            points[end] = points[start] + max(1, int(ns))
        yield points


def write(empty, path, **kind):
    shutil.copyfile(empty, path)
    db = sqlite3.connect(path)
    db.executemany('INSERT INTO vms VALUES (?, ?, ?, 1)', [(1, 'a', 10), (2, 'b', 20)])
    db.executemany("INSERT INTO ends VALUES (?, ?, ?, 'a-b', ?, 'direct', 1, 65536, 1, 0)",
                   [(1, 1, 2, 'server'), (2, 2, 1, 'client')])
    db.executemany("INSERT INTO meta VALUES (?, ?)", [
        ('kernel', '6.12'), ('arch', 'x86_64'), ('backend', 'bpf'), ('rig', 'lab'),
        ('clock', 'monotonic'), ('start', '2026-01-01T00:00:00Z'), ('start_ns', START_NS),
        ('duration_ns', int(SECONDS * 1e9))])
    db.executemany('''INSERT INTO journeys (mode, configured, outcome, from_end, to_end, vector,
        irq_vector, from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
        dispatch, route, accept, inject, entry) VALUES ('direct', 'direct', 'delivered', 1, 2, 0,
        64, 0, 0, 0, 0, 0, 0, 0, 0, :dispatch, :route, :accept, :inject, :entry)''',
                   journeys(**kind))
    db.execute(f'''INSERT INTO counts VALUES (1, 2, 0, 64, {JOURNEYS}, {JOURNEYS}, 0, {JOURNEYS},
        0, 0, 0, 0)''')
    db.commit()


def generate(empty, directory):
    rng = random.Random(7)
    for n in range(TRIALS):
        write(empty, f'{directory}/a-{n}.ivm', seed=1000 + n)
        write(empty, f'{directory}/same-{n}.ivm', seed=2000 + n)
        write(empty, f'{directory}/slow-{n}.ivm', seed=3000 + n, injected=HOPS[n % len(HOPS)][1])
    # Runs of one build that are a tenth apart, as if each had other CPUs
    for n in range(10):
        write(empty, f'{directory}/run-{n}.ivm', seed=4000 + n, host=rng.lognormvariate(0, 0.1))


def hop_name(hop):
    return f'{hop[0]}..{hop[1]}'


def judge(directory, kind):
    """In how many comparisons the injected hop, and it alone, is named; how many alarm"""
    named = alarmed = 0
    for n in range(TRIALS):
        group = json.load(open(f'{directory}/{kind}-{n}.json'))['groups'][0]
        changed = [h for h in group['hops'] if any(h[s]['changed'] for s in ('p50', 'p99', 'mean'))]
        alarmed += bool(changed) or any(group['total'][s]['changed'] for s in ('p50', 'p99', 'mean'))
        slowest = max(group['hops'], key=lambda h: h['part_ns'])
        named += (len(changed) == 1 and changed[0] is slowest and changed[0]['p50']['low_ns'] > 0 and
                  changed[0]['name'] == hop_name(HOPS[n % len(HOPS)]))
        shares = sum(h['part_ns'] for h in group['hops'])
        if abs(shares - group['total']['part_ns']) > 0.01:
            print(f'{kind}-{n}: parts add up to {shares}, the total to {group["total"]["part_ns"]}')
    print(named, alarmed)


# ---- the reference ----

def load(path):
    """Name of a hop -> durations in each block of time, joined as the product joins them"""
    blocks = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in sqlite3.connect(path).execute('SELECT dispatch, route, accept, inject, entry FROM journeys'):
        block = row[0] // 100_000_000
        for (start, end, _), a, b in zip(HOPS, row, row[1:]):
            blocks[f'{start}..{end}'][block].append(b - a)
        blocks['dispatch..entry'][block].append(row[4] - row[0])
    joined = {}
    for name, rows in blocks.items():
        keys = sorted(rows)
        count = min(len(keys), 32)
        joined[name] = [[] for _ in range(count)]
        for i, key in enumerate(keys):
            joined[name][i * count // len(keys) if len(keys) > 32 else i] += rows[key]
    return joined


def bucket(ns):
    """Smallest value of its bucket, and the smallest one of the next"""
    width = 1 << max(0, int(ns).bit_length() - 7)
    return ns // width * width, ns // width * width + width


def deviation(e):
    import numpy as np
    e = np.asarray(e, dtype=float)
    n, lags = len(e), int(math.floor(len(e) ** (1 / 3) + 1e-9))
    d = e - e.mean()
    shared = sum(2 * (1 - k / (lags + 1)) * (d[k:] * d[:-k]).sum() for k in range(1, lags + 1))
    return math.sqrt(((d ** 2).sum() + max(shared, 0)) * n / (n - 1)), (n - 1) / (1 + lags / 2)


def limits(blocks, stat, error):
    import numpy as np
    from scipy import stats
    values = np.sort(np.concatenate([np.asarray(b, dtype=np.int64) for b in blocks]))
    if stat == 'mean':
        mean = values.mean()
        sd, df = deviation([sum(b) - mean * len(b) for b in blocks])
        reach = stats.t.isf(error / 2, df) * sd / len(values)
        return mean, mean * math.exp(-reach / mean), mean * math.exp(reach / mean)
    share = {'p50': .5, 'p99': .99}[stat]

    def edges(p):
        return bucket(values[min(max(math.ceil(p * len(values) - 1e-9), 1), len(values)) - 1])
    low, high = edges(share)
    sds = []
    for edge in (low, high):
        below = (values < edge).mean()
        sds.append(deviation([sum(v < edge for v in b) - below * len(b) for b in blocks]))
    sd, df = max(sds)
    reach = stats.t.isf(error / 2, df) * sd / len(values)

    def moved(sign):
        return 1 / (1 + math.exp(-math.log(share / (1 - share)) - sign * reach / share / (1 - share)))
    return ((low + high - 1) / 2, max(edges(moved(-1))[0], values[0]),
            min(edges(moved(1))[1] - 1, values[-1]) if (1 - moved(1)) * len(values) >= 1 else math.inf)


def reference(path_a, path_b, path_json):
    from scipy import stats
    a, b, found = load(path_a), load(path_b), json.load(open(path_json))
    error = (1 - found['confidence']) / found['figures']
    group = found['groups'][0]
    for row in group['hops'] + [group['total']]:
        name = row['name']
        for stat in ('p50', 'p99', 'mean'):
            x, y = limits(a[name], stat, error), limits(b[name], stat, error)
            ratio = math.log(y[0] / x[0])
            low = x[0] * math.expm1(ratio - math.hypot(math.log(y[0] / max(y[1], .5)), math.log(x[2] / x[0])))
            high = x[0] * math.expm1(ratio + math.hypot(math.log(y[2] / y[0]), math.log(x[0] / max(x[1], .5))))
            for key, value in (('a_ns', x[0]), ('b_ns', y[0]), ('low_ns', low), ('high_ns', high)):
                got = row[stat][key]
                # The middle of a bucket may be rounded either way
                if not abs((math.inf if got is None else got) - value) <= max(1, 1e-3 * abs(x[0])) and got != value:
                    if not (got is None and math.isinf(value)):
                        print(f'{name} {stat} {key}: {got}, scipy has {value}')
        all_a, all_b = sum(a[name], []), sum(b[name], [])
        u = stats.mannwhitneyu(all_b, all_a).statistic / (len(all_a) * len(all_b))
        if abs(u - row['superiority']) > 0.005:
            print(f'{name}: superiority {row["superiority"]}, scipy has {u}')


{'generate': generate, 'judge': judge, 'reference': reference}[sys.argv[1]](*sys.argv[2:])
