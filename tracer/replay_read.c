// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay form to events and topology.
 *
 * A file may come from anywhere: whatever is not understood to the last word
 * ends the reading with its line and the reason, and what it can ask memory
 * for is bounded.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "linkpage.h"
#include "replay_form.h"

#define MAX_TID		(1u << 22)	/* PID_MAX_LIMIT */
#define MAX_VCPU_ID	UINT16_MAX
#define MAX_CPU		UINT16_MAX
#define SHOWN_BYTES	60		/* of what is not understood */

struct reader {
	FILE *in;
	struct ivm_topology *topology;
	const struct ivm_replay_ops *ops;
	void *arg;
	struct ivm_replay_error *error;
	unsigned long line;
	uint64_t now_ns;		/* time of the last line that had one */
	bool has_magic;
	bool has_events;		/* since they were settled last */
	bool is_armed;
	bool is_stopped;
	char **words;			/* of the line under work */
	unsigned int count;
};

static int refuse(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct reader *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	g_vsnprintf(r->error->why, sizeof(r->error->why), fmt, args);
	va_end(args);
	r->error->line = r->line;
	return -EINVAL;
}

/* Safe to show: short, and nothing that a terminal would act upon */
static const char *shown(const char *text, char *buffer)
{
	g_autofree char *escaped = g_strescape(text, NULL);

	g_strlcpy(buffer, escaped, SHOWN_BYTES);
	return buffer;
}

static int refuse_value(struct reader *r, const char *what, const char *text, int err)
{
	char buffer[SHOWN_BYTES];

	if (err == -ERANGE)
		return refuse(r, "%s '%s' is out of range", what, shown(text, buffer));
	return refuse(r, "'%s' is no %s", shown(text, buffer), what);
}

/* Before the topology changes what happened until then has to be worked off */
static int settle(struct reader *r)
{
	if (!r->has_events)
		return 0;
	r->has_events = false;
	return r->ops->settle ? r->ops->settle(r->arg) : 0;
}

/* ---- words ---- */

static int parse_number(struct reader *r, const char *what, const char *text, uint64_t min,
			uint64_t max, uint64_t *value)
{
	int err = form_parse_u64(text, max, value);

	if (!err && *value < min)
		err = -ERANGE;
	return err ? refuse_value(r, what, text, err) : 0;
}

/* "A/B" */
static int parse_pair(struct reader *r, const char *what, const char *text, uint64_t max_a,
		      uint64_t *a, uint64_t max_b, uint64_t *b)
{
	const char *slash = strchr(text, '/');
	g_autofree char *first = NULL;
	int err;

	if (!slash)
		return refuse_value(r, what, text, -EINVAL);
	first = g_strndup(text, slash - text);
	err = form_parse_u64(first, max_a, a);
	if (!err)
		err = form_parse_u64(slash + 1, max_b, b);
	return err ? refuse_value(r, what, text, err) : 0;
}

static const struct form_field *find_field(const struct form_field *fields, const char *word,
					   size_t key_bytes)
{
	for (; fields && fields->key; fields++)
		if (strlen(fields->key) == key_bytes && !memcmp(fields->key, word, key_bytes))
			return fields;
	return NULL;
}

/* Sets @bit to one of its own for each field */
static const struct form_field *find_either(const struct form_field *fields,
					    const struct form_field *more, const char *word,
					    size_t key_bytes, uint64_t *bit)
{
	const struct form_field *field = find_field(fields, word, key_bytes);

	if (field) {
		*bit = 1ull << (field - fields);
		return field;
	}
	field = find_field(more, word, key_bytes);
	/* What has a name of its own is not to be called by another one */
	if (!field || form_has_offset(fields, field->offset))
		return NULL;
	*bit = 1ull << 32 << (field - more);
	return field;
}

static int parse_field(struct reader *r, const struct form_field *fields,
		       const struct form_field *more, const char *word, void *object,
		       uint64_t *seen)
{
	const char *equals = strchr(word, '=');
	const struct form_field *field;
	char buffer[SHOWN_BYTES];
	uint64_t bit;
	int err;

	if (!equals)
		return refuse(r, "'%s' is no KEY=VALUE", shown(word, buffer));
	field = find_either(fields, more, word, equals - word, &bit);
	if (!field)
		return refuse(r, "'%s' has no '%s'", r->words[0], shown(word, buffer));
	if (*seen & bit)
		return refuse(r, "%s= is given twice", field->key);
	*seen |= bit;
	err = form_parse(field, equals + 1, object);
	return err ? refuse_value(r, field->key, equals + 1, err) : 0;
}

