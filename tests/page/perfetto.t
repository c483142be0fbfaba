#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Perfetto traces, read by Perfetto's own trace processor.
. tests/tap.sh
. tests/cli/fixture.sh

if ! command -v node > /dev/null; then
	echo "# nodejs is not installed"
	exit 77
fi
directory=$(tests/page/fetch.sh) || { code=$?; echo "# $directory"; exit $code; }

# ask NAME QUERY...: rows of each query on $tmp/NAME.pftrace, as the elements of $answers
ask() {
	local name=$1

	shift
	run report --format perfetto -o "$tmp/$name.pftrace" "$tmp/$name.ivm"
	mapfile -d $'\f' -t answers < <(timeout 110 node tests/page/trace-processor.mjs "$directory" \
		"$tmp/$name.pftrace" "$@" 2>&1)
}

complaints="SELECT name, value FROM stats WHERE value > 0 AND severity != 'info'"
journeys="SELECT count(*) FROM slice WHERE category = 'journey'"
hop="SELECT name, count(*), sum(dur) FROM slice WHERE name = 'exit..dispatch' GROUP BY 1"
threads="SELECT tid FROM thread JOIN process USING (upid) WHERE thread.name GLOB 'vCPU*' ORDER BY tid"
# From the first hop of a journey each arrow leads on, and the last one to its arrival
arrivals="WITH RECURSIVE first AS (
		SELECT min(slice.id) AS id, EXTRACT_ARG(arg_set_id, 'debug.journey') AS journey
		FROM slice WHERE category = 'hop' GROUP BY 2),
	way (journey, id) AS (SELECT journey, id FROM first UNION ALL
		SELECT way.journey, slice_in FROM way JOIN flow ON slice_out = way.id)
	SELECT count(DISTINCT journey) FROM way JOIN slice USING (id) WHERE category = 'arrival'"

for name in native lab stamps; do
	recording "$name"
	ask "$name" "$complaints" "$journeys" "$hop" "$threads" "$arrivals"
	is "$name: nothing in it is wrong, skipped or lost" "${answers[0]}" ''
	is "$name: a slice or an instant for each journey" "${answers[1]}" \
		"$(sqlite3 "$tmp/$name.ivm" 'SELECT count(*) FROM journeys')"
	is "$name: a hop has the durations of the recording" "${answers[2]}" \
		"$(sqlite3 -separator $'\t' "$tmp/$name.ivm" "SELECT 'exit..dispatch', count(*),
		sum(dispatch - exit) FROM journeys WHERE NOT disordered HAVING sum(dispatch - exit)")"
	is "$name: vCPUs are threads of their VM's process" "$(xargs <<< "${answers[3]}")" \
		"$(sqlite3 "$tmp/$name.ivm" "SELECT DISTINCT tid FROM vcpus JOIN ends USING (vm)
		ORDER BY 1" | xargs)"
	is "$name: arrows lead from the ring to the guest that takes it" "${answers[4]}" \
		"$(sqlite3 "$tmp/$name.ivm" "SELECT count(*) FROM journeys
		WHERE outcome = 'delivered' AND NOT disordered")"
done

done_testing
