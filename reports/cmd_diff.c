// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace diff: which hop has changed between two builds, hosts or settings */
#include <errno.h>
#include <string.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "diff.h"

#define MAX_RECORDINGS	1000

struct diff_args {
	char *format;
	char *by;
	char *confidence;
	char **baseline;
	char **fail_over;
	int format_index;
	unsigned int by_bits;
	uint64_t confidence_percent;
	GArray *limits;		/* struct ivm_diff_limit */
};

static struct diff_args args;

static const GOptionEntry entries[] = {
	{ "baseline", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &args.baseline,
	  "A further run of side A; may be given more than once", "FILE" },
	{ "by", 'b', 0, G_OPTION_ARG_FILENAME, &args.by,
	  "Compare by mode (default), link, direction, vector, ...", "WHAT" },
	{ "fail-over", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &args.fail_over,
	  "Exit with 2 if a hop surely got slower by more: total:p99=5%",
	  "HOP[:STAT]=LIMIT" },
	{ "confidence", 0, 0, G_OPTION_ARG_FILENAME, &args.confidence,
	  "That all intervals hold, 50 to 99 (default 95)", "PERCENT" },
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &args.format,
	  "text (default) or json, schema ivmtrace-diff/1", "FORMAT" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "A B [B2…]",
	.summary = "Tell which hops have changed from recording A to B, and by how much at least\n"
		   "and at most. Further recordings are runs of B, those of --baseline runs of A.",
	.entries = entries,
	.max_operands = MAX_RECORDINGS,
};

static int parse_limits(void)
{
	struct ivm_diff_limit limit;
	char **text;

	for (text = args.fail_over; text && *text; text++) {
		if (ivm_diff_limit_parse(*text, &limit))
			return ivm_fail("--fail-over: '%s' is no limit, write it as total:p99=5%%,"
					" hop=5%% or dispatch..route=200ns", *text);
		g_array_append_val(args.limits, limit);
	}
	return 0;
}

static int parse_values(const struct ivm_operands *operands)
{
	static const char *const formats[] = { "text", "json", NULL };
	int err;

	args.by_bits = IVM_BY_MODE;
	args.confidence_percent = 95;
	if (operands->count < 2)
		return ivm_fail("diff: two recordings are needed; see 'ivmtrace diff --help'");
	err = ivm_parse_choice("--format", args.format, formats, &args.format_index);
	if (!err)
		err = ivm_parse_u64("--confidence", args.confidence, 50, 99,
				    &args.confidence_percent);
	if (!err)
		err = ivm_by_option(args.by, &args.by_bits);
	return err ? err : parse_limits();
}

/* ---- recordings ---- */

static void close_report(gpointer p)
{
	ivm_report_close(p);
}

static int open_all(char **paths, GPtrArray *reports)
{
	struct ivm_report *r;
	int err;

	for (; paths && *paths; paths++) {
		err = ivm_report_open(*paths, false, &r);
		if (err)
			return err;
		g_ptr_array_add(reports, r);
	}
	return 0;
}

/* NULL-terminated, of pointers into the command line */
static char **names_of_a(char **operands)
{
	GPtrArray *names = g_ptr_array_new();
	char **more;

	g_ptr_array_add(names, operands[0]);
	for (more = args.baseline; more && *more; more++)
		g_ptr_array_add(names, *more);
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_free(names, FALSE);
}

/* ---- limits ---- */

/* A limit that cannot be judged is an error: a check that never ran must not pass */
static int check_limits(const struct ivm_diff *d)
{
	unsigned int i, breaches = 0;

	for (i = 0; i < args.limits->len; i++)
		if (!ivm_diff_limit_check(d, &g_array_index(args.limits, struct ivm_diff_limit, i),
					  &breaches))
			return ivm_fail("--fail-over: '%s' cannot be judged: no such hop on both"
					" sides, or recordings too short", args.fail_over[i]);
	return breaches ? IVM_EXIT_CHECK : 0;
}

static int compare(GPtrArray *const reports[IVM_SIDES], char **const names[IVM_SIDES])
{
	struct ivm_diff *d;
	int ret;

	ret = ivm_diff_compute(reports, args.by_bits, (double)args.confidence_percent / 100, &d);
	if (ret)
		return ivm_fail("cannot compare: one of the recordings is damaged");
	if (args.format_index)
		ivm_diff_print_json(d, names, stdout);
	else
		ivm_diff_print_text(d, names, stdout);
	ret = check_limits(d);
	ivm_diff_free(d);
	return ret;
}

static int diff(char **operands)
{
	GPtrArray *const reports[IVM_SIDES] = {
		g_ptr_array_new_with_free_func(close_report),
		g_ptr_array_new_with_free_func(close_report),
	};
	g_autofree char **a = names_of_a(operands);
	char **const names[IVM_SIDES] = { a, operands + 1 };
	int ret;

	ret = open_all(names[IVM_SIDE_A], reports[IVM_SIDE_A]);
	if (!ret)
		ret = open_all(names[IVM_SIDE_B], reports[IVM_SIDE_B]);
	if (!ret)
		ret = compare(reports, names);
	g_ptr_array_free(reports[IVM_SIDE_A], TRUE);
	g_ptr_array_free(reports[IVM_SIDE_B], TRUE);
	return ret;
}

static void clear_limit(gpointer p)
{
	g_free(((struct ivm_diff_limit *)p)->hop);
}

static void clear_args(void)
{
	g_array_free(args.limits, TRUE);
	g_free(args.format);
	g_free(args.by);
	g_free(args.confidence);
	g_strfreev(args.baseline);
	g_strfreev(args.fail_over);
}

static int run_diff(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret;

	args.limits = g_array_new(FALSE, FALSE, sizeof(struct ivm_diff_limit));
	g_array_set_clear_func(args.limits, clear_limit);
	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = parse_values(&operands);
	if (!ret)
		ret = diff(operands.args);
	ivm_operands_clear(&operands);
	clear_args();
	return ret;
}

const struct ivm_cmd ivm_cmd_diff = {
	.name = "diff",
	.summary = "tell which hops have changed between recordings",
	.run = run_diff,
};
