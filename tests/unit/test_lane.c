// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading guests' results out of shared memory that may hold anything.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/lane.h"

#define SHMEM_BYTES	0x10000u
#define LANE_BYTES	(SHMEM_BYTES / 2)
#define RESULT_OFF	0x100u
#define RTT_OFF		0x2000u
#define SAMPLES		10u

struct fixture {
	char *shmem;
	struct ivm_lane *lane[2];
	struct ivm_result *result[2];
};

static void fill_lane(struct fixture *f, int side, uint32_t role)
{
	f->lane[side] = (void *)(f->shmem + side * LANE_BYTES);
	f->result[side] = (void *)(f->shmem + side * LANE_BYTES + RESULT_OFF);
	*f->lane[side] = (struct ivm_lane){
		.magic = IVM_LANE_MAGIC,
		.version = IVM_LANE_VERSION,
		.bytes = LANE_BYTES,
		.result_off = RESULT_OFF,
		.result_bytes = sizeof(struct ivm_result),
	};
	f->result[side]->magic = IVM_RESULT_MAGIC;
	f->result[side]->version = IVM_RESULT_VERSION;
	f->result[side]->state = IVM_RESULT_DONE;
	f->result[side]->role = role;
	f->result[side]->vectors = 1;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t i;

	f->shmem = calloc(1, SHMEM_BYTES);
	fill_lane(f, 0, IVM_ROLE_PONG);
	fill_lane(f, 1, IVM_ROLE_PING);
	f->result[1]->sent = 42;
	f->result[1]->rtt_off = RTT_OFF;
	f->result[1]->rtt_max = 1000;
	f->result[1]->rtt_count = SAMPLES;
	for (i = 0; i < SAMPLES; i++)
		((uint32_t *)(void *)(f->shmem + LANE_BYTES + RTT_OFF))[i] = 100 + i;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->shmem);
	free(f);
	return 0;
}

static int find(const struct fixture *f, uint32_t role, struct ivm_result *result,
		const uint32_t **rtt)
{
	return ivm_lane_find_result(f->shmem, SHMEM_BYTES, role, result, rtt);
}

static void finds_by_role(void **state)
{
	struct ivm_result result;
	const uint32_t *rtt;

	assert_int_equal(find(*state, IVM_ROLE_PING, &result, &rtt), 0);
	assert_int_equal(result.sent, 42);
	assert_int_equal(result.rtt_max, SAMPLES);
	assert_non_null(rtt);
	assert_int_equal(rtt[0], 100);
	assert_int_equal(rtt[SAMPLES - 1], 100 + SAMPLES - 1);

	assert_int_equal(find(*state, IVM_ROLE_PONG, &result, &rtt), 0);
	assert_null(rtt);
	assert_int_equal(find(*state, IVM_ROLE_SELFTEST, &result, &rtt), -ENOENT);
}

static void empty_memory_has_none(void **state)
{
	struct fixture *f = *state;
	struct ivm_result result;
	const uint32_t *rtt;

	memset(f->shmem, 0, SHMEM_BYTES);
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), -ENOENT);
	assert_int_equal(ivm_lane_find_result(f->shmem, 8, IVM_ROLE_PING, &result, &rtt), -EBADMSG);
}

/* Each field that is an offset or a size, one step beyond what fits */
static void refuses_what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	const struct {
		uint32_t *field;
		uint32_t value;
	} bad[] = {
		{ &f->lane[1]->version, 2 },
		{ &f->lane[1]->bytes, SHMEM_BYTES },
		{ &f->lane[1]->result_off, LANE_BYTES - sizeof(struct ivm_result) + 1 },
		{ &f->lane[1]->result_off, UINT32_MAX },
		{ &f->lane[1]->result_bytes, IVM_RESULT_BYTES_MIN - 1 },
		{ &f->result[1]->magic, 0 },
		{ &f->result[1]->version, 0 },
		{ &f->result[1]->vectors, 257 },
		{ &f->result[1]->rtt_off, LANE_BYTES - (SAMPLES - 1) * 4 },
		{ &f->result[1]->rtt_off, RTT_OFF + 1 },
		{ &f->result[1]->rtt_off, UINT32_MAX - 3 },
	};
	struct ivm_result result;
	const uint32_t *rtt;
	uint32_t good;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		good = *bad[i].field;
		*bad[i].field = bad[i].value;
		assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), -EBADMSG);
		*bad[i].field = good;
	}
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), 0);
}

static void the_last_that_fits(void **state)
{
	struct fixture *f = *state;
	struct ivm_result result;
	const uint32_t *rtt;

	f->result[1]->rtt_off = LANE_BYTES - SAMPLES * 4;
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), 0);
	assert_ptr_equal(rtt + SAMPLES, f->shmem + SHMEM_BYTES);
	f->result[1]->rtt_count = UINT64_MAX;
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), -EBADMSG);
}

/* A guest from before the last fields, whose samples may begin where they would be */
static void reads_a_shorter_result(void **state)
{
	struct fixture *f = *state;
	struct ivm_result result;
	const uint32_t *rtt;

	f->lane[1]->result_bytes = IVM_RESULT_BYTES_MIN;
	f->result[1]->steps = 7;
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), 0);
	assert_int_equal(result.sent, 42);
	assert_int_equal(result.steps, 0);
	f->lane[1]->result_bytes = sizeof(struct ivm_result) + 8;
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), 0);
	assert_int_equal(result.steps, 7);
}

static void ends_an_endless_error_text(void **state)
{
	struct fixture *f = *state;
	struct ivm_result result;
	const uint32_t *rtt;

	memset(f->result[1]->error, 'x', sizeof(f->result[1]->error));
	assert_int_equal(find(f, IVM_ROLE_PING, &result, &rtt), 0);
	assert_int_equal(strlen(result.error), sizeof(result.error) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_by_role, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_memory_has_none, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_that_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_a_shorter_result, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_an_endless_error_text, setup, teardown),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
