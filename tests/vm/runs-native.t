#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What looks at traffic while it flows: top, hist, export; and the facts of the
# environment in a recording.  Counts and order only: how long things take is not asked.
. tests/tap.sh

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
out=$IVM_OUT/vm/runs
rm -rf "$out"
mkdir -p "$out"
python=/usr/bin/python3
bench=
other=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -z "$other" ] || kill "$other" 2> /dev/null
	[ -z "$bench" ] || kill -INT "$bench" 2> /dev/null
	wait
}
trap cleanup EXIT

# until_true COMMAND...: within 30 s
until_true() {
	local i

	for ((i = 0; i < 300; i++)); do
		"$@" > /dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

link="bench-direct"
qemu=
timeout 150 "$IVMTRACE" bench --no-baseline --modes direct --vectors 2 --count 10000000 \
	-o "$out/bench.ivm" > "$out/bench.txt" 2>&1 < /dev/null &
bench=$!
# One of its VMs: whoever else runs a bench on this host has links of that name, too
listed() {
	qemu=$(pgrep -P "$(pgrep -P "$bench")" | head -n 1)
	[ -n "$qemu" ] && find "/proc/$qemu/fd" -lname '*ivm-link*' | grep -q . &&
		"$IVMTRACE" list | grep -q "$link"
}
until_true listed || echo "# bench did not start"

# ---- top ----

timeout 60 "$IVMTRACE" top --batch -n 3 -d 500ms -p "$qemu" > "$out/top.txt" 2> "$out/top.err" \
	< /dev/null
is "top --batch: exit code" "$?" 0
is "top --batch: three tables" "$(grep -c '^ivmtrace top: 1 link, backend bpf' "$out/top.txt")" 3
is "... with both directions in the last one" "$(tail -n 2 "$out/top.txt" |
	grep -Ec 'bench-d.* → .* direct +[1-9][0-9]* +[0-9.]+ +[0-9.–]+  [a-z_]+\.\.[a-z_]+ [0-9]+%')" 2

# Its screen, driven through a terminal: tables, sorting, another size, the end
timeout 60 "$python" - "$IVMTRACE" top -d 300ms -p "$qemu" > "$out/screen.txt" 2>&1 << 'END'
import fcntl, os, pty, select, struct, sys, termios, time
pid, fd = pty.fork()
if not pid:
    os.environ["TERM"] = "xterm"
    os.environ["LC_ALL"] = "C.UTF-8"
    os.execv(sys.argv[1], sys.argv[1:])

def size(rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def wait_for(what):
    seen, deadline = b"", time.monotonic() + 20
    while what not in seen and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
    print("seen" if what in seen else f"NOT SEEN in {seen!r}", what)

size(20, 120)
wait_for(b"WORST HOP")
wait_for(b"direct")
os.write(fd, b"9")
wait_for(b"p99")
os.write(fd, b"p")
wait_for(b"[paused]")
size(10, 60)
os.kill(pid, 28)
wait_for(b"ivmtrace top")
os.write(fd, b"q")
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        print("exit", os.waitstatus_to_exitcode(status))
        break
    if select.select([fd], [], [], 0.1)[0]:
        try:
            os.read(fd, 65536)
        except OSError:
            pass
END
is "top draws, sorts, pauses, resizes and ends" "$(grep -c '^seen' "$out/screen.txt"): $(grep -v '^seen' "$out/screen.txt")" "5: exit 0"

# ---- hist ----

timeout 60 "$IVMTRACE" hist -d 500ms -p "$qemu" -f json > "$out/hist.json" 2> "$out/hist.err"
is "hist, live: exit code" "$?" 0
is "... every journey is in one bucket of its hops" "$("$python" -c "
import json, sys
hops = json.load(open('$out/hist.json'))['hops']
print(len(hops) > 3, all(h['count'] == h['over'] + sum(n for _, n in h['buckets']) for h in hops),
      sum(h['sum_ns'] for h in hops if h['total']) == sum(h['sum_ns'] for h in hops if not h['total']))")" \
	"True True True"

# ---- export ----

timeout 100 "$IVMTRACE" export --listen 127.0.0.1:0 -p "$qemu" 2> "$out/export.log" &
other=$!
until_true grep -q serving "$out/export.log"
port=$(sed -n 's|.*:\([0-9]*\)/metrics.*|\1|p' "$out/export.log")
is "export: it counts, never down, and all adds up" "$("$python" - "$port" 2>&1 << 'END'
import re, sys, time, urllib.request

def scrape():
    text = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics", timeout=10).read().decode()
    assert text.endswith("# EOF\n")
    return {k: float(v) for k, v in re.findall(r"^(ivmtrace\S+) (\S+)$", text, re.M)}

before, deadline = {}, time.monotonic() + 20
while sum(before.values()) < 100 and time.monotonic() < deadline:
    time.sleep(0.3)
    before = scrape()
time.sleep(1)
after = scrape()
total = lambda s, what: sum(v for k, v in s.items() if what(k))
delivered = total(after, lambda k: 'outcome="delivered"' in k)
print(delivered > total(before, lambda k: 'outcome="delivered"' in k) > 0,
      all(after.get(k, -1) >= v for k, v in before.items()),
      delivered == total(after, lambda k: k.startswith("ivmtrace_latency_seconds_count")) +
      total(after, lambda k: k.startswith("ivmtrace_disordered")))
END
)" "True True True"
kill -TERM "$other"
wait "$other"
is "export: ends when told to" "$?" 0
other=

