// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace mark: gives a name to what comes next in running recordings */
#include <errno.h>

#include "command.h"
#include "error.h"
#include "marks.h"
#include "options.h"

#define TIMEOUT_MS	5000

static char *pid_text;

static const GOptionEntry entries[] = {
	{ "pid", 'p', 0, G_OPTION_ARG_FILENAME, &pid_text,
	  "Only in the recording of this 'ivmtrace record'", "PID" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "NAME",
	.summary = "Begin a new phase in each recording that is running.",
	.description = "What is rung once this command has returned belongs to phase NAME, until\n"
		       "the next mark; 'ivmtrace report --by phase' tells phases apart.",
	.entries = entries,
	.max_operands = 1,
};

static int mark(pid_t pid, const char *name)
{
	int err = ivm_mark_send(pid, name, TIMEOUT_MS);

	if (err == -ECONNREFUSED)
		return ivm_fail("process %d is not recording", (int)pid);
	if (err == -EPERM)
		return ivm_fail("process %d does not take marks of this user", (int)pid);
	if (err)
		return ivm_error(err, "cannot mark the recording of process %d", (int)pid);
	ivm_info("phase '%s' has begun in the recording of process %d", name, (int)pid);
	return 0;
}

static int mark_all(const char *name)
{
	g_autoptr(GArray) pids = ivm_marks_find();
	int err = 0;
	guint i;

	if (!pids->len)
		return ivm_fail("no 'ivmtrace record' is running");
	for (i = 0; i < pids->len; i++) {
		int one = mark(g_array_index(pids, pid_t, i), name);

		err = err ? err : one;
	}
	return err;
}

static int parse_and_mark(const struct ivm_operands *operands)
{
	const char *name = operands->args[0];
	uint64_t pid = 0;
	int err = 0;

	if (!name)
		return ivm_fail("which name? see 'ivmtrace mark --help'");
	if (!ivm_mark_name_ok(name))
		return ivm_fail("a name has 1 to %d bytes of UTF-8 without control characters",
				IVM_MARK_NAME_BYTES - 1);
	if (pid_text)
		err = ivm_parse_u64("--pid", pid_text, 1, INT32_MAX, &pid);
	if (err)
		return err;
	return pid ? mark((pid_t)pid, name) : mark_all(name);
}

static int run_mark(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	if (!ret)
		ret = parse_and_mark(&operands);
	ivm_operands_clear(&operands);
	g_free(pid_text);
	return ret;
}

const struct ivm_cmd ivm_cmd_mark = {
	.name = "mark",
	.summary = "begin a new phase in the recordings that are running",
	.run = run_mark,
};
