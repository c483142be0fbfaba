#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# OpenMetrics of a recording: true to its report, and read by a real Prometheus.
. tests/tap.sh
. tests/cli/fixture.sh

fails "no port" 1 "--listen: 'x' is not ADDRESS:PORT" export --listen x
fails "a name in place of an address" 1 "--listen: 'localhost:1' is not ADDRESS:PORT" export \
	--listen localhost:1 "$data/none.ivm"
fails "no such recording" 1 "cannot read .*none.ivm" export "$tmp/none.ivm"

python=/usr/bin/python3
export_pid=
prometheus_pid=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -z "$prometheus_pid" ] || kill "$prometheus_pid" 2> /dev/null
	[ -z "$export_pid" ] || kill "$export_pid" 2> /dev/null
	wait
	rm -rf "$tmp"
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

# get PORT PATH: sets nothing, prints the body; fails unless the answer is 200
get() {
	"$python" - "http://127.0.0.1:$1$2" << 'END'
import sys, urllib.request
answer = urllib.request.urlopen(sys.argv[1], timeout=10)
sys.stderr.write(answer.headers["Content-Type"] + "\n")
sys.stdout.write(answer.read().decode())
END
}

recording native
# What a name may be, so far as a link's may: only control characters are out of question
sqlite3 "$tmp/native.ivm" "UPDATE ends SET link = 'a\"}\\ 1,<b>' WHERE id IN (5, 6)"
run report -f json "$tmp/native.ivm"
cp "$tmp/out" "$tmp/report.json"
run report -f openmetrics "$tmp/native.ivm"
is "report --format openmetrics: exit code" "$code$err" 0
cp "$tmp/out" "$tmp/report.prom"

timeout 120 "$ivmtrace" export --listen 127.0.0.1:0 "$tmp/native.ivm" 2> "$tmp/export.log" &
export_pid=$!
until_true grep -q serving "$tmp/export.log"
port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/metrics.*|\1|p' "$tmp/export.log")
get "$port" /metrics > "$tmp/scraped" 2> "$tmp/type"
is "export serves what report prints" "$(cmp "$tmp/scraped" "$tmp/report.prom" 2>&1)" ''
is "... as OpenMetrics" "$(< "$tmp/type")" "application/openmetrics-text; version=1.0.0; charset=utf-8"
get "$port" /other > /dev/null 2>&1
is "another path is not there" $? 1
"$python" - "$port" << 'END'
import sys, socket
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
s.sendall(b"POST /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
sys.exit(b" 405 " not in s.recv(1000))
END
is "nobody may post" $? 0
get "$port" /metrics 2> /dev/null | cmp -s - "$tmp/report.prom"
is "... and it still serves" "${PIPESTATUS[*]}" "0 0"

# compare TEXT: the metrics against the report, by a parser that is not ours
if "$python" -c 'import prometheus_client' 2> /dev/null; then
	is "the client library reads it, and it says what the report says" "$("$python" - \
		"$tmp/report.prom" "$tmp/report.json" 2>&1 << 'END'
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1]).read())}
report = json.load(open(sys.argv[2]))
for outcome in "delivered", "coalesced", "masked", "dropped", "unfinished":
    metric = sum(s.value for s in families["ivmtrace_interrupts"].samples
                 if s.labels["outcome"] == outcome)
    wanted = sum(g[outcome] or 0 for g in report["groups"])
    if metric != wanted:
        print(outcome, metric, wanted)
hops = {}
for s in families["ivmtrace_hop_seconds"].samples:
    if s.name.endswith(("_sum", "_count")):
        key = s.labels["mode"], s.labels["hop"], s.name[21:]
        hops[key] = hops.get(key, 0) + s.value
for g in report["groups"]:
    for h in g["hops"]:
        hops[g["mode"], h["name"], "count"] -= h["count"]
        hops[g["mode"], h["name"], "sum"] -= h["sum_ns"] / 1e9
