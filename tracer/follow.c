// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the BPF programs are to follow: their maps, in line with the topology.
 *
 * All rows that the topology asks for are made anew when it has changed, and
 * compared with what the maps have: a row that has changed is overwritten,
 * never taken out and put in again, so that no doorbell rings between the two.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "../bpf/state.h"
#include "ivmtrace.skel.h"
#include "follow.h"

#define LINKPAGE_FILE "/memfd:" IVM_LINKPAGE_NAME

struct ivm_follow {
	struct ivmtrace_bpf *skel;
	struct bpf_link *claim;
	GHashTable *rows;		/* what is in the maps: struct row, as a set */
	GHashTable *eventfd_ids;	/* (end, vector, link-up, descriptor) -> eventfd id */
	GHashTable *pages;		/* inode of a link page -> its address in its owner */
	GHashTable *vcpus;		/* (vm id, vcpu_id) -> index into the map vcpus */
	uint32_t vcpus_used;		/* index 0 is nobody's */
	GArray *free_vcpus;		/* indices below that may be used again */
	GArray *gone;			/* indices whose VM has gone, no row has them any more */
	GArray *going;			/* ... which a program may be using yet */
	uint64_t version;		/* of the topology they are in line with */
	bool claims_changed;
};

/* ---- rows ---- */

/* A row of one of the maps.  All up to @key is its identity. */
struct row {
	int map_fd;
	unsigned char key[16];
	uint32_t key_bytes;
	uint32_t value_bytes;
	unsigned char value[32];
	uint32_t version;		/* a new one replaces what the programs keep there */
	const struct bpf_map *map;
};

#define ROW_IDENTITY_BYTES offsetof(struct row, key_bytes)

static guint row_hash(gconstpointer p)
{
	const unsigned char *bytes = p;
	guint hash = 2166136261u;	/* FNV-1a */
	size_t i;

	for (i = 0; i < ROW_IDENTITY_BYTES; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return hash;
}

static gboolean row_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, ROW_IDENTITY_BYTES);
}

static bool row_changed(const struct row *a, const struct row *b)
{
	return a->version != b->version || memcmp(a->value, b->value, sizeof(a->value));
}

static void want(GHashTable *wanted, const struct bpf_map *map, const void *key,
		 const void *value, uint32_t version)
{
	struct row *row = g_new0(struct row, 1);

	row->map = map;
	row->map_fd = bpf_map__fd(map);
	row->key_bytes = bpf_map__key_size(map);
	row->value_bytes = bpf_map__value_size(map);
	row->version = version;
	memcpy(row->key, key, row->key_bytes);
	memcpy(row->value, value, row->value_bytes);
	g_hash_table_add(wanted, row);
}

/* ---- what a topology asks for ---- */

static uint32_t vcpu_index(struct ivm_follow *f, const struct ivm_vcpu *vcpu)
{
	gint64 key = (gint64)vcpu->vm->id << 32 | vcpu->vcpu_id;

	return GPOINTER_TO_UINT(g_hash_table_lookup(f->vcpus, &key));
}

static uint32_t take_index(struct ivm_follow *f)
{
	uint32_t index;

	if (f->free_vcpus->len) {
		index = g_array_index(f->free_vcpus, uint32_t, f->free_vcpus->len - 1);
		g_array_set_size(f->free_vcpus, f->free_vcpus->len - 1);
		return index;
	}
	if (f->vcpus_used + 1 >= bpf_map__max_entries(f->skel->maps.vcpus))
		return 0;
	return ++f->vcpus_used;
}

static int make_vcpu(struct ivm_follow *f, const struct ivm_vcpu *vcpu)
{
	gint64 key = (gint64)vcpu->vm->id << 32 | vcpu->vcpu_id;
	struct ivm_vcpu_state state = { .vcpu_id = vcpu->vcpu_id };
	uint32_t index;

	if (vcpu_index(f, vcpu))
		return 0;
	index = take_index(f);
	if (!index)
		return -E2BIG;
	if (bpf_map_update_elem(bpf_map__fd(f->skel->maps.vcpus), &index, &state, BPF_ANY))
		return -errno;
	g_hash_table_insert(f->vcpus, g_memdup2(&key, sizeof(key)), GUINT_TO_POINTER(index));
	return 0;
}

static void retire_vcpu(struct ivm_follow *f, const struct ivm_vcpu *vcpu)
{
	gint64 key = (gint64)vcpu->vm->id << 32 | vcpu->vcpu_id;
	uint32_t index = vcpu_index(f, vcpu);

	if (!index)
		return;
	g_hash_table_remove(f->vcpus, &key);
	g_array_append_val(f->going, index);
}

