/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a recording says of its environment, and where two of them differ. */
#ifndef IVM_REPORT_ENVIRONMENT_H
#define IVM_REPORT_ENVIRONMENT_H

#include <stdint.h>
#include <stdio.h>

#include <glib.h>
#include <json-c/json.h>
#include <sqlite3.h>

struct ivm_fact {
	uint32_t vm_id;		/* 0: the host */
	char *vm;		/* "name", "name#2" for the second of that name; NULL: the host */
	char *key;		/* as docs/recording.md has them */
	char *value;
};

/* A fact of that VM and key that two environments do not share */
struct ivm_fact_change {
	char *vm;		/* NULL: the host */
	char *key;
	char *a, *b;		/* what differs of it; NULL where that side has no such fact */
};

/**
 * ivm_facts_load() - the environment of a recording
 * @db: the recording
 * @facts: set to an array of struct ivm_fact *, the host's first, by key; empty
 *	   for a recording of an older version
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_facts_load(sqlite3 *db, GPtrArray **facts);

/* "AMD EPYC, CPUs 0-1, QEMU 7.2.22": what a reader looks for first; NULL without facts */
char *ivm_facts_summary(const GPtrArray *facts);

/**
 * ivm_facts_compare() - what two environments do not share
 * @a: facts of one recording
 * @b: facts of another one
 *
 * VMs are the same if they bear the same name.  Of command lines only the
 * arguments that differ are told; numbers of descriptors and directories do not
 * make them differ.  Nothing is told if either side has no facts at all.
 *
 * Return: an array of struct ivm_fact_change *, the host's first, by key.
 */
GPtrArray *ivm_facts_compare(const GPtrArray *a, const GPtrArray *b);

/* A line for each change, indented by two */
void ivm_facts_print_changes(const GPtrArray *changes, FILE *out);

/* {"host": {key: value}, "vms": [{"id", "name", "facts": {key: value}}]} */
struct json_object *ivm_facts_json(const GPtrArray *facts);

#endif /* IVM_REPORT_ENVIRONMENT_H */
