// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace: follows each inter-VM interrupt through the host, hop by hop.
 *
 * main() only finds the command and turns its result into an exit code.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "command.h"
#include "error.h"
#include "options.h"

#ifndef IVM_VERSION
#define IVM_VERSION "0.1"
#endif

/* In the order a user meets them */
static const struct ivm_cmd *const commands[] = {
	&ivm_cmd_doctor,
	&ivm_cmd_list,
	&ivm_cmd_record,
	&ivm_cmd_mark,
	&ivm_cmd_report,
	&ivm_cmd_merge,
	&ivm_cmd_hist,
	&ivm_cmd_top,
	&ivm_cmd_export,
	&ivm_cmd_script,
	&ivm_cmd_explain,
	&ivm_cmd_diff,
	&ivm_cmd_replay,
	&ivm_cmd_events,
	&ivm_cmd_import,
	&ivm_cmd_bench,
	NULL
};

static void print_usage(FILE *out)
{
	int i;

	fputs("Usage:\n"
	      "  ivmtrace COMMAND [OPTION…] [OPERAND…]\n"
	      "  ivmtrace help [COMMAND] | --version\n"
	      "\n"
	      "Follow each inter-VM interrupt through the host, hop by hop.\n"
	      "\n"
	      "Commands:\n", out);
	for (i = 0; commands[i]; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "Exit status: 0 done, 1 error, 2 a threshold or check was not met.\n", out);
}

static const struct ivm_cmd *find_command(const char *name)
{
	int i;

	for (i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* Edits that turn @a into @b, up to a few: enough to spot a typing error */
static unsigned int edit_distance(const char *a, const char *b)
{
	unsigned int del, ins, sub;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (!*a || !*b)
		return (unsigned int)(strlen(a) + strlen(b));
	if (a[1] && a[0] == b[1] && a[1] == b[0])
		return 1 + edit_distance(a + 2, b + 2);
	del = edit_distance(a + 1, b);
	ins = edit_distance(a, b + 1);
	sub = edit_distance(a + 1, b + 1);
	return 1 + MIN(MIN(del, ins), sub);
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	unsigned int distance, best = 3;
	int i;

	/* The distance is exponential in the length; no command is that long */
	for (i = 0; commands[i] && strlen(name) < 12; i++) {
		distance = edit_distance(name, commands[i]->name);
		if (distance < best) {
			best = distance;
			nearest = commands[i]->name;
		}
	}
	if (nearest)
		return ivm_fail("unknown command '%s'; did you mean '%s'?", name, nearest);
	return ivm_fail("unknown command '%s'; see 'ivmtrace help'", name);
}

static int run_help(const char *name)
{
	char help[] = "--help";
	const struct ivm_cmd *cmd;
	char *argv[3];

	if (!name) {
		print_usage(stdout);
		return IVM_EXIT_OK;
	}
	cmd = find_command(name);
	if (!cmd)
		return unknown_command(name);
	argv[0] = (char *)cmd->name;
	argv[1] = help;
	argv[2] = NULL;
	return cmd->run(2, argv);
}

static int run(int argc, char **argv)
{
	const struct ivm_cmd *cmd;

	if (argc < 2) {
		print_usage(stderr);
		return IVM_EXIT_ERROR;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return run_help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("ivmtrace " IVM_VERSION);
		return IVM_EXIT_OK;
	}
	cmd = find_command(argv[1]);
	if (!cmd)
		return unknown_command(argv[1]);
	return cmd->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int ret = run(argc, argv);

	/* A report cut short by a full disk must not look like a success */
	if (fflush(stdout))
		ret = ivm_error(-errno, "cannot write the output");
	else if (ferror(stdout))
		ret = ivm_error(-EIO, "cannot write the output");
	if (ret == IVM_OPTIONS_HELP)
		return IVM_EXIT_OK;
	return ret < 0 ? IVM_EXIT_ERROR : ret;
}
