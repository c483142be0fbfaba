// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest stamps, from a lane in shared memory to points of journeys.
 *
 * The guest is this process: its memfd is the shared memory, its TSC the host's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "../../tracer/clock.h"
#include "../../tracer/stamps_local.h"

#define SHMEM_BYTES	0x10000u
#define LANE_BYTES	(SHMEM_BYTES / 2)
#define RING_OFF	0x1000u
#define RING_STAMPS	256u
#define CAPACITY	(RING_STAMPS - RING_STAMPS / 4)
#define VECTOR		7
#define IDT		48

/* Times of the test, far from those of this machine: 1 tick is 1 ns there */
#define START_NS	1000000000ull
#define STOP_NS		2000000000ull

struct fixture {
	struct ivm_topology *topology;
	struct ivm_vm *vm;
	struct ivm_end *end;
	struct ivm_stamps *stamps;
	struct ivm_recording *recording;
	struct lane *lane;
	struct ivm_lane *header;	/* the guest's view */
	struct ivm_stamp *ring;
	char *shmem;
	char *path;
	uint64_t next_id;
	uint32_t handled;
	int fd;
};

/* The real one needs BPF; clocks come from the tests */
int ivm_vcpus_read(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn,
		   void *arg)
{
	(void)v, (void)tgids, (void)count, (void)fn, (void)arg;
	return 0;
}

/* ---- the guest ---- */

static void make_lane(struct fixture *f)
{
	*f->header = (struct ivm_lane) {
		.magic = IVM_LANE_MAGIC,
		.version = IVM_LANE_VERSION,
		.bytes = LANE_BYTES,
		.flags = IVM_LANE_STAMPS_ON,
		.stamp_off = RING_OFF,
		.stamps = RING_STAMPS,
	};
	f->handled = 0;
}

static void write_stamp(struct fixture *f, uint16_t kind, uint32_t cookie, uint64_t tsc)
{
	f->ring[f->header->stamp_head % RING_STAMPS] = (struct ivm_stamp) {
		.cookie = cookie, .vector = VECTOR, .kind = kind, .tsc = tsc,
	};
	f->header->stamp_head++;
}

static void ring(struct fixture *f, uint32_t cookie, uint64_t tsc)
{
	write_stamp(f, IVM_STAMP_RING, cookie, tsc);
}

static void handle(struct fixture *f, uint64_t tsc)
{
	write_stamp(f, IVM_STAMP_HANDLER, ++f->handled, tsc);
}

/* ---- the host ---- */

/* One journey to and from the only end; @inject_ns 0 if it was coalesced */
static uint64_t journey(struct fixture *f, uint32_t cookie, uint64_t dispatch_ns,
			uint64_t inject_ns)
{
	struct ivm_journey j = {
		.id = ++f->next_id, .cookie = cookie, .from_end = f->end->id, .to_end = f->end->id,
		.vector = VECTOR, .irq_vector = IDT, .mode = IVM_M_DIRECT,
		.configured = IVM_M_DIRECT,
		.outcome = inject_ns ? IVM_O_DELIVERED : IVM_O_COALESCED,
	};

	j.t_ns[IVM_P_DISPATCH] = dispatch_ns;
	j.t_ns[IVM_P_ACCEPT] = dispatch_ns + 100;
	j.t_ns[IVM_P_INJECT] = inject_ns;
	assert_int_equal(ivm_recording_add_journey(f->recording, &j), 0);
	return j.id;
}

