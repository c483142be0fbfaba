-- SPDX-License-Identifier: GPL-2.0-or-later
-- Guests that stamp: every journey has ring and isr, known to 60 ns at one end and to 900 ns at
-- the other, whose guest is quick to ring.  One ring was coalesced.
INSERT INTO meta VALUES ('kernel', '6.12.111'), ('arch', 'x86_64'), ('backend', 'bpf'),
	('rig', 'lab'), ('clock', 'monotonic'), ('start', '2026-01-01T00:00:00Z'),
	('start_ns', 1000000000), ('duration_ns', 500000000);
INSERT INTO vms VALUES (1, 'bmc', 100, 10), (2, 'host', 101, 11);
INSERT INTO vcpus VALUES (1, 0, 101), (2, 0, 102);
INSERT INTO ends VALUES (1, 1, 2, 'mailbox', 'server', 'direct', 1, 1048576, 1, 900000000),
	(2, 2, 1, 'mailbox', 'client', 'direct', 1, 1048576, 1, 900000000);
INSERT INTO hooks VALUES ('kvm_exit', 'tp_btf', 3000, 0, 90000),
	('kvm_inj_virq', 'tp_btf', 1000, 0, 90000);
INSERT INTO lost VALUES ('ringbuf', 0), ('stamp_overrun', 0), ('stamp_unmatched', 0),
	('stamp_dropped', 0), ('stamp_disordered', 0);
INSERT INTO stamp_bounds VALUES (1, 60, 60), (2, 900, 900);

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	ring, "exit", dispatch, route, accept, inject, entry, isr)
SELECT i + 1, 'direct', 'direct', CASE WHEN i = 399 THEN 'coalesced' ELSE 'delivered' END,
	1 + i % 2, 2 - i % 2, 0, 48, 0, 0, 1 + i / 2, 0, 0, 0, 0, 0,
	t, t + 600 + d, t + 15000 + d, t + 18000 + d, t + 20000 + d,
	CASE WHEN i < 399 THEN t + 40000 + 2 * d END, CASE WHEN i < 399 THEN t + 42000 + 2 * d END,
	CASE WHEN i < 399 THEN t + 42700 + 3 * d END
FROM (SELECT i, 1000000000 + i * 1000000 AS t, i * 7919 % 500 AS d FROM n);

INSERT INTO counts SELECT from_end, to_end, vector, irq_vector, count(*), count(*), 0,
	sum(outcome = 'delivered'), sum(outcome = 'coalesced'), 0, 0, 0
	FROM journeys GROUP BY from_end, vector;