/* All words from @at on; @more are fields that may be there as well */
static int parse_fields(struct reader *r, unsigned int at, const struct form_field *fields,
			const struct form_field *more, void *object)
{
	const struct form_field *field;
	uint64_t seen = 0;
	int err;

	for (; at < r->count; at++) {
		err = parse_field(r, fields, more, r->words[at], object, &seen);
		if (err)
			return err;
	}
	for (field = fields; field->key; field++)
		if (field->required && !(seen & 1ull << (field - fields)))
			return refuse(r, "'%s' needs %s=", r->words[0], field->key);
	return 0;
}

static int expect_words(struct reader *r, unsigned int least, unsigned int most, const char *usage)
{
	if (r->count < least || r->count > most)
		return refuse(r, "the line should read: %s", usage);
	return 0;
}

/* ---- topology ---- */

static bool is_gone_line(const struct reader *r)
{
	return r->count == 3 && !strcmp(r->words[2], "gone");
}

static struct ivm_vm *find_vm(const struct reader *r, uint64_t id)
{
	return id && id <= r->topology->vms->len ? g_ptr_array_index(r->topology->vms, id - 1)
						 : NULL;
}

static int find_living_vm(struct reader *r, uint64_t id, struct ivm_vm **vm)
{
	*vm = find_vm(r, id);
	if (!*vm)
		return refuse(r, "there is no VM %" G_GUINT64_FORMAT " yet", id);
	return (*vm)->dead ? refuse(r, "VM %" G_GUINT64_FORMAT " is gone", id) : 0;
}

static int add_vm(struct reader *r, uint64_t id)
{
	struct ivm_vm vm = { 0 };
	int err;

	if (id != r->topology->vms->len + 1)
		return refuse(r, "the next VM is number %u", r->topology->vms->len + 1);
	err = parse_fields(r, 2, form_vm_fields, NULL, &vm);
	if (err)
		return err;
	if (vm.tgid < 1 || vm.tgid > (int)MAX_TID)
		return refuse(r, "tgid is out of range");
	if (ivm_topology_vm(r->topology, vm.tgid))
		return refuse(r, "process %d has a VM already", vm.tgid);
	ivm_topology_add_vm(r->topology, vm.tgid, vm.start_ticks, vm.name);
	return 0;
}

/* vm ID tgid=N [start_ticks=N] [name=NAME], vm ID gone */
static int read_vm(struct reader *r)
{
	struct ivm_vm *vm;
	uint64_t id;
	int err;

	err = expect_words(r, 3, UINT_MAX, "vm ID tgid=N, or: vm ID gone");
	if (!err)
		err = parse_number(r, "VM number", r->words[1], 1, IVM_REPLAY_VMS, &id);
	if (!err && !is_gone_line(r))
		return add_vm(r, id);
	if (!err)
		err = find_living_vm(r, id, &vm);
	if (!err)
		ivm_topology_vm_gone(r->topology, vm);
	return err;
}

/* vcpu VM/ID tid=N */
static int read_vcpu(struct reader *r)
{
	struct ivm_vcpu vcpu = { 0 };
	uint64_t vm_id, vcpu_id;
	struct ivm_vm *vm;
	int err;

	err = expect_words(r, 3, 3, "vcpu VM/ID tid=N");
	if (!err)
		err = parse_pair(r, "VM/VCPU", r->words[1], IVM_REPLAY_VMS, &vm_id, MAX_VCPU_ID,
				 &vcpu_id);
	if (!err)
		err = find_living_vm(r, vm_id, &vm);
	if (!err)
		err = parse_fields(r, 2, form_vcpu_fields, NULL, &vcpu);
	if (err)
		return err;
	if (vcpu.tid < 1 || vcpu.tid > (int)MAX_TID)
		return refuse(r, "tid is out of range");
	if (r->topology->vcpus->len >= IVM_REPLAY_VCPUS)
		return refuse(r, "more than %d vCPUs", IVM_REPLAY_VCPUS);
	ivm_topology_set_vcpu(r->topology, vm, vcpu_id, vcpu.tid);
	return 0;
}

