-- SPDX-License-Identifier: GPL-2.0-or-later
-- Slow interrupts, each for another reason; every other journey takes the usual time.
INSERT INTO meta VALUES ('kernel', '6.12.1'), ('arch', 'x86_64'), ('backend', 'bpf'),
	('rig', 'native'), ('clock', 'monotonic'), ('start', '2026-01-01T00:00:00Z'),
	('start_ns', 1000000000), ('duration_ns', 2000000000), ('context', 'on');
INSERT INTO vms VALUES (1, 'a', 100, 10), (2, 'b', 200, 11);
INSERT INTO vcpus VALUES (1, 0, 101), (2, 0, 201);
INSERT INTO ends VALUES
	(1, 1, 2, 'a-b', 'server', 'direct', 1, 1048576, 1, 900000000),
	(2, 2, 1, 'a-b', 'client', 'direct', 1, 1048576, 1, 900000000),
	(3, 1, 4, 'q', 'server', 'qemu', 1, 1048576, 1, 900000000),
	(4, 2, 3, 'q', 'client', 'qemu', 1, 1048576, 1, 900000000);
INSERT INTO hooks VALUES ('kvm_mmio', 'tp_btf', 5200, 0, 900000);
INSERT INTO lost VALUES ('ringbuf', 0), ('context', 0);

-- direct: receiver asleep, 7 us
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio,
	"exit", dispatch, route, accept, vcpu_wake, vcpu_run, unhalt, inject, entry)
SELECT i, 'direct', 'direct', 'delivered', 1, 2, 0, 65, 0, 0, i, 0, 0, 0, 0, 0,
	t, t + 500, t + 1000, t + 1500, t + 2000, t + 5000, t + 6000, t + 6500, t + 7000
FROM (SELECT i, 1000000000 + i * 1000000 AS t FROM n);
-- qemu: 14 us
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
INSERT INTO journeys (id, mode, configured, outcome, from_end, to_end, vector, irq_vector,
	from_vcpu, to_vcpu, cookie, seq, approx, posted, disordered, contended, fast_mmio,
	dispatch, user, send, wake, run, recv, route, accept, vcpu_wake, vcpu_run, unhalt, inject)
SELECT i + 1000, 'qemu', 'qemu', 'delivered', 3, 4, 0, 66, 0, 0, i, i, 0, 0, 0, 0, 0,
	t, t + 500, t + 2000, t + 2500, t + 5000, t + 6000, t + 8000, t + 8500, t + 9000,
	t + 12000, t + 13000, t + 14000
FROM (SELECT i, 1500000000 + i * 1000000 AS t FROM n);

-- 11: preempted on the way into the guest by two tasks
UPDATE journeys SET vcpu_run = vcpu_run + 900000, unhalt = unhalt + 900000,
	inject = inject + 900000, entry = entry + 900000 WHERE id = 11;
-- 22: its thread was stopped before
UPDATE journeys SET vcpu_wake = vcpu_wake + 800000, vcpu_run = vcpu_run + 800000,
	unhalt = unhalt + 800000, inject = inject + 800000, entry = entry + 800000 WHERE id = 22;
-- 33: two host interrupts and a softirq after it ran
UPDATE journeys SET unhalt = unhalt + 700000, inject = inject + 700000,
	entry = entry + 700000 WHERE id = 33;
-- 44: the sender's page was not mapped
UPDATE journeys SET dispatch = dispatch + 600000, route = route + 600000,
	accept = accept + 600000, vcpu_wake = vcpu_wake + 600000, vcpu_run = vcpu_run + 600000,
	unhalt = unhalt + 600000, inject = inject + 600000, entry = entry + 600000 WHERE id = 44;
-- 55: held by its mask
UPDATE journeys SET unmask = dispatch + 500000, route = route + 500000,
	accept = accept + 500000, vcpu_wake = vcpu_wake + 500000, vcpu_run = vcpu_run + 500000,
	unhalt = unhalt + 500000, inject = inject + 500000, entry = entry + 500000 WHERE id = 55;
-- 66: an interrupt window
UPDATE journeys SET window = unhalt + 400000, inject = inject + 400000,
	entry = entry + 400000 WHERE id = 66;
-- 77: moved to another CPU; 78: behind another task there
UPDATE journeys SET vcpu_run = vcpu_run + 300000, unhalt = unhalt + 300000,
	inject = inject + 300000, entry = entry + 300000 WHERE id IN (77, 78);
-- 88: in QEMU for another device; 89: nobody knows why
UPDATE journeys SET inject = inject + 200000, entry = entry + 200000 WHERE id IN (88, 89);
-- 98: interrupts off, with no window to see; 99: 98's interrupt is taken first
UPDATE journeys SET inject = inject + 850000, entry = entry + 850000 WHERE id = 98;
UPDATE journeys SET "exit" = "exit" - 850000, dispatch = dispatch - 850000,
	route = route - 850000, accept = accept - 850000, vcpu_wake = NULL, vcpu_run = NULL,
	unhalt = NULL WHERE id = 99;