static uint64_t point(struct fixture *f, uint64_t id, const char *name)
{
	g_autofree char *sql = g_strdup_printf("SELECT \"%s\" FROM journeys WHERE id = %d", name,
					       (int)id);
	sqlite3_stmt *stmt;
	uint64_t t_ns;

	assert_int_equal(sqlite3_prepare_v2(ivm_recording_db(f->recording), sql, -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	t_ns = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return t_ns;
}

static uint64_t count_stamps(struct fixture *f)
{
	sqlite3_stmt *stmt;
	uint64_t count;

	sqlite3_prepare_v2(ivm_recording_db(f->recording), "SELECT count(*) FROM stamps", -1, &stmt,
			   NULL);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	count = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return count;
}

/* Whatever this machine's clock is: 1 tick = 1 ns, known to +-4 ns */
static void make_clock(struct fixture *f)
{
	const struct ivm_tsc_view view = { .offset = 0 };
	uint64_t t_ns;

	ivm_guest_clock_free(f->stamps->clock);
	f->stamps->clock = ivm_guest_clock_new();
	for (t_ns = START_NS / 2; t_ns <= 2 * STOP_NS; t_ns += START_NS / 10)
		ivm_guest_clock_add_pair(f->stamps->clock, t_ns, t_ns, t_ns + 1);
	ivm_guest_clock_saw(f->stamps->clock, f->vm->id, 0, START_NS, &view);
}

#define ERR_NS	4	/* a tick and two roundings */

/* As if the last look had been long ago */
static void poll(struct fixture *f)
{
	ivm_stamps_follow(f->stamps);
	if (f->lane)
		f->lane->quiet_ns = 0;
	assert_int_equal(ivm_stamps_poll(f->stamps), 0);
}

static void join(struct fixture *f)
{
	f->stamps->stopped_ns = STOP_NS;
	make_clock(f);
	assert_int_equal(ivm_stamps_join(f->stamps), 0);
}

static void expect(struct fixture *f, uint64_t rings, uint64_t isrs, uint64_t unmatched,
		   uint64_t dropped, uint64_t disordered)
{
	const struct ivm_stamps_stats *stats = ivm_stamps_stats(f->stamps);

	assert_int_equal(stats->ring, rings);
	assert_int_equal(stats->isr, isrs);
	assert_int_equal(stats->unmatched, unmatched);
	assert_int_equal(stats->dropped, dropped);
	assert_int_equal(stats->disordered, disordered);
}

static int setup(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);
	struct ivm_linkpage page = {
		.version = IVM_LINKPAGE_VERSION, .up = 1, .vectors = 16, .shmem_bytes = SHMEM_BYTES,
		.bar0_address = IVM_LINKPAGE_NO_ADDR, .socket_fd = -1, .side = IVM_SIDE_CLIENT,
		.generation = 1,
	};
	int dir_fd;

	*state = f;
	f->path = g_strdup("/tmp/ivm-stamps-XXXXXX");
	dir_fd = g_mkstemp(f->path);
	close(dir_fd);
	f->fd = memfd_create(IVM_SHMEM_NAME, MFD_CLOEXEC);
	assert_return_code(ftruncate(f->fd, SHMEM_BYTES), errno);
	f->shmem = mmap(NULL, SHMEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	f->header = (void *)(f->shmem + LANE_BYTES);
	f->ring = (void *)(f->shmem + LANE_BYTES + RING_OFF);
	make_lane(f);
	page.shmem_fd = f->fd;
	f->topology = ivm_topology_new();
	f->vm = ivm_topology_add_vm(f->topology, getpid(), 1, "a");
	ivm_topology_set_vcpu(f->topology, f->vm, 0, getpid());
	f->end = ivm_topology_add_end(f->topology, f->vm, 1, &page, START_NS);
	f->stamps = ivm_stamps_new(f->topology, NULL);
	assert_int_equal(ivm_recording_create(f->path, &f->recording), 0);
	assert_int_equal(ivm_stamps_start(f->stamps, f->recording), 0);
	f->stamps->why_not = NULL;	/* this machine's clock source is of no importance */
	poll(f);
	f->lane = ivm_stamps_lane(f->stamps, f->end->id);
	assert_non_null(f->lane);
	f->lane->from_ns = START_NS;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ivm_stamps_free(f->stamps);
	ivm_recording_close(f->recording);
	ivm_topology_free(f->topology);
	munmap(f->shmem, SHMEM_BYTES);
	close(f->fd);
	g_unlink(f->path);
	g_free(f->path);
	g_free(f);
	return 0;
}

/* ---- reading lanes ---- */

static void test_read_once_and_in_order(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		ring(f, i, START_NS + i);
		if (i % 100 == 99)
			poll(f);
	}
	poll(f);
	assert_int_equal(count_stamps(f), 1000);
	assert_int_equal(ivm_stamps_stats(f->stamps)->overrun, 0);
}

static void test_what_was_there_before_is_left_out(void **state)
{
	struct fixture *f = *state;

	ivm_stamps_free(f->stamps);
	ring(f, 1, START_NS);
	ring(f, 2, START_NS);
	f->lane = NULL;
	f->stamps = ivm_stamps_new(f->topology, NULL);
	assert_int_equal(ivm_stamps_start(f->stamps, f->recording), 0);
	f->stamps->why_not = NULL;
	poll(f);
	assert_int_equal(count_stamps(f), 0);
	f->lane = ivm_stamps_lane(f->stamps, f->end->id);
	ring(f, 3, START_NS);
	poll(f);
	assert_int_equal(count_stamps(f), 1);
}

static void test_overrun_is_counted(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < 3 * RING_STAMPS; i++)
		ring(f, i, START_NS + i);
	poll(f);
	assert_int_equal(count_stamps(f), CAPACITY);
	assert_int_equal(ivm_stamps_stats(f->stamps)->overrun, 3 * RING_STAMPS - CAPACITY);
	poll(f);
	assert_int_equal(count_stamps(f), CAPACITY);
}

