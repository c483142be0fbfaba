// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A private tracefs instance: set up, read page by page, decoded, merged.
 */
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event-parse.h>
#include <glib.h>
#include <kbuffer.h>
#include <tracefs.h>

#include "tracefs.h"
#include "tracefs_reader.h"

#define INSTANCE_PREFIX	"ivmtrace-"
#define GROUP_PREFIX	"ivmtrace_"
#define MIN_CPU_BYTES	(64u << 10)
#define FORMATS		64		/* more than there are hooks */
#define EVENT_IDS	(1u << 16)	/* common_type has 16 bits */

struct field {
	unsigned int offset;
	unsigned int bytes;		/* 0: this kernel's record has none */
	bool is_signed;
};

struct format {
	uint8_t hook;
	struct field tid;
	struct field flags;
	struct field args[IVM_RECORD_ARGS];
};

/* Records of one CPU that wait for their turn, oldest at @head */
struct cpu {
	struct tracefs_cpu *raw;
	GArray *records;
	guint head;
};

struct ivm_reader {
	char name[32];			/* unique while this process lives */
	int tracefs_fd;
	struct tep_handle *tep;
	struct tracefs_instance *instance;
	struct kbuffer *kbuf;
	void *page;
	GPtrArray *probes;		/* struct tracefs_dynevent *, created */
	struct cpu *cpus;
	int cpu_count;
	struct format formats[FORMATS];
	unsigned int format_count;
	uint8_t format_of[EVENT_IDS];	/* by event number: index + 1, 0 none */
};

/* ---- what a killed run has left ---- */

static bool is_stale(const char *name, const char *prefix)
{
	pid_t pid;

	if (!name || !g_str_has_prefix(name, prefix))
		return false;
	pid = atoi(name + strlen(prefix));
	return pid > 0 && kill(pid, 0) && errno == ESRCH;
}

static void remove_stale_instances(void)
{
	char **names = tracefs_instances("^" INSTANCE_PREFIX "[0-9]");
	int i;

	for (i = 0; names && names[i]; i++) {
		struct tracefs_instance *old;

		if (!is_stale(names[i], INSTANCE_PREFIX))
			continue;
		old = tracefs_instance_create(names[i]);
		if (!old)
			continue;
		/* A probe can only go once no instance listens to it */
		tracefs_event_disable(old, NULL, NULL);
		tracefs_instance_destroy(old);
		tracefs_instance_free(old);
	}
	tracefs_list_free(names);
}

static void remove_stale_probes(void)
{
	struct tracefs_dynevent **probes = tracefs_dynevent_get_all(TRACEFS_DYNEVENT_KPROBE, NULL);
	int i;

	for (i = 0; probes && probes[i]; i++) {
		char *group = NULL;

		tracefs_dynevent_info(probes[i], &group, NULL, NULL, NULL, NULL);
		if (is_stale(group, GROUP_PREFIX))
			tracefs_dynevent_destroy(probes[i], true);
		free(group);
	}
	tracefs_dynevent_list_free(probes);
}

/* ---- opening ---- */

static int open_cpus(struct ivm_reader *r)
{
	int i;

	r->cpu_count = sysconf(_SC_NPROCESSORS_CONF);
	r->cpus = g_new0(struct cpu, r->cpu_count);
	for (i = 0; i < r->cpu_count; i++) {
		r->cpus[i].records = g_array_new(FALSE, FALSE, sizeof(struct ivm_record));
		/* Numbers of CPUs that this machine could have need not be dense */
		r->cpus[i].raw = tracefs_cpu_open(r->instance, i, true);
	}
	if (!r->cpus[0].raw)
		return -errno;
	r->page = g_malloc(tracefs_cpu_read_size(r->cpus[0].raw));
	return 0;
}

static int set_up_instance(struct ivm_reader *r, uint64_t buffer_bytes)
{
	uint64_t cpu_bytes = MAX(buffer_bytes / sysconf(_SC_NPROCESSORS_CONF), MIN_CPU_BYTES);
	g_autofree char *name = g_strdup_printf(INSTANCE_PREFIX "%s", r->name);

	r->instance = tracefs_instance_create(name);
	if (!r->instance)
		return -errno;
	if (tracefs_trace_off(r->instance) ||
	    tracefs_instance_file_write(r->instance, "trace_clock", "mono") < 0)
		return -errno;
	/* The oldest records are the ones whose journeys have begun: keep those */
	tracefs_option_disable(r->instance, TRACEFS_OPTION_OVERWRITE);
	if (tracefs_instance_set_buffer_size(r->instance, cpu_bytes >> 10, -1))
		return -ENOMEM;
	return 0;
}

