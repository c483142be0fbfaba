// SPDX-License-Identifier: GPL-2.0-or-later
/* trace-cmd's files, by libtracecmd, as records */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <trace-cmd.h>

#include "import.h"

struct dat {
	struct ivm_import *import;
	struct tep_handle *tep;
	GHashTable *fields;		/* event id -> struct event */
};

/* A tracepoint of ours, with its fields in the order of args[]; NULL: it has none */
struct event {
	int hook;			/* -1: not ours */
	struct tep_format_field *field[IVM_RECORD_ARGS];
};

static struct tep_format_field *find_field(struct tep_event *event, const char *names)
{
	g_auto(GStrv) name = g_strsplit(names, "|", -1);
	struct tep_format_field *field = NULL;
	int i;

	for (i = 0; name[i] && !field; i++)
		field = tep_find_any_field(event, name[i]);
	return field;
}

static struct event *learn(struct dat *d, struct tep_event *format)
{
	struct event *event = g_new0(struct event, 1);
	const char *const *fields;
	int i;

	event->hook = ivm_import_hook(format->name, strlen(format->name));
	g_hash_table_insert(d->fields, GINT_TO_POINTER(format->id), event);
	if (event->hook < 0)
		return event;
	fields = ivm_records_fields(event->hook);
	for (i = 0; i < IVM_RECORD_ARGS && fields[i]; i++)
		event->field[i] = find_field(format, fields[i]);
	return event;
}

static bool read_fields(const struct dat *d, const struct event *event, struct tep_record *from,
			struct ivm_record *r)
{
	const char *const *fields = ivm_records_fields(event->hook);
	unsigned long long value;
	int i;

	for (i = 0; i < IVM_RECORD_ARGS && fields[i]; i++) {
		if (!event->field[i])
			continue;
		if (event->field[i]->offset + event->field[i]->size > from->size ||
		    tep_read_number_field(event->field[i], from->data, &value))
			return false;
		r->args[i] = value;
		if (event->field[i]->flags & TEP_FIELD_IS_SIGNED && event->field[i]->size == 4)
			r->args[i] = (uint64_t)(int64_t)(int32_t)value;
	}
	if (event->hook == IVM_HOOK_QUEUE_WORK) {
		const char *function = tep_find_function(d->tep, r->args[1]);

		r->args[1] = function && !strcmp(function, "irqfd_inject") ? IVM_RECORDS_INJECT : 0;
	}
	return true;
}

static int take(struct tracecmd_input *handle, struct tep_record *from, int cpu, void *arg)
{
	struct dat *d = arg;
	struct ivm_record r = { .t_ns = from->ts, .cpu = (uint16_t)cpu };
	int id = tep_data_type(d->tep, from);
	struct event *event = g_hash_table_lookup(d->fields, GINT_TO_POINTER(id));
	struct tep_event *format;

	(void)handle;
	d->import->lost += from->missed_events > 0 ? (uint64_t)from->missed_events : 0;
	if (!event) {
		format = tep_find_event(d->tep, id);
		if (!format)
			return 0;
		event = learn(d, format);
	}
	if (event->hook < 0)
		return 0;
	r.hook = (uint8_t)event->hook;
	r.tid = (uint32_t)tep_data_pid(d->tep, from);
	r.hardirq = tep_data_flags(d->tep, from) & TRACE_FLAG_HARDIRQ;
	if (read_fields(d, event, from, &r))
		d->import->take(d->import->arg, &r);
	else
		d->import->unread++;
	return 0;
}

int ivm_import_trace_dat(struct ivm_import *i, const char *path)
{
	struct tracecmd_input *handle = tracecmd_open(path, TRACECMD_FL_LOAD_NO_PLUGINS);
	struct dat d = { .import = i };
	int err;

	if (!handle) {
		g_strlcpy(i->why, "not a file of trace-cmd", sizeof(i->why));
		return -EBADMSG;
	}
	d.tep = tracecmd_get_tep(handle);
	d.fields = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	err = tracecmd_iterate_events(handle, NULL, 0, take, &d);
	g_hash_table_destroy(d.fields);
	tracecmd_close(handle);
	if (!err)
		return 0;
	g_strlcpy(i->why, "damaged", sizeof(i->why));
	return -EBADMSG;
}
