// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace explain: what made the slowest interrupts slow */
#include <errno.h>
#include <stdio.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "explain.h"

#define DEFAULT_COUNT	10
#define MAX_COUNT	10000
#define MAX_NS		(3600ull * 1000000000)

static struct {
	char *count;
	char *over;
	char *mode;
	char *format;
} texts;

static const GOptionEntry entries[] = {
	{ "count", 'n', 0, G_OPTION_ARG_FILENAME, &texts.count,
	  "How many of each mode and direction (default: 10)", "N" },
	{ "over", 'T', 0, G_OPTION_ARG_FILENAME, &texts.over,
	  "Only those that took longer than that, like 200us", "TIME" },
	{ "mode", 0, 0, G_OPTION_ARG_FILENAME, &texts.mode,
	  "Only this mode: qemu, irqfd, direct, ivshmem, foreign", "MODE" },
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &texts.format,
	  "text (default) or json, schema ivmtrace-explain/1", "FORMAT" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "[FILE]",
	.summary = "Say of the slowest interrupts which hop is out of line, and what happened in "
		   "it.\nFILE is a recording, best of 'record --context'; " IVM_DEFAULT_RECORDING
		   " by default.",
	.entries = entries,
	.max_operands = 1,
};

struct values {
	struct ivm_explain_opts opts;
	int format;
};

static int parse_values(struct values *v)
{
	static const char *const modes[] = { "unknown", "qemu", "irqfd", "direct", "ivshmem",
					     "foreign", NULL };
	static const char *const formats[] = { "text", "json", NULL };
	uint64_t count = DEFAULT_COUNT;
	int err = 0;

	v->opts.mode = -1;
	if (texts.count)
		err = ivm_parse_u64("--count", texts.count, 1, MAX_COUNT, &count);
	if (!err && texts.over)
		err = ivm_parse_duration("--over", texts.over, 1, MAX_NS, &v->opts.over_ns);
	if (!err && texts.mode)
		err = ivm_parse_choice("--mode", texts.mode, modes, &v->opts.mode);
	if (!err && texts.format)
		err = ivm_parse_choice("--format", texts.format, formats, &v->format);
	v->opts.count = (unsigned int)count;
	return err;
}

static int explain(const char *path, const struct values *v)
{
	struct ivm_explain *e = NULL;
	struct ivm_report *r;
	int err;

	err = ivm_report_open(path, false, &r);
	if (err)
		return err;
	err = ivm_explain_load(r, &v->opts, &e);
	if (err)
		ivm_fail("cannot read %s: damaged", path ? path : IVM_DEFAULT_RECORDING);
	else
		err = v->format ? ivm_explain_print_json(e, stdout) :
				  ivm_explain_print_text(e, stdout);
	ivm_explain_free(e);
	ivm_report_close(r);
	return err;
}

static int run_explain(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	struct values v = { 0 };
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = parse_values(&v);
	if (!ret)
		ret = explain(operands.args[0], &v);
	ivm_operands_clear(&operands);
	g_free(texts.count);
	g_free(texts.over);
	g_free(texts.mode);
	g_free(texts.format);
	return ret;
}

const struct ivm_cmd ivm_cmd_explain = {
	.name = "explain",
	.summary = "say what made the slowest interrupts slow",
	.run = run_explain,
};