/**
 * ivm_reader_open() - makes an instance that records nothing yet
 * @tracefs_fd: the root directory; stays the caller's, and open
 * @buffer_bytes: of all CPUs together
 * @reader: set to the reader, or NULL
 *
 * Return: 0; -EACCES or -EPERM if this user may not; another -errno.
 */
int ivm_reader_open(int tracefs_fd, uint64_t buffer_bytes, struct ivm_reader **reader)
{
	struct ivm_reader *r = g_new0(struct ivm_reader, 1);
	static unsigned int opened;
	char root[64];
	int err;

	/* The mount may be attached nowhere: this names it all the same */
	snprintf(root, sizeof(root), "/proc/self/fd/%d", tracefs_fd);
	tracefs_set_loglevel(TEP_LOG_NONE);
	tracefs_set_tracing_dir(root);
	remove_stale_instances();
	remove_stale_probes();

	snprintf(r->name, sizeof(r->name), "%d_%u", getpid(), opened++);
	r->tracefs_fd = tracefs_fd;
	r->tep = tep_alloc();
	r->probes = g_ptr_array_new();
	r->kbuf = kbuffer_alloc(KBUFFER_LSIZE_SAME_AS_HOST, KBUFFER_ENDIAN_SAME_AS_HOST);
	err = set_up_instance(r, buffer_bytes);
	if (!err)
		err = open_cpus(r);
	if (err) {
		ivm_reader_close(r);
		r = NULL;
	}
	*reader = r;
	return err;
}

static void close_cpus(struct ivm_reader *r)
{
	int i;

	for (i = 0; i < r->cpu_count; i++) {
		if (r->cpus[i].raw)
			tracefs_cpu_close(r->cpus[i].raw);
		g_array_unref(r->cpus[i].records);
	}
	g_free(r->cpus);
}

/**
 * ivm_reader_close() - removes the instance and its probes
 * @r: may be NULL
 */
void ivm_reader_close(struct ivm_reader *r)
{
	guint i;

	if (!r)
		return;
	close_cpus(r);
	if (r->instance) {
		ivm_reader_stop(r);
		tracefs_instance_destroy(r->instance);
		tracefs_instance_free(r->instance);
	}
	for (i = 0; i < r->probes->len; i++) {
		tracefs_dynevent_destroy(g_ptr_array_index(r->probes, i), true);
		tracefs_dynevent_free(g_ptr_array_index(r->probes, i));
	}
	g_ptr_array_unref(r->probes);
	kbuffer_free(r->kbuf);
	tep_free(r->tep);
	g_free(r->page);
	g_free(r);
}

/* ---- events ---- */

static struct field find_field(struct tep_event *event, const char *name)
{
	const struct tep_format_field *f = tep_find_any_field(event, name);

	if (!f || (f->flags & (TEP_FIELD_IS_ARRAY | TEP_FIELD_IS_STRING)))
		return (struct field) {};
	return (struct field) {
		.offset = f->offset,
		.bytes = f->size,
		.is_signed = f->flags & TEP_FIELD_IS_SIGNED,
	};
}

/* The names that a field has had are separated by bars */
static struct field find_any(struct tep_event *event, const char *names)
{
	g_auto(GStrv) list = g_strsplit(names, "|", 0);
	struct field field = {};
	int i;

	for (i = 0; list[i] && !field.bytes; i++)
		field = find_field(event, list[i]);
	return field;
}

static int learn_format(struct ivm_reader *r, uint8_t hook, const char *system, const char *name,
			const char *const fields[IVM_RECORD_ARGS])
{
	g_autofree char *text = ivm_tracefs_read(r->tracefs_fd, system, name, "format");
	struct format *format = &r->formats[r->format_count];
	struct tep_event *event;
	int i;

	if (!text)
		return -ENOENT;
	if (tep_parse_event(r->tep, text, strlen(text), system))
		return -EINVAL;
	event = tep_find_event_by_name(r->tep, system, name);
	if (!event || event->id < 0 || event->id >= (int)EVENT_IDS || r->format_count == FORMATS)
		return -EINVAL;
	format->hook = hook;
	format->tid = find_field(event, "common_pid");
	format->flags = find_field(event, "common_flags");
	for (i = 0; i < IVM_RECORD_ARGS && fields[i]; i++)
		format->args[i] = find_any(event, fields[i]);
	/* The first one is what the record is about */
	if (!format->tid.bytes || (fields[0] && !format->args[0].bytes))
		return -EINVAL;
	r->format_of[event->id] = ++r->format_count;
	return 0;
}