/* A guest that boots anew counts its stamps from 0 */
static void test_restart(void **state)
{
	struct fixture *f = *state;

	ring(f, 1, START_NS);
	ring(f, 2, START_NS);
	poll(f);
	f->header->magic = 0;
	poll(f);
	make_lane(f);
	ring(f, 1, START_NS);
	poll(f);
	assert_int_equal(count_stamps(f), 3);
	make_lane(f);
	poll(f);
	ring(f, 1, START_NS);
	poll(f);
	assert_int_equal(count_stamps(f), 4);
}

static void test_hostile_headers(void **state)
{
	struct fixture *f = *state;
	const struct ivm_lane good = *f->header;
	struct ivm_lane bad[] = { good, good, good, good, good, good, good, good, good };
	struct ivm_lane_ring r;
	guint i;

	bad[0].stamps = 0;
	bad[1].stamps = 3;
	bad[2].stamps = 0x80000000u;
	bad[3].stamp_off = LANE_BYTES - 8;
	bad[4].stamp_off = 0xfffffff8u;
	bad[5].stamp_off = 0;
	bad[6].bytes = 2 * LANE_BYTES;
	bad[7].version = 99;
	bad[8].stamp_off = RING_OFF + 4;
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_int_equal(ivm_lane_check_ring(&bad[i], LANE_BYTES, &r), -EBADMSG);
		*f->header = bad[i];
		f->header->stamp_head = 5;
		poll(f);
	}
	assert_int_equal(count_stamps(f), 0);
	/* A ring that ends with the lane is a good one */
	bad[3].stamp_off = LANE_BYTES - RING_STAMPS * sizeof(struct ivm_stamp);
	assert_int_equal(ivm_lane_check_ring(&bad[3], LANE_BYTES, &r), 0);
	bad[3].stamp_off += 8;
	assert_int_equal(ivm_lane_check_ring(&bad[3], LANE_BYTES, &r), -EBADMSG);
}

static void test_hostile_heads(void **state)
{
	struct fixture *f = *state;

	f->header->stamp_head = UINT64_MAX;
	poll(f);
	assert_true(count_stamps(f) <= CAPACITY);
	f->header->stamp_head = 3;
	poll(f);
	f->header->stamp_head = UINT64_MAX / 2;
	poll(f);
	assert_true(count_stamps(f) <= 2 * CAPACITY + 3);
	/* Zeroes are no stamps; that is counted, too */
	assert_int_equal(count_stamps(f), 0);
	assert_true(ivm_stamps_stats(f->stamps)->dropped > 0);
}

static void test_hostile_stamps(void **state)
{
	struct fixture *f = *state;

	write_stamp(f, 0, 1, START_NS);
	write_stamp(f, 3, 1, START_NS);
	ring(f, 1, START_NS);
	f->ring[2].vector = IVM_LINKPAGE_VECTORS;
	poll(f);
	assert_int_equal(count_stamps(f), 0);
	assert_int_equal(ivm_stamps_stats(f->stamps)->dropped, 3);
	/* Times from nowhere are no times */
	ring(f, 1, UINT64_MAX);
	handle(f, 0);
	poll(f);
	journey(f, 1, START_NS + 1000, START_NS + 2000);
	join(f);
	/* The handler's may be from before the recording, but its journey lacks one */
	expect(f, 0, 0, 1, 4, 0);
}

static void test_foreign_descriptors(void **state)
{
	struct fixture *f = *state;

	ivm_stamps_free(f->stamps);
	f->lane = NULL;
	f->stamps = ivm_stamps_new(f->topology, NULL);
	f->end->page.shmem_fd = 0;
	assert_int_equal(ivm_stamps_start(f->stamps, f->recording), 0);
	f->stamps->why_not = NULL;
	poll(f);
	assert_null(ivm_stamps_lane(f->stamps, f->end->id));
	f->end->page.shmem_fd = f->fd;
	f->end->page.shmem_bytes = 2 * SHMEM_BYTES;
	poll(f);
	assert_null(ivm_stamps_lane(f->stamps, f->end->id));
}

/* ---- joining ---- */

