// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all sources of events share.
 */
#include <stdarg.h>
#include <stdio.h>

#include "source.h"

/**
 * ivm_source_fail() - notes in the user's words what went wrong
 * @source: whose failure it is
 * @err: -errno
 * @fmt: no final stop
 *
 * Return: @err.
 */
int ivm_source_fail(struct ivm_source *source, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(source->why, sizeof(source->why), fmt, args);
	va_end(args);
	return err;
}
