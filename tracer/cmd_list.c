// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace list: the VMs and links of this host.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <json-c/json.h>

#include "clock.h"
#include "command.h"
#include "discover.h"
#include "error.h"
#include "options.h"
#include "vcpus.h"

enum format { FORMAT_TEXT, FORMAT_JSON };
static const char *const format_names[] = { "text", "json", NULL };

/* Link pages that are down are taken for their owner's after so long */
#define SETTLE_MS	60

static const char *mode_name(uint32_t mode)
{
	static const char *const names[] = {
		[IVM_MODE_DOWN] = "-",
		[IVM_MODE_QEMU] = "qemu",
		[IVM_MODE_IRQFD] = "irqfd",
		[IVM_MODE_DIRECT] = "direct",
		[IVM_MODE_AUTO] = "auto",
	};

	return mode < G_N_ELEMENTS(names) ? names[mode] : "?";
}

static const char *state_name(const struct ivm_linkpage *page)
{
	static const char *const reasons[] = {
		[IVM_REASON_NO_PEER] = "down: no peer",
		[IVM_REASON_HANDSHAKE] = "down: handshake",
		[IVM_REASON_PROTOCOL] = "down: protocol error",
		[IVM_REASON_VERSION] = "down: version",
		[IVM_REASON_SIDE] = "down: same side",
		[IVM_REASON_NAME] = "down: link names differ",
		[IVM_REASON_SHMEM] = "down: shmem sizes differ",
		[IVM_REASON_MODE] = "down: peer lacks mode",
		[IVM_REASON_RESOURCES] = "down: out of resources",
	};

	if (page->up)
		return "up";
	return page->reason < G_N_ELEMENTS(reasons) ? reasons[page->reason] : "down";
}

/* ---- text ---- */

static void print_vm(const struct ivm_topology *t, const struct ivm_vm *vm)
{
	const char *separator = "";
	guint i;

	printf("%-4u %-8d %-20s ", vm->id, vm->tgid, vm->name);
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		if (vcpu->vm != vm)
			continue;
		printf("%s%u:%d", separator, vcpu->vcpu_id, vcpu->tid);
		separator = " ";
	}
	printf("%s\n", *separator ? "" : "-");
}

static void print_end(const struct ivm_end *end)
{
	const struct ivm_linkpage *page = &end->page;
	char peer[16] = "-";

	if (end->peer)
		g_snprintf(peer, sizeof(peer), "%u", end->peer->id);
	printf("%-4u %-14s %-4u %-4s %-7s %-7s %-7s %4u/%-4u %s\n", end->id,
	       *page->name ? page->name : "-", end->vm->id, peer,
	       mode_name(page->mode_configured), mode_name(page->mode_tx),
	       mode_name(page->mode_rx), page->vectors, page->peer_vectors, state_name(page));
}

static void print_text(const struct ivm_topology *t)
{
	guint i;

	if (!t->vms->len) {
		ivm_info("no VM is running on this host");
		return;
	}
	printf("%-4s %-8s %-20s %s\n", "VM", "PID", "NAME", "VCPU:TID");
	for (i = 0; i < t->vms->len; i++)
		print_vm(t, g_ptr_array_index(t->vms, i));
	if (!t->ends->len) {
		ivm_info("none of these VMs has an ivm-mailbox device");
		return;
	}
	printf("\n%-4s %-14s %-4s %-4s %-7s %-7s %-7s %9s %s\n", "END", "LINK", "VM", "PEER",
	       "MODE", "SENDS", "TAKES", "VECTORS", "STATE");
	for (i = 0; i < t->ends->len; i++)
		print_end(g_ptr_array_index(t->ends, i));
}

/* ---- JSON ---- */

static void add_u64(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_string(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, value ? json_object_new_string(value) : NULL);
}

static struct json_object *vm_json(const struct ivm_topology *t, const struct ivm_vm *vm)
{
	struct json_object *o = json_object_new_object();
	struct json_object *vcpus = json_object_new_array();
	guint i;

	add_u64(o, "id", vm->id);
	add_string(o, "name", vm->name);
	add_u64(o, "pid", vm->tgid);
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);
		struct json_object *v;

		if (vcpu->vm != vm)
			continue;
		v = json_object_new_object();
		add_u64(v, "id", vcpu->vcpu_id);
		add_u64(v, "tid", vcpu->tid);
		json_object_array_add(vcpus, v);
	}
	json_object_object_add(o, "vcpus", vcpus);
	return o;
}

