// SPDX-License-Identifier: GPL-2.0-or-later
/* Command lines: what is accepted, what is refused, what is left */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracer/options.h"

static void test_u64(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(ivm_parse_u64("--n", NULL, 1, 9, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(ivm_parse_u64("--n", "1", 1, 9, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(ivm_parse_u64("--n", "18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
}

static void test_u64_refused(void **state)
{
	static const char *const bad[] = {
		"", " 1", "-1", "+1", "1x", "0x1", "1.5", "0", "10", "18446744073709551616"
	};
	uint64_t v = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ivm_parse_u64("--n", bad[i], 1, 9, &v), -EINVAL);
		assert_int_equal(v, 7);
	}
}

static void test_size(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(ivm_parse_size("-m", "4096", 1, UINT64_MAX, &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(ivm_parse_size("-m", "64k", 1, UINT64_MAX, &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(ivm_parse_size("-m", "3G", 1, UINT64_MAX, &v), 0);
	assert_true(v == 3ull << 30);
	assert_int_equal(ivm_parse_size("-m", "3T", 1, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(ivm_parse_size("-m", "M", 1, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(ivm_parse_size("-m", "18446744073709551615K", 1, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(ivm_parse_size("-m", "8K", 1, 8191, &v), -EINVAL);
	assert_true(v == 3ull << 30);
}

static void test_duration(void **state)
{
	uint64_t ns = 0;

	(void)state;
	assert_int_equal(ivm_parse_duration("-d", "10", 1, UINT64_MAX, &ns), 0);
	assert_true(ns == 10000000000);
	assert_int_equal(ivm_parse_duration("-d", "500ms", 1, UINT64_MAX, &ns), 0);
	assert_int_equal(ns, 500000000);
	assert_int_equal(ivm_parse_duration("-d", "2m", 1, UINT64_MAX, &ns), 0);
	assert_true(ns == 120000000000);
	assert_int_equal(ivm_parse_duration("-d", "0", 1, UINT64_MAX, &ns), -EINVAL);
	assert_int_equal(ivm_parse_duration("-d", "-5", 1, UINT64_MAX, &ns), -EINVAL);
	assert_int_equal(ivm_parse_duration("-d", "5 s", 1, UINT64_MAX, &ns), -EINVAL);
}

static void test_choice(void **state)
{
	static const char *const names[] = { "text", "json", NULL };
	int i = 5;

	(void)state;
	assert_int_equal(ivm_parse_choice("--format", NULL, names, &i), 0);
	assert_int_equal(i, 5);
	assert_int_equal(ivm_parse_choice("--format", "json", names, &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(ivm_parse_choice("--format", "xml", names, &i), -EINVAL);
	assert_int_equal(ivm_parse_choice("--format", "", names, &i), -EINVAL);
	assert_int_equal(i, 1);
}

static gboolean flag;
static char *name;

static const GOptionEntry entries[] = {
	{ "flag", 'f', 0, G_OPTION_ARG_NONE, &flag, "A flag", NULL },
	{ "name", 'n', 0, G_OPTION_ARG_FILENAME, &name, "A name", "NAME" },
	{ 0 }
};

static int parse(const struct ivm_options *options, char **argv, struct ivm_operands *operands)
{
	int argc = (int)g_strv_length(argv);

	flag = FALSE;
	g_clear_pointer(&name, g_free);
	*operands = (struct ivm_operands){ 0 };
	return ivm_options_parse(options, argc, argv, operands);
}

static void test_operands(void **state)
{
	const struct ivm_options options = { .entries = entries, .max_operands = 1 };
	char *argv[] = { "x", "-n", "\xc3\xa4", "file", "-f", NULL };
	char *dashed[] = { "x", "--", "-f", NULL };
	char *two[] = { "x", "one", "two", NULL };
	char *unknown[] = { "x", "--nonsense", NULL };
	struct ivm_operands operands;

	(void)state;
	assert_int_equal(parse(&options, argv, &operands), 0);
	assert_true(flag);
	assert_string_equal(name, "\xc3\xa4");
	assert_int_equal(operands.count, 1);
	assert_string_equal(operands.args[0], "file");
	ivm_operands_clear(&operands);

	assert_int_equal(parse(&options, dashed, &operands), 0);
	assert_false(flag);
	assert_string_equal(operands.args[0], "-f");
	assert_null(operands.command);
	ivm_operands_clear(&operands);

	assert_int_equal(parse(&options, two, &operands), -EINVAL);
	ivm_operands_clear(&operands);
	assert_int_equal(parse(&options, unknown, &operands), -EINVAL);
	ivm_operands_clear(&operands);
}

static void test_command(void **state)
{
	const struct ivm_options options = { .entries = entries, .takes_command = true };
	char *argv[] = { "x", "-f", "--", "ls", "--", "-n", NULL };
	char *empty[] = { "x", "--", NULL };
	char *stray[] = { "x", "ls", NULL };
	struct ivm_operands operands;

	(void)state;
	assert_int_equal(parse(&options, argv, &operands), 0);
	assert_true(flag);
	assert_null(name);
	assert_int_equal(operands.count, 0);
	assert_ptr_equal(operands.command, argv + 3);
	assert_string_equal(operands.command[1], "--");
	ivm_operands_clear(&operands);

	assert_int_equal(parse(&options, empty, &operands), -EINVAL);
	ivm_operands_clear(&operands);
	assert_int_equal(parse(&options, stray, &operands), -EINVAL);
	ivm_operands_clear(&operands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),	cmocka_unit_test(test_u64_refused),
		cmocka_unit_test(test_size),	cmocka_unit_test(test_duration),
		cmocka_unit_test(test_choice),	cmocka_unit_test(test_operands),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