/* An end without a page may do nothing but ring */
static int check_page(struct reader *r, const struct ivm_end *end, const struct ivm_linkpage *page)
{
	struct ivm_linkpage checked = *page;
	const char *why = "";

	if (end && end->kind != IVM_END_LINK && !checked.vectors)
		checked.vectors = 1;
	if (ivm_linkpage_check(&checked, &why))
		return refuse(r, "no link end can be like that: %s", why);
	return 0;
}

/* The first line for an end makes it, further ones change it */
static int set_end(struct reader *r, struct ivm_vm *vm, uint64_t id)
{
	struct ivm_end *end = ivm_topology_end(r->topology, id);
	struct ivm_linkpage page;
	int err;

	if (!end && id != r->topology->ends->len + 1)
		return refuse(r, "the next end is number %u", r->topology->ends->len + 1);
	if (end)
		page = end->page;
	else
		form_page_init(&page);
	err = parse_fields(r, 2, form_end_fields, NULL, &page);
	if (!err)
		err = check_page(r, end, &page);
	if (err)
		return err;
	if (end)
		ivm_topology_update_end(r->topology, end, &page);
	else
		ivm_topology_add_end(r->topology, vm, id, &page, r->now_ns);
	return 0;
}

/* end VM/ID KEY=VALUE..., end VM/ID gone */
static int read_end(struct reader *r)
{
	uint64_t vm_id, id;
	struct ivm_end *end;
	struct ivm_vm *vm;
	int err;

	err = expect_words(r, 3, UINT_MAX, "end VM/ID KEY=VALUE..., or: end VM/ID gone");
	if (!err)
		err = parse_pair(r, "VM/END", r->words[1], IVM_REPLAY_VMS, &vm_id,
				 IVM_REPLAY_ENDS, &id);
	if (!err)
		err = find_living_vm(r, vm_id, &vm);
	if (err)
		return err;
	end = ivm_topology_end(r->topology, id);
	if (end && end->vm != vm)
		return refuse(r, "end %u is in VM %u", end->id, end->vm->id);
	if (end && end->dead)
		return refuse(r, "end %u is gone", end->id);
	if (!is_gone_line(r))
		return set_end(r, vm, id);
	if (!end)
		return refuse(r, "there is no end %" G_GUINT64_FORMAT " yet", id);
	ivm_topology_end_gone(r->topology, end);
	return 0;
}

/* wired VM/ID kind=KIND bell=ADDRESS [bell_peer=N]: a new end that has no link page */
static int read_wired(struct reader *r)
{
	struct ivm_end end = { 0 };
	struct ivm_linkpage page;
	uint64_t vm_id, id;
	struct ivm_vm *vm;
	int err;

	err = expect_words(r, 3, UINT_MAX, "wired VM/ID kind=KIND bell=ADDRESS [bell_peer=N]");
	if (!err)
		err = parse_pair(r, "VM/END", r->words[1], IVM_REPLAY_VMS, &vm_id,
				 IVM_REPLAY_ENDS, &id);
	if (!err)
		err = find_living_vm(r, vm_id, &vm);
	if (!err)
		err = parse_fields(r, 2, form_wired_fields, NULL, &end);
	if (err)
		return err;
	if (id != r->topology->ends->len + 1)
		return refuse(r, "the next end is number %u", r->topology->ends->len + 1);
	if (end.kind == IVM_END_LINK)
		return refuse(r, "an end of a link has its page: 'end' makes it");
	form_page_init(&page);
	ivm_topology_add_wired(r->topology, vm, end.kind, end.bell_address, end.bell_peer, &page,
			       r->now_ns);
	return 0;
}

/* pair END/END: without a link page nothing else tells who is whose peer */
static int read_pair(struct reader *r)
{
	struct ivm_end *a, *b;
	uint64_t a_id, b_id;
	int err;

	err = expect_words(r, 2, 2, "pair END/END");
	if (!err)
		err = parse_pair(r, "END/END", r->words[1], IVM_REPLAY_ENDS, &a_id,
				 IVM_REPLAY_ENDS, &b_id);
	if (err)
		return err;
	a = ivm_topology_end(r->topology, a_id);
	b = ivm_topology_end(r->topology, b_id);
	if (!a || a->dead || !b || b->dead)
		return refuse(r, "there is no such end");
	if (a->kind == IVM_END_LINK || b->kind == IVM_END_LINK)
		return refuse(r, "ends of links are paired by link_id");
	ivm_topology_pair(r->topology, a, b);
	return 0;
}