static void want_vcpu(struct ivm_follow *f, GHashTable *wanted, const struct ivm_vcpu *vcpu)
{
	__u32 index = vcpu_index(f, vcpu), tid = vcpu->tid;
	struct ivm_vcpu_key key = { .tgid = vcpu->vm->tgid, .vcpu_id = vcpu->vcpu_id };
	struct ivm_claim claim = {
		.tgid = vcpu->vm->tgid,
		.kind = IVM_THREAD_VCPU,
		.vcpu = index,
	};

	/* A VM without an emulated thread of its own runs its vCPU in the main loop's */
	if (vcpu->tid == vcpu->vm->tgid)
		claim.kind |= IVM_THREAD_LOOP;
	want(wanted, f->skel->maps.vcpu_index, &key, &index, 0);
	want(wanted, f->skel->maps.claims, &tid, &claim, 0);
}

static void want_reader(struct ivm_follow *f, GHashTable *wanted, const struct ivm_vm *vm)
{
	__u32 tid = vm->tgid;
	struct ivm_claim claim = { .tgid = vm->tgid, .kind = IVM_THREAD_LOOP };

	want(wanted, f->skel->maps.claims, &tid, &claim, 0);
}

/* Where an end's doorbells lead */
static struct ivm_doorbell doorbell_of(const struct ivm_end *end)
{
	static const uint8_t modes[] = {
		[IVM_MODE_QEMU] = IVM_M_QEMU,
		[IVM_MODE_IRQFD] = IVM_M_IRQFD,
		[IVM_MODE_DIRECT] = IVM_M_DIRECT,
	};
	struct ivm_doorbell bell = { .from_end = end->id, .vectors = end->page.peer_vectors };

	if (end->kind == IVM_END_IVSHMEM)
		bell.configured = IVM_M_IVSHMEM;
	else if (end->page.mode_tx < G_N_ELEMENTS(modes))
		bell.configured = modes[end->page.mode_tx];
	if (end->peer) {
		bell.to_end = end->peer->id;
		bell.to_tgid = end->peer->vm->tgid;
	}
	return bell;
}

static void want_doorbell(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_doorbell_key key = {
		.tgid = end->vm->tgid,
		.frame = (end->page.bar0_address + IVM_DOORBELL_BASE) >> 12,
	};
	struct ivm_doorbell bell = doorbell_of(end);

	if (end->page.bar0_address != IVM_LINKPAGE_NO_ADDR)
		want(wanted, f->skel->maps.doorbells, &key, &bell, 0);
}

static void want_bell(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_doorbell_key page = { .tgid = end->vm->tgid, .frame = end->bell_address >> 12 };
	struct ivm_bell_key key = {
		.address = end->bell_address,
		.tgid = end->vm->tgid,
		.peer = end->bell_peer,
	};
	struct ivm_doorbell bell = doorbell_of(end), look_further = {};

	if (end->bell_address == IVM_LINKPAGE_NO_ADDR)
		return;
	want(wanted, f->skel->maps.doorbells, &page, &look_further, 0);
	want(wanted, f->skel->maps.bells, &key, &bell, 0);
}

/* The peer's doorbells that this end rings through eventfds */
static void want_eventfds(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_fd_key key = { .tgid = end->vm->tgid };
	struct ivm_target target = { .end = end->id };

	for (; target.vector < IVM_LINKPAGE_VECTORS; target.vector++) {
		key.fd = end->page.peer_eventfd[target.vector];
		if (key.fd >= 0)
			want(wanted, f->skel->maps.eventfds, &key, &target, 0);
	}
}

/* Where its QEMU hears what KVM refused to take */
static void want_heard(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_fd_key key = { .tgid = end->vm->tgid };
	struct ivm_target target = { .end = end->id };

	for (; target.vector < end->page.vectors; target.vector++) {
		key.fd = end->page.vector[target.vector].eventfd;
		if (key.fd >= 0 && ivm_end_serves(end, target.vector))
			want(wanted, f->skel->maps.heard, &key, &target, 0);
	}
}