static struct json_object *end_json(const struct ivm_end *end)
{
	const struct ivm_linkpage *page = &end->page;
	struct json_object *o = json_object_new_object();

	add_u64(o, "id", end->id);
	add_string(o, "link", *page->name ? page->name : NULL);
	add_u64(o, "vm", end->vm->id);
	json_object_object_add(o, "peer", end->peer ? json_object_new_uint64(end->peer->id) : NULL);
	add_string(o, "side", page->side == IVM_SIDE_SERVER ? "server" : "client");
	add_string(o, "accel", page->accel == IVM_ACCEL_KVM ? "kvm" : "other");
	json_object_object_add(o, "up", json_object_new_boolean(page->up));
	add_string(o, "state", state_name(page));
	add_u64(o, "link_ups", page->generation);
	add_string(o, "mode", mode_name(page->mode_configured));
	add_string(o, "mode_tx", page->mode_tx ? mode_name(page->mode_tx) : NULL);
	add_string(o, "mode_rx", page->mode_rx ? mode_name(page->mode_rx) : NULL);
	add_u64(o, "vectors", page->vectors);
	add_u64(o, "peer_vectors", page->peer_vectors);
	add_u64(o, "shmem_bytes", page->shmem_bytes);
	return o;
}

static void print_json(const struct ivm_topology *t)
{
	struct json_object *root = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	struct json_object *ends = json_object_new_array();
	guint i;

	for (i = 0; i < t->vms->len; i++)
		json_object_array_add(vms, vm_json(t, g_ptr_array_index(t->vms, i)));
	for (i = 0; i < t->ends->len; i++)
		json_object_array_add(ends, end_json(g_ptr_array_index(t->ends, i)));
	add_string(root, "schema", "ivmtrace-list/1");
	json_object_object_add(root, "vms", vms);
	json_object_object_add(root, "ends", ends);
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

/* ---- the command ---- */

static int libbpf_silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

/* Twice: a link page that is down is claimed only when it stays */
static int scan(struct ivm_discover *d)
{
	int err = ivm_discover_scan(d, ivm_now_ns(), true);

	if (!err) {
		g_usleep(SETTLE_MS * 1000);
		err = ivm_discover_scan(d, ivm_now_ns(), true);
	}
	return err ? ivm_error(err, "cannot look for VMs in /proc") : 0;
}

static void warn_unused(const struct ivm_discover_stats *stats)
{
	if (stats->refused)
		ivm_warn("a link page of process %d is not used: %s", stats->refused_pid,
			 stats->refused_why);
	if (stats->unreadable)
		ivm_warn("other users' processes cannot be looked into; run as root to see "
			 "their VMs");
}

static int list(enum format format)
{
	const struct ivm_discover_filter filter = { .all_vms = true };
	struct ivm_topology *topology = ivm_topology_new();
	struct ivm_vcpus *vcpus;
	struct ivm_discover *d;
	int err;

	libbpf_set_print(libbpf_silent);
	vcpus = ivm_vcpus_open();
	d = ivm_discover_new(topology, vcpus, &filter);
	err = scan(d);
	if (!err) {
		warn_unused(ivm_discover_stats(d));
		if (format == FORMAT_JSON)
			print_json(topology);
		else
			print_text(topology);
	}
	ivm_discover_free(d);
	ivm_vcpus_close(vcpus);
	ivm_topology_free(topology);
	return err;
}

static int run_list(int argc, char **argv)
{
	g_autofree char *format_text = NULL;
	const GOptionEntry entries[] = {
		{ "format", 0, 0, G_OPTION_ARG_FILENAME, &format_text,
		  "Print text (default) or json", "FORMAT" },
		{ 0 }
	};
	const struct ivm_options options = {
		.summary = "List the VMs of this host, their vCPU threads, and the links between "
			   "them.",
		.description = "VECTORS are those an end takes / those it may ring.  SENDS and "
			       "TAKES are the\nmodes in effect per direction, MODE is what was "
			       "asked for.",
		.entries = entries,
	};
	struct ivm_operands operands = {};
	int err, format = FORMAT_TEXT;

	err = ivm_options_parse(&options, argc, argv, &operands);
	ivm_operands_clear(&operands);
	if (!err && format_text)
		err = ivm_parse_choice("--format", format_text, format_names, &format);
	return err ? err : list(format);
}

const struct ivm_cmd ivm_cmd_list = {
	.name = "list",
	.summary = "list VMs, vCPU threads and links of this host",
	.run = run_list,
};