-- 1010: main loop reads a file; 1020: waits for the data; 1030: blocked sender
UPDATE journeys SET wake = NULL, run = NULL, recv = recv + 950000, route = route + 950000,
	accept = accept + 950000, vcpu_wake = vcpu_wake + 950000, vcpu_run = vcpu_run + 950000,
	unhalt = unhalt + 950000, inject = inject + 950000 WHERE id = 1010;
UPDATE journeys SET wake = NULL, run = NULL, recv = recv + 850000, route = route + 850000,
	accept = accept + 850000, vcpu_wake = vcpu_wake + 850000, vcpu_run = vcpu_run + 850000,
	unhalt = unhalt + 850000, inject = inject + 850000 WHERE id = 1020;
UPDATE journeys SET send = send + 750000, wake = wake + 750000, run = run + 750000,
	recv = recv + 750000, route = route + 750000, accept = accept + 750000,
	vcpu_wake = vcpu_wake + 750000, vcpu_run = vcpu_run + 750000, unhalt = unhalt + 750000,
	inject = inject + 750000 WHERE id = 1030;

INSERT INTO slow SELECT id, 101, 100, 201, 200, id <> 89 FROM journeys
	WHERE id IN (11, 22, 33, 44, 55, 66, 77, 78, 88, 89, 98, 99, 1010, 1020, 1030);
-- T: accept of each, as begin of the intervals
CREATE TEMP TABLE at AS SELECT id, "exit" AS x, user, send, accept, vcpu_wake, vcpu_run, unhalt
	FROM journeys;
INSERT INTO intervals (journey, kind, tid, begin_ns, end_ns, wake_ns, cpu, to_cpu, state, next_tid,
	next, last_tid, last, waker_tid, waker)
SELECT id, 'off-cpu', 201, accept - 5000, vcpu_wake + 1000, vcpu_wake, 1, 1, 'asleep', NULL,
	'swapper/1', NULL, 'swapper/1', 101, 'CPU 0/KVM' FROM at WHERE id = 11
UNION ALL SELECT id, 'off-cpu', 201, vcpu_wake + 2000, vcpu_wake + 500000, NULL, 1, 1, 'runnable',
	4242, 'hog', 4242, 'hog', NULL, NULL FROM at WHERE id = 11
UNION ALL SELECT id, 'off-cpu', 201, vcpu_wake + 501000, vcpu_wake + 902000, NULL, 1, 1,
	'runnable', 4243, 'cc1', 4242, 'hog', NULL, NULL FROM at WHERE id = 11
UNION ALL SELECT id, 'off-cpu', 201, accept - 9000, vcpu_run, vcpu_wake, 1, 1, 'stopped', NULL,
	'swapper/1', NULL, 'swapper/1', 777, 'gdb' FROM at WHERE id = 22
UNION ALL SELECT id, 'off-cpu', 201, accept - 5000, vcpu_run, vcpu_wake, 1, 0, 'asleep', NULL,
	'swapper/1', 19, 'migration/0', 101, 'CPU 0/KVM' FROM at WHERE id = 77
UNION ALL SELECT id, 'off-cpu', 201, accept - 5000, vcpu_run, vcpu_wake, 1, 0, 'asleep', NULL,
	'swapper/1', 4300, 'make', 101, 'CPU 0/KVM' FROM at WHERE id = 78
UNION ALL SELECT id, 'off-cpu', 200, send - 90000, send + 840000, send + 830000, 1, 1, 'asleep',
	NULL, 'swapper/1', NULL, 'swapper/1', 5000, 'relay' FROM at WHERE id = 1020
UNION ALL SELECT id, 'off-cpu', 101, user + 1000, user + 748000, user + 740000, 0, 0, 'asleep',
	NULL, 'swapper/0', NULL, 'swapper/0', 100, 'qemu-system-x86' FROM at WHERE id = 1030;
INSERT INTO intervals (journey, kind, tid, begin_ns, end_ns, cpu, to_cpu, number, next)
SELECT id, 'irq', 201, vcpu_run + 1000, vcpu_run + 300000, 1, 1, 27, 'virtio0-input.0'
	FROM at WHERE id = 33
UNION ALL SELECT id, 'softirq', 201, vcpu_run + 300000, vcpu_run + 650000, 1, 1, 3, NULL
	FROM at WHERE id = 33
UNION ALL SELECT id, 'irq', 201, vcpu_run + 400000, vcpu_run + 420000, 1, 1, 236, 'local_timer'
	FROM at WHERE id = 33
UNION ALL SELECT id, 'fault', 101, x + 100, x + 100, 0, 0, 4273999872, NULL FROM at WHERE id = 44
UNION ALL SELECT id, 'user', 201, unhalt + 100, unhalt + 180000, 1, 1, 0, NULL
	FROM at WHERE id = 88;
INSERT INTO intervals (journey, kind, tid, begin_ns, end_ns, cpu, to_cpu, number, fd, fd_name)
SELECT id, 'loop', 200, send - 1000, send + 954000, 1, 1, NULL, NULL, NULL FROM at WHERE id = 1010
UNION ALL SELECT id, 'syscall', 200, send + 100000, send + 900000, 1, 1, 18, 11,
	'/var/disk' || char(10) || '.img' FROM at WHERE id = 1010;