/* What raises the peer's interrupts by writes alone */
static void want_writers(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_fd_key key = { .tgid = end->vm->tgid };
	struct ivm_writer writer = { .from_end = end->id };
	uint32_t v;

	if (!ivm_end_writes(end) || !end->peer)
		return;
	writer.mode = end->kind == IVM_END_FOREIGN ? IVM_M_FOREIGN : IVM_M_IVSHMEM;
	writer.to_end = end->peer->id;
	writer.to_tgid = end->peer->vm->tgid;
	for (v = 0; v < MIN(end->page.peer_vectors, end->peer->page.vectors); v++) {
		key.fd = end->page.peer_eventfd[v];
		writer.vector = v;
		writer.msi_address = end->peer->page.vector[v].msi_address;
		writer.msi_data = end->peer->page.vector[v].msi_data;
		if (key.fd < 0)
			continue;
		want(wanted, f->skel->maps.writers, &key, &writer, 0);
		f->skel->bss->writers_known = 1;
	}
}

static void want_link_vector(const struct ivm_topology *t, struct ivm_follow *f,
			     GHashTable *wanted, const struct ivm_end *end,
			     const struct ivm_linkpage_vector *v)
{
	uint32_t dest = (v->msi_address >> IVM_MSI_DEST_SHIFT) & 0xff;
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu_by_id(t, end->vm, dest);
	struct ivm_vector_key key = { .irq_vector = v->msi_data & 0xff };
	__u32 one = 1;

	if (!vcpu || (v->msi_address & IVM_MSI_DEST_LOGICAL))
		return;
	key.vcpu = vcpu_index(f, vcpu);
	want(wanted, f->skel->maps.link_vectors, &key, &one, 0);
}

static uint32_t read_eventfd_id(pid_t tgid, int fd)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fdinfo/%d", tgid, fd);
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	line = strstr(text, "eventfd-id:");
	return line ? strtoul(line + strlen("eventfd-id:"), NULL, 10) : 0;
}

/* A link-up has new eventfds, perhaps on the same descriptors */
static uint32_t eventfd_id(struct ivm_follow *f, const struct ivm_end *end, uint32_t vector)
{
	const struct ivm_linkpage *page = &end->page;
	gint64 key = ((gint64)end->id << 16 | vector) << 32 | (page->generation & 0xffff) << 16 |
		     (page->vector[vector].eventfd & 0xffff);
	gpointer id = g_hash_table_lookup(f->eventfd_ids, &key);

	if (!id) {
		id = GUINT_TO_POINTER(read_eventfd_id(end->vm->tgid,
						      page->vector[vector].eventfd));
		g_hash_table_insert(f->eventfd_ids, g_memdup2(&key, sizeof(key)), id);
	}
	return GPOINTER_TO_UINT(id);
}

/* The eventfds of this end's irqfds */
static void want_eventfd_ids(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_target target = { .end = end->id };

	for (; target.vector < end->page.vectors; target.vector++) {
		__u32 id = 0;

		if (end->page.vector[target.vector].eventfd >= 0)
			id = eventfd_id(f, end, target.vector);
		if (id)
			want(wanted, f->skel->maps.eventfd_ids, &id, &target, 0);
	}
}

/* Where a process has its own link pages mapped: peers map them for reading only */
static void note_mappings(struct ivm_follow *f, pid_t tgid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/maps", tgid);
	unsigned long long start, inode;
	FILE *file = fopen(path, "re");
	char line[512], mode[8];
	gint64 key;

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%*x %7s %*s %*s %llu", &start, mode, &inode) != 3 ||
		    !strstr(line, LINKPAGE_FILE) || mode[1] != 'w')
			continue;
		key = inode;
		g_hash_table_insert(f->pages, g_memdup2(&key, sizeof(key)),
				    GSIZE_TO_POINTER(start));
	}
	fclose(file);
}

/* 0: not known, so that its snapshots must do */
static uint64_t page_address(struct ivm_follow *f, const struct ivm_end *end)
{
	gint64 key = end->page_inode;

	if (!end->page_inode)
		return 0;
	/* Looked for once: a device has it from its beginning to its end */
	if (!g_hash_table_contains(f->pages, &key))
		note_mappings(f, end->vm->tgid);
	if (!g_hash_table_contains(f->pages, &key))
		g_hash_table_insert(f->pages, g_memdup2(&key, sizeof(key)), NULL);
	return GPOINTER_TO_SIZE(g_hash_table_lookup(f->pages, &key));
}

/* Return: its number in its process, 0 if there is none */
static uint32_t want_page(struct ivm_follow *f, GHashTable *wanted, GHashTable *numbers,
			  const struct ivm_end *end)
{
	gpointer tgid = GINT_TO_POINTER(end->vm->tgid);
	struct ivm_page_key key = {
		.tgid = end->vm->tgid,
		.number = GPOINTER_TO_UINT(g_hash_table_lookup(numbers, tgid)) + 1,
	};
	struct ivm_page page = {
		.address = page_address(f, end),
		.end = end->id,
		.vectors = end->page.vectors,
		.seq = end->page.seq,
	};

	if (!page.address)
		return 0;
	want(wanted, f->skel->maps.pages, &key, &page, 0);
	g_hash_table_insert(numbers, tgid, GUINT_TO_POINTER(key.number));
	return key.number;
}

