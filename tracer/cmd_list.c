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
#include "irqfds.h"
#include "options.h"
#include "vcpus.h"
#include "wires.h"

enum format { FORMAT_TEXT, FORMAT_JSON };
static const char *const format_names[] = { "text", "json", NULL };

/* Link pages that are down are taken for their owner's after so long */
#define SETTLE_MS	60

/* What KVM and a link's pages say may differ for a moment, not this often in a row */
#define CHECKS		3

/* All that is printed */
struct listing {
	struct ivm_topology *topology;
	struct ivm_wires *wires;	/* NULL: not asked for */
};

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

static const char *bus_name(uint8_t bus)
{
	return bus == IVM_IRQFD_BUS_PIO ? "pio" : "mmio";
}

static const char *route_name(uint8_t route)
{
	if (route == IVM_IRQFD_ROUTE_MSI)
		return "msi";
	return route == IVM_IRQFD_ROUTE_IRQCHIP ? "irqchip" : "no single route";
}

static char *process_name(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid);
	char *name = NULL;

	if (!g_file_get_contents(path, &name, NULL, NULL))
		return g_strdup("?");
	return g_strchomp(name);
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

static char *doorbell_text(const struct ivm_topology *t, const struct ivm_irqfd_record *doorbell)
{
	const struct ivm_vm *vm = ivm_topology_vm(t, doorbell->tgid);
	g_autofree char *value = NULL;

	if (!(doorbell->flags & IVM_IRQFD_F_WILDCARD))
		value = g_strdup_printf("=0x%llx", (unsigned long long)doorbell->value);
	return g_strdup_printf("vm %u %s 0x%llx/%u%s", vm ? vm->id : 0, bus_name(doorbell->bus),
			       (unsigned long long)doorbell->address, doorbell->bytes,
			       value ? value : "");
}

/* Processes that can write(2) to it; the VM's own only if there is no other */
static char *holders_text(const struct ivm_wires *w, const struct ivm_irqfd_record *target)
{
	const struct ivm_irqfd_record *holder;
	GString *text = g_string_new(NULL);
	unsigned int nth;

	for (nth = 0; (holder = ivm_wires_holder_of(w, target->eventfd, nth)); nth++) {
		g_autofree char *name = NULL;

		if (holder->tgid == target->tgid)
			continue;
		name = process_name(holder->tgid);
		g_string_append_printf(text, "%s%s:%u fd %d", text->len ? ", " : "", name,
				       holder->tgid, holder->fd);
	}
	if (!text->len)
		g_string_append(text, nth ? "its own process" : "the kernel");
	return g_string_free(text, FALSE);
}

static char *target_text(const struct ivm_topology *t, const struct ivm_irqfd_record *target)
{
	const struct ivm_vm *vm = ivm_topology_vm(t, target->tgid);

	if (target->route != IVM_IRQFD_ROUTE_MSI)
		return g_strdup_printf("vm %u gsi %u, %s", vm ? vm->id : 0, target->gsi,
				       route_name(target->route));
	return g_strdup_printf("vm %u gsi %u, msi 0x%llx/0x%llx", vm ? vm->id : 0, target->gsi,
			       (unsigned long long)target->address,
			       (unsigned long long)target->value);
}

static void print_wire(void *arg, const struct ivm_wire *wire)
{
	const struct listing *l = arg;
	g_autofree char *from = wire->doorbell ? doorbell_text(l->topology, wire->doorbell)
					       : holders_text(l->wires, wire->target);
	g_autofree char *to = wire->target ? target_text(l->topology, wire->target)
					   : g_strdup("-");

	printf("%-7d  %-34s  %s\n", wire->eventfd_id, from, to);
}

static void print_wires(struct listing *l)
{
	printf("\n%-7s  %-34s  %s\n", "EVENTFD", "SIGNALLED BY", "RAISES");
	ivm_wires_each(l->wires, print_wire, l);
}

