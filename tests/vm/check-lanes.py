#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What both guests of a link counted, in a copy of its shared memory.

    check-lanes.py SHMEM pingpong|oneway DOORBELLS

Exit code 1, and a line for each, if they disagree: about every vector of every
doorbell in pingpong, which is answered one by one; about their number and that
none came twice in one way traffic, where several may arrive as one.
"""
import struct
import sys

LANE_MAGIC, RESULT_MAGIC = 0x4C4D5649, 0x524D5649
STATE_DONE, ROLE_PING, ROLE_PONG = 2, 1, 2
RESULT_OFF = 0x38
SENT_BY_VECTOR, HANDLED_BY_VECTOR = 0x90, 0x890


class Lane:
    """One guest's half"""

    def __init__(self, half):
        magic, = struct.unpack_from("<I", half, 0)
        at, = struct.unpack_from("<I", half, RESULT_OFF)
        if magic != LANE_MAGIC or at + 0x1090 > len(half):
            sys.exit("a lane is not valid")
        fields = struct.unpack_from("<8I2Q", half, at)
        if fields[0] != RESULT_MAGIC or fields[2] != STATE_DONE:
            sys.exit(f"a guest is not done: {half[at + 0x50:at + 0x90]!r}")
        self.role, self.vectors, self.mode = fields[3], fields[5], fields[7]
        self.sent, self.handled = fields[8:10]
        self.sent_by = struct.unpack_from("<256Q", half, at + SENT_BY_VECTOR)
        self.handled_by = struct.unpack_from("<256Q", half, at + HANDLED_BY_VECTOR)


def check(lanes, pattern, doorbells):
    ping = next(lane for lane in lanes if lane.role == ROLE_PING)
    pong = next(lane for lane in lanes if lane.role == ROLE_PONG)

    if ping.sent != doorbells:
        yield f"{ping.sent} doorbells rung, not {doorbells}"
    for lane in lanes:
        if sum(lane.sent_by) != lane.sent or sum(lane.handled_by) != lane.handled:
            yield "a guest's sums are not those of its vectors"
    if pattern == "pingpong":
        for a, b in ((ping, pong), (pong, ping)):
            if a.sent_by != b.handled_by:
                yield f"rung by vector {a.sent_by[:8]}, taken {b.handled_by[:8]}"
    elif pong.sent:
        yield f"the receiver rang {pong.sent}"
    for vector, (sent, handled) in enumerate(zip(ping.sent_by, pong.handled_by)):
        if handled > sent or (sent and not handled):
            yield f"vector {vector}: {sent} rung, {handled} taken"


def main():
    shmem, pattern, doorbells = sys.argv[1:]
    with open(shmem, "rb") as f:
        memory = f.read()
    half = len(memory) // 2
    wrong = list(check([Lane(memory[:half]), Lane(memory[half:])], pattern, int(doorbells)))
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
