#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two recordings of two hosts, made by hand so that all numbers are known: the
# second host's clock is 1 ms ahead, the quickest message takes 5 us there and 7
# us back, so the offset looks like 999 us and 6 us is what it may be off by.
# shellcheck source=tests/tap.sh
. tests/tap.sh

# shellcheck source=tests/cli/fixture.sh
. tests/cli/fixture.sh
a=$tmp/a.ivm b=$tmp/b.ivm

# half FILE VM SIDE LINK-ID
half() {
	new_recording "$1"
	sqlite3 "$1" "
		INSERT INTO vms VALUES (1, '$2', 100, 1);
		INSERT INTO ends VALUES (1, 1, NULL, 'a-b', '$3', 'qemu', 2, 0, 1, 0);
		INSERT INTO connections VALUES (1, '$4');"
}

# ring FILE SEQ VECTOR SEND-NS: its doorbell was 2 us before
ring() {
	sqlite3 "$1" "INSERT INTO journeys (mode, configured, outcome, from_end, vector, from_vcpu,
		cookie, seq, approx, posted, disordered, contended, fast_mmio, dispatch, send)
		VALUES ('qemu', 'qemu', 'unseen', 1, $3, 0, 0, $2, 0, 0, 0, 0, 0, $4 - 2000, $4)"
}

# arrival FILE SEQ VECTOR RECV-NS: the guest took it 3 us later
arrival() {
	sqlite3 "$1" "INSERT INTO arrivals (to_end, vector, seq, outcome, recv, accept, end)
		VALUES (1, $3, $2, 'delivered', $4, $4 + 1000, $4 + 3000)"
}

make_halves() {
	half "$a" left server 00000000000000aa
	half "$b" right client 00000000000000aa
	ring "$a" 1 0 10000000; arrival "$b" 1 0 11005000
	ring "$a" 2 1 20000000; arrival "$b" 2 1 21009000
	ring "$b" 1 0 31000000; arrival "$a" 1 0 30007000
}

# joined JSON-EXPRESSION of o
joined() {
	"$ivmtrace" report --format json "$a" "$b" |
		python3 -c "import json, sys; o = json.load(sys.stdin); print($1)"
}

# strict: exit code and first line
strict() {
	local said

	said=$("$ivmtrace" report --strict "${1:-$a}" "${2:-$b}" 2>&1 > /dev/null)
	echo "$?: ${said%%$'\n'*}"
}

not_whole="2: ivmtrace: strict: not every journey has both halves, or some were lost"
counts="[o['groups'][0][k] for k in ('rung', 'arrived', 'joined', 'not_arrived', 'not_rung',
	'unsent', 'unplaced', 'rung_earlier', 'arrived_earlier', 'contradicted')]"

make_halves
is "halves that fit" "$(strict)" "0: "
is "in either order" "$(strict "$b" "$a")" "0: "
is "offset and bound" "$(joined "o['clock']")" "{'offset_ns': 999000, 'err_ns': 6000}"
is "hops by one clock" "$(joined "[(h['sum_ns'], h['err_ns']) for h in (o['groups'][0]['hops'][0],
	o['groups'][0]['hops'][2])]")" "[(4000, 0), (6000, 0)]"
is "hops by both" "$(joined "[(h['min_ns'], h['max_ns'], h['err_ns'])
	for h in (o['groups'][0]['hops'][1], o['groups'][0]['total'])]")" \
	"[(6000, 10000, 6000), (11000, 15000, 6000)]"
is "counts" "$(joined "$counts")" "[2, 2, 2, 0, 0, 0, 0, 0, 0, 0]"
like "text" "$("$ivmtrace" report "$a" "$b")" "right's host is 999.000 us ahead of left's, ±6.000 us"

ring "$a" 3 0 40000000
is "a ring that did not arrive" "$(strict)" "$not_whole"
is "... is counted" "$(joined "$counts")" "[3, 2, 2, 1, 0, 0, 0, 0, 0, 0]"
arrival "$b" 3 1 41005000
is "one that came on another vector" "$(joined "$counts")" "[3, 3, 2, 0, 0, 0, 0, 0, 0, 1]"

make_halves
arrival "$b" 7 0 51005000
sqlite3 "$b" "INSERT INTO arrivals VALUES (NULL, 1, 0, NULL, 'delivered', NULL, 51000000, NULL)"
is "arrivals without their rings" "$(joined "$counts")" "[2, 4, 2, 0, 1, 0, 1, 0, 0, 0]"
is "... are no whole" "$(strict)" "$not_whole"

make_halves
ring "$a" 1 0 60000000; arrival "$b" 1 0 61005000
is "another connection" "$(joined "$counts")" "[3, 3, 1, 0, 0, 0, 0, 2, 2, 0]"

make_halves
sqlite3 "$b" "DELETE FROM journeys"
is "one way there is no offset" "$(joined "(o['clock'], o['groups'][0]['total']['p50_ns'],
	o['groups'][0]['hops'][0]['p50_ns'])")" "(None, None, 2000)"

make_halves
sqlite3 "$a" "UPDATE arrivals SET recv = recv - 100000"
is "clocks that nothing explains" "$(joined "o['clock']")" "None"

make_halves
sqlite3 "$b" "INSERT INTO lost VALUES ('ringbuf', 1)"
is "what was lost" "$(strict)" "$not_whole"

make_halves
is "the same half twice" "$(strict "$a" "$a")" \
	"1: ivmtrace: cannot join $a and $a: no link has one half in each"
sqlite3 "$b" "UPDATE connections SET link_id = '00000000000000bb'"
is "halves of two links" "$(strict)" \
	"1: ivmtrace: cannot join $a and $b: no link has one half in each"
make_halves
sqlite3 "$b" "INSERT OR REPLACE INTO meta VALUES ('keep', 'tail')"
is "not every journey kept" "$(strict)" "1: ivmtrace: cannot join $b: not every journey is in it"
is "not for csv" "$("$ivmtrace" report --format csv "$a" "$b" 2>&1)" \
	"ivmtrace: two recordings: only --strict and --format=text or json"
done_testing
