#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Writes copies of a link's shared memory for tests/cli/check-lanes.t.

    check-lanes.py FILE [LANE.FIELD[.VECTOR]=VALUE...]

Two lanes of a ping-pong of 10 doorbells over 2 vectors, ping's first; each
change puts a wrong number somewhere.
"""
import struct
import sys

LANE_BYTES = 0x4000
RESULT = 0x100
FIELDS = {"magic": ("<I", 0), "state": ("<I", 8), "sent": ("<Q", 0x20), "handled": ("<Q", 0x28)}
ARRAYS = {"sent_by": 0x90, "handled_by": 0x890}


def lane(role):
    memory = bytearray(LANE_BYTES)
    struct.pack_into("<I", memory, 0, 0x4C4D5649)
    struct.pack_into("<I", memory, 0x38, RESULT)
    struct.pack_into("<8I2Q", memory, RESULT, 0x524D5649, 1, 2, role, 1, 2, 0, 0, 10, 10)
    for array in ARRAYS.values():
        struct.pack_into("<2Q", memory, RESULT + array, 5, 5)
    return memory


def change(lanes, what):
    place, value = what.split("=")
    name, field, *vector = place.split(".")
    memory = lanes[name]

    if field in ARRAYS:
        at, form = RESULT + ARRAYS[field] + 8 * int(vector[0]), "<Q"
    elif field == "lane_magic":
        at, form = 0, "<I"
    else:
        form, at = FIELDS[field]
        at += RESULT
    struct.pack_into(form, memory, at, int(value))


def main():
    lanes = {"ping": lane(1), "pong": lane(2)}

    for what in sys.argv[2:]:
        change(lanes, what)
    with open(sys.argv[1], "wb") as f:
        f.write(lanes["ping"] + lanes["pong"])


if __name__ == "__main__":
    main()