/* vector END/NUMBER KEY=VALUE... */
static int read_vector(struct reader *r)
{
	struct ivm_linkpage page;
	struct form_vector vector;
	uint64_t id, number;
	struct ivm_end *end;
	int err;

	err = expect_words(r, 3, UINT_MAX, "vector END/NUMBER KEY=VALUE...");
	if (!err)
		err = parse_pair(r, "END/VECTOR", r->words[1], IVM_REPLAY_ENDS, &id,
				 IVM_LINKPAGE_VECTORS - 1, &number);
	if (err)
		return err;
	end = ivm_topology_end(r->topology, id);
	if (!end || end->dead)
		return refuse(r, "there is no end %" G_GUINT64_FORMAT, id);
	page = end->page;
	form_vector_get(&page, number, &vector);
	err = parse_fields(r, 2, form_vector_fields, NULL, &vector);
	if (err)
		return err;
	form_vector_set(&page, number, &vector);
	err = check_page(r, end, &page);
	if (!err)
		ivm_topology_update_end(r->topology, end, &page);
	return err;
}

/* ---- begin, end, and facts ---- */

static int read_settle(struct reader *r)
{
	return expect_words(r, 1, 1, "settle");
}

static int read_arm(struct reader *r)
{
	int err = expect_words(r, 1, 1, "TIME arm");

	if (err)
		return err;
	if (r->is_armed)
		return refuse(r, "armed twice");
	r->is_armed = true;
	return r->ops->arm ? r->ops->arm(r->arg, r->now_ns) : 0;
}

static int read_stop(struct reader *r)
{
	int err = expect_words(r, 1, 1, "TIME stop");

	if (err)
		return err;
	if (r->is_stopped)
		return refuse(r, "stopped twice");
	r->is_stopped = true;
	return r->ops->stop ? r->ops->stop(r->arg, r->now_ns) : 0;
}

static bool is_word(const char *text)
{
	size_t bytes = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return bytes && !text[bytes] && bytes <= 64;
}

/* Times have lines of their own: two that contradict each other help nobody */
static bool is_time_key(const char *key)
{
	return !strcmp(key, "start_ns") || !strcmp(key, "duration_ns");
}

/* meta KEY=VALUE... */
static int read_meta(struct reader *r)
{
	char buffer[SHOWN_BYTES];
	unsigned int i;
	int err = expect_words(r, 2, UINT_MAX, "meta KEY=VALUE...");

	for (i = 1; i < r->count && !err; i++) {
		g_auto(GStrv) pair = g_strsplit(r->words[i], "=", 2);
		g_autofree char *value = pair[1] ? g_uri_unescape_string(pair[1], NULL) : NULL;

		if (!value || !is_word(pair[0]) || !g_utf8_validate(value, -1, NULL))
			return refuse(r, "'%s' is no KEY=VALUE", shown(r->words[i], buffer));
		if (is_time_key(pair[0]))
			return refuse(r, "%s follows from arm and stop", pair[0]);
		if (r->ops->meta)
			err = r->ops->meta(r->arg, pair[0], value);
	}
	return err;
}

struct hook {
	char state[16];
	uint64_t fired;
	uint64_t missed;
	uint64_t run_ns;
};

static const struct form_field hook_fields[] = {
	{ "state", offsetof(struct hook, state), 16, FORM_NAME, true },
	{ "fired", offsetof(struct hook, fired), 8, FORM_DEC, false },
	{ "missed", offsetof(struct hook, missed), 8, FORM_DEC, false },
	{ "run_ns", offsetof(struct hook, run_ns), 8, FORM_DEC, false },
	{ 0 }
};

/* hook NAME state=STATE [fired=N] [missed=N] [run_ns=N] */
static int read_hook(struct reader *r)
{
	char buffer[SHOWN_BYTES];
	struct hook hook = { 0 };
	int err;

	err = expect_words(r, 3, UINT_MAX, "hook NAME state=STATE [fired=N]...");
	if (!err)
		err = parse_fields(r, 2, hook_fields, NULL, &hook);
	if (err)
		return err;
	if (!is_word(r->words[1]) || !is_word(hook.state))
		return refuse(r, "'%s' is no hook", shown(r->words[1], buffer));
	if (hook.fired > INT64_MAX || hook.missed > INT64_MAX || hook.run_ns > INT64_MAX)
		return refuse(r, "a count is out of range");
	if (!r->ops->hook)
		return 0;
	return r->ops->hook(r->arg, r->words[1], hook.state, hook.fired, hook.missed,
			    hook.run_ns);
}

