/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of a tracefs instance of our own, of all CPUs in order of time.
 *
 * The instance is ivmtrace-<pid>_<n>, function probes are in a group of the same
 * name: what a run that was killed has left behind goes with the next one.
 */
#ifndef IVM_TRACER_TRACEFS_READER_H
#define IVM_TRACER_TRACEFS_READER_H

#include <stdbool.h>
#include <stdint.h>

#define IVM_RECORD_ARGS		4

/* What one hook wrote.  @args are the fields that were asked for, 0 if absent. */
struct ivm_record {
	uint64_t t_ns;			/* CLOCK_MONOTONIC */
	uint64_t args[IVM_RECORD_ARGS];	/* signed fields are extended */
	uint32_t tid;			/* the thread that ran it */
	uint32_t tgid;			/* for @keep to set */
	uint16_t cpu;
	uint8_t hook;
	bool hardirq;
};

/* Decides, as soon as a record is read, if it is worth keeping until its turn */
typedef bool (*ivm_record_keep_fn)(void *arg, struct ivm_record *record);

typedef void (*ivm_record_fn)(void *arg, const struct ivm_record *record);

struct ivm_reader;

int ivm_reader_open(int tracefs_fd, uint64_t buffer_bytes, struct ivm_reader **reader);
void ivm_reader_close(struct ivm_reader *r);
int ivm_reader_enable(struct ivm_reader *r, uint8_t hook, const char *system, const char *event,
		      const char *const fields[IVM_RECORD_ARGS], const char *filter);
int ivm_reader_probe(struct ivm_reader *r, uint8_t hook, const char *function,
		     const char *arguments, const char *const fields[IVM_RECORD_ARGS]);
int ivm_reader_start(struct ivm_reader *r);
void ivm_reader_stop(struct ivm_reader *r);
int ivm_reader_read(struct ivm_reader *r, ivm_record_keep_fn keep, void *arg);
void ivm_reader_drain(struct ivm_reader *r, uint64_t until_ns, ivm_record_fn fn, void *arg);
uint64_t ivm_reader_overrun(struct ivm_reader *r);

#endif /* IVM_TRACER_TRACEFS_READER_H */