# ---- the environment ----

timeout 60 "$IVMTRACE" record -p "$qemu" -d 300ms -o "$out/run.ivm" 2> "$out/record.err" < /dev/null
is "record: facts of host and VMs" "$(sqlite3 "$out/run.ivm" "SELECT
	(SELECT count(*) FROM environment WHERE vm = 0 AND key IN ('kernel', 'cpu', 'cpus.online',
		'kvm.halt_poll_ns')),
	(SELECT count(DISTINCT vm) FROM environment JOIN vms ON vms.id = vm WHERE
		key = 'command_line' AND value LIKE '%ivm-mailbox%'),
	(SELECT count(DISTINCT vm) FROM environment WHERE key = 'qemu.version' AND value GLOB '[0-9]*.[0-9]*'),
	(SELECT count(*) FROM environment WHERE key = 'vcpu.0'),
	(SELECT count(*) FROM environment WHERE key LIKE 'end.$link.%' AND value LIKE 'direct, 2 vectors,%')")" \
	"4|2|2|2|2"

# ---- marks ----

timeout 60 "$IVMTRACE" record -p "$qemu" -o "$out/marks.ivm" 2> "$out/marks.err" < /dev/null &
until_true grep -q 'ivmtrace: recording' "$out/marks.err"
other=$(pgrep -P $!)
# Some doorbells of each: the next mark waits until there were any
sleep 1
timeout 20 "$IVMTRACE" mark -p "$other" "warm up" 2> "$out/mark.err"
is "mark: exit code" "$?: $(< "$out/mark.err")" \
	"0: ivmtrace: phase 'warm up' has begun in the recording of process $other"
sleep 1
kill -USR1 "$other"
until_true grep -q "phase 'mark 2'" "$out/marks.err"
sleep 1
kill -INT "$other"
wait $!
is "record: ends well" "$?" 0
other=
is "record: three phases, and every doorbell in that in which it was rung" \
	"$(sqlite3 -separator ' ' "$out/marks.ivm" "SELECT group_concat(name, ',') FROM
		(SELECT name FROM phases ORDER BY id);
	WITH p AS (SELECT id, start_ns, lead(start_ns, 1, 9e18) OVER (ORDER BY start_ns) AS end_ns FROM phases),
	mine AS (SELECT p.id, count(*) AS n FROM p JOIN journeys ON dispatch >= start_ns AND
		dispatch < end_ns GROUP BY 1),
	theirs AS (SELECT phase AS id, sum(count) AS n FROM blocks JOIN cells ON block = blocks.id GROUP BY 1)
	SELECT count(*), sum(mine.n = theirs.n), min(mine.n) > 0 FROM mine JOIN theirs USING (id)")" \
	$',warm up,mark 2\n3 3 1'
like "report --by phase tells them apart" "$("$IVMTRACE" report --by phase "$out/marks.ivm" |
	grep -c 'phase warm up\|phase mark 2')" '^2$'

kill -INT "$bench"
wait "$bench"
bench=
done_testing
