# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of a measurement as objects: a pair of guests, the probes, `ivmtrace record`.

All of them are context managers, and every wait has a deadline.
"""
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from typing import NamedTuple

OUT = os.environ.get("IVM_OUT", ".output")
IVMTRACE = os.path.join(OUT, "ivmtrace")
KEEP = os.path.join(OUT, "perf", "results")
REPLY_S = 30
LINK = "perf"


class Failed(Exception):
    """Something the user has to know; printed without a traceback."""


class Lines:
    """A child process that answers in lines."""

    def __init__(self, argv, **more):
        env = dict(os.environ, IVM_QEMU=os.path.join(OUT, "qemu/qemu-system-x86_64"),
                   IVM_GUEST=os.path.join(OUT, "guest/ivm-bare.elf"))
        self.name = os.path.basename(argv[0])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=env, **more)
        self.rest = b""

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def line(self, timeout_s=REPLY_S):
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]:
                raise Failed(f"{self.name} said nothing for {timeout_s} s")
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise Failed(f"{self.name} has ended")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(REPLY_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Progress(NamedTuple):
    ns: int
    sent: int           # doorbells that ping rang
    returned: int       # interrupts that ping took: round trips of pingpong
    taken: int          # interrupts that pong took


class Pair(Lines):
    """Two bare guests whose traffic never ends."""

    def __init__(self, pattern, mode="direct"):
        super().__init__([os.path.join(OUT, "perf/pair"), LINK, mode, pattern])
        self.pattern = pattern

    def __enter__(self):
        self.line()     # "running"
        return self

    def progress(self):
        self.say("")
        return Progress(*map(int, self.line().split()))

    def measure(self, seconds):
        """Progress from now on for so long."""
        before = self.progress()
        time.sleep(seconds)
        after = self.progress()
        return Progress(*(a - b for a, b in zip(after, before)))


class IdleLinks(Lines):
    """Links that can be discovered and that nobody uses; their names begin with LINK."""

    def __init__(self, count):
        super().__init__([os.path.join(OUT, "perf/links"), str(count)])

    def __enter__(self):
        self.line()     # "ready"
        return self


class Probes(Lines):
    """BPF programs attached by a process, and empty ones in their places."""

    def __init__(self):
        super().__init__([os.path.join(OUT, "perf/probes")])

    def ask(self, command):
        self.say(command)
        answer = []
        while True:
            line = self.line()
            if line == "ok":
                return answer
            if line.startswith("error "):
                raise Failed(line[6:])
            answer.append(line.split())

    def costs(self, pid=""):
        """{program: (runs, ns)} of a process, or of the empty programs."""
        costs = {}
        for name, runs, ns in self.ask(f"costs {pid}"):
            had = costs.get(name, (0, 0))
            costs[name] = (had[0] + int(runs), had[1] + int(ns))
        return costs


class Recorder:
    """`ivmtrace record` as a user runs it; leaves self.path behind."""

    def __init__(self, name, *options, link=LINK):
        os.makedirs(KEEP, exist_ok=True)
        self.path = os.path.join(KEEP, f"{name}.ivm")
        self.argv = [IVMTRACE, "record", "--link", link, "-o", self.path, *options]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stderr=subprocess.PIPE, text=True)
        said = ""
        while "recording," not in said:
            if not select.select([self.process.stderr], [], [], REPLY_S)[0]:
                raise Failed(f"record said nothing for {REPLY_S} s")
            said = self.process.stderr.readline()
            if not said:
                raise Failed(f"record has ended with {self.process.wait()}")
        return self

    @property
    def pid(self):
        return self.process.pid

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            _, said = self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Failed("record did not end within 120 s of SIGINT") from None
        self.summary = said.strip()
        if self.process.returncode not in (0, 2):
            raise Failed(f"record: {self.summary}")

    def cpu_s(self):
        """CPU time it has used, user and system."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        """Anonymous memory: the ring buffer is shared and has its size from the start."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) << 10
        raise Failed("record has no RssAnon")

    def query(self, sql):
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            return db.execute(sql).fetchall()

    def lost(self):
        """Records lost, over all sources."""
        return self.query("SELECT coalesce(sum(count), 0) FROM lost WHERE source NOT IN"
                          " ('unmatched', 'before_start', 'disordered')")[0][0]

    def rung(self):
        return self.query("SELECT coalesce(sum(rung), 0) FROM counts")[0][0]


def say(text=""):
    print(text, flush=True)


def warn(text):
    print(f"perf: {text}", file=sys.stderr, flush=True)
