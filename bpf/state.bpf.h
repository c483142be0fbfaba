/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps: what user space wants followed, and where journeys are meanwhile.
 */
#ifndef IVM_STATE_BPF_H
#define IVM_STATE_BPF_H

#include "state.h"

#define IVM_PAGE_SHIFT	12
#define IVM_PAGE_BYTES	(1u << IVM_PAGE_SHIFT)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);		/* user space sets the real size */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IVM_HOOKS);
	__type(key, __u32);
	__type(value, struct ivm_hook_count);
} hook_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IVM_BPF_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ivm_task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IVM_MAX_VCPUS);
	__type(key, __u32);
	__type(value, struct ivm_vcpu_state);
} vcpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IVM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct ivm_slot_state);
} slots SEC(".maps");

/* Given back by user space when their VM has gone */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, IVM_MAX_SLOTS);
	__type(value, __u32);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct ivm_work);
} works SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ivm_lost_key);
	__type(value, struct ivm_lost_rings);
} lost_rings SEC(".maps");

#define IVM_FILLED(name, entries, key_type, value_type)	\
	struct {						\
		__uint(type, BPF_MAP_TYPE_HASH);		\
		__uint(max_entries, entries);			\
		__type(key, key_type);				\
		__type(value, value_type);			\
	} name SEC(".maps")

IVM_FILLED(claims, 32768, __u32, struct ivm_claim);
IVM_FILLED(doorbells, 16384, struct ivm_doorbell_key, struct ivm_doorbell);
IVM_FILLED(bells, 16384, struct ivm_bell_key, struct ivm_doorbell);
IVM_FILLED(vcpu_index, 8192, struct ivm_vcpu_key, __u32);
IVM_FILLED(eventfds, 65536, struct ivm_fd_key, struct ivm_target);
IVM_FILLED(heard, 65536, struct ivm_fd_key, struct ivm_target);
IVM_FILLED(eventfd_ids, 65536, __u32, struct ivm_target);
IVM_FILLED(messages, 65536, struct ivm_message_key, struct ivm_message);
IVM_FILLED(pages, 16384, struct ivm_page_key, struct ivm_page);
IVM_FILLED(writers, 65536, struct ivm_fd_key, struct ivm_writer);
IVM_FILLED(link_vectors, 65536, struct ivm_vector_key, __u32);
IVM_FILLED(sockets, 16384, struct ivm_fd_key, struct ivm_socket);

#endif /* IVM_STATE_BPF_H */
