-- SPDX-License-Identifier: GPL-2.0-or-later
-- A benchmark as the native rig sees it: no kvm_exit, kvm_entry, kvm_inj_virq, so
-- that kvm_eoi at delivery stands in for the end.  Three modes, two VMs each.
INSERT INTO meta VALUES ('kernel', '6.18.44'), ('arch', 'x86_64'), ('backend', 'bpf'),
	('rig', 'native'), ('clock', 'monotonic'), ('start', '2026-01-01T00:00:00Z'),
	('start_ns', 1000000000), ('duration_ns', 2345678901);
INSERT INTO vms VALUES (1, 'a', 100, 10), (2, 'b', 101, 11), (3, 'a', 200, 20),
	(4, 'b', 201, 21), (5, 'a', 300, 30), (6, 'b', 301, 31);
INSERT INTO vcpus SELECT id, 0, pid + 1 FROM vms;
INSERT INTO ends VALUES
	(1, 1, 2, 'a-b', 'server', 'qemu', 1, 1048576, 1, 900000000),
	(2, 2, 1, 'a-b', 'client', 'qemu', 1, 1048576, 1, 900000000),
	(3, 3, 4, 'a-b', 'server', 'irqfd', 1, 1048576, 1, 900000000),
	(4, 4, 3, 'a-b', 'client', 'irqfd', 1, 1048576, 1, 900000000),
	(5, 5, 6, 'a-b', 'server', 'direct', 1, 1048576, 1, 900000000),
	(6, 6, 5, 'a-b', 'client', 'direct', 1, 1048576, 1, 900000000);
INSERT INTO environment VALUES (0, 'kernel', '6.18.44'), (0, 'cpu', 'AMD EPYC 7R13'),
	(0, 'cpus.online', '0-1'), (0, 'cpufreq.governor', 'performance'),
	(0, 'kvm.halt_poll_ns', '200000'), (0, 'kvm.avic', 'N'),
	(0, 'mitigation.retbleed', 'Mitigation: untrained return thunk; SMT vulnerable');
INSERT INTO environment SELECT id, 'qemu.version', '7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)' FROM vms;
INSERT INTO environment SELECT id, 'command_line', 'qemu-system-x86_64 -name ' || name FROM vms;
INSERT INTO environment SELECT id, 'vcpu.0', '1 fifo 10' FROM vms;
INSERT INTO hooks VALUES ('kvm_exit', 'silent', 0, 0, 0), ('kvm_entry', 'silent', 0, 0, 0),
	('kvm_inj_virq', 'silent', 0, 0, 0), ('kvm_mmio', 'tp_btf', 5200, 0, 900000),
	('kvm_msi_set_irq', 'tp_btf', 5200, 0, 900000), ('kvm_eoi', 'tp_btf', 5100, 0, 900000),
	('kvm_apic_accept_irq', 'tp_btf', 5200, 0, 900000),
	('sched_switch', 'raw_tp', 99999, 0, 9900000), ('eventfd_signal', 'absent', 0, 0, 0);
INSERT INTO lost VALUES ('ringbuf', 0), ('map', 0), ('unmatched', 0), ('before_start', 3);

-- qemu: 1200 each way, the receiver asleep
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2399)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, seq, approx, posted, disordered, contended, fast_mmio,
	dispatch, user, send, wake, run, recv, route, accept, vcpu_wake, vcpu_run, unhalt,
	eoi_standin)
SELECT i + 1, 'qemu', 'qemu', 'delivered', 1 + i % 2, 2 - i % 2, 0, 65, 0, 0, 1 + i / 2,
	1 + i / 2, 1, 0, 0, 0, 0, t, t + 900, t + 4900 + d, t + 6100 + d, t + 21000 + 2 * d,
	t + 24000 + 2 * d, t + 31000 + 3 * d, t + 31800 + 3 * d, t + 32500 + 3 * d,
	t + 40000 + 4 * d, t + 41000 + 4 * d, t + 44000 + 4 * d
FROM (SELECT i, 1000000000 + i * 100000 AS t, i * 7919 % 1000 AS d FROM n);

