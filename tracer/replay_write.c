// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events and topology to the replay form.
 *
 * The writer remembers the topology as the file has it, and of a newer one
 * writes what is different.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "replay_form.h"

/* An end as the file has it */
struct written_end {
	struct ivm_linkpage page;
	uint32_t peer;			/* if it has no page to tell it */
	bool is_new;
	bool dead;
};

struct ivm_replay_writer {
	FILE *out;
	GArray *vm_dead;		/* bool, by number */
	GArray *vcpu_tid;		/* pid_t, in the order of the topology */
	GPtrArray *ends;		/* struct written_end, by number */
	uint64_t newest_ns;		/* of all events */
	uint64_t settled_ns;		/* older events would have come too late */
};

/**
 * ivm_replay_writer_new() - begins a file of events
 * @out: stays the caller's
 *
 * Return: the writer; free with ivm_replay_writer_free().
 */
struct ivm_replay_writer *ivm_replay_writer_new(FILE *out)
{
	struct ivm_replay_writer *w = g_new0(struct ivm_replay_writer, 1);

	w->out = out;
	w->vm_dead = g_array_new(FALSE, TRUE, sizeof(bool));
	w->vcpu_tid = g_array_new(FALSE, TRUE, sizeof(pid_t));
	w->ends = g_ptr_array_new_with_free_func(g_free);
	fprintf(out, "%s %d\n", IVM_REPLAY_MAGIC, IVM_REPLAY_VERSION);
	return w;
}

void ivm_replay_writer_free(struct ivm_replay_writer *w)
{
	if (!w)
		return;
	g_array_unref(w->vm_dead);
	g_array_unref(w->vcpu_tid);
	g_ptr_array_unref(w->ends);
	g_free(w);
}

static int result(const struct ivm_replay_writer *w)
{
	return ferror(w->out) ? -EIO : 0;
}

/* ---- events ---- */

static void print_fields(const struct form_field *fields, const void *object, FILE *out)
{
	for (; fields->key; fields++)
		form_print(fields, object, out);
}

/* What the event's own words leave out is hardly ever there, and never lost */
static void print_unnamed(const struct form_event *form, const struct ivm_event *e, FILE *out)
{
	const struct form_field *field;
	const struct ivm_event none = { 0 };

	for (field = form_raw_fields; field->key; field++)
		if (!form_has_offset(form->field, field->offset) &&
		    memcmp((const char *)e + field->offset, (const char *)&none + field->offset,
			   field->bytes))
			form_print(field, e, out);
}

/**
 * ivm_replay_write_event() - the next event
 * @w: the writer
 * @event: in the order in which it is to be read again
 *
 * Return: 0; -EINVAL for one of unknown type or flags; -EIO.
 */
int ivm_replay_write_event(struct ivm_replay_writer *w, const struct ivm_event *event)
{
	const struct form_event *form;

	if (event->type >= IVM_EV_TYPES || !form_events[event->type].name ||
	    event->flags & ~IVM_EV_F_HARDIRQ)
		return -EINVAL;
	form = &form_events[event->type];
	if (event->t_ns < w->settled_ns) {
		fputs("settle\n", w->out);
		w->settled_ns = 0;
	}
	w->newest_ns = MAX(w->newest_ns, event->t_ns);
	fprintf(w->out, "%" PRIu64 " %u/%u %u %s", (uint64_t)event->t_ns, event->tgid, event->tid,
		event->cpu, form->name);
	print_fields(form->field, event, w->out);
	print_unnamed(form, event, w->out);
	fputs(event->flags ? " hardirq\n" : "\n", w->out);
	return result(w);
}

/**
 * ivm_replay_write_settle() - all events so far have been worked off
 * @w: the writer
 *
 * Costs a line only if an older event follows: one that came too late.
 */
void ivm_replay_write_settle(struct ivm_replay_writer *w)
{
	w->settled_ns = w->newest_ns;
}

/* ---- topology ---- */

static void write_vms(struct ivm_replay_writer *w, const struct ivm_topology *t, uint64_t now_ns)
{
	const bool living = false;
	guint i;

	for (i = w->vm_dead->len; i < t->vms->len; i++) {
		const struct ivm_vm *vm = g_ptr_array_index(t->vms, i);

		fprintf(w->out, "%" PRIu64 " vm %u", now_ns, vm->id);
		print_fields(form_vm_fields, vm, w->out);
		fputc('\n', w->out);
		g_array_append_val(w->vm_dead, living);
	}
}

static void write_vcpus(struct ivm_replay_writer *w, const struct ivm_topology *t,
			uint64_t now_ns)
{
	guint i;

	g_array_set_size(w->vcpu_tid, t->vcpus->len);
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);
		pid_t *tid = &g_array_index(w->vcpu_tid, pid_t, i);

		if (*tid == vcpu->tid)
			continue;
		*tid = vcpu->tid;
		fprintf(w->out, "%" PRIu64 " vcpu %u/%u", now_ns, vcpu->vm->id, vcpu->vcpu_id);
		print_fields(form_vcpu_fields, vcpu, w->out);
		fputc('\n', w->out);
	}
}

/* Only what differs; the line's beginning comes before the first of it */
static void write_changes(struct ivm_replay_writer *w, const char *start,
			  const struct form_field *fields, const void *now, const void *before)
{
	bool begun = false;

	for (; fields->key; fields++) {
		if (!memcmp((const char *)now + fields->offset,
			    (const char *)before + fields->offset, fields->bytes))
			continue;
		if (!begun)
			fputs(start, w->out);
		begun = true;
		form_print(fields, now, w->out);
	}
	if (begun)
		fputc('\n', w->out);
}