static int set_filter(struct ivm_reader *r, const char *system, const char *event,
		      const char *filter)
{
	g_autofree char *path = g_strdup_printf("events/%s/%s/filter", system, event);

	return tracefs_instance_file_write(r->instance, path, filter) < 0 ? -errno : 0;
}

/**
 * ivm_reader_enable() - listens to a tracepoint
 * @r: the reader, not started
 * @hook: number that its records bear
 * @system: the tracepoint's group
 * @event: its name
 * @fields: record fields wanted, up to the first NULL; "new|old" where a field
 *	    was renamed.  Without the first one the event is of no use
 * @filter: what the kernel is to drop at once, or NULL
 *
 * Return: 0; -ENOENT if this kernel has no such event; another -errno.
 */
int ivm_reader_enable(struct ivm_reader *r, uint8_t hook, const char *system, const char *event,
		      const char *const fields[IVM_RECORD_ARGS], const char *filter)
{
	int err = learn_format(r, hook, system, event, fields);

	/* Without its filter there are more records, not other ones */
	if (!err && filter)
		set_filter(r, system, event, filter);
	if (!err && tracefs_event_enable(r->instance, system, event))
		err = -errno;
	return err;
}

/**
 * ivm_reader_probe() - listens to calls of a kernel function
 * @r: the reader, not started
 * @hook: number that its records bear
 * @function: its name
 * @arguments: what to fetch, as kprobe_events has it
 * @fields: as for ivm_reader_enable(), names out of @arguments
 *
 * Return: 0; -ENOENT if this kernel has no probes; another -errno.
 */
int ivm_reader_probe(struct ivm_reader *r, uint8_t hook, const char *function,
		     const char *arguments, const char *const fields[IVM_RECORD_ARGS])
{
	g_autofree char *group = g_strdup_printf(GROUP_PREFIX "%s", r->name);
	struct tracefs_dynevent *probe;

	if (faccessat(r->tracefs_fd, "kprobe_events", W_OK, 0))
		return -errno;
	probe = tracefs_kprobe_alloc(group, function, function, arguments);
	if (!probe)
		return -errno;
	if (tracefs_dynevent_create(probe)) {
		int err = -errno;

		tracefs_dynevent_free(probe);
		return err;
	}
	g_ptr_array_add(r->probes, probe);
	return ivm_reader_enable(r, hook, group, function, fields, NULL);
}

/**
 * ivm_reader_start() - records from now on
 * @r: the reader
 *
 * Return: 0 or -errno.
 */
int ivm_reader_start(struct ivm_reader *r)
{
	return tracefs_trace_on(r->instance) ? -errno : 0;
}

/**
 * ivm_reader_stop() - records no more, and leaves the tracepoints
 * @r: the reader; what it has recorded can still be read
 */
void ivm_reader_stop(struct ivm_reader *r)
{
	tracefs_trace_off(r->instance);
	tracefs_event_disable(r->instance, NULL, NULL);
}

/* ---- reading ---- */

static uint64_t get(const void *data, unsigned int data_bytes, const struct field *f)
{
	const void *at = (const char *)data + f->offset;

	if (f->offset + f->bytes > data_bytes)
		return 0;
	switch (f->bytes) {
	case 1:
		return f->is_signed ? (uint64_t)*(const int8_t *)at : *(const uint8_t *)at;
	case 2:
		return f->is_signed ? (uint64_t)*(const int16_t *)at : *(const uint16_t *)at;
	case 4:
		return f->is_signed ? (uint64_t)*(const int32_t *)at : *(const uint32_t *)at;
	case 8:
		return *(const uint64_t *)at;
	}
	return 0;
}

static bool decode(const struct ivm_reader *r, const void *data, unsigned int bytes,
		   struct ivm_record *record)
{
	const struct format *format;
	uint16_t type;
	int i;

	if (bytes < sizeof(type))
		return false;
	memcpy(&type, data, sizeof(type));
	if (!r->format_of[type])
		return false;
	format = &r->formats[r->format_of[type] - 1];
	record->hook = format->hook;
	record->tid = get(data, bytes, &format->tid);
	record->hardirq = get(data, bytes, &format->flags) & TRACE_FLAG_HARDIRQ;
	for (i = 0; i < IVM_RECORD_ARGS; i++)
		record->args[i] = get(data, bytes, &format->args[i]);
	return true;
}