-- irqfd: 100 from a to b only, every tenth finds the receiver running
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	dispatch, user, send, signal, route, accept, vcpu_wake, vcpu_run, unhalt, kick,
	eoi_standin)
SELECT i + 10001, 'irqfd', 'irqfd', 'delivered', 3, 4, 0, 65, 0, 0, 1 + i, 1, 0, 0, 0, 0,
	t, t + 900, t + 4900 + d, t + 5500 + d, t + 6000 + d, t + 6800 + d,
	CASE WHEN i % 10 THEN t + 7500 + d END, CASE WHEN i % 10 THEN t + 15000 + 2 * d END,
	CASE WHEN i % 10 THEN t + 16000 + 2 * d END, CASE WHEN i % 10 THEN NULL ELSE t + 7200 + d END,
	t + 19000 + 2 * d
FROM (SELECT i, 1300000000 + i * 100000 AS t, i * 7919 % 1000 AS d FROM n);

-- direct: 1000 from a to b, of which 20 were coalesced, 2 masked, 1 dropped and 1 disordered
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	dispatch, route, accept, vcpu_wake, vcpu_run, unhalt, eoi_standin)
SELECT i + 20001, CASE WHEN i IN (500, 501, 502) THEN 'unknown' ELSE 'direct' END, 'direct',
	CASE WHEN i = 500 THEN 'dropped' WHEN i IN (501, 502) THEN 'masked'
	     WHEN i % 50 = 49 THEN 'coalesced' ELSE 'delivered' END,
	5, CASE WHEN i = 500 THEN NULL ELSE 6 END, 0,
	CASE WHEN i IN (500, 501, 502) THEN NULL ELSE 65 END, 0,
	CASE WHEN i IN (500, 501, 502) THEN NULL ELSE 0 END, 1 + i,
	i % 50 != 49, 0, i = 7, 0, 0, t,
	CASE WHEN i IN (500, 501, 502) THEN NULL ELSE t + 1900 + d END,
	CASE WHEN i IN (500, 501, 502) THEN NULL WHEN i = 7 THEN t + 1000 ELSE t + 2700 + d END,
	CASE WHEN i IN (500, 501, 502) OR i % 50 = 49 THEN NULL ELSE t + 3300 + d END,
	CASE WHEN i IN (500, 501, 502) OR i % 50 = 49 THEN NULL ELSE t + 9000 + 2 * d END,
	CASE WHEN i IN (500, 501, 502) OR i % 50 = 49 THEN NULL ELSE t + 9900 + 2 * d END,
	CASE WHEN i IN (500, 501, 502) OR i % 50 = 49 THEN NULL ELSE t + 12000 + 2 * d END
FROM (SELECT i, 1600000000 + i * 100000 AS t, i * 7919 % 1000 AS d FROM n);

INSERT INTO counts VALUES
	(1, 2, 0, 65, 1200, 1200, 0, 1200, 0, 0, 0, 0),
	(2, 1, 0, 65, 1200, 1200, 0, 1200, 0, 0, 0, 0),
	(3, 4, 0, 65, 100, 100, 0, 100, 0, 0, 0, 0),
	(5, 6, 0, 65, 1000, 997, 0, 977, 20, 2, 1, 0);

INSERT INTO guests VALUES (1, 'qemu', 'a-b', 1, 1, 0, 1200, 1200, 1000),
	(2, 'qemu', 'a-b', 2, 2, 0, 1200, 1200, NULL), (3, 'irqfd', 'a-b', 3, 3, 0, 100, 100, 50),
	(4, 'direct', 'a-b', 5, 5, 0, 1000, 977, NULL);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO guest_rtt SELECT 1, 90000 + i * 7919 % 10000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49)
INSERT INTO guest_rtt SELECT 3, 40000 + i * 7919 % 1000 FROM n;
INSERT INTO baselines VALUES (1, 'ivshmem-doorbell', 1, 1000), (2, 'ivshmem-doorbell', 0, 1000);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO baseline_rtt SELECT 1 + i % 2, 52000 + i % 2 * 20000 + i * 7919 % 1000 FROM n;
