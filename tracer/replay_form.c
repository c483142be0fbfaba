// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which word stands for which field, and how values look.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "replay_form.h"

#define FIELD(type, member, key_, kind_, required_)			\
	{ .key = key_, .offset = offsetof(struct type, member),		\
	  .bytes = sizeof(((struct type *)0)->member), .kind = FORM_##kind_, \
	  .required = required_ }
/* Arguments of events; NEED for those without which the line means nothing */
#define ARG(member, key_, kind_)	FIELD(ivm_event, member, key_, kind_, false)
#define NEED(member, key_, kind_)	FIELD(ivm_event, member, key_, kind_, true)

const struct form_event form_events[] = {
	[IVM_EV_EXIT] = { "kvm_exit", { ARG(a, "reason", HEX), ARG(b, "isa", DEC) } },
	[IVM_EV_ENTRY] = { "kvm_entry", { { 0 } } },
	[IVM_EV_MMIO] = { "kvm_mmio", { NEED(a, "address", HEX), ARG(b, "value", HEX),
					NEED(c, "bytes", DEC) } },
	[IVM_EV_PIO] = { "kvm_pio", { NEED(a, "port", HEX), NEED(c, "bytes", DEC) } },
	[IVM_EV_FAST_MMIO] = { "kvm_fast_mmio", { NEED(a, "address", HEX) } },
	[IVM_EV_USER_EXIT] = { "kvm_userspace_exit", { NEED(a, "reason", DEC),
						       ARG(b, "errno", DEC) } },
	[IVM_EV_WRITE] = { "write", { NEED(c, "fd", DEC) } },
	[IVM_EV_SENDMSG] = { "sendmsg", { NEED(c, "fd", DEC), NEED(a, "first", DEC),
					  NEED(b, "last", DEC) } },
	[IVM_EV_SENDMSG_RET] = { "sendmsg_return", { NEED(c, "fd", DEC),
						     NEED(a, "result", SIGNED) } },
	[IVM_EV_RECVMSG] = { "recvmsg", { NEED(c, "fd", DEC), NEED(a, "first", DEC),
					  NEED(b, "last", DEC) } },
	[IVM_EV_READ] = { "read", { NEED(c, "fd", DEC), ARG(a, "signals", DEC) } },
	[IVM_EV_SIGNAL] = { "eventfd_signal", { ARG(a, "ctx", HEX), ARG(b, "id", DEC) } },
	[IVM_EV_EVENTFD_WRITE] = { "eventfd_write", { ARG(a, "ctx", HEX), ARG(b, "id", DEC) } },
	[IVM_EV_MSI] = { "kvm_msi_set_irq", { NEED(a, "address", HEX), NEED(b, "data", HEX) } },
	[IVM_EV_SET_IRQ] = { "kvm_set_irq", { NEED(a, "gsi", DEC), ARG(b, "level", DEC),
					      ARG(c, "source", DEC) } },
	[IVM_EV_ACCEPT] = { "kvm_apic_accept_irq", { NEED(a, "vcpu", DEC),
						     NEED(b, "vector", HEX),
						     ARG(c, "mode", DEC) } },
	[IVM_EV_APICV_ACCEPT] = { "kvm_apicv_accept_irq", { NEED(a, "vcpu", DEC),
							    NEED(b, "vector", HEX),
							    ARG(c, "mode", DEC) } },
	[IVM_EV_WAKING] = { "sched_waking", { NEED(a, "tid", DEC) } },
	[IVM_EV_SWITCH_IN] = { "sched_switch_in", { ARG(a, "prev", DEC) } },
	[IVM_EV_SWITCH_OUT] = { "sched_switch_out", { ARG(a, "next", DEC),
						      ARG(b, "runnable", DEC) } },
	[IVM_EV_IPI] = { "ipi_send_cpu", { NEED(a, "cpu", DEC), ARG(b, "callback", HEX) } },
	[IVM_EV_UNHALT] = { "kvm_vcpu_wakeup", { ARG(a, "ns", DEC), ARG(b, "slept", DEC),
						 ARG(c, "valid", DEC) } },
	[IVM_EV_INJ] = { "kvm_inj_virq", { NEED(a, "vector", HEX), ARG(b, "flags", HEX) } },
	[IVM_EV_EOI] = { "kvm_eoi", { NEED(a, "vector", HEX) } },
	[IVM_EV_QUEUE_WORK] = { "workqueue_queue_work", { NEED(a, "work", HEX) } },
	[IVM_EV_WORK_START] = { "workqueue_execute_start", { NEED(a, "work", HEX) } },
	[IVM_EV_WORK_END] = { "workqueue_execute_end", { NEED(a, "work", HEX) } },
	[IVM_EV_TSC_OFFSET] = { "kvm_write_tsc_offset", { NEED(a, "offset", HEX),
							  ARG(b, "old", HEX),
							  ARG(c, "vcpu", DEC) } },
};

