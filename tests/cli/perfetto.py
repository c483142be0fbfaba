#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a Perfetto trace field by field and compares it with its recording.

perfetto.py RECORDING TRACE

Knows Protocol Buffers and Perfetto's field numbers, but none of the code that
writes them: what it finds out comes from the file and the recording alone.
Prints one line for each thing that is wrong; nothing if all is well.
"""
import collections
import sqlite3
import struct
import sys

POINTS = ('ring exit dispatch user send signal wake run recv unmask defer work route accept kick '
          'vcpu_exit vcpu_wake vcpu_run unhalt window inject eoi_standin entry isr eoi').split()
ARRIVALS = ('isr', 'entry', 'eoi_standin', 'inject')
BEGIN, END, INSTANT = 1, 2, 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Field number -> values: numbers, or bytes for what is delimited by length"""
    at, found = 0, collections.defaultdict(list)
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack_from('<Q', data, at)[0], at + 8
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError('a field is longer than its message')
        else:
            raise ValueError(f'wire type {key & 7}')
        found[key >> 3].append(value)
    return found


def annotations(event):
    found = {}
    for annotation in map(fields, event[4]):
        value = annotation[3][0] if annotation[3] else annotation[6][0].decode()
        found[annotation[10][0].decode()] = value
    return found


class Trace:
    """Slices and flows, out of events in the order of time"""

    def __init__(self, data):
        self.problems, self.slices, self.tracks = [], [], {}
        self.flows = collections.defaultdict(list)
        names, events = {}, []
        for order, packet in enumerate(map(fields, fields(data)[1])):
            if packet[10] != [1]:
                self.problems.append('a packet without sequence id')
            for interned in packet[12]:
                for name in map(fields, fields(interned)[2]):
                    names[name[1][0]] = name[2][0].decode()
            for descriptor in map(fields, packet[60]):
                self.add_track(descriptor)
            for event in map(fields, packet[11]):
                events.append((packet[8][0], order, event))
        for t_ns, _, event in sorted(events, key=lambda e: e[:2]):
            self.add_event(t_ns, event, names)
        for uuid, track in self.tracks.items():
            if track['open']:
                self.problems.append(f'track {uuid}: a slice without end')

    def add_track(self, d):
        uuid = d[1][0]
        process, thread = fields(d[3][0] if d[3] else b''), fields(d[4][0] if d[4] else b'')
        parent = d[5][0] if d[5] else 0
        if uuid in self.tracks or parent and parent not in self.tracks:
            self.problems.append(f'track {uuid} is there twice, or before its parent')
        name = (d[2] or process[6] or thread[5])[0].decode()
        self.tracks[uuid] = {'name': name, 'parent': parent, 'open': [],
                             'pid': (process[1] or thread[1] or [0])[0],
                             'tid': (thread[2] or [0])[0]}

    def add_event(self, t_ns, event, names):
        uuid, kind = event[11][0], event[9][0]
        if uuid not in self.tracks:
            self.problems.append(f'an event on track {uuid}, which nobody has described')
            return
        track = self.tracks[uuid]
        if kind == END:
            if not track['open']:
                self.problems.append(f'track {uuid}: an end without a slice')
                return
            track['open'].pop()['to'] = t_ns
            return
        name = event[23][0].decode() if event[23] else names[event[10][0]]
        found = {'name': name, 'category': event[22][0].decode(), 'from': t_ns, 'to': t_ns,
                 'track': uuid, 'kind': kind, 'args': annotations(event)}
        self.slices.append(found)
        for flow in event[47] + event[48]:
            self.flows[flow].append((found, bool(event[48])))
        if kind == BEGIN:
            if track['open']:
                self.problems.append(f'track {uuid}: slices overlap')
            track['open'].append(found)

    def thread(self, uuid):
        """Of a lane: the thread it belongs to"""
        track = self.tracks[uuid]
        return track if track['tid'] else self.tracks.get(track['parent'], track)


def hop_name(a, b):
    approx = 'eoi_standin' in (a, b)
    return '..'.join('eoi' if p == 'eoi_standin' else p for p in (a, b)) + ('~' if approx else '')


def check_journey(row, trace, hops, problems):
    seen = [(p, row[p]) for p in POINTS if row[p]]
    wanted = [(hop_name(a[0], b[0]), a[1], b[1]) for a, b in zip(seen, seen[1:])]
    ordered = all(t1 <= t2 for _, t1, t2 in wanted)
    got = sorted((s['from'], s['to'], s['name']) for s in hops.get(row['id'], []))
    if got != sorted((t1, t2, name) for name, t1, t2 in (wanted if ordered else [])):
        problems.append(f'journey {row["id"]}: hops {got}, recorded are {wanted}')
    arrival = next((p for p in ARRIVALS if row[p] and row['outcome'] == 'delivered'), None)
    flow = trace.flows.get(row['id'], [])
    if not ordered or len(seen) < 2:
        if flow:
            problems.append(f'journey {row["id"]}: a flow without hops')
        return
    if flow[0][0]['name'] != wanted[0][0]:
        problems.append(f'journey {row["id"]}: the flow does not start with its first hop')
    if [s['from'] for s, last in flow if last] != ([row[arrival]] if arrival else []):
        problems.append(f'journey {row["id"]}: the flow does not end once, at {arrival}')
    if arrival and (row['to_vm'], row['to_vcpu']) in trace.tids:
        if trace.thread(flow[-1][0]['track'])['tid'] != trace.tids[row['to_vm'], row['to_vcpu']]:
            problems.append(f'journey {row["id"]}: does not arrive at the vCPU that takes it')


def main():
    db = sqlite3.connect(sys.argv[1])
    db.row_factory = sqlite3.Row
    trace = Trace(open(sys.argv[2], 'rb').read())
    trace.tids = {(r['vm'], r['vcpu_id']): r['tid'] for r in db.execute('SELECT * FROM vcpus')}
    problems, hops = trace.problems, collections.defaultdict(list)
    journeys = collections.Counter()
    for s in trace.slices:
        if s['category'] == 'hop':
            hops[s['args']['journey']].append(s)
        elif s['category'] == 'journey':
            journeys[s['args']['journey']] += 1
            if s['args']['outcome'] not in s['name'] and s['args']['outcome'] != 'delivered':
                problems.append(f'journey {s["args"]["journey"]}: its outcome is not in its name')
    count = 0
    for row in db.execute('''SELECT journeys.*, ends.vm AS to_vm FROM journeys LEFT JOIN ends
                             ON ends.id = to_end'''):
        if not any(row[p] for p in POINTS):
            continue
        count += 1
        check_journey(row, trace, hops, problems)
        if journeys[row['id']] != 1:
            problems.append(f'journey {row["id"]} is {journeys[row["id"]]} times on its link')
    if sum(journeys.values()) != count:
        problems.append(f'{sum(journeys.values())} journeys on links, {count} recorded')
    for problem in problems[:20]:
        print(problem)


main()