static void test_every_journey_gets_its_own(void **state)
{
	struct fixture *f = *state;
	uint64_t id[50], t = START_NS;
	uint32_t i;

	for (i = 0; i < 50; i++, t += 10000) {
		ring(f, i + 1, t);
		handle(f, t + 3000);
		id[i] = journey(f, i + 1, t + 1000, t + 2000);
	}
	poll(f);
	join(f);
	expect(f, 50, 50, 0, 0, 0);
	for (i = 0; i < 50; i++) {
		assert_int_equal(point(f, id[i], "ring"), START_NS + i * 10000);
		assert_int_equal(point(f, id[i], "isr"), START_NS + i * 10000 + 3000);
	}
	assert_in_range(f->lane->ring_err_ns, 1, ERR_NS);
	assert_in_range(f->lane->isr_err_ns, 1, ERR_NS);
}

/* Journeys come as they end, not as they were rung */
static void test_order_of_rows_is_no_order(void **state)
{
	struct fixture *f = *state;
	uint64_t first, second;

	second = journey(f, 2, START_NS + 11000, START_NS + 12000);
	first = journey(f, 1, START_NS + 1000, START_NS + 2000);
	ring(f, 1, START_NS + 500);
	handle(f, START_NS + 3000);
	ring(f, 2, START_NS + 10500);
	handle(f, START_NS + 13000);
	poll(f);
	join(f);
	expect(f, 2, 2, 0, 0, 0);
	assert_int_equal(point(f, first, "ring"), START_NS + 500);
	assert_int_equal(point(f, second, "isr"), START_NS + 13000);
}

static void test_coalesced_have_no_isr(void **state)
{
	struct fixture *f = *state;
	uint64_t coalesced;

	ring(f, 1, START_NS);
	ring(f, 2, START_NS + 2000);
	handle(f, START_NS + 9000);
	journey(f, 1, START_NS + 1000, START_NS + 8000);
	coalesced = journey(f, 2, START_NS + 3000, 0);
	poll(f);
	join(f);
	expect(f, 2, 1, 0, 0, 0);
	assert_int_equal(point(f, coalesced, "ring"), START_NS + 2000);
	assert_int_equal(point(f, coalesced, "isr"), 0);
}

/* The same value each time: order decides, if nothing is missing */
static void test_cookies_that_repeat(void **state)
{
	struct fixture *f = *state;
	uint64_t id[3];
	int i;

	for (i = 0; i < 3; i++) {
		ring(f, 1, START_NS + i * 10000);
		id[i] = journey(f, 1, START_NS + i * 10000 + 1000, 0);
	}
	poll(f);
	join(f);
	expect(f, 3, 0, 0, 0, 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(point(f, id[i], "ring"), START_NS + i * 10000);
}

static void test_cookies_that_repeat_and_one_missing(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < 3; i++)
		journey(f, 1, START_NS + i * 10000 + 1000, 0);
	ring(f, 1, START_NS);
	ring(f, 1, START_NS + 20000);
	poll(f);
	join(f);
	/* 3 journeys, and of 2 stamps one less for the vCPU that may have been ringing */
	expect(f, 0, 0, 4, 0, 0);
}

static void test_a_lost_ring_stamp(void **state)
{
	struct fixture *f = *state;
	uint64_t first = journey(f, 1, START_NS + 1000, 0);
	uint64_t third = journey(f, 3, START_NS + 21000, 0);

	journey(f, 2, START_NS + 11000, 0);
	ring(f, 1, START_NS);
	ring(f, 3, START_NS + 20000);
	poll(f);
	join(f);
	expect(f, 2, 0, 1, 0, 0);
	assert_int_equal(point(f, first, "ring"), START_NS);
	assert_int_equal(point(f, third, "ring"), START_NS + 20000);
}

/* A journey nobody saw: one in the middle counts, the one while stopping does not */
static void test_a_lost_journey(void **state)
{
	struct fixture *f = *state;

	ring(f, 1, START_NS);
	ring(f, 2, START_NS + 10000);
	ring(f, 3, START_NS + 20000);
	ring(f, 4, STOP_NS - 100);
	ring(f, 5, STOP_NS + 10000);
	journey(f, 1, START_NS + 1000, 0);
	journey(f, 3, START_NS + 21000, 0);
	poll(f);
	join(f);
	expect(f, 2, 0, 1, 0, 0);
}

