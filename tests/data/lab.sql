-- SPDX-License-Identifier: GPL-2.0-or-later
-- A host where every hook fires: direct mode, ping-pong over two vectors, receivers that
-- are asleep, running, polling, preempted or with interrupts off.
INSERT INTO meta VALUES ('kernel', '6.12.111'), ('arch', 'x86_64'), ('backend', 'bpf'),
	('rig', 'lab'), ('clock', 'monotonic'), ('start', '2026-01-01T00:00:00Z'),
	('start_ns', 1000000000), ('duration_ns', 1500000000);
INSERT INTO vms VALUES (1, 'bmc', 100, 10), (2, 'host', 101, 11);
INSERT INTO vcpus VALUES (1, 0, 101), (2, 0, 102), (2, 1, 103);
INSERT INTO ends VALUES (1, 1, 2, 'mailbox', 'server', 'direct', 2, 1048576, 1, 900000000),
	(2, 2, 1, 'mailbox', 'client', 'direct', 2, 1048576, 1, 900000000);
INSERT INTO hooks VALUES ('kvm_exit', 'tp_btf', 3000, 0, 90000),
	('kvm_entry', 'tp_btf', 3000, 0, 90000), ('kvm_inj_virq', 'tp_btf', 1000, 0, 90000),
	('kvm_mmio', 'tp_btf', 1000, 0, 90000), ('eventfd_signal', 'fentry', 1000, 0, 90000),
	('sched_switch', 'raw_tp', 9999, 0, 9900000);
INSERT INTO lost VALUES ('ringbuf', 0), ('late', 0);

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	"exit", dispatch, signal, route, accept, kick, vcpu_exit, vcpu_wake, vcpu_run, unhalt,
	"window", inject, entry)
SELECT i + 1, 'direct', 'direct', 'delivered', 1 + i % 2, 2 - i % 2, i / 2 % 2,
	48 + i / 2 % 2, 0, i / 2 % 2, 1 + i / 4, 0, 0, 0, 0, 0,
	t, t + 15000 + d, t + 18000 + 2 * d, t + 25000 + 2 * d, t + 28000 + 3 * d,
	CASE WHEN s = 1 THEN t + 30000 + 3 * d END, CASE WHEN s = 1 THEN t + 41000 + 4 * d END,
	CASE WHEN s = 0 THEN t + 31000 + 3 * d END,
	CASE WHEN s IN (0, 3) THEN t + 70000 + 4 * d END,
	CASE WHEN s IN (0, 2) THEN t + 75000 + 5 * d END,
	CASE WHEN s = 4 THEN t + 80000 + 5 * d END,
	t + 90000 + 6 * d, t + 95000 + 7 * d
FROM (SELECT i, 1000000000 + i * 1000000 AS t, i * 7919 % 5000 AS d,
	CASE i % 20 WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 4 ELSE 0 END AS s FROM n);

INSERT INTO counts SELECT from_end, to_end, vector, irq_vector, count(*), count(*), 0, count(*),
	0, 0, 0, 0 FROM journeys GROUP BY from_end, vector;
INSERT INTO guests (mode, link, from_end, from_vm, vector, sent, handled, rtt_count)
	SELECT 'direct', 'mailbox', from_end, from_end, vector, rung, delivered,
	CASE WHEN from_end = 1 THEN 250 END FROM counts;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 249)
INSERT INTO guest_rtt SELECT id, 250000 + i * 7919 % 5000 FROM guests, n WHERE from_end = 1;
