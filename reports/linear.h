/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histograms with buckets of equal width, as rtla prints them: each hop of a mode a
 * column, each bucket a row.
 */
#ifndef IVM_REPORT_LINEAR_H
#define IVM_REPORT_LINEAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "../bpf/journey.h"

#define IVM_LINEAR_MAX_ENTRIES	100000u

struct ivm_linear_opts {
	uint64_t bucket_ns;
	unsigned int entries;
	bool no_header;
	bool no_summary;
	bool no_index;
	bool with_zeros;
	int mode;			/* enum ivm_mode, -1: each in a table of its own */
};

struct ivm_linear;

struct ivm_linear *ivm_linear_new(const struct ivm_linear_opts *opts);
void ivm_linear_free(struct ivm_linear *l);

/* A journey that ended; those without complete times are left out */
void ivm_linear_add(struct ivm_linear *l, const struct ivm_journey *j);

/* @duration_ns: 0 if unknown */
void ivm_linear_print_text(const struct ivm_linear *l, uint64_t duration_ns, FILE *out);
void ivm_linear_print_json(const struct ivm_linear *l, uint64_t duration_ns, FILE *out);

#endif /* IVM_REPORT_LINEAR_H */
