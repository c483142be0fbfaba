-- SPDX-License-Identifier: GPL-2.0-or-later
-- Interrupts posted into running vCPUs, no guest stamps: the ends cannot be seen.  A link
-- set to auto, a name in UTF-8, several vectors on one IDT vector, and too few samples.
INSERT INTO meta VALUES ('kernel', '6.8.0'), ('arch', 'x86_64'), ('backend', 'bpf');
INSERT INTO vms VALUES (1, 'größe', 100, 10);
INSERT INTO ends VALUES (1, 1, 2, 'self', 'server', 'auto', 4, 0, 1, 0),
	(2, 1, 1, 'self', 'client', 'auto', 4, 0, 1, 0);
INSERT INTO hooks VALUES ('kvm_exit', 'tp_btf', 10, 7, 0), ('ipi_send_cpu', 'absent', 0, 0, 0);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	"exit", dispatch, accept, vcpu_wake, unhalt, entry)
SELECT i + 1, 'direct', 'unknown', CASE WHEN i % 4 THEN 'unseen' ELSE 'delivered' END,
	1, 2, i % 2, 50, 0, 3, i, 0, 1, 0, 0, 0, t, t + 1000, t + 3000,
	CASE WHEN i % 4 = 0 THEN t + 4000 END, CASE WHEN i % 4 = 0 THEN t + 9000 END,
	CASE WHEN i % 4 = 0 THEN t + 9500 + i END
FROM (SELECT i, 5000000000 + i * 100000 AS t FROM n);
INSERT INTO counts VALUES (1, 2, 0, 50, 10, 10, 10, 5, 0, 0, 0, 0),
	(1, 2, 1, 50, 10, 10, 10, 0, 0, 0, 0, 0);
