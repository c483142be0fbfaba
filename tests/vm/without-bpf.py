#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command whose bpf(2) fails: without-bpf.py ERRNO COMMAND [ARG...]"""
import ctypes
import errno
import os
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
RET_ERRNO, RET_ALLOW = 0x00050000, 0x7fff0000
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
BPF_CALL = {"x86_64": 321, "aarch64": 280}[os.uname().machine]


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]


code = getattr(errno, sys.argv[1])
program = (Instruction * 4)(
    Instruction(LOAD_NUMBER, 0, 0, 0),
    Instruction(JUMP_IF_EQUAL, 0, 1, BPF_CALL),
    Instruction(RETURN, 0, 0, RET_ERRNO | code),
    Instruction(RETURN, 0, 0, RET_ALLOW))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(4, program)), 0, 0):
    sys.exit(f"cannot set a filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
