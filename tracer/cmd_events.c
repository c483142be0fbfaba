// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace events: what perf or trace-cmd have to record for 'ivmtrace import'.
 *
 * As arguments for their command lines, without blanks within one, so that a
 * shell may split them.  Tracepoints that this host lacks are left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "options.h"
#include "records.h"
#include "tracefs.h"

static struct {
	gboolean perf;
	gboolean trace_cmd;
	gboolean all;
} args;

static const GOptionEntry entries[] = {
	{ "perf", 0, 0, G_OPTION_ARG_NONE, &args.perf,
	  "Arguments for 'perf record -a' (the default)", NULL },
	{ "trace-cmd", 0, 0, G_OPTION_ARG_NONE, &args.trace_cmd,
	  "Arguments for 'trace-cmd record'", NULL },
	{ "all", 'a', 0, G_OPTION_ARG_NONE, &args.all,
	  "Also what this host does not have, or does not let us see", NULL },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "",
	.summary = "Print what perf or trace-cmd have to record for 'ivmtrace import'.",
	.entries = entries,
};

static bool exists(int tracefs_fd, const struct ivm_hook *hook)
{
	g_autofree char *path = g_strdup_printf("events/%s/%s", hook->system, hook->name);

	return tracefs_fd >= 0 && !faccessat(tracefs_fd, path, F_OK, 0);
}

/* A filter stands for one argument: perf and trace-cmd do without its blanks */
static void print_filter(enum ivm_hook_id id)
{
	const char *filter = ivm_records_filter(id);

	if (!filter)
		return;
	fputs(args.trace_cmd ? " -f " : " --filter ", stdout);
	for (; *filter; filter++)
		if (*filter != ' ')
			putchar(*filter);
}

static int print_events(void)
{
	struct ivm_hook hooks[IVM_HOOKS];
	int tracefs_fd = ivm_tracefs_open(), id, printed = 0;

	ivm_hooks_init(hooks);
	for (id = 0; id < IVM_HOOKS; id++) {
		if (!strcmp(hooks[id].system, "func") ||
		    (!args.all && !exists(tracefs_fd, &hooks[id])))
			continue;
		if (!printed++)
			fputs(args.trace_cmd ? "-C mono" : "-k CLOCK_MONOTONIC", stdout);
		printf(" -e %s:%s", hooks[id].system, hooks[id].name);
		print_filter(id);
	}
	if (tracefs_fd >= 0)
		close(tracefs_fd);
	if (!printed)
		return ivm_fail("this host shows no tracepoints; run as root, or with --all");
	putchar('\n');
	return 0;
}

static int run_events(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	if (!ret && args.perf && args.trace_cmd)
		ret = ivm_fail("either --perf or --trace-cmd");
	if (!ret)
		ret = print_events();
	ivm_operands_clear(&operands);
	return ret;
}

const struct ivm_cmd ivm_cmd_events = {
	.name = "events",
	.summary = "print what perf or trace-cmd have to record for import",
	.run = run_events,
};
