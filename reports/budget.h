/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Budgets: what a report's figures must not exceed, a line each:
 *
 *	# comment
 *	[MODE] [link=NAME] WHAT STATISTIC <= LIMIT
 *	direct          dispatch..route  p99 <= 5us
 *	qemu link=a-b   total            p50 <= 150us
 *	                lost                 <= 0
 *
 * WHAT is a hop as the report names it, or `total`, with one of min, p50, p90, p99,
 * p999, max, mean; or a count: lost, disordered, coalesced, masked, dropped,
 * unfinished.  Without a mode a line holds in each, without a link in all of a mode
 * together.  What was not measured is not within any budget.
 */
#ifndef IVM_REPORT_BUDGET_H
#define IVM_REPORT_BUDGET_H

#include "report.h"

struct ivm_budget;

/**
 * ivm_budget_read() - reads a budget file
 * @path: the file
 * @budget: free with ivm_budget_free()
 *
 * Return: 0, or -errno after printing what is wrong, with the line.
 */
int ivm_budget_read(const char *path, struct ivm_budget **budget);
void ivm_budget_free(struct ivm_budget *budget);

/**
 * ivm_budget_check() - holds a recording against a budget
 * @budget: the budget
 * @r: its report
 * @broken: set to how many limits were not kept; a line on stderr for each
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_budget_check(const struct ivm_budget *budget, const struct ivm_report *r,
		     unsigned int *broken);

#endif /* IVM_REPORT_BUDGET_H */
