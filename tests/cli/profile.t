#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What report makes of the samples of a recording.
. tests/tap.sh
. tests/cli/fixture.sh

golden() {
	if [ -n "${IVM_UPDATE_GOLDEN:-}" ]; then
		cp "$2" "$data/$3"
	fi
	if diff -u "$data/$3" "$2" > "$tmp/diff"; then
		ok "$1"
	else
		not_ok "$1" "$(< "$tmp/diff")"
	fi
}

# rows MODE FROM_END TO_END FROM TO THREAD STACK COUNT
rows() {
	echo "INSERT INTO profile_samples SELECT NULL, value, '$1', $2, $3, 0, '$4', '$5', '$6', 7,
		2000000000 + value, $7 FROM generate_series(1, $8);"
}

recording native
run report "$tmp/native.ivm"
is "without a profile nothing is said of one" "$(grep -c profile "$tmp/out")" 0
run report -f json "$tmp/native.ivm"
is "... nor in JSON" "$(grep -c '"profile"' "$tmp/out")" 0
fails "... and there is nothing to fold" 1 "has no profile: 'ivmtrace record --profile' makes one" \
	report -f folded "$tmp/native.ivm"

{
	cat << 'END'
INSERT INTO meta VALUES ('profile_event', 'cpu-clock'), ('profile_hz', 997),
	('profile_samples', 300), ('profile_outside', 77);
INSERT INTO profile_stacks VALUES
	(1, '["main","main_loop_wait","tcp_chr_read"]'),
	(2, '["main","main_loop_wait","ppoll","do_sys_poll_[k]"]'),
	(3, '["start_thread","kvm_cpu_exec","ioctl","kvm_mmio_write_[k]"]'),
	(4, '["[cut off]","[libstrange.so+0x1f]"]'),
	(5, '["a;b c","line\nbreak"]'), (6, '[]');
END
	rows qemu 1 2 send recv main-loop 1 60
	rows qemu 1 2 send recv main-loop 2 30
	rows qemu 1 2 send recv main-loop 4 10
	rows qemu 2 1 send recv main-loop 1 9
	rows qemu 1 2 dispatch user sender 3 10
	rows direct 5 6 unhalt eoi receiver 5 11
	rows direct 5 6 unhalt eoi receiver 6 1
	rows direct 5 6 unhalt eoi receiver 99 1
} > "$tmp/profile.sql"
sqlite3 -bail "$tmp/native.ivm" < "$tmp/profile.sql"
run report "$tmp/native.ivm"
sed -n '/^profile/,/^Shares/{ /^Shares/!p }' "$tmp/out" > "$tmp/section"
golden "hot functions of each hop" "$tmp/section" profile.txt
is "... within 100 columns" "$(LC_ALL=C.UTF-8 grep -cE '^.{101,}$' "$tmp/section")" 0
run report -f folded "$tmp/native.ivm"
golden "folded stacks" "$tmp/out" profile-folded.txt
is "... of all samples" "$(awk '{ n += $NF } END { print n }' "$tmp/out")" 132
run report -f json "$tmp/native.ivm"
python3 -c 'import json, sys
json.dump(json.load(open(sys.argv[1]))["profile"], sys.stdout, indent=1); print()' "$tmp/out" > "$tmp/json"
golden "the same as JSON" "$tmp/json" profile.json
if /usr/bin/python3 -c 'import jsonschema' 2> /dev/null; then
	if /usr/bin/python3 -m jsonschema -i "$tmp/out" docs/report.schema.json 2> "$tmp/why"; then
		ok "JSON conforms to the schema"
	else
		not_ok "JSON conforms to the schema" "$(head -n 20 "$tmp/why")"
	fi
else
	skip "JSON conforms to the schema" "python3-jsonschema is not installed"
fi

# What a stranger may have written
sqlite3 "$tmp/native.ivm" "UPDATE profile_samples SET mode = 'none' WHERE id = 1"
fails "a mode that there is not" 1 "cannot read .*: damaged" report -f folded "$tmp/native.ivm"
sqlite3 "$tmp/native.ivm" "DROP TABLE profile_samples"
fails "no table" 1 "cannot read .*: damaged" report -f folded "$tmp/native.ivm"

fails "record --profile=0" 1 '--profile: 0 is out of range' record --profile=0
fails "record --profile=often" 1 "--profile: 'often' is not a whole number" record --profile=often

done_testing