static void print_links(const struct ivm_topology *t)
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

static void print_text(struct listing *l)
{
	print_links(l->topology);
	if (l->wires)
		print_wires(l);
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

static struct json_object *doorbell_json(const struct ivm_topology *t,
					 const struct ivm_irqfd_record *doorbell)
{
	const struct ivm_vm *vm = ivm_topology_vm(t, doorbell->tgid);
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "vm", vm ? json_object_new_uint64(vm->id) : NULL);
	add_u64(o, "pid", doorbell->tgid);
	add_string(o, "bus", bus_name(doorbell->bus));
	add_u64(o, "address", doorbell->address);
	add_u64(o, "bytes", doorbell->bytes);
	json_object_object_add(o, "value", doorbell->flags & IVM_IRQFD_F_WILDCARD
			       ? NULL : json_object_new_uint64(doorbell->value));
	return o;
}

static struct json_object *target_json(const struct ivm_topology *t,
				       const struct ivm_irqfd_record *target)
{
	const struct ivm_vm *vm = ivm_topology_vm(t, target->tgid);
	struct json_object *o = json_object_new_object();
	bool is_msi = target->route == IVM_IRQFD_ROUTE_MSI;

	json_object_object_add(o, "vm", vm ? json_object_new_uint64(vm->id) : NULL);
	add_u64(o, "pid", target->tgid);
	add_u64(o, "gsi", target->gsi);
	add_string(o, "route", target->route ? route_name(target->route) : NULL);
	json_object_object_add(o, "msi_address",
			       is_msi ? json_object_new_uint64(target->address) : NULL);
	json_object_object_add(o, "msi_data",
			       is_msi ? json_object_new_uint64(target->value) : NULL);
	json_object_object_add(o, "resample", json_object_new_boolean(target->flags &
								      IVM_IRQFD_F_RESAMPLE));
	return o;
}

static struct json_object *holders_json(const struct ivm_wires *w, uint64_t eventfd)
{
	struct json_object *holders = json_object_new_array();
	const struct ivm_irqfd_record *holder;
	unsigned int nth;

	for (nth = 0; (holder = ivm_wires_holder_of(w, eventfd, nth)); nth++) {
		g_autofree char *name = process_name(holder->tgid);
		struct json_object *o = json_object_new_object();

		add_u64(o, "pid", holder->tgid);
		add_string(o, "name", name);
		add_u64(o, "fd", holder->fd);
		json_object_array_add(holders, o);
	}
	return holders;
}

struct wires_json {
	const struct listing *listing;
	struct json_object *array;
};

static void add_wire(void *arg, const struct ivm_wire *wire)
{
	const struct wires_json *j = arg;
	const struct listing *l = j->listing;
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "eventfd", wire->eventfd_id < 0 ? NULL
			       : json_object_new_uint64(wire->eventfd_id));
	json_object_object_add(o, "doorbell", wire->doorbell
			       ? doorbell_json(l->topology, wire->doorbell) : NULL);
	json_object_object_add(o, "target", wire->target
			       ? target_json(l->topology, wire->target) : NULL);
	json_object_object_add(o, "holders", holders_json(l->wires, wire->eventfd));
	json_object_array_add(j->array, o);
}

static struct json_object *wires_json(const struct listing *l)
{
	struct wires_json j = { .listing = l, .array = json_object_new_array() };

	ivm_wires_each(l->wires, add_wire, &j);
	return j.array;
}

