/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of other tracers.  Each reader hands on the records of known
 * tracepoints in the order of the file, and says what it could not read.
 * Such files may come from anywhere.
 */
#ifndef IVM_TRACER_IMPORT_H
#define IVM_TRACER_IMPORT_H

#include <stdint.h>
#include <stdio.h>

#include "hooks.h"
#include "records.h"

struct ivm_import {
	void (*take)(void *arg, struct ivm_record *r);
	void *arg;
	uint64_t unread;		/* records of known tracepoints that could not be read */
	uint64_t lost;			/* that the tracer says it lost */
	char why[256];			/* of a failure */
};

/* 0, or -errno with the reason in @why */
int ivm_import_perf_text(struct ivm_import *i, FILE *in);
int ivm_import_trace_dat(struct ivm_import *i, const char *path);

/* -1: none of ours */
int ivm_import_hook(const char *name, size_t length);

#endif /* IVM_TRACER_IMPORT_H */
