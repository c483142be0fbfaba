// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace report: the breakdown of a recording */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "budget.h"
#include "join.h"
#include "openmetrics.h"
#include "profile.h"
#include "report.h"

struct report_args {
	char *format;
	char *by;
	char *output;
	char *budget;
	gboolean strict;
	gboolean exact;
	int format_index;
	unsigned int by_what;
};

static struct report_args args;

struct format {
	const char *name;
	int (*print)(const struct ivm_report *r, FILE *out);
	bool grouped;			/* --by changes it */
};

static int print_text(const struct ivm_report *r, FILE *out)
{
	return ivm_report_print_text(r, args.by_what, out);
}

static int print_csv(const struct ivm_report *r, FILE *out)
{
	return ivm_report_print_csv(r, args.by_what, out);
}

static int print_openmetrics(const struct ivm_report *r, FILE *out)
{
	return ivm_openmetrics_report(r, false, out);
}

/* NULL-terminated; the first one is the default */
static const struct format formats[] = {
	{ "text", print_text, true },
	{ "json", ivm_report_print_json, false },
	{ "csv", print_csv, true },
	{ "html", ivm_report_print_html, false },
	{ "perfetto", ivm_report_print_perfetto, false },
	{ "openmetrics", print_openmetrics, false },
	{ "folded", ivm_profile_print_folded, false },
	{ 0 }
};

static const GOptionEntry entries[] = {
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &args.format,
	  "text (default), json, csv, html, perfetto, openmetrics or folded",
	  "FORMAT" },
	{ "by", 'b', 0, G_OPTION_ARG_FILENAME, &args.by,
	  "Group by direction (default), link, mode, path, ... (text, csv)", "WHAT" },
	{ "strict", 0, 0, G_OPTION_ARG_NONE, &args.strict,
	  "Exit with 2 on any loss, disorder, unfinished journey or unexpected mode", NULL },
	{ "exact", 0, 0, G_OPTION_ARG_NONE, &args.exact,
	  "Percentiles out of all journeys: takes time and memory for each", NULL },
	{ "budget", 0, 0, G_OPTION_ARG_FILENAME, &args.budget,
	  "Exit with 2 if a limit of this file is not kept, see docs/budget.md", "FILE" },
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &args.output, "Write to FILE", "FILE" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "[FILE [FILE]]",
	.summary = "Print where the time of each interrupt went, hop by hop.\n"
		   "FILE is a recording, " IVM_DEFAULT_RECORDING " by default.  Two recordings"
		   " of two hosts\nare joined: what they have of a link between these hosts.",
	.entries = entries,
	.max_operands = 2,
};

static int parse_values(void)
{
	const char *format_names[G_N_ELEMENTS(formats)];
	unsigned int i;
	int err;

	for (i = 0; i < G_N_ELEMENTS(formats); i++)
		format_names[i] = formats[i].name;
	args.format_index = 0;
	args.by_what = IVM_BY_DIRECTION;
	err = ivm_parse_choice("--format", args.format, format_names, &args.format_index);
	if (!err)
		err = ivm_by_option(args.by, &args.by_what);
	if (!err && args.by && !formats[args.format_index].grouped)
		err = ivm_fail("--by: only text and csv have groups of any kind");
	return err;
}

static int print(const struct ivm_report *r, FILE *out)
{
	return formats[args.format_index].print(r, out);
}

static int print_and_close(const struct ivm_report *r, const char *path, FILE *out)
{
	int err, failed;

	errno = 0;
	err = print(r, out);
	failed = ferror(out) ? EIO : 0;
	if (fclose(out))
		failed = errno ? errno : EIO;
	if (!err && failed)
		err = ivm_error(-failed, "cannot write %s", path);
	return err;
}

/* A device, a pipe or /dev/stdout is written to; it must not be renamed over */
static int print_in_place(const struct ivm_report *r, const char *path)
{
	FILE *out = fopen(path, "w");

	if (!out)
		return ivm_error(-errno, "cannot write %s", path);
	return print_and_close(r, path, out);
}

/* @path is taken only when all of it is written */
static int print_and_rename(const struct ivm_report *r, const char *path)
{
	g_autofree char *tmp = g_strdup_printf("%s.tmp-XXXXXX", path);
	int err, fd = g_mkstemp_full(tmp, O_RDWR | O_CLOEXEC, 0666);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (!out)
		return ivm_error(-errno, "cannot write %s", path);
	err = print_and_close(r, path, out);
	if (!err && rename(tmp, path))
		err = ivm_error(-errno, "cannot write %s", path);
	if (err)
		unlink(tmp);
	return err;
}

static int print_to_file(const struct ivm_report *r, const char *path)
{
	struct stat st;
	char *real;
	int err;

	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return print_in_place(r, path);
	real = realpath(path, NULL);
	err = print_and_rename(r, real ? real : path);
	free(real);
	return err;
}

/* What was asked for beyond the figures; all of it is said before the exit */
static int check(const struct ivm_report *r, const struct ivm_budget *budget)
{
	unsigned int broken = 0;
	int err = 0;

	if (args.strict && ivm_report_print_causes(r))
		broken++;
	if (budget) {
		unsigned int limits = 0;

		err = ivm_budget_check(budget, r, &limits);
		broken += limits;
	}
	return err ? err : broken ? IVM_EXIT_CHECK : IVM_EXIT_OK;
}

static int report(const char *path, const struct ivm_budget *budget)
{
	struct ivm_report *r;
	int ret;

	ret = ivm_report_open(path, args.exact, &r);
	if (ret)
		return ret;
	ret = args.output ? print_to_file(r, args.output) : print(r, stdout);
	if (!ret)
		ret = check(r, budget);
	if (ret == -EBADMSG)
		ivm_fail("cannot read %s: damaged", path ? path : IVM_DEFAULT_RECORDING);
	ivm_report_close(r);
	return ret;
}

/* Two halves of a link; everything else is in each of the recordings alone */
static int report_join(const char *const *paths)
{
	bool is_json = formats[args.format_index].print == ivm_report_print_json;
	struct ivm_join *join;
	int ret;

	if (args.by || args.exact || args.output || args.budget || (args.format_index && !is_json))
		return ivm_fail("two recordings: only --strict and --format=text or json");
	ret = ivm_join_open(paths, &join);
	if (ret)
		return ret;
	ret = is_json ? ivm_join_print_json(join, stdout) : ivm_join_print_text(join, stdout);
	if (!ret && args.strict && !ivm_join_is_whole(join)) {
		ivm_fail("strict: not every journey has both halves, or some were lost");
		ret = IVM_EXIT_CHECK;
	}
	ivm_join_close(join);
	return ret;
}

static void clear_args(void)
{
	g_free(args.format);
	g_free(args.by);
	g_free(args.output);
	g_free(args.budget);
}

static int run_report(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	struct ivm_budget *budget = NULL;
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = parse_values();
	if (!ret && args.budget)
		ret = ivm_budget_read(args.budget, &budget);
	if (!ret)
		ret = operands.count == 2 ? report_join((const char *const *)operands.args) :
					    report(operands.args[0], budget);
	ivm_budget_free(budget);
	ivm_operands_clear(&operands);
	clear_args();
	return ret;
}

const struct ivm_cmd ivm_cmd_report = {
	.name = "report",
	.summary = "print the latency breakdown of a recording",
	.run = run_report,
};
