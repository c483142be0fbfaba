// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay form: what is written is read again to the bit, and whatever else
 * is read does no harm.  tests/cli/replay.t has the refusals one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/assemble.h"
#include "../../tracer/replay.h"

#define EVENTS	2000
#define MUTANTS	3000

static int keep(void *arg, const struct ivm_event *e)
{
	g_array_append_vals((GArray *)arg, e, 1);
	return 0;
}

/* Fields as wide as their types, corners more often than chance has them */
static uint64_t any(GRand *r)
{
	switch (g_rand_int_range(r, 0, 4)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return g_rand_int_range(r, 0, 100);
	}
	return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
}

static struct ivm_event random_event(GRand *r)
{
	struct ivm_event e;

	memset(&e, 0, sizeof(e));
	e.t_ns = 1 + g_rand_int(r);
	e.a = any(r);
	e.b = any(r);
	e.c = any(r);
	e.tgid = g_rand_int_range(r, 0, 1 << 22);
	e.tid = g_rand_int_range(r, 0, 1 << 22);
	e.cpu = g_rand_int_range(r, 0, 1 << 16);
	e.type = g_rand_int_range(r, 1, IVM_EV_TYPES);
	e.flags = g_rand_boolean(r) ? IVM_EV_F_HARDIRQ : 0;
	return e;
}

static int read_text(char *text, size_t bytes, const struct ivm_replay_ops *ops, void *arg,
		     struct ivm_topology *topology)
{
	struct ivm_replay_error error;
	FILE *in = fmemopen(text, bytes, "r");
	int err;

	assert_non_null(in);
	err = ivm_replay_read(in, topology, ops, arg, &error);
	fclose(in);
	assert_int_equal(error.line != 0, err == -EINVAL);
	assert_int_equal(error.why[0] != 0, err == -EINVAL);
	return err;
}

static void every_event_comes_back(void **state)
{
	static const struct ivm_replay_ops ops = { .event = keep };
	GArray *sent = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	GArray *got = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	struct ivm_topology *topology = ivm_topology_new();
	GRand *r = g_rand_new_with_seed(1);
	struct ivm_replay_writer *w;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	int i;

	(void)state;
	w = ivm_replay_writer_new(out);
	for (i = 0; i < EVENTS; i++) {
		struct ivm_event e = random_event(r);

		g_array_append_val(sent, e);
		assert_int_equal(ivm_replay_write_event(w, &e), 0);
	}
	ivm_replay_writer_free(w);
	fclose(out);
	assert_int_equal(read_text(text, bytes, &ops, got, topology), 0);
	assert_int_equal(got->len, EVENTS);
	assert_memory_equal(got->data, sent->data, EVENTS * sizeof(struct ivm_event));
	free(text);
	g_rand_free(r);
	ivm_topology_free(topology);
	g_array_unref(sent);
	g_array_unref(got);
}

static void strangers_are_not_written(void **state)
{
	struct ivm_event type = { .t_ns = 1, .type = IVM_EV_TYPES };
	struct ivm_event none = { .t_ns = 1 };
	struct ivm_event flag = { .t_ns = 1, .type = IVM_EV_ENTRY, .flags = 0x80 };
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct ivm_replay_writer *w = ivm_replay_writer_new(out);

	(void)state;
	assert_int_equal(ivm_replay_write_event(w, &type), -EINVAL);
	assert_int_equal(ivm_replay_write_event(w, &none), -EINVAL);
	assert_int_equal(ivm_replay_write_event(w, &flag), -EINVAL);
	ivm_replay_writer_free(w);
	fclose(out);
	free(text);
}

/* ---- whatever a file holds ---- */

static int assemble(void *arg, const struct ivm_event *e)
{
	ivm_assemble_event(arg, e);
	return 0;
}

static int settle(void *arg)
{
	return ivm_assemble_run(arg, UINT64_MAX);
}

static int forget(void *arg, const struct ivm_journey *j)
{
	(void)arg;
	(void)j;
	return 0;
}

/* Bytes changed, doubled or gone, a few at a time */
static void mutate(GRand *r, GString *text)
{
	static const char alphabet[] = "0123456789abcdefx+/=- \n#%\t\xff";
	int i, count = 1 + g_rand_int_range(r, 0, 8);

	for (i = 0; i < count && text->len > 1; i++) {
		gsize at = g_rand_int_range(r, 0, text->len);
		char c = alphabet[g_rand_int_range(r, 0, sizeof(alphabet) - 1)];

		switch (g_rand_int_range(r, 0, 3)) {
		case 0:
			text->str[at] = c;
			break;
		case 1:
			g_string_insert_c(text, at, c);
			break;
		default:
			g_string_erase(text, at, 1);
		}
	}
}

static void garbage_does_no_harm(void **state)
{
	static const char *const files[] = { "qemu-pingpong", "fan-out", "ivshmem", "link-down" };
	static const struct ivm_replay_ops ops = { .event = assemble, .settle = settle };
	const char *data = getenv("IVM_TEST_DATA") ? getenv("IVM_TEST_DATA") : "tests/data";
	GRand *r = g_rand_new_with_seed(2);
	unsigned int i, refused = 0;

	(void)state;
	for (i = 0; i < MUTANTS; i++) {
		g_autofree char *path = g_strdup_printf("%s/replay/%s.events", data,
							files[i % G_N_ELEMENTS(files)]);
		g_autofree char *text = NULL;
		struct ivm_topology *topology = ivm_topology_new();
		struct ivm_assemble *a = ivm_assemble_new(topology, forget, NULL);
		GString *mutant;

		assert_true(g_file_get_contents(path, &text, NULL, NULL));
		mutant = g_string_new(text);
		mutate(r, mutant);
		refused += read_text(mutant->str, mutant->len, &ops, a, topology) == -EINVAL;
		ivm_assemble_finish(a);
		ivm_assemble_free(a);
		ivm_topology_free(topology);
		g_string_free(mutant, TRUE);
	}
	/* Comments are a part of these files, so that many a mutant is all right */
	assert_true(refused > MUTANTS / 4);
	assert_true(refused < MUTANTS);
	g_rand_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_comes_back),
		cmocka_unit_test(strangers_are_not_written),
		cmocka_unit_test(garbage_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
