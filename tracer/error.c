// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages to the user: one line each, one write each, so that lines of
 * several processes on one terminal do not mix.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "error.h"

static void print_line(const char *kind, int err, const char *fmt, va_list ap)
{
	g_autofree char *message = g_strdup_vprintf(fmt, ap);

	fflush(stdout);
	if (err)
		fprintf(stderr, "ivmtrace: %s%s: %s\n", kind, message, strerror(-err));
	else
		fprintf(stderr, "ivmtrace: %s%s\n", kind, message);
}

int ivm_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("", err, fmt, ap);
	va_end(ap);
	return err;
}

int ivm_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("", 0, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

void ivm_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("warning: ", 0, fmt, ap);
	va_end(ap);
}

void ivm_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("", 0, fmt, ap);
	va_end(ap);
}