static void print_json(const struct listing *l)
{
	const struct ivm_topology *t = l->topology;
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
	if (l->wires)
		json_object_object_add(root, "irqfds", wires_json(l));
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
	int err = ivm_discover_scan(d, ivm_now_ns(), UINT64_MAX, true);

	if (!err) {
		g_usleep(SETTLE_MS * 1000);
		err = ivm_discover_scan(d, ivm_now_ns(), UINT64_MAX, true);
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

/* ---- what KVM has bound to eventfds ---- */

static void warn_gaps(const struct ivm_irqfds_gaps *gaps)
{
	if (gaps->lost)
		ivm_warn("%llu bindings of eventfds are missing: no room for them",
			 (unsigned long long)gaps->lost);
	if (gaps->torn || gaps->cut)
		ivm_warn("the bindings of %llu VMs are not complete",
			 (unsigned long long)(gaps->torn + gaps->cut));
}

static void warn_mismatch(void *arg, const struct ivm_end *end, uint32_t vector, const char *what)
{
	(void)arg;
	ivm_warn("link '%s', end %u, doorbell %u: %s", end->page.name, end->id, vector, what);
}

/* KVM's tables, read after the link pages they are compared with */
static int read_wires(struct ivm_irqfds *irqfds, struct listing *l)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	int err = ivm_irqfds_read(irqfds, records);

	if (err)
		return err;
	ivm_wires_free(l->wires);
	l->wires = ivm_wires_new(records);
	return 0;
}

static int check_wires(struct ivm_discover *d, struct ivm_irqfds *irqfds, struct listing *l)
{
	int err = read_wires(irqfds, l);
	int check;

	for (check = 1; !err && check < CHECKS; check++) {
		if (!ivm_wires_check(l->wires, l->topology, NULL, NULL))
			return 0;
		g_usleep(SETTLE_MS * 1000);
		err = ivm_discover_scan(d, ivm_now_ns(), UINT64_MAX, true);
		if (!err)
			err = read_wires(irqfds, l);
	}
	if (!err)
		ivm_wires_check(l->wires, l->topology, warn_mismatch, NULL);
	return err;
}

static int look_at_wires(struct ivm_discover *d, struct listing *l)
{
	struct ivm_irqfds *irqfds = ivm_irqfds_open();
	int err = check_wires(d, irqfds, l);

	if (!err)
		warn_gaps(ivm_irqfds_gaps(irqfds));
	ivm_irqfds_close(irqfds);
	if (err == -EOPNOTSUPP)
		return ivm_error(err, "cannot see what KVM has bound to eventfds: this needs BPF "
				 "iterators (Linux 5.17 with BTF) and root");
	return err ? ivm_error(err, "cannot read what KVM has bound to eventfds") : 0;
}

static int look(struct ivm_discover *d, struct listing *l, bool irqfd)
{
	int err = scan(d);

	if (err)
		return err;
	warn_unused(ivm_discover_stats(d));
	return irqfd ? look_at_wires(d, l) : 0;
}

static int list(enum format format, bool irqfd)
{
	const struct ivm_discover_filter filter = { .all_vms = true };
	struct listing l = { .topology = ivm_topology_new() };
	struct ivm_vcpus *vcpus;
	struct ivm_discover *d;
	int err;

	libbpf_set_print(libbpf_silent);
	vcpus = ivm_vcpus_open();
	d = ivm_discover_new(l.topology, vcpus, &filter);
	err = look(d, &l, irqfd);
	if (!err && format == FORMAT_JSON)
		print_json(&l);
	else if (!err)
		print_text(&l);
	ivm_discover_free(d);
	ivm_vcpus_close(vcpus);
	ivm_wires_free(l.wires);
	ivm_topology_free(l.topology);
	return err;
}

static int run_list(int argc, char **argv)
{
	g_autofree char *format_text = NULL;
	gboolean irqfd = FALSE;
	const GOptionEntry entries[] = {
		{ "irqfd", 0, 0, G_OPTION_ARG_NONE, &irqfd,
		  "Show also what signals which eventfd, and which interrupt that raises", NULL },
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
	return err ? err : list(format, irqfd);
}

const struct ivm_cmd ivm_cmd_list = {
	.name = "list",
	.summary = "list VMs, vCPU threads and links of this host",
	.run = run_list,
};
