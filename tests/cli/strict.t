#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --strict: exit 2 and a line for each cause, and only then.
. tests/tap.sh
. tests/cli/fixture.sh

# changed SQL: the recording that is all right, with one thing changed
changed() {
	recording lab
	sqlite3 -bail "$tmp/lab.ivm" "$1"
}

# strict NAME REGEX SQL
strict() {
	changed "$3"
	fails "$1" 2 "$2" report --strict "$tmp/lab.ivm"
	run report "$tmp/lab.ivm"
	is "$1: no matter without --strict" "$code" 0
}

recording lab
run report --strict "$tmp/lab.ivm"
is "nothing is wrong with a good recording" "$code" 0
is "... and nothing is said" "$err" ''

strict "lost records" 'strict: 3 lost: ringbuf' "UPDATE lost SET count = 3 WHERE source = 'ringbuf'"
strict "unmatched ends" 'strict: 2 unmatched' "INSERT INTO lost VALUES ('unmatched', 2)"
strict "a disordered journey" 'strict: 1 disordered' "UPDATE journeys SET disordered = 1 WHERE id = 5"
strict "points out of order" 'strict: 1 disordered' \
	"UPDATE journeys SET accept = inject + 1 WHERE id = 5"
strict "another mode than configured" 'strict: .* travelled as direct, configured is irqfd' \
	"UPDATE journeys SET configured = 'irqfd'"
strict "a receiver without irqfd" 'strict: direct: 1 waited for the receiving QEMU' \
	"UPDATE journeys SET recv = signal + 1 WHERE id = 5"
strict "unfinished" 'strict: direct: 1 unfinished' \
	"UPDATE journeys SET outcome = 'unfinished' WHERE id = 5;
	 UPDATE counts SET delivered = delivered - 1, unfinished = 1
	 WHERE (from_end, vector) = (SELECT from_end, vector FROM journeys WHERE id = 5);
	 DELETE FROM guests"
strict "the guest rang more" 'rung 250, the guest says 251' \
	"UPDATE guests SET sent = 251 WHERE vector = 1 AND from_end = 1"
strict "the guest handled fewer" 'delivered 250, the guest says 249' \
	"UPDATE guests SET handled = 249 WHERE vector = 1 AND from_end = 1"
strict "a journey that nobody counted" 'accepted counted 250, journeys 249' \
	"UPDATE journeys SET accept = NULL WHERE id = 5"

changed "INSERT INTO lost VALUES ('before_start', 9)"
run report --strict "$tmp/lab.ivm"
is "ends of rings from before are no loss" "$code" 0

# Refused by the device, so it never travelled in any mode
changed "INSERT INTO journeys (id, mode, configured, outcome, from_end, vector, from_vcpu, cookie,
	approx, posted, disordered, contended, fast_mmio, dispatch) VALUES (5000, 'unknown',
	'direct', 'dropped', 1, 9, 0, 0, 0, 0, 0, 0, 0, 5);
	INSERT INTO counts VALUES (1, NULL, 9, NULL, 1, 0, 0, 0, 0, 0, 1, 0)"
run report --strict "$tmp/lab.ivm"
is "a dropped doorbell shows no wrong mode" "$code: $err" "0: "

# Where ends cannot be seen the guest may well have handled more
recording posted
sqlite3 -bail "$tmp/posted.ivm" "INSERT INTO guests (mode, link, from_end, from_vm, vector, sent,
	handled) VALUES ('direct', 'self', 1, 1, 1, 10, 10)"
run report --strict "$tmp/posted.ivm"
is "a guest that handled what the host could not see" "$code: $err" "0: "

done_testing
