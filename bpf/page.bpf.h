/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which vector of a link a message raises that a QEMU sends itself.
 *
 * User space looks at link pages ten times a second, and a guest may move a
 * vector and have it raised in between.  A QEMU writes its pages under the lock
 * under which it raises: what is in them while its thread is in the kernel to
 * raise is what it raises by.  So a message counts only if the page that it is
 * known from has not changed since; else the page itself is asked, in the
 * memory of the thread that raises.
 */
#ifndef IVM_PAGE_BPF_H
#define IVM_PAGE_BPF_H

#include "common.bpf.h"

#include "../device/ivm-linkpage.h"

#define IVM_PAGE_LOOKS	65536	/* at vectors of changed pages, for one message */

/* A page that cannot be read now is believed to be as it was */
static __always_inline bool is_current(const struct ivm_page *page)
{
	__u32 seq;

	if (bpf_probe_read_user(&seq, sizeof(seq), (void *)page->address +
				offsetof(struct ivm_linkpage, seq)))
		return true;
	return seq == page->seq;
}

/*
 * 0, which the verifier does not know.  Before 6.7 it follows a loop's first round only,
 * and removes as dead code what the constants of that round exclude.
 */
volatile __u32 some_zero;

struct page_walk {
	struct ivm_message_key wanted;
	struct ivm_page_key key;	/* of the page under way */
	__u64 at;			/* its next vector, in the process's memory */
	__u32 vectors;
	struct ivm_target target;	/* the vector before; found if @found */
	__u32 found;
};

static __always_inline void next_page(struct page_walk *w, const struct ivm_page *page)
{
	w->at = page->address + offsetof(struct ivm_linkpage, vector);
	w->vectors = is_current(page) ? 0 : page->vectors;
	w->target.end = page->end;
	w->target.vector = (__u32)-1;
}

static long look_at_vector(__u32 i, struct page_walk *w)
{
	struct ivm_linkpage_vector v;
	struct ivm_page *page;

	if (w->target.vector + 1 >= w->vectors) {
		w->key.number++;
		page = bpf_map_lookup_elem(&pages, &w->key);
		if (!page)
			return 1;
		next_page(w, page);
		return 0;
	}
	w->target.vector++;
	w->at += sizeof(v);
	if (bpf_probe_read_user(&v, sizeof(v), (void *)(w->at - sizeof(v))))
		return 0;
	w->found = v.msi_data && v.msi_data == w->wanted.data &&
		   (v.msi_address & ~IVM_MSI_ADDRESS_BASE) == w->wanted.address;
	return w->found;
}

/* Looks at the pages of the current process that have changed since */
static __noinline bool search_pages(const struct ivm_message_key *wanted,
				    struct ivm_target *target)
{
	struct page_walk walk = {};

	if (!wanted || !target)
		return false;
	walk.wanted = *wanted;
	walk.key.tgid = wanted->tgid;
	/* The first step opens the first page */
	walk.vectors = some_zero;
	walk.target.vector = (__u32)-1;
	bpf_loop(IVM_PAGE_LOOKS, look_at_vector, &walk, 0);
	if (walk.found)
		*target = walk.target;
	return walk.found;
}

static __always_inline bool find_message(__u32 tgid, __u64 address, __u64 data,
					 struct ivm_target *target)
{
	struct ivm_message_key key = {
		.address = address & ~IVM_MSI_ADDRESS_BASE,
		.data = data,
		.tgid = tgid,
	};
	struct ivm_message *known = bpf_map_lookup_elem(&messages, &key);
	struct ivm_page_key page_key = { .tgid = tgid };
	struct ivm_page *page;

	if (known) {
		page_key.number = known->page;
		page = bpf_map_lookup_elem(&pages, &page_key);
		if (!page || is_current(page)) {
			*target = known->target;
			return true;
		}
	}
	return search_pages(&key, target);
}

#endif /* IVM_PAGE_BPF_H */