static void write_vectors(struct ivm_replay_writer *w, const struct ivm_end *end,
			  const struct ivm_linkpage *before, uint64_t now_ns)
{
	struct form_vector now_vector, before_vector;
	unsigned int v;

	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++) {
		g_autofree char *start = NULL;

		form_vector_get(&end->page, v, &now_vector);
		form_vector_get(before, v, &before_vector);
		if (!memcmp(&now_vector, &before_vector, sizeof(now_vector)))
			continue;
		start = g_strdup_printf("%" PRIu64 " vector %u/%u", now_ns, end->id, v);
		write_changes(w, start, form_vector_fields, &now_vector, &before_vector);
	}
}

static struct written_end *written(struct ivm_replay_writer *w, guint i)
{
	struct written_end *end;

	if (i < w->ends->len)
		return g_ptr_array_index(w->ends, i);
	end = g_new0(struct written_end, 1);
	end->is_new = true;
	form_page_init(&end->page);
	g_ptr_array_add(w->ends, end);
	return end;
}

static void write_ends(struct ivm_replay_writer *w, const struct ivm_topology *t, uint64_t now_ns)
{
	guint i;

	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);
		struct written_end *before = written(w, i);
		g_autofree char *start = NULL;

		if (before->is_new && end->kind != IVM_END_LINK) {
			fprintf(w->out, "%" PRIu64 " wired %u/%u", now_ns, end->vm->id, end->id);
			print_fields(form_wired_fields, end, w->out);
			fputc('\n', w->out);
		}
		before->is_new = false;
		if (before->dead || !memcmp(&before->page, &end->page, sizeof(end->page)))
			continue;
		start = g_strdup_printf("%" PRIu64 " end %u/%u", now_ns, end->vm->id, end->id);
		write_changes(w, start, form_end_fields, &end->page, &before->page);
		write_vectors(w, end, &before->page, now_ns);
		before->page = end->page;
	}
}

/* Both ends say so; one line is enough */
static void write_pairs(struct ivm_replay_writer *w, const struct ivm_topology *t, uint64_t now_ns)
{
	guint i;

	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);
		struct written_end *before = written(w, i);

		if (end->kind == IVM_END_LINK || !end->peer || end->peer->id == before->peer)
			continue;
		before->peer = end->peer->id;
		written(w, end->peer->id - 1)->peer = end->id;
		fprintf(w->out, "%" PRIu64 " pair %u/%u\n", now_ns, end->id, end->peer->id);
	}
}

/* A process number may be another VM's at once: the gone go first */
static void write_gone(struct ivm_replay_writer *w, const struct ivm_topology *t, uint64_t now_ns)
{
	guint i;

	for (i = 0; i < w->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);
		struct written_end *before = written(w, i);

		if (end->dead && !before->dead && !end->vm->dead)
			fprintf(w->out, "%" PRIu64 " end %u/%u gone\n", now_ns, end->vm->id,
				end->id);
		before->dead = end->dead;
	}
	for (i = 0; i < w->vm_dead->len; i++) {
		const struct ivm_vm *vm = g_ptr_array_index(t->vms, i);
		bool *dead = &g_array_index(w->vm_dead, bool, i);

		if (vm->dead && !*dead)
			fprintf(w->out, "%" PRIu64 " vm %u gone\n", now_ns, vm->id);
		*dead = vm->dead;
	}
}

/**
 * ivm_replay_write_topology() - what changed on the host
 * @w: the writer
 * @topology: always the same one
 * @now_ns: CLOCK_MONOTONIC of the change's discovery
 *
 * The change holds for the events that are written after it, whatever their
 * times.  A VM or an end that came and went since the last call is written,
 * too: numbers leave no gaps.
 *
 * Return: 0 or -EIO.
 */
int ivm_replay_write_topology(struct ivm_replay_writer *w, const struct ivm_topology *topology,
			      uint64_t now_ns)
{
	write_gone(w, topology, now_ns);
	write_vms(w, topology, now_ns);
	write_vcpus(w, topology, now_ns);
	write_ends(w, topology, now_ns);
	write_pairs(w, topology, now_ns);
	write_gone(w, topology, now_ns);
	return result(w);
}

/* ---- begin, end, and facts ---- */

int ivm_replay_write_arm(struct ivm_replay_writer *w, uint64_t t_ns)
{
	fprintf(w->out, "%" PRIu64 " arm\n", t_ns);
	return result(w);
}

int ivm_replay_write_stop(struct ivm_replay_writer *w, uint64_t t_ns)
{
	fprintf(w->out, "%" PRIu64 " stop\n", t_ns);
	return result(w);
}

/**
 * ivm_replay_write_meta() - a fact about the recorded host
 * @w: the writer
 * @key: lower case
 * @value: NULL for unknown: nothing is written
 *
 * Return: 0 or -EIO.
 */
int ivm_replay_write_meta(struct ivm_replay_writer *w, const char *key, const char *value)
{
	g_autofree char *escaped = value ? g_uri_escape_string(value, ":", TRUE) : NULL;

	if (escaped)
		fprintf(w->out, "meta %s=%s\n", key, escaped);
	return result(w);
}

int ivm_replay_write_hook(struct ivm_replay_writer *w, const char *name, const char *state,
			  uint64_t fired, uint64_t missed, uint64_t run_ns)
{
	fprintf(w->out, "hook %s state=%s fired=%" PRIu64 " missed=%" PRIu64 " run_ns=%" PRIu64
		"\n", name, state, fired, missed, run_ns);
	return result(w);
}

int ivm_replay_write_lost(struct ivm_replay_writer *w, const char *source, uint64_t count)
{
	fprintf(w->out, "lost %s %" PRIu64 "\n", source, count);
	return result(w);
}
