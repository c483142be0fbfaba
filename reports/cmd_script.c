// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace script: one line for each journey, in the order of their rings.
 *
 * The recording is gone through once before the first line, so that a damaged
 * one is refused as a whole.  Fields are separated by blanks and named where
 * they are optional, so that grep and awk get along with it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "cursor.h"
#include "report.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const outcomes[] = IVM_OUTCOME_NAMES;

static const struct ivm_options options = {
	.usage = "[FILE]",
	.summary = "Print each journey of a recording on one line:\n\n"
		   "  TIME VM/VCPU -> VM/VCPU LINK MODE vec=N idt=N cookie=N OUTCOME [FLAGS]"
		   " POINT POINT+NS ...\n\n"
		   "TIME is CLOCK_MONOTONIC in seconds at the first point; each further point\n"
		   "comes with the time since the one before it.  What is not known is '-'.\n"
		   "FILE is a recording, " IVM_DEFAULT_RECORDING " by default.",
	.max_operands = 1,
};

static const char *vm_name(const struct ivm_report *r, const struct ivm_report_end *end)
{
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : "-";
}

static void print_time(const struct ivm_journey *j)
{
	uint64_t t_ns = 0;
	int i;

	for (i = 0; i < IVM_POINTS && !t_ns; i++)
		t_ns = j->t_ns[i];
	printf("%" PRIu64 ".%09" PRIu64, t_ns / 1000000000, t_ns % 1000000000);
}

static void print_ends(const struct ivm_report *r, const struct ivm_journey *j)
{
	const struct ivm_report_end *from = ivm_report_find_end(r, j->from_end);
	const struct ivm_report_end *to = ivm_report_find_end(r, j->to_end);

	printf(" %s/%u -> %s/", vm_name(r, from), j->from_vcpu, vm_name(r, to));
	if (ivm_seen(j, IVM_P_ACCEPT))
		printf("%u", j->to_vcpu);
	else
		putchar('-');
	printf(" %s", from ? from->link : "-");
}

static void print_flags(const struct ivm_journey *j)
{
	if (j->flags & IVM_J_DISORDERED)
		fputs(" disordered", stdout);
	if (j->flags & IVM_J_POSTED)
		fputs(" posted", stdout);
	if (j->flags & IVM_J_APPROX)
		fputs(" approx", stdout);
	if (j->flags & IVM_J_CONTENDED)
		fputs(" contended", stdout);
}

static void print_points(const struct ivm_journey *j)
{
	uint64_t last_ns = 0;
	int i;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!ivm_seen(j, i))
			continue;
		if (last_ns)
			printf(" %s%+" PRId64, points[i], (int64_t)(j->t_ns[i] - last_ns));
		else
			printf(" %s", points[i]);
		last_ns = j->t_ns[i];
	}
}

static void print_journey(const struct ivm_report *r, const struct ivm_journey *j)
{
	print_time(j);
	print_ends(r, j);
	printf(" %s vec=%u", modes[j->mode], j->vector);
	if (j->irq_vector)
		printf(" idt=%u", j->irq_vector);
	else
		fputs(" idt=-", stdout);
	printf(" cookie=%" PRIu32 " %s", j->cookie, outcomes[j->outcome]);
	print_flags(j);
	print_points(j);
	putchar('\n');
}

static int print_journeys(const struct ivm_report *r)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	int err;

	err = ivm_cursor_open(r->db, &cursor);
	if (err)
		return err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0) {
		print_journey(r, &j);
		/* Nobody reads any more: `script | head`, or the disk is full */
		if (ferror(stdout))
			break;
	}
	ivm_cursor_close(cursor);
	return err < 0 ? err : 0;
}

static int script(const char *path)
{
	struct ivm_report *r;
	int err;

	err = ivm_report_open(path, false, &r);
	if (err)
		return err;
	err = print_journeys(r);
	if (err)
		ivm_fail("cannot read %s: damaged", path ? path : IVM_DEFAULT_RECORDING);
	ivm_report_close(r);
	return err;
}

static int run_script(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = script(operands.args[0]);
	ivm_operands_clear(&operands);
	return ret;
}

const struct ivm_cmd ivm_cmd_script = {
	.name = "script",
	.summary = "print one line for each journey of a recording",
	.run = run_script,
};
