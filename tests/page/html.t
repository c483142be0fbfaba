#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# HTML reports in a real browser.  IVM_SCREENSHOTS=DIR keeps pictures to look at.
. tests/cli/fixture.sh

if ! command -v chromium > /dev/null; then
	echo "# chromium is not installed"
	exit 77
fi

# html NAME: $tmp/NAME.ivm as $tmp/NAME.html
html() {
	"$ivmtrace" report --format html -o "$tmp/$1.html" "$tmp/$1.ivm" || exit 1
}

for name in native empty; do
	recording "$name"
	html "$name"
done
cp "$tmp/native.ivm" "$tmp/odd.ivm"
sqlite3 "$tmp/odd.ivm" "UPDATE ends SET link = '</script><script>window.owned = 1; document.title = 2</script><!--';
	UPDATE vms SET name = '<img src=x onerror=window.owned=1>';
	UPDATE meta SET value = '\"><svg onload=window.owned=1>' WHERE key = 'kernel'"
html odd
new_recording "$tmp/big.ivm"
sqlite3 "$tmp/big.ivm" "BEGIN;
	INSERT INTO meta VALUES ('start_ns', 1000000000), ('duration_ns', 10000000000), ('start', '2026-01-01T00:00:00Z');
	INSERT INTO vms VALUES (1, 'a', 10, 1), (2, 'b', 20, 1);
	INSERT INTO ends VALUES (1, 1, 2, 'a-b', 'server', 'direct', 1, 65536, 1, 0),
		(2, 2, 1, 'a-b', 'client', 'direct', 1, 65536, 1, 0);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
	INSERT INTO journeys (mode, configured, outcome, from_end, to_end, vector, irq_vector, from_vcpu, to_vcpu,
		cookie, approx, posted, disordered, contended, fast_mmio, dispatch, route, accept, inject, entry)
	SELECT iif(i % 2, 'direct', 'irqfd'), iif(i % 2, 'direct', 'irqfd'), 'delivered', 1, 2, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0,
		1000000000 + 10000 * i, 1000001000 + 10000 * i + i * 7919 % 501, 1000002000 + 10000 * i,
		1000003000 + 10000 * i + i * 104729 % 4001, 1000008000 + 10000 * i + (i % 9973 = 0) * 900000 FROM n;
	INSERT INTO counts VALUES (1, 2, 0, 64, 1000000, 1000000, 0, 1000000, 0, 0, 0, 0); COMMIT"
html big
size=$(stat -c %s "$tmp/big.html")
timeout 500 python3 tests/page/html.py "$tmp" > "$tmp/tap"
code=$?
plan=$(sed -n 's/^1\.\.//p' "$tmp/tap")
grep -v '^1\.\.' "$tmp/tap"
if [ "$size" -lt 2000000 ]; then
	echo "ok $((plan + 1)) - 10^6 journeys make less than 2 MB"
else
	echo "not ok $((plan + 1)) - 10^6 journeys make $size bytes"
	code=1
fi
echo "1..$((plan + 1))"
exit $code
