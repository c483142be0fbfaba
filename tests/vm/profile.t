#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# record --profile: CPU that is burnt at a known place is found in the right function
# of the right hop, and nowhere else; without it nothing is attached.  How much of it
# is not asked.
set -u

here=$(cd "$(dirname "$0")" && pwd)
out=$IVM_OUT/vm/profile
link=profile
doorbells=150

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
rm -rf "$out"
mkdir -p "$out"
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
trap 'vm_cleanup; rm -rf "$dir"' EXIT

# run FILE OPTION...: one recording of a pair that burns; perf event programs it had go to FILE.programs
run() {
	local file=$1

	shift
	vm_prefix=(env LD_PRELOAD="$IVM_OUT/vm/burn.so" BURN=recv)
	vm $link-pong "$(mailbox l $link server mode=qemu)" "role=pong pattern=pingpong"
	wait_for "the socket" test -S "$dir/$link.sock"
	vm_prefix=(env LD_PRELOAD="$IVM_OUT/vm/burn.so" BURN=send)
	# shellcheck disable=SC2034 # for guests.sh
	vm $link-ping "$(mailbox l $link client mode=qemu)" \
		"role=ping pattern=pingpong count=$doorbells"
	vm_prefix=()
	wait_said ready $link-pong $link-ping || return
	record "$file" -p "${vm_pid[$link-ping]}" "$@" || return
	# BPF_PROG_TYPE_PERF_EVENT is 7
	cat /proc/"$record_pid"/fdinfo/* 2> /dev/null | grep -c '^prog_type:[[:space:]]*7$' \
		> "$file.programs"
	go $link-pong $link-ping
	wait_said 'done' $link-pong $link-ping
	stop_record || return
	release $link-pong $link-ping
	rm -f "$dir"/*.in "$dir"/*.sock
}

run "$out/with.ivm" --profile --strict
echo $? > "$out/with.code"
vm_cleanup
rm -f "$dir"/*
run "$out/without.ivm" --strict
echo $? > "$out/without.code"
for run in with without; do
	sed 's/^/# /' "$out/$run.ivm.log"
done
"$IVMTRACE" report -f json -o "$out/report.json" "$out/with.ivm"
"$IVMTRACE" report -f folded -o "$out/folded.txt" "$out/with.ivm"
exec "$here/check-profile.py" "$out"