/* The middle one of three handler stamps was written over */
static void test_a_lost_handler_stamp(void **state)
{
	struct fixture *f = *state;
	uint64_t id[3];
	int i;

	for (i = 0; i < 3; i++)
		id[i] = journey(f, (uint32_t)i, START_NS + i * 10000 + 1000,
				START_NS + i * 10000 + 2000);
	handle(f, START_NS + 3000);
	f->handled++;
	handle(f, START_NS + 23000);
	poll(f);
	join(f);
	expect(f, 0, 2, 4, 0, 0);	/* none has a ring stamp either */
	assert_int_equal(point(f, id[0], "isr"), START_NS + 3000);
	assert_int_equal(point(f, id[1], "isr"), 0);
	assert_int_equal(point(f, id[2], "isr"), START_NS + 23000);
}

/* Began in the middle: one handler run and one end point belong to a ring from before */
static void test_late_start(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	f->handled = 40;
	handle(f, START_NS / 4);	/* before the first sample */
	handle(f, START_NS + 500);
	ring(f, 7, START_NS / 4);
	ring(f, 8, START_NS + 1000);
	handle(f, START_NS + 4000);
	id = journey(f, 8, START_NS + 2000, START_NS + 3000);
	poll(f);
	join(f);
	expect(f, 1, 1, 0, 0, 0);
	assert_int_equal(point(f, id, "isr"), START_NS + 4000);
}

/* The count says that a run is missing, the end points say that none is */
static void test_count_against_order(void **state)
{
	struct fixture *f = *state;
	uint64_t last;

	journey(f, 1, START_NS + 1000, START_NS + 2000);
	last = journey(f, 2, START_NS + 11000, START_NS + 12000);
	ring(f, 1, START_NS);
	ring(f, 2, START_NS + 10000);
	handle(f, START_NS + 3000);
	f->handled++;
	handle(f, START_NS + 13000);
	poll(f);
	join(f);
	expect(f, 2, 1, 0, 1, 0);
	assert_int_equal(point(f, last, "isr"), 0);
}

static void test_a_handler_without_journey(void **state)
{
	struct fixture *f = *state;

	ring(f, 1, START_NS);
	ring(f, 2, START_NS + 20000);
	handle(f, START_NS + 3000);
	handle(f, START_NS + 13000);
	handle(f, START_NS + 23000);
	journey(f, 1, START_NS + 1000, START_NS + 2000);
	journey(f, 2, START_NS + 21000, START_NS + 22000);
	poll(f);
	join(f);
	expect(f, 2, 2, 1, 0, 0);
}

static void test_contradictions(void **state)
{
	struct fixture *f = *state;
	uint64_t beyond, within;

	/* Rung after it was dispatched: impossible, or just not to be told apart */
	beyond = journey(f, 1, START_NS + 1000, 0);
	ring(f, 1, START_NS + 1000 + ERR_NS + 1);
	within = journey(f, 2, START_NS + 2000, 0);
	ring(f, 2, START_NS + 2000 + 1);
	poll(f);
	join(f);
	expect(f, 0, 0, 0, 1, 1);
	assert_int_equal(point(f, beyond, "ring"), 0);
	assert_int_equal(point(f, within, "ring"), 0);
}

/* A guest without stamps lacks nothing */
static void test_stamps_off(void **state)
{
	struct fixture *f = *state;

	ivm_stamps_free(f->stamps);
	f->header->flags = 0;
	f->lane = NULL;
	f->stamps = ivm_stamps_new(f->topology, NULL);
	assert_int_equal(ivm_stamps_start(f->stamps, f->recording), 0);
	f->stamps->why_not = NULL;
	poll(f);
	journey(f, 1, START_NS + 1000, START_NS + 2000);
	f->lane = ivm_stamps_lane(f->stamps, f->end->id);
	assert_non_null(f->lane);
	join(f);
	expect(f, 0, 0, 0, 0, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_once_and_in_order),
		TEST(test_what_was_there_before_is_left_out),
		TEST(test_overrun_is_counted),
		TEST(test_restart),
		TEST(test_hostile_headers),
		TEST(test_hostile_heads),
		TEST(test_hostile_stamps),
		TEST(test_foreign_descriptors),
		TEST(test_every_journey_gets_its_own),
		TEST(test_order_of_rows_is_no_order),
		TEST(test_coalesced_have_no_isr),
		TEST(test_cookies_that_repeat),
		TEST(test_cookies_that_repeat_and_one_missing),
		TEST(test_a_lost_ring_stamp),
		TEST(test_a_lost_journey),
		TEST(test_a_lost_handler_stamp),
		TEST(test_late_start),
		TEST(test_count_against_order),
		TEST(test_a_handler_without_journey),
		TEST(test_contradictions),
		TEST(test_stamps_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