/* lost SOURCE N */
static int read_lost(struct reader *r)
{
	char buffer[SHOWN_BYTES];
	uint64_t count;
	int err;

	err = expect_words(r, 3, 3, "lost SOURCE N");
	if (!err)
		err = parse_number(r, "count", r->words[2], 0, INT64_MAX, &count);
	if (err)
		return err;
	if (!is_word(r->words[1]))
		return refuse(r, "'%s' is no source", shown(r->words[1], buffer));
	return r->ops->lost ? r->ops->lost(r->arg, r->words[1], count) : 0;
}

enum directive_kind {
	CHANGE,			/* of the topology, at any time */
	MARK,			/* an instant */
	FACT,			/* holds for the file as a whole */
	SETTLE,
};

static const struct directive {
	const char *name;
	int (*read)(struct reader *r);
	enum directive_kind kind;
} directives[] = {
	{ "vm", read_vm, CHANGE },
	{ "vcpu", read_vcpu, CHANGE },
	{ "end", read_end, CHANGE },
	{ "wired", read_wired, CHANGE },
	{ "pair", read_pair, CHANGE },
	{ "vector", read_vector, CHANGE },
	{ "arm", read_arm, MARK },
	{ "stop", read_stop, MARK },
	{ "meta", read_meta, FACT },
	{ "hook", read_hook, FACT },
	{ "lost", read_lost, FACT },
	{ "settle", read_settle, SETTLE },
};

static int apply(struct reader *r, const struct directive *d)
{
	int err = 0;

	if (d->kind == CHANGE || d->kind == SETTLE)
		err = settle(r);
	if (!err)
		err = d->read(r);
	if (!err && d->kind == CHANGE && r->ops->changed)
		err = r->ops->changed(r->arg, r->now_ns);
	return err;
}

static int read_directive(struct reader *r, bool has_time)
{
	const struct directive *d = NULL;
	char buffer[SHOWN_BYTES];
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(directives); i++)
		if (!strcmp(r->words[0], directives[i].name))
			d = &directives[i];
	if (!d)
		return refuse(r, "unknown word '%s'", shown(r->words[0], buffer));
	if (d->kind == MARK && !has_time)
		return refuse(r, "'%s' needs a time before it", d->name);
	if ((d->kind == FACT || d->kind == SETTLE) && has_time)
		return refuse(r, "'%s' has no time", d->name);
	return apply(r, d);
}

/* ---- events ---- */

static int find_event(struct reader *r, const char *name, uint8_t *type)
{
	char buffer[SHOWN_BYTES];
	unsigned int i;

	for (i = 0; i < IVM_EV_TYPES; i++) {
		if (!form_events[i].name || strcmp(name, form_events[i].name))
			continue;
		*type = i;
		return 0;
	}
	return refuse(r, "unknown event '%s'", shown(name, buffer));
}

/* The one flag there is, behind all arguments */
static void take_flag(struct reader *r, struct ivm_event *e)
{
	if (r->count < 1 || strcmp(r->words[r->count - 1], "hardirq"))
		return;
	e->flags |= IVM_EV_F_HARDIRQ;
	r->count--;
}

/* TGID/TID CPU NAME KEY=VALUE... [hardirq] */
static int read_event(struct reader *r)
{
	struct ivm_event e = { .t_ns = r->now_ns };
	uint64_t tgid, tid, cpu;
	int err;

	if (!r->now_ns)
		return refuse(r, "an event needs a time after 0");
	err = expect_words(r, 3, UINT_MAX, "TIME TGID/TID CPU EVENT KEY=VALUE...");
	if (!err)
		err = parse_pair(r, "TGID/TID", r->words[0], MAX_TID, &tgid, MAX_TID, &tid);
	if (!err)
		err = parse_number(r, "CPU", r->words[1], 0, MAX_CPU, &cpu);
	if (!err)
		err = find_event(r, r->words[2], &e.type);
	if (err)
		return err;
	e.tgid = tgid;
	e.tid = tid;
	e.cpu = cpu;
	r->words += 2;
	r->count -= 2;
	take_flag(r, &e);
	err = parse_fields(r, 1, form_events[e.type].field, form_raw_fields, &e);
	if (err)
		return err;
	r->has_events = true;
	return r->ops->event ? r->ops->event(r->arg, &e) : 0;
}