print("off:", {k: v for k, v in hops.items() if abs(v) > 1e-9})
print(sorted({s.labels["link"] for s in families["ivmtrace_interrupts"].samples}))
END
	)" "off: {}"$'\n'"['a\"}\\\\ 1,<b>', 'a-b']"
else
	skip "the client library" "python3-prometheus-client is not installed"
fi

if command -v promtool > /dev/null; then
	is "the alerts are rules" "$(promtool check rules reports/ivmtrace.rules.yml 2>&1 |
		grep -c 'SUCCESS: 3 rules found')" 1
else
	skip "the alerts are rules" "prometheus is not installed"
fi
is "the dashboard is JSON, and asks for metrics that are there" "$("$python" - \
	"$tmp/report.prom" << 'END'
import json, re, sys
known = set(re.findall(r"^([a-z_]+)[{ ]", open(sys.argv[1]).read(), re.M))
for panel in json.load(open("reports/grafana.json"))["panels"]:
    for target in panel["targets"]:
        for name in re.findall(r"ivmtrace_[a-z_]+", target["expr"]):
            if name not in known:
                print(panel["title"], name)
END
)" ''

# query EXPRESSION: its one value
query() {
	"$python" - "$prometheus_port" "$1" << 'END'
import json, sys, urllib.parse, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}/api/v1/query?" + urllib.parse.urlencode({"query": sys.argv[2]})
result = json.load(urllib.request.urlopen(url, timeout=10))["data"]["result"]
print(*(r["value"][1] for r in result)) if result else sys.exit(1)
END
}

if ! command -v prometheus > /dev/null; then
	skip "a real Prometheus" "prometheus is not installed"
	done_testing
fi
cat > "$tmp/prometheus.yml" << END
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ "$PWD/reports/ivmtrace.rules.yml" ]
scrape_configs:
  - job_name: ivmtrace
    static_configs: [{ targets: ["127.0.0.1:$port"] }]
END
prometheus_port=$("$python" -c "
import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])")
timeout 120 prometheus --config.file="$tmp/prometheus.yml" --storage.tsdb.path="$tmp/tsdb" \
	--web.listen-address="127.0.0.1:$prometheus_port" > "$tmp/prometheus.log" 2>&1 &
prometheus_pid=$!
if until_true query 'up == 1'; then
	ok "Prometheus scrapes it"
else
	not_ok "Prometheus scrapes it" "$(tail -n 5 "$tmp/prometheus.log")"
fi
is "it has every interrupt" "$(query 'sum(ivmtrace_interrupts_total)')" \
	"$(sqlite3 "$tmp/native.ivm" 'SELECT count(*) FROM journeys')"
is "... and every delivered one in the histogram" \
	"$(query 'sum(ivmtrace_latency_seconds_bucket{le="+Inf"})')" \
	"$(sqlite3 "$tmp/native.ivm" "SELECT count(*) FROM journeys WHERE outcome = 'delivered'
		AND NOT disordered")"
is "the strange name arrives" "$(query 'count(count by (link) (ivmtrace_interrupts_total{link="a\"}\\ 1,<b>"}))')" 1
# shellcheck disable=SC2016 # the report's, in Python
is "its p99 is in the report's bucket" "$("$python" -c "
import json, sys
wanted = max(g['total']['p99_ns'] for g in json.load(open('$tmp/report.json'))['groups']
             if g['mode'] == 'qemu') / 1e9
got = max(float(v) for v in '$(query 'histogram_quantile(0.99, ivmtrace_latency_seconds_bucket{mode="qemu"})')'.split())
print(wanted / 2 <= got <= wanted * 2 or (got, wanted))")" True
until_true query 'ALERTS or vector(1)'
is "the alerts are evaluated without an error" "$(get "$prometheus_port" /api/v1/rules 2> /dev/null |
	"$python" -c "
import json, sys
rules = [r for g in json.load(sys.stdin)['data']['groups'] for r in g['rules']]
print(len(rules), [r['lastError'] for r in rules if r.get('lastError')])")" "3 []"

done_testing