_Static_assert(G_N_ELEMENTS(form_events) == IVM_EV_TYPES, "each event type has its words");

const struct form_field form_raw_fields[] = {
	ARG(a, "a", HEX), ARG(b, "b", HEX), ARG(c, "c", DEC), { 0 }
};

const struct form_field form_vm_fields[] = {
	FIELD(ivm_vm, tgid, "tgid", DEC, true),
	FIELD(ivm_vm, start_ticks, "start_ticks", DEC, false),
	FIELD(ivm_vm, name, "name", NAME, false),
	{ 0 }
};

const struct form_field form_vcpu_fields[] = {
	FIELD(ivm_vcpu, tid, "tid", DEC, true),
	{ 0 }
};

#define PAGE(member, key_, kind_)	FIELD(ivm_linkpage, member, key_, kind_, false)

/* The counters of a page are no part of it: no rule looks at them */
const struct form_field form_end_fields[] = {
	PAGE(name, "name", NAME),
	PAGE(link_id, "link_id", HEX),
	PAGE(up, "up", DEC),
	PAGE(reason, "reason", DEC),
	PAGE(generation, "generation", DEC),
	PAGE(side, "side", DEC),
	PAGE(accel, "accel", DEC),
	PAGE(mode_configured, "configured", MODE),
	PAGE(mode_tx, "tx", MODE),
	PAGE(mode_rx, "rx", MODE),
	PAGE(features, "features", HEX),
	PAGE(bar0_address, "bar0", HEX),
	PAGE(shmem_bytes, "shmem", DEC),
	PAGE(vectors, "vectors", DEC),
	PAGE(peer_vectors, "peer_vectors", DEC),
	PAGE(socket_fd, "socket", SIGNED),
	{ 0 }
};

const struct form_field form_wired_fields[] = {
	FIELD(ivm_end, kind, "kind", KIND, true),
	FIELD(ivm_end, bell_address, "bell", HEX, true),
	FIELD(ivm_end, bell_peer, "bell_peer", DEC, false),
	{ 0 }
};

_Static_assert(sizeof(enum ivm_end_kind) == sizeof(uint32_t), "fields have 4 or 8 bytes");

#define VECTOR(member, key_, kind_)	FIELD(form_vector, member, key_, kind_, false)

const struct form_field form_vector_fields[] = {
	VECTOR(in.msi_address, "address", HEX),
	VECTOR(in.msi_data, "data", HEX),
	VECTOR(in.flags, "flags", VECTOR_FLAGS),
	VECTOR(in.eventfd, "eventfd", SIGNED),
	VECTOR(peer_eventfd, "peer_eventfd", SIGNED),
	VECTOR(mask, "mask", DEC),
	{ 0 }
};

static const char *const mode_names[] = {
	[IVM_MODE_DOWN] = "down",
	[IVM_MODE_QEMU] = "qemu",
	[IVM_MODE_IRQFD] = "irqfd",
	[IVM_MODE_DIRECT] = "direct",
	[IVM_MODE_AUTO] = "auto",
};