/* ---- lines ---- */

/* "123" or "+123": after the last line that had a time */
static int read_time(struct reader *r, const char *text)
{
	bool is_delta = *text == '+';
	uint64_t value;
	int err = parse_number(r, "time", text + is_delta, 0, INT64_MAX, &value);

	if (err)
		return err;
	if (is_delta && value > INT64_MAX - r->now_ns)
		return refuse(r, "the time is out of range");
	r->now_ns = is_delta ? r->now_ns + value : value;
	return 0;
}

static int read_magic(struct reader *r)
{
	uint64_t version;
	int err;

	if (r->count != 2 || strcmp(r->words[0], IVM_REPLAY_MAGIC))
		return refuse(r, "this is no event file: it should begin with '%s %d'",
			      IVM_REPLAY_MAGIC, IVM_REPLAY_VERSION);
	err = parse_number(r, "version", r->words[1], 0, UINT32_MAX, &version);
	if (!err && version != IVM_REPLAY_VERSION)
		return refuse(r, "version %s is not known, only %d", r->words[1],
			      IVM_REPLAY_VERSION);
	r->has_magic = !err;
	return err;
}

static int read_words(struct reader *r)
{
	bool has_time;
	int err;

	if (!r->has_magic)
		return read_magic(r);
	has_time = *r->words[0] == '+' || g_ascii_isdigit(*r->words[0]);
	if (has_time) {
		err = read_time(r, r->words[0]);
		if (err)
			return err;
		r->words++;
		r->count--;
	}
	if (!r->count)
		return refuse(r, "there is nothing behind the time");
	if (has_time && g_ascii_isdigit(*r->words[0]))
		return read_event(r);
	return read_directive(r, has_time);
}

static int read_text(struct reader *r, char *text)
{
	char *comment = strchr(text, '#');
	GStrvBuilder *builder = g_strv_builder_new();
	char *word, *save = NULL;
	char **words;
	int err;

	if (comment)
		*comment = 0;
	for (word = strtok_r(text, " \t\r\n", &save); word; word = strtok_r(NULL, " \t\r\n", &save))
		g_strv_builder_add(builder, word);
	words = g_strv_builder_end(builder);
	g_strv_builder_unref(builder);
	r->words = words;
	r->count = g_strv_length(words);
	err = r->count ? read_words(r) : 0;
	g_strfreev(words);
	return err;
}

/* Return: 1 with a line, 0 at the end of the file, or -errno */
static int next_line(struct reader *r, char *text)
{
	unsigned int bytes = 0;
	int c;

	r->line++;
	while ((c = getc(r->in)) != EOF && c != '\n') {
		if (!c)
			return refuse(r, "there is a NUL byte: this is no text");
		if (bytes + 1 == IVM_REPLAY_LINE_BYTES)
			return refuse(r, "the line is longer than %d bytes",
				      IVM_REPLAY_LINE_BYTES - 1);
		text[bytes++] = c;
	}
	text[bytes] = 0;
	if (ferror(r->in))
		return errno ? -errno : -EIO;
	return c != EOF || bytes;
}

/**
 * ivm_replay_read() - reads a file of events
 * @in: open for reading
 * @topology: empty; follows what the file says of VMs and links
 * @ops: told what happens
 * @arg: handed to @ops
 * @error: set to line and reason if the file is refused; line 0 if not
 *
 * Return: 0; -EINVAL if the file is refused; another -errno of reading or of
 * one of @ops.
 */
int ivm_replay_read(FILE *in, struct ivm_topology *topology, const struct ivm_replay_ops *ops,
		    void *arg, struct ivm_replay_error *error)
{
	struct reader r = { .in = in, .topology = topology, .ops = ops, .arg = arg,
			    .error = error };
	char text[IVM_REPLAY_LINE_BYTES];
	int err;

	memset(error, 0, sizeof(*error));
	while ((err = next_line(&r, text)) > 0) {
		err = read_text(&r, text);
		if (err)
			return err;
	}
	/* An empty file says nothing, not even that it is one of events */
	if (!err && !r.has_magic)
		err = read_magic(&r);
	return err;
}
