/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports on a recording.
 *
 * struct ivm_report is everything a recording says but its journeys; the
 * breakdown measures these.  text.c and json.c print the two.
 */
#ifndef IVM_REPORT_H
#define IVM_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>
#include <sqlite3.h>

#include "breakdown.h"
#include "environment.h"
#include "own_cost.h"

enum ivm_report_format {
	IVM_REPORT_TEXT,
	IVM_REPORT_JSON,
};

#define IVM_REPORT_FORMAT_NAMES	{ "text", "json" }

struct ivm_report_hook {
	char *name;
	char *state;
	uint64_t fired;
	uint64_t missed;
	uint64_t run_ns;
};

struct ivm_report_lost {
	char *source;
	uint64_t count;
};

struct ivm_report_vm {
	uint32_t id;
	int32_t pid;
	char *name;
};

struct ivm_report_end {
	uint32_t id;
	uint32_t vm;
	char *link;
	char *configured;
};

/* Round trips: all that were measured, and the statistics of those kept */
struct ivm_report_rtt {
	bool measured;
	uint64_t count;
	struct ivm_stat stat;
};

struct ivm_report_guest {
	int64_t id;
	char *mode;
	char *link;		/* may be NULL */
	uint32_t from_end;
	uint32_t from_vm;
	uint16_t vector;
	uint64_t sent;
	uint64_t handled;
	struct ivm_report_rtt rtt;
};

struct ivm_report_baseline {
	int64_t id;
	char *device;
	bool ioeventfd;
	struct ivm_report_rtt rtt;
};

struct ivm_report {
	sqlite3 *db;
	GHashTable *meta;	/* char * -> char * */
	GPtrArray *hooks;	/* struct ivm_report_hook *, by name */
	GPtrArray *lost;	/* struct ivm_report_lost *, by source */
	GPtrArray *vms;		/* struct ivm_report_vm *, by id */
	GPtrArray *ends;	/* struct ivm_report_end *, by id */
	GHashTable *vm_by_id;	/* into vms */
	GHashTable *end_by_id;	/* into ends */
	GPtrArray *guests;	/* struct ivm_report_guest * */
	GPtrArray *baselines;	/* struct ivm_report_baseline * */
	GPtrArray *costs;	/* struct ivm_cost_mode *, by mode */
	GPtrArray *probe_costs;	/* struct ivm_cost_probe * */
	struct ivm_breakdown *breakdown;
	uint64_t lost_records;	/* of all sources that lose records */
	uint64_t unmatched;
	uint64_t disordered;
	GPtrArray *facts;	/* struct ivm_fact *, see environment.h */
	GPtrArray *problems;	/* char *: counts that contradict each other */
};

/* --by: parses @text unless it is NULL; 0, or -EINVAL after printing what is wrong */
int ivm_by_option(const char *text, unsigned int *by);

/* The recording that commands read and write if none is named */
#define IVM_DEFAULT_RECORDING	"ivmtrace.ivm"

/* For commands: opens and loads @path, NULL for the default; prints what is wrong */
int ivm_report_open(const char *path, bool exact, struct ivm_report **report);
void ivm_report_close(struct ivm_report *r);

int ivm_report_load(sqlite3 *db, bool exact, struct ivm_report **report);
void ivm_report_free(struct ivm_report *r);

/* NULL if the recording does not say */
const char *ivm_report_meta(const struct ivm_report *r, const char *key);
const struct ivm_report_end *ivm_report_find_end(const struct ivm_report *r, uint32_t id);
const struct ivm_report_vm *ivm_report_find_vm(const struct ivm_report *r, uint32_t id);
const char *ivm_report_configured(const struct ivm_report *r, const struct ivm_group *g);
int ivm_report_rtt(const struct ivm_report *r, const char *mode, uint32_t from_end,
		   uint32_t or_end, struct ivm_report_rtt *rtt);

int ivm_report_print_text(const struct ivm_report *r, unsigned int by, FILE *out);
int ivm_report_print_csv(const struct ivm_report *r, unsigned int by, FILE *out);
int ivm_report_print_json(const struct ivm_report *r, FILE *out);
int ivm_report_print_html(const struct ivm_report *r, FILE *out);
int ivm_report_print_perfetto(const struct ivm_report *r, FILE *out);

/* Prints each cause that --strict stumbles over on stderr; returns how many */
int ivm_report_print_causes(const struct ivm_report *r);

/* For callers that have just a recording */
int ivm_report_print(sqlite3 *db, enum ivm_report_format format, FILE *out);

#endif /* IVM_REPORT_H */