static const char *const kind_names[] = {
	[IVM_END_LINK] = "link",
	[IVM_END_IVSHMEM] = "ivshmem",
	[IVM_END_FOREIGN] = "foreign",
};

/* By bit */
static const char *const vector_flag_names[] = { "deliverable", "irqfd", "fallback" };

bool form_has_offset(const struct form_field *fields, uint16_t offset)
{
	for (; fields->key; fields++)
		if (fields->offset == offset)
			return true;
	return false;
}

/* ---- numbers and words ---- */

static void put(const struct form_field *field, void *object, uint64_t value)
{
	uint32_t half = value;

	if (field->bytes == sizeof(half))
		memcpy((char *)object + field->offset, &half, sizeof(half));
	else
		memcpy((char *)object + field->offset, &value, sizeof(value));
}

static uint64_t get(const struct form_field *field, const void *object)
{
	uint64_t value;
	uint32_t half;

	if (field->bytes == sizeof(half)) {
		memcpy(&half, (const char *)object + field->offset, sizeof(half));
		return half;
	}
	memcpy(&value, (const char *)object + field->offset, sizeof(value));
	return value;
}

/* Return: 0; -EINVAL if it is no number; -ERANGE if it is beyond @max */
int form_parse_u64(const char *text, uint64_t max, uint64_t *value)
{
	bool is_hex = g_str_has_prefix(text, "0x");
	g_autoptr(GError) error = NULL;

	if (g_ascii_string_to_unsigned(is_hex ? text + 2 : text, is_hex ? 16 : 10, 0, max, value,
				       &error))
		return 0;
	return g_error_matches(error, G_NUMBER_PARSER_ERROR, G_NUMBER_PARSER_ERROR_OUT_OF_BOUNDS)
		       ? -ERANGE : -EINVAL;
}

static int parse_signed(const struct form_field *field, const char *text, uint64_t *value)
{
	bool is_negative = *text == '-';
	uint64_t max = field->bytes == sizeof(uint32_t) ? INT32_MAX : INT64_MAX;
	int err = form_parse_u64(text + is_negative, max, value);

	if (is_negative)
		*value = -*value;
	return err;
}

static int parse_word(const char *text, const char *const *names, unsigned int count,
		      uint64_t *value)
{
	for (*value = 0; *value < count; (*value)++)
		if (!strcmp(text, names[*value]))
			return 0;
	return -EINVAL;
}

static int parse_vector_flags(const char *text, uint64_t *value)
{
	g_auto(GStrv) words = g_strsplit(text, ",", 0);
	unsigned int i, bit;

	*value = 0;
	if (!strcmp(text, "none"))
		return 0;
	for (i = 0; words[i]; i++) {
		uint64_t bits = 0;

		for (bit = 0; bit < G_N_ELEMENTS(vector_flag_names); bit++)
			if (!strcmp(words[i], vector_flag_names[bit]))
				bits = 1u << bit;
		if (!bits && form_parse_u64(words[i], UINT32_MAX, &bits))
			return -EINVAL;
		*value |= bits;
	}
	return i ? 0 : -EINVAL;
}

static int parse_name(const struct form_field *field, const char *text, void *object)
{
	g_autofree char *name = g_uri_unescape_string(text, NULL);

	if (!name)
		return -EINVAL;
	if (strlen(name) >= field->bytes)
		return -ERANGE;
	memset((char *)object + field->offset, 0, field->bytes);
	strcpy((char *)object + field->offset, name);
	return 0;
}

/**
 * form_parse() - the value of one key
 * @field: the key's
 * @text: what the file says
 * @object: of the kind that has @field
 *
 * Return: 0; -EINVAL if @text is no such value; -ERANGE if it does not fit.
 */
