#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The judge of both guests' counts: takes right ones, and finds each wrong one.
# shellcheck source=tests/tap.sh
. tests/tap.sh

file=$(mktemp)
trap 'rm -f "$file"' EXIT

# judge PATTERN CHANGE...: exit code and first line
judge() {
	local pattern=$1 said

	shift
	tests/cli/check-lanes.py "$file" "$@"
	said=$(tests/vm/check-lanes.py "$file" "$pattern" 10 2>&1)
	echo "$?: ${said%%$'\n'*}"
}

is "a ping-pong that is right" "$(judge pingpong)" "0: "
is "one way, two arrived as one" "$(judge oneway pong.sent=0 pong.sent_by.0=0 pong.sent_by.1=0 \
	pong.handled=9 pong.handled_by.0=4)" "0: "
is "a doorbell too few" "$(judge pingpong ping.sent=9 ping.sent_by.0=4)" \
	"1: 9 doorbells rung, not 10"
is "sums that are none" "$(judge pingpong pong.handled=11)" \
	"1: a guest's sums are not those of its vectors"
like "an answer that did not come" "$(judge pingpong ping.handled=9 ping.handled_by.1=4)" \
	"1: rung by vector"
like "one that came on another vector" "$(judge pingpong pong.handled_by.0=4 pong.handled_by.1=6)" \
	"1: rung by vector"
is "a receiver that rings" "$(judge oneway)" "1: the receiver rang 10"
is "one that came twice" "$(judge oneway pong.sent=0 pong.sent_by.0=0 pong.sent_by.1=0 \
	pong.handled=11 pong.handled_by.1=6)" "1: vector 1: 5 rung, 6 taken"
is "a vector that never came" "$(judge oneway pong.sent=0 pong.sent_by.0=0 pong.sent_by.1=0 \
	pong.handled=5 pong.handled_by.1=0)" "1: vector 1: 5 rung, 0 taken"
like "a guest that is not done" "$(judge pingpong pong.state=1)" "1: a guest is not done"
like "a lane without magic" "$(judge pingpong ping.lane_magic=0)" "1: a lane is not valid"
like "a result without magic" "$(judge pingpong ping.magic=0)" "1: a guest is not done"
done_testing
