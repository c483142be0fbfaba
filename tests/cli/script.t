#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# script: one line a journey, with all that is known of it.
. tests/tap.sh
. tests/cli/fixture.sh

recording native
run script "$tmp/native.ivm"
is "exit code" "$code" 0
is "a line for each journey" "$(wc -l < "$tmp/out")" \
	"$(sqlite3 "$tmp/native.ivm" 'SELECT count(*) FROM journeys')"
is "a delivered one" "$(sed -n 1p "$tmp/out")" \
	"1.000000000 a/0 -> b/0 a-b qemu vec=0 idt=65 cookie=1 delivered approx dispatch user+900\
 send+4000 wake+1200 run+14900 recv+3000 route+7000 accept+800 vcpu_wake+700 vcpu_run+7500\
 unhalt+1000 eoi+3000"
is "a dropped one" "$(grep -c ' a/0 -> -/- a-b unknown vec=0 idt=- cookie=501 dropped approx dispatch$' \
	"$tmp/out")" 1
like "a disordered one" "$(grep disordered "$tmp/out")" \
	'cookie=8 delivered disordered approx dispatch route\+[0-9]+ accept-[0-9]+'
is "coalesced ones" "$(grep -c ' coalesced ' "$tmp/out")" 20

# A terminal must not obey the name of a VM
sqlite3 "$tmp/native.ivm" "UPDATE vms SET name = 'x' || char(27) || '[2J' || char(10)"
run script "$tmp/native.ivm"
is "control characters of names are not printed" "$(grep -c $'\e' "$tmp/out")" 0
is "... and make no lines" "$(wc -l < "$tmp/out")" \
	"$(sqlite3 "$tmp/native.ivm" 'SELECT count(*) FROM journeys')"

"$ivmtrace" script "$tmp/native.ivm" | head -n 1 > "$tmp/out"
is "a reader that goes away" "$(wc -l < "$tmp/out")" 1

done_testing