int form_parse(const struct form_field *field, const char *text, void *object)
{
	uint64_t max = field->bytes == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
	uint64_t value = 0;
	int err;

	switch (field->kind) {
	case FORM_NAME:
		return parse_name(field, text, object);
	case FORM_SIGNED:
		err = parse_signed(field, text, &value);
		break;
	case FORM_MODE:
		err = parse_word(text, mode_names, G_N_ELEMENTS(mode_names), &value);
		break;
	case FORM_KIND:
		err = parse_word(text, kind_names, G_N_ELEMENTS(kind_names), &value);
		break;
	case FORM_VECTOR_FLAGS:
		err = parse_vector_flags(text, &value);
		break;
	case FORM_HEX:
		if (field->bytes == sizeof(uint64_t) && !strcmp(text, "none")) {
			value = UINT64_MAX;
			err = 0;
			break;
		}
		/* fall through */
	default:
		err = form_parse_u64(text, max, &value);
	}
	if (!err)
		put(field, object, value);
	return err;
}

static void print_vector_flags(uint64_t value, FILE *out)
{
	const char *separator = "";
	unsigned int bit;

	if (!value)
		fputs("none", out);
	for (bit = 0; bit < G_N_ELEMENTS(vector_flag_names); bit++) {
		if (!(value & 1u << bit))
			continue;
		fprintf(out, "%s%s", separator, vector_flag_names[bit]);
		separator = ",";
		value &= ~(1u << bit);
	}
	/* A page may have flags that were not thought of yet */
	if (value)
		fprintf(out, "%s0x%" PRIx64, separator, value);
}

static void print_name(const struct form_field *field, const void *object, FILE *out)
{
	g_autofree char *name = g_strndup((const char *)object + field->offset, field->bytes);
	g_autofree char *escaped = g_uri_escape_string(name, NULL, TRUE);

	fputs(escaped, out);
}

static void print_value(const struct form_field *field, uint64_t value, FILE *out)
{
	switch (field->kind) {
	case FORM_HEX:
		if (field->bytes == sizeof(uint64_t) && value == UINT64_MAX)
			fputs("none", out);
		else
			fprintf(out, "0x%" PRIx64, value);
		break;
	case FORM_SIGNED:
		fprintf(out, "%" PRId64, field->bytes == sizeof(uint32_t) ? (int32_t)value
									  : (int64_t)value);
		break;
	case FORM_MODE:
		fputs(value < G_N_ELEMENTS(mode_names) ? mode_names[value] : "unknown", out);
		break;
	case FORM_KIND:
		fputs(value < G_N_ELEMENTS(kind_names) ? kind_names[value] : "unknown", out);
		break;
	case FORM_VECTOR_FLAGS:
		print_vector_flags(value, out);
		break;
	default:
		fprintf(out, "%" PRIu64, value);
	}
}

/* " KEY=VALUE" */
void form_print(const struct form_field *field, const void *object, FILE *out)
{
	fprintf(out, " %s=", field->key);
	if (field->kind == FORM_NAME)
		print_name(field, object, out);
	else
		print_value(field, get(field, object), out);
}

/* ---- link pages ---- */

/* What an end is before its file says anything about it */
void form_page_init(struct ivm_linkpage *page)
{
	unsigned int v;

	memset(page, 0, sizeof(*page));
	page->magic = IVM_LINKPAGE_MAGIC;
	page->version = IVM_LINKPAGE_VERSION;
	page->bytes = sizeof(*page);
	page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	page->socket_fd = -1;
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		page->peer_eventfd[v] = page->vector[v].eventfd = -1;
}

void form_vector_get(const struct ivm_linkpage *page, uint32_t number, struct form_vector *v)
{
	memset(v, 0, sizeof(*v));
	v->in = page->vector[number];
	v->peer_eventfd = page->peer_eventfd[number];
	v->mask = page->mask[number];
}

void form_vector_set(struct ivm_linkpage *page, uint32_t number, const struct form_vector *v)
{
	page->vector[number] = v->in;
	page->peer_eventfd[number] = v->peer_eventfd;
	page->mask[number] = v->mask;
}
