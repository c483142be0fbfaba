/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From records of tracepoints to events, wherever the records come from.
 *
 * source_tracefs.c has the one table that says which fields of which tracepoint
 * are needed, what becomes of them and which are kept.  It serves a running
 * tracefs as well as files that perf or trace-cmd wrote.
 */
#ifndef IVM_TRACER_RECORDS_H
#define IVM_TRACER_RECORDS_H

#include "source.h"
#include "tracefs_reader.h"

/* What stands for the address of irqfd_inject where records name functions */
#define IVM_RECORDS_INJECT	1

/* Fields that go into args[]; alternatives are separated by | */
const char *const *ivm_records_fields(enum ivm_hook_id hook);

/* Which records are needed, in the kernel's filter language; NULL all */
const char *ivm_records_filter(enum ivm_hook_id hook);

/*
 * A source that is fed from a file: @take_event gets the events of threads that
 * the topology knows.  Close it with its ops.
 */
struct ivm_source *ivm_records_new(struct ivm_hook *hooks,
				   void (*take_event)(void *arg, const struct ivm_event *event),
				   void *arg);
void ivm_records_follow(struct ivm_source *source, const struct ivm_topology *topology);
/* In order of time */
void ivm_records_add(struct ivm_source *source, struct ivm_record *r);

#endif /* IVM_TRACER_RECORDS_H */