static void take_page(struct ivm_reader *r, int cpu, ivm_record_keep_fn keep, void *arg)
{
	unsigned long long t_ns;
	void *data;

	kbuffer_load_subbuffer(r->kbuf, r->page);
	for (data = kbuffer_read_event(r->kbuf, &t_ns); data;
	     data = kbuffer_next_event(r->kbuf, &t_ns)) {
		struct ivm_record record = { .t_ns = t_ns, .cpu = cpu };

		if (decode(r, data, kbuffer_event_size(r->kbuf), &record) && keep(arg, &record))
			g_array_append_val(r->cpus[cpu].records, record);
	}
}

/**
 * ivm_reader_read() - empties the kernel's buffers
 * @r: the reader
 * @keep: called for each record, those of one CPU in order
 * @arg: for @keep
 *
 * Return: 0 or -errno.
 */
int ivm_reader_read(struct ivm_reader *r, ivm_record_keep_fn keep, void *arg)
{
	int cpu, bytes;

	for (cpu = 0; cpu < r->cpu_count; cpu++) {
		if (!r->cpus[cpu].raw)
			continue;
		while ((bytes = tracefs_cpu_read(r->cpus[cpu].raw, r->page, true)) > 0)
			take_page(r, cpu, keep, arg);
		if (bytes < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

static const struct ivm_record *head(const struct cpu *cpu)
{
	return cpu->head < cpu->records->len ?
	       &g_array_index(cpu->records, struct ivm_record, cpu->head) : NULL;
}

/* The CPU with the oldest record; @next_ns is set to the oldest of the others */
static struct cpu *oldest_cpu(struct ivm_reader *r, uint64_t *next_ns)
{
	struct cpu *oldest = NULL;
	uint64_t oldest_ns = UINT64_MAX;
	int i;

	*next_ns = UINT64_MAX;
	for (i = 0; i < r->cpu_count; i++) {
		const struct ivm_record *first = head(&r->cpus[i]);

		if (!first)
			continue;
		if (!oldest || first->t_ns < oldest_ns) {
			*next_ns = oldest_ns;
			oldest_ns = first->t_ns;
			oldest = &r->cpus[i];
		} else if (first->t_ns < *next_ns) {
			*next_ns = first->t_ns;
		}
	}
	return oldest;
}

static void forget_drained(struct ivm_reader *r)
{
	int i;

	for (i = 0; i < r->cpu_count; i++) {
		if (r->cpus[i].head)
			g_array_remove_range(r->cpus[i].records, 0, r->cpus[i].head);
		r->cpus[i].head = 0;
	}
}

/**
 * ivm_reader_drain() - hands over what was read, in order of time
 * @r: the reader
 * @until_ns: records from here on stay
 * @fn: called for each record
 * @arg: for @fn
 */
void ivm_reader_drain(struct ivm_reader *r, uint64_t until_ns, ivm_record_fn fn, void *arg)
{
	const struct ivm_record *record;
	uint64_t next_ns;
	struct cpu *cpu;

	while ((cpu = oldest_cpu(r, &next_ns)) && head(cpu)->t_ns < until_ns) {
		do {
			fn(arg, head(cpu));
			cpu->head++;
			record = head(cpu);
		} while (record && record->t_ns <= next_ns && record->t_ns < until_ns);
	}
	forget_drained(r);
}

static uint64_t stat_of(const char *stats, const char *name)
{
	const char *line = strstr(stats, name);

	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

/**
 * ivm_reader_overrun() - records that found no room, of all CPUs
 * @r: the reader
 *
 * Return: how many so far.
 */
uint64_t ivm_reader_overrun(struct ivm_reader *r)
{
	uint64_t sum = 0;
	int cpu;

	for (cpu = 0; cpu < r->cpu_count; cpu++) {
		g_autofree char *path = g_strdup_printf("per_cpu/cpu%d/stats", cpu);
		char *stats = tracefs_instance_file_read(r->instance, path, NULL);

		if (!stats)
			continue;
		/* "commit overrun" is another line than "\noverrun" */
		sum += stat_of(stats, "\noverrun: ") + stat_of(stats, "\ncommit overrun: ") +
		       stat_of(stats, "\ndropped events: ");
		free(stats);
	}
	return sum;
}