/* The messages that raise this end's vectors */
static void want_messages(const struct ivm_topology *t, struct ivm_follow *f,
			  GHashTable *wanted, const struct ivm_end *end, uint32_t page)
{
	struct ivm_message message = { .target.end = end->id, .page = page };
	uint32_t i;

	for (i = 0; i < end->page.vectors; i++) {
		const struct ivm_linkpage_vector *v = &end->page.vector[i];
		struct ivm_message_key key = {
			.address = v->msi_address & ~IVM_MSI_ADDRESS_BASE,
			.data = v->msi_data,
			.tgid = end->vm->tgid,
		};

		if (!v->msi_data)
			continue;
		message.target.vector = i;
		want(wanted, f->skel->maps.messages, &key, &message, 0);
		want_link_vector(t, f, wanted, end, v);
	}
}

static void want_socket(struct ivm_follow *f, GHashTable *wanted, const struct ivm_end *end)
{
	struct ivm_fd_key key = { .tgid = end->vm->tgid, .fd = end->page.socket_fd };
	struct ivm_socket socket = { .end = end->id };

	/* With each link-up the stream starts anew, perhaps on the same descriptor */
	if (end->page.socket_fd >= 0)
		want(wanted, f->skel->maps.sockets, &key, &socket, end->page.generation);
}

static int want_all(struct ivm_follow *f, GHashTable *wanted, const struct ivm_topology *t)
{
	g_autoptr(GHashTable) numbers = g_hash_table_new(g_direct_hash, g_direct_equal);
	int err = 0;
	guint i;

	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (end->dead)
			continue;
		want_reader(f, wanted, end->vm);
		want_doorbell(f, wanted, end);
		want_bell(f, wanted, end);
		want_eventfds(f, wanted, end);
		want_heard(f, wanted, end);
		want_eventfd_ids(f, wanted, end);
		want_writers(f, wanted, end);
		want_socket(f, wanted, end);
	}
	for (i = 0; i < t->vcpus->len && !err; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		if (vcpu->vm->dead) {
			retire_vcpu(f, vcpu);
			continue;
		}
		err = make_vcpu(f, vcpu);
		want_vcpu(f, wanted, vcpu);
	}
	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (!end->dead)
			want_messages(t, f, wanted, end, want_page(f, wanted, numbers, end));
	}
	return err;
}

/* ---- bringing the maps in line ---- */

static void note_claim(struct ivm_follow *f, const struct row *row)
{
	if (row->map == f->skel->maps.claims)
		f->claims_changed = true;
}

static int push(struct ivm_follow *f, const struct row *row, const char **full_map)
{
	const struct row *had = g_hash_table_lookup(f->rows, row);

	if (had && !row_changed(had, row))
		return 0;
	if (bpf_map_update_elem(row->map_fd, row->key, row->value, BPF_ANY)) {
		*full_map = bpf_map__name(row->map);
		return -errno;
	}
	note_claim(f, row);
	return 0;
}

/*
 * Pages come last: that one is as we know it says that its messages are, too.
 * Whoever raises meanwhile looks into the page.
 */
static int push_all(struct ivm_follow *f, GHashTable *wanted, bool pages, const char **full_map)
{
	GHashTableIter it;
	gpointer key;
	int err = 0;

	g_hash_table_iter_init(&it, wanted);
	while (!err && g_hash_table_iter_next(&it, &key, NULL))
		if ((((struct row *)key)->map == f->skel->maps.pages) == pages)
			err = push(f, key, full_map);
	return err;
}

static void drop_unwanted(struct ivm_follow *f, GHashTable *wanted)
{
	GHashTableIter it;
	gpointer key;

	g_hash_table_iter_init(&it, f->rows);
	while (g_hash_table_iter_next(&it, &key, NULL)) {
		const struct row *row = key;

		if (!g_hash_table_contains(wanted, row))
			bpf_map_delete_elem(row->map_fd, row->key);
	}
}

/* Runs over all tasks: whoever is claimed gets its storage */
static int claim(struct ivm_follow *f)
{
	char nothing[64];
	int fd, err = 0;

	if (!f->claims_changed)
		return 0;
	fd = bpf_iter_create(bpf_link__fd(f->claim));
	if (fd < 0)
		return -errno;
	if (read(fd, nothing, sizeof(nothing)) < 0)
		err = -errno;
	close(fd);
	f->claims_changed = err;
	return err;
}

