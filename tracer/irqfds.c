// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads the iterator over eventfds, KVM's doorbells and its irqfds.
 *
 * Needs bpf_loop(), Linux 5.17.  Elsewhere there is no such table, and only
 * the link pages say where a doorbell leads.
 */
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "irqfd.skel.h"
#include "irqfds.h"

#define TRIES	3		/* a list that changes under the walk is walked again */

struct ivm_irqfds {
	struct irqfd_bpf *skel;
	struct bpf_link *link;		/* NULL: not on this host */
	struct ring_buffer *ring;
	GArray *records;		/* of the reading under way */
	struct ivm_irqfds_gaps gaps;
};

static int take_record(void *arg, void *data, size_t bytes)
{
	struct ivm_irqfds *f = arg;
	const struct ivm_irqfd_record *r = data;

	if (bytes < sizeof(*r))
		return 0;
	if (r->kind == IVM_IRQFD_VM) {
		f->gaps.torn += !!(r->flags & IVM_IRQFD_F_TORN);
		f->gaps.cut += !!(r->flags & IVM_IRQFD_F_CUT);
	}
	g_array_append_vals(f->records, r, 1);
	return 0;
}

/**
 * ivm_irqfds_open() - loads the iterator, if this host allows it
 *
 * Return: never NULL; close with ivm_irqfds_close().
 */
struct ivm_irqfds *ivm_irqfds_open(void)
{
	struct ivm_irqfds *f = g_new0(struct ivm_irqfds, 1);

	f->skel = irqfd_bpf__open_and_load();
	if (f->skel)
		f->ring = ring_buffer__new(bpf_map__fd(f->skel->maps.records), take_record, f,
					   NULL);
	if (f->ring)
		f->link = bpf_program__attach_iter(f->skel->progs.irqfd_files, NULL);
	return f;
}

/**
 * ivm_irqfds_close() - frees
 * @f: may be NULL
 */
void ivm_irqfds_close(struct ivm_irqfds *f)
{
	if (!f)
		return;
	bpf_link__destroy(f->link);
	ring_buffer__free(f->ring);
	irqfd_bpf__destroy(f->skel);
	g_free(f);
}

/**
 * ivm_irqfds_available() - does this host let us read the tables?
 * @f: open
 *
 * Return: true if ivm_irqfds_read() can.
 */
bool ivm_irqfds_available(const struct ivm_irqfds *f)
{
	return f->link;
}

/* The iterator writes nothing into its own file: one read runs all of it */
static int run_iterator(struct ivm_irqfds *f)
{
	int fd = bpf_iter_create(bpf_link__fd(f->link));
	ssize_t bytes;
	char byte;
	int err;

	if (fd < 0)
		return -errno;
	do {
		bytes = read(fd, &byte, sizeof(byte));
	} while (bytes > 0 || (bytes < 0 && (errno == EINTR || errno == EAGAIN)));
	err = bytes < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int read_once(struct ivm_irqfds *f)
{
	uint64_t lost = f->skel->bss->lost_records;
	int err;

	f->gaps = (struct ivm_irqfds_gaps){};
	g_array_set_size(f->records, 0);
	err = run_iterator(f);
	if (!err)
		err = ring_buffer__consume(f->ring);
	f->gaps.lost = f->skel->bss->lost_records - lost;
	return err < 0 ? err : 0;
}

/**
 * ivm_irqfds_read() - all bindings of all VMs, and who holds their eventfds
 * @f: open
 * @records: emptied and filled with struct ivm_irqfd_record
 *
 * See ivm_irqfds_gaps() for what may be missing.
 *
 * Return: 0, -EOPNOTSUPP if this host has no such iterator, or -errno.
 */
int ivm_irqfds_read(struct ivm_irqfds *f, GArray *records)
{
	int try, err;

	if (!f->link)
		return -EOPNOTSUPP;
	f->records = records;
	for (try = 0; try < TRIES; try++) {
		err = read_once(f);
		if (err || !f->gaps.torn)
			break;
	}
	f->records = NULL;
	return err;
}

/**
 * ivm_irqfds_gaps() - what the last reading lacks
 * @f: open
 *
 * Return: the counters, owned by @f.
 */
const struct ivm_irqfds_gaps *ivm_irqfds_gaps(const struct ivm_irqfds *f)
{
	return &f->gaps;
}
