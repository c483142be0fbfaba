// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace report: the breakdown of a recording */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "report.h"

struct report_args {
	char *format;
	char *by;
	char *output;
	gboolean strict;
	int format_index;
	int by_index;
};

static struct report_args args;

static const GOptionEntry entries[] = {
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &args.format,
	  "text (default) or json, schema ivmtrace-report/1", "FORMAT" },
	{ "by", 'b', 0, G_OPTION_ARG_FILENAME, &args.by,
	  "Group by vector, link (default) or mode; text only", "WHAT" },
	{ "strict", 0, 0, G_OPTION_ARG_NONE, &args.strict,
	  "Exit with 2 on any loss, disorder, unfinished journey or unexpected mode", NULL },
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &args.output, "Write to FILE", "FILE" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "[FILE]",
	.summary = "Print where the time of each interrupt went, hop by hop.\n"
		   "FILE is a recording, " IVM_DEFAULT_RECORDING " by default.",
	.entries = entries,
	.max_operands = 1,
};

static int parse_values(void)
{
	static const char *const formats[] = { "text", "json", NULL };
	static const char *const groupings[] = { "vector", "link", "mode", NULL };
	int err;

	args.format_index = IVM_REPORT_TEXT;
	args.by_index = IVM_BY_LINK;
	err = ivm_parse_choice("--format", args.format, formats, &args.format_index);
	if (!err)
		err = ivm_parse_choice("--by", args.by, groupings, &args.by_index);
	if (!err && args.by && args.format_index == IVM_REPORT_JSON)
		err = ivm_fail("--by: JSON always has a group for each vector");
	return err;
}

static int print(const struct ivm_report *r, FILE *out)
{
	if (args.format_index == IVM_REPORT_JSON)
		return ivm_report_print_json(r, out);
	return ivm_report_print_text(r, (enum ivm_by)args.by_index, out);
}

/* A device, a pipe or /dev/stdout is written to; it must not be renamed over */
static int write_in_place(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	int err = 0;

	if (!out)
		return ivm_error(-errno, "cannot write %s", path);
	if (fputs(text, out) == EOF)
		err = -errno;
	if (fclose(out) && !err)
		err = -errno;
	return err ? ivm_error(err, "cannot write %s", path) : 0;
}

/* A file's name is taken only when all of it is written */
static int write_output(const char *path, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct stat st;
	char *real;
	int err = 0;

	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_in_place(path, text);
	real = realpath(path, NULL);
	if (!g_file_set_contents(real ? real : path, text, -1, &error))
		err = ivm_fail("cannot write %s: %s", path, error->message);
	free(real);
	return err;
}

static int print_to_file(const struct ivm_report *r, const char *path)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	int err;

	if (!out)
		return ivm_error(-errno, "cannot write %s", path);
	err = print(r, out);
	if (fclose(out) && !err)
		err = ivm_error(-errno, "cannot write %s", path);
	if (!err)
		err = write_output(path, text);
	free(text);
	return err;
}

static int report(const char *path)
{
	struct ivm_report *r;
	int ret;

	ret = ivm_report_open(path, &r);
	if (ret)
		return ret;
	ret = args.output ? print_to_file(r, args.output) : print(r, stdout);
	if (ret == -EBADMSG)
		ivm_fail("cannot read %s: damaged", path ? path : IVM_DEFAULT_RECORDING);
	else if (!ret && args.strict && ivm_report_print_causes(r))
		ret = IVM_EXIT_CHECK;
	ivm_report_close(r);
	return ret;
}

static void clear_args(void)
{
	g_free(args.format);
	g_free(args.by);
	g_free(args.output);
}

static int run_report(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = parse_values();
	if (!ret)
		ret = report(operands.args[0]);
	ivm_operands_clear(&operands);
	clear_args();
	return ret;
}

const struct ivm_cmd ivm_cmd_report = {
	.name = "report",
	.summary = "print the latency breakdown of a recording",
	.run = run_report,
};
