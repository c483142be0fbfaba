# SPDX-License-Identifier: GPL-2.0-or-later
"""What the judges of make check-vm share: TAP, recordings, and the guests' shared memory."""
import importlib.util
import os
import sqlite3
import struct

HERE = os.path.dirname(os.path.abspath(__file__))

# guest/ivm-shmem.h
PING, PONG = 1, 2
RING, HANDLER = 1, 2
RESULT_AT = 0x38
ROLE_AT, KHZ_AT, SENT_AT, HANDLED_AT, LATER_AT = 12, 76, 0x90, 0x890, 0x1090


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def check(self, good, name, *why):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        for line in () if good else why:
            print("# " + str(line).replace("\n", "\n# "))

    def end(self):
        """Prints the plan; returns what to exit with"""
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def sibling(name):
    """Another judge, as a module"""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"),
                                                  os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_recording(path):
    """Read only; sqlite3.Error if there is none"""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def read_lost(db):
    return dict(db.execute("SELECT source, count FROM lost").fetchall())


class Lane:
    """What one guest left in its lane"""

    def __init__(self, data):
        head = struct.unpack_from("<12IQ2I", data)
        stamp_off, stamps, written, result = head[9], head[10], head[12], head[13]
        self.role, = struct.unpack_from("<I", data, result + ROLE_AT)
        self.khz, = struct.unpack_from("<I", data, result + KHZ_AT)
        self.sent = struct.unpack_from("<256Q", data, result + SENT_AT)
        self.handled = struct.unpack_from("<256Q", data, result + HANDLED_AT)
        (self.steps, *self.noise, self.moves, self.cut_off, delays, delay_off,
         delay_max) = struct.unpack_from("<6Q2I", data, result + LATER_AT)
        self.complete = written <= stamps
        self.stamps = [struct.unpack_from("<IHHQ", data, stamp_off + 16 * i)
                       for i in range(min(written, stamps))]
        # number of the doorbell, kind, begin, end
        self.delays = [struct.unpack_from("<IIQQ", data, delay_off + 24 * i)
                       for i in range(min(delays, delay_max))]

    def ns(self, ticks):
        return ticks * 1000000 // self.khz


def read_lanes(path):
    """{role: Lane} of a copy of a link's shared memory; struct.error if that is none"""
    with open(path, "rb") as file:
        data = file.read()
    half = len(data) // 2
    return {lane.role: lane for lane in map(Lane, (data[:half], data[half:]))}
