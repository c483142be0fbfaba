/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sets of runs, hop by hop.
 *
 * Groups of both sides are matched by what they are called, not by numbers of
 * ends or VMs, which mean nothing outside of a recording.
 */
#ifndef IVM_DIFF_H
#define IVM_DIFF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "diff_stat.h"
#include "report.h"

enum ivm_side { IVM_SIDE_A, IVM_SIDE_B, IVM_SIDES };

struct ivm_diff_row {
	enum ivm_point from;
	enum ivm_point to;
	struct ivm_sample *sample[IVM_SIDES];
	uint64_t err_ns;		/* both clock bounds together; IVM_NS_UNKNOWN */
	struct ivm_shift shift[IVM_DIFF_STATS];
	double superiority;		/* NAN if a side has none */
	bool is_new, is_gone;		/* one side has none, and that is no chance */
	double part_ns;			/* of the shift of the total's mean; these add up */
};

struct ivm_diff_group {
	char *name;
	unsigned int runs[IVM_SIDES];	/* that have such journeys */
	unsigned int blocks[IVM_SIDES];
	bool has_total;			/* the same anchors in all runs */
	struct ivm_diff_row total;
	GArray *rows;			/* struct ivm_diff_row, in the order of the points */
};

struct ivm_diff {
	GPtrArray *groups;		/* struct ivm_diff_group *; both sides have these */
	GPtrArray *only[IVM_SIDES];	/* char *: groups that the other side lacks */
	GPtrArray *environment;		/* struct ivm_fact_change *: first run against first run */
	unsigned int runs[IVM_SIDES];
	unsigned int figures;		/* intervals, which all together hold with @confidence */
	double confidence;
};

/**
 * ivm_diff_compute() - compare two sets of runs
 * @reports: of each side, arrays of struct ivm_report *
 * @by: IVM_BY_*
 * @confidence: that no interval misses its shift, such as 0.95
 * @diff: free with ivm_diff_free()
 *
 * Return: 0, or -EBADMSG if a recording is damaged.
 */
int ivm_diff_compute(GPtrArray *const reports[IVM_SIDES], unsigned int by, double confidence,
		     struct ivm_diff **diff);
void ivm_diff_free(struct ivm_diff *d);

/* "dispatch..eoi~" */
char *ivm_diff_row_name(const struct ivm_diff_row *row);

/* @names: of the recordings of each side, as the user gave them */
void ivm_diff_print_text(const struct ivm_diff *d, char **const names[IVM_SIDES], FILE *out);
void ivm_diff_print_json(const struct ivm_diff *d, char **const names[IVM_SIDES], FILE *out);

/* What must not get slower: --fail-over */
struct ivm_diff_limit {
	char *hop;			/* "total", "dispatch..route"; NULL: any hop */
	int stat;			/* enum ivm_diff_stat, -1: any */
	double limit;			/* ns, or a share of what it was before */
	bool relative;
};

/**
 * ivm_diff_limit_parse() - HOP[:STAT]=LIMIT, as "total:p99=5%" or "hop=200ns"
 * @text: what the user gave
 * @limit: the result; free limit->hop
 *
 * Return: 0, or -EINVAL.
 */
int ivm_diff_limit_parse(const char *text, struct ivm_diff_limit *limit);

/**
 * ivm_diff_limit_check() - print on stderr each figure that is surely beyond a limit
 * @d: the comparison
 * @limit: the limit
 * @breaches: incremented for each
 *
 * Return: how many figures could be judged.
 */
unsigned int ivm_diff_limit_check(const struct ivm_diff *d, const struct ivm_diff_limit *limit,
				  unsigned int *breaches);

#endif /* IVM_DIFF_H */
