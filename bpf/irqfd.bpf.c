// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which doorbells and interrupts KVM has bound to which eventfd.
 *
 * /proc does not tell, and the ioctls that made the bindings are long past when
 * a tracer starts.  An iterator over all open files finds the VMs and walks
 * their lists, without any function hook.  Nothing is locked: a list that
 * changes under the walk is noticed and reported as torn, to be read again.
 * Its own object, because hosts that refuse iterators still allow the rest.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "irqfd.h"

#define ANON_INODE_FS_MAGIC	0x09041934	/* uapi/linux/magic.h */
#define MAX_NAME_BYTES		16
#define VM_NAME			"kvm-vm"
#define EVENTFD_NAME		"[eventfd]"

char LICENSE[] SEC("license") = "GPL";

/*
 * Not the iterator's own file: that holds a few hundred records of one VM at
 * the most, and fails the whole read beyond.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} records SEC(".maps");

__u64 lost_records;

static __always_inline bool is_named(const char *name, const char *wanted, __u32 bytes)
{
	__u32 i;

	for (i = 0; i < bytes; i++)
		if (name[i] != wanted[i])
			return false;
	return true;
}

static __always_inline void emit(const struct ivm_irqfd_record *record)
{
	if (bpf_ringbuf_output(&records, (void *)record, sizeof(*record), BPF_RB_NO_WAKEUP))
		lost_records++;
}

static __always_inline void name_eventfd(struct ivm_irqfd_record *r, struct eventfd_ctx *ctx)
{
	r->eventfd = (__u64)ctx;
	r->eventfd_id = BPF_CORE_READ(ctx, id);
}

/* One of a VM's lists under way; bpf_loop(), because a plain loop of this size is refused */
struct walk {
	struct list_head *head;
	struct list_head *at;
	struct ivm_irqfd_record record;
	__u32 items;
	__u32 flags;		/* IVM_IRQFD_F_* */
	bool done;
};

/* Goes to the next item; false at the end of the list, or if it is none any more */
static __always_inline bool step(struct walk *w)
{
	struct list_head *at = w->at;
	struct list_head *next = BPF_CORE_READ(at, next);

	w->done = true;
	if (next == w->head)
		return false;
	if (!next || BPF_CORE_READ(next, prev) != at) {
		w->flags |= IVM_IRQFD_F_TORN;
		return false;
	}
	w->done = false;
	w->at = next;
	w->items++;
	return true;
}

static int take_doorbell(__u32 index, struct walk *w)
{
	struct ivm_irqfd_record *r = &w->record;
	struct _ioeventfd *p;

	if (!step(w))
		return 1;
	p = (void *)w->at - bpf_core_field_offset(struct _ioeventfd, list);
	r->address = BPF_CORE_READ(p, addr);
	r->value = BPF_CORE_READ(p, datamatch);
	r->bytes = BPF_CORE_READ(p, length);
	r->bus = BPF_CORE_READ(p, bus_idx);
	r->flags = BPF_CORE_READ(p, wildcard) ? IVM_IRQFD_F_WILDCARD : 0;
	name_eventfd(r, BPF_CORE_READ(p, eventfd));
	emit(r);
	return 0;
}

static __always_inline void read_route(struct ivm_irqfd_record *r, struct kvm_kernel_irqfd *p)
{
	r->route = BPF_CORE_READ(p, irq_entry.type);
	r->address = 0;
	r->value = 0;
	if (r->route != IVM_IRQFD_ROUTE_MSI)
		return;
	r->address = BPF_CORE_READ(p, irq_entry.msi.address_lo) |
		     (__u64)BPF_CORE_READ(p, irq_entry.msi.address_hi) << 32;
	r->value = BPF_CORE_READ(p, irq_entry.msi.data);
}

/* KVM rewrites the entry under a sequence counter when the routing changes */
static int take_target(__u32 index, struct walk *w)
{
	struct ivm_irqfd_record *r = &w->record;
	struct kvm_kernel_irqfd *p;
	__u32 before;

	if (!step(w))
		return 1;
	p = (void *)w->at - bpf_core_field_offset(struct kvm_kernel_irqfd, list);
	before = BPF_CORE_READ(p, irq_entry_sc.seqcount.sequence);
	r->gsi = BPF_CORE_READ(p, gsi);
	r->flags = BPF_CORE_READ(p, resampler) ? IVM_IRQFD_F_RESAMPLE : 0;
	read_route(r, p);
	if (before & 1 || BPF_CORE_READ(p, irq_entry_sc.seqcount.sequence) != before) {
		r->flags |= IVM_IRQFD_F_TORN;
		w->flags |= IVM_IRQFD_F_TORN;
	}
	name_eventfd(r, BPF_CORE_READ(p, eventfd));
	emit(r);
	return 0;
}

static __always_inline void begin(struct walk *w, struct list_head *head, __u8 kind)
{
	w->head = head;
	w->at = head;
	w->done = false;
	w->record.kind = kind;
	w->record.fd = -1;
	w->record.bytes = 0;
}

static __always_inline void end(struct walk *w)
{
	if (!w->done)
		w->flags |= IVM_IRQFD_F_CUT;
}

/* A VM belongs to the process whose memory it has, not to all that hold its descriptor */
static __always_inline void report_vm(struct task_struct *task, struct kvm *kvm)
{
	struct ivm_irqfd_record total = { .kind = IVM_IRQFD_VM, .kvm = (__u64)kvm, .fd = -1 };
	struct walk w = { .record.kvm = (__u64)kvm };

	if (BPF_CORE_READ(task, mm) != BPF_CORE_READ(kvm, mm))
		return;
	w.record.tgid = BPF_CORE_READ(task, tgid);
	begin(&w, (void *)kvm + bpf_core_field_offset(struct kvm, ioeventfds),
	      IVM_IRQFD_DOORBELL);
	bpf_loop(IVM_IRQFD_LIST_MAX, take_doorbell, &w, 0);
	end(&w);
	begin(&w, (void *)kvm + bpf_core_field_offset(struct kvm, irqfds.items),
	      IVM_IRQFD_TARGET);
	bpf_loop(IVM_IRQFD_LIST_MAX, take_target, &w, 0);
	end(&w);
	total.tgid = w.record.tgid;
	total.bytes = w.items;
	total.flags = w.flags;
	emit(&total);
}

SEC("iter/task_file")
int irqfd_files(struct bpf_iter__task_file *ctx)
{
	struct ivm_irqfd_record r = { .kind = IVM_IRQFD_HOLDER };
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	char name[MAX_NAME_BYTES] = {};

	if (!task || !file)
		return 0;
	/* By name, but only on the anonymous inode: no user can make such a file */
	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry,
								    d_name.name));
	if (is_named(name, VM_NAME, sizeof(VM_NAME))) {
		report_vm(task, BPF_CORE_READ(file, private_data));
	} else if (is_named(name, EVENTFD_NAME, sizeof(EVENTFD_NAME))) {
		r.tgid = BPF_CORE_READ(task, tgid);
		r.fd = ctx->fd;
		name_eventfd(&r, BPF_CORE_READ(file, private_data));
		emit(&r);
	}
	return 0;
}