/**
 * ivm_follow_new() - follows nothing yet
 * @skel: loaded
 *
 * Return: free with ivm_follow_free(), before @skel; NULL with errno set if this
 * kernel has no iterator over tasks.
 */
struct ivm_follow *ivm_follow_new(struct ivmtrace_bpf *skel)
{
	struct bpf_link *claim = bpf_program__attach_iter(skel->progs.claim_tasks, NULL);
	struct ivm_follow *f;

	if (!claim)
		return NULL;
	f = g_new0(struct ivm_follow, 1);
	f->skel = skel;
	f->claim = claim;
	f->version = UINT64_MAX;
	f->rows = g_hash_table_new_full(row_hash, row_equal, g_free, NULL);
	f->eventfd_ids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	f->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	f->free_vcpus = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	f->gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	f->going = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	f->vcpus = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return f;
}

/**
 * ivm_follow_free() - frees
 * @f: may be NULL
 */
void ivm_follow_free(struct ivm_follow *f)
{
	if (!f)
		return;
	bpf_link__destroy(f->claim);
	g_hash_table_destroy(f->rows);
	g_hash_table_destroy(f->vcpus);
	g_array_unref(f->free_vcpus);
	g_array_unref(f->gone);
	g_array_unref(f->going);
	g_hash_table_destroy(f->pages);
	g_hash_table_destroy(f->eventfd_ids);
	g_free(f);
}

/**
 * ivm_follow_sync() - brings the maps in line with a topology
 * @f: the maps
 * @t: always the same one
 * @full_map: set to a map's name if it cannot take all
 *
 * Return: 0 or -errno.
 */
int ivm_follow_sync(struct ivm_follow *f, const struct ivm_topology *t, const char **full_map)
{
	GHashTable *wanted;
	int err;

	*full_map = NULL;
	if (f->version == t->version)
		return claim(f);
	wanted = g_hash_table_new_full(row_hash, row_equal, g_free, NULL);
	err = want_all(f, wanted, t);
	if (err)
		*full_map = "vcpus";
	if (!err)
		err = push_all(f, wanted, false, full_map);
	drop_unwanted(f, wanted);
	if (!err)
		err = push_all(f, wanted, true, full_map);
	g_hash_table_destroy(f->rows);
	f->rows = wanted;
	f->version = t->version;
	/* What threads keep of former rows is void from here on */
	f->skel->data->follow_generation++;
	return err ? err : claim(f);
}

static void free_slots(struct ivm_follow *f, uint32_t index)
{
	static const struct ivm_slot_state none;
	struct ivm_vcpu_state v;
	unsigned int i;

	if (bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.vcpus), &index, &v))
		return;
	for (i = 0; i < G_N_ELEMENTS(v.slot); i++)
		if (v.slot[i] && !bpf_map_update_elem(bpf_map__fd(f->skel->maps.slots),
						      &v.slot[i], &none, BPF_ANY))
			bpf_map_update_elem(bpf_map__fd(f->skel->maps.free_slots), NULL,
					    &v.slot[i], BPF_ANY);
}

/* Two lists: a program that found an index before its rows were dropped has long ended */
static void free_vcpu(struct ivm_follow *f, uint32_t index)
{
	static const struct ivm_vcpu_state none;

	free_slots(f, index);
	if (!bpf_map_update_elem(bpf_map__fd(f->skel->maps.vcpus), &index, &none, BPF_ANY))
		g_array_append_val(f->free_vcpus, index);
}

/**
 * ivm_follow_recycle() - gives free what belonged to VMs that have gone
 * @f: the maps
 * @flush: called first, for each vCPU: takes what is pending there
 * @arg: for @flush
 *
 * Call it with pauses, and not while @f is brought in line: what one call finds
 * gone the next one frees.
 */
void ivm_follow_recycle(struct ivm_follow *f, void (*flush)(void *arg, uint32_t index), void *arg)
{
	GArray *gone = f->gone;
	guint i;

	for (i = 0; i < gone->len; i++) {
		flush(arg, g_array_index(gone, uint32_t, i));
		free_vcpu(f, g_array_index(gone, uint32_t, i));
	}
	g_array_set_size(gone, 0);
	f->gone = f->going;
	f->going = gone;
}

/**
 * ivm_follow_vcpus() - the highest index in use of the map vcpus
 * @f: the maps
 *
 * Return: from 1; 0 none yet.
 */
uint32_t ivm_follow_vcpus(const struct ivm_follow *f)
{
	return f->vcpus_used;
}
