// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /proc and link pages to a topology.
 *
 * A scan is cheap enough to run ten times a second: processes that were seen
 * before and hold no VM are looked at again only while they are young, and
 * every few seconds.  What is gone leaves the topology a little later than it
 * disappeared, because events from before are still being worked off.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "discover.h"
#include "irqfds.h"
#include "ivshmem_ends.h"
#include "linkpage.h"
#include "vcpus.h"
#include "wires.h"

#define MSEC_NS		1000000ull
#define SEC_NS		1000000000ull
#define VM_CHECK_NS	(2 * SEC_NS)	/* for new link pages of a VM */
#define OTHER_CHECK_NS	(3 * SEC_NS)	/* ... of a process that may become one */
#define CHECK_AGE	4		/* the young wait for so small a part of their age */
#define CHECK_REST	100		/* times as long as a check took, before the next */
#define LIST_NS		(3 * SEC_NS)	/* between looks at all of /proc at the latest */
#define YOUNG_NS	(10 * SEC_NS)	/* a VM may still be setting up its devices */

/* The kernel's tables: how soon, which part of a CPU at most, how late at the latest */
#define VCPU_CHECK_NS	(2 * SEC_NS)	/* vCPUs may move to another thread */
#define WIRES_CHECK_NS	(500 * MSEC_NS)
#define TABLE_COST	400
#define TABLE_YOUNG_COST 50
#define TABLE_LIMIT_NS	(10 * SEC_NS)
#define TABLE_YOUNG_LIMIT_NS (3 * SEC_NS)

#define CONTRADICTS_NS	(2 * SEC_NS)	/* a guest setting up its interrupts is faster */
#define TORN_NS		SEC_NS		/* a page that is being written for longer is lost */

#define LINK_FD_NAME	"/memfd:" IVM_LINKPAGE_NAME " (deleted)"
#define VM_FD_NAME	"anon_inode:kvm-vm"
#define VCPU_FD_PREFIX	"anon_inode:kvm-vcpu:"

/* A link page, from its descriptor's appearance to its disappearance */
struct page {
	uint64_t inode;
	int fd;				/* ours: the page outlives its owner */
	const struct ivm_linkpage *head;	/* mapped once it is valid; NULL if it cannot be */
	uint64_t first_ns;
	uint64_t gone_ns;		/* 0 while there */
	uint64_t left_ns;		/* link or address went then, not told yet; 0 */
	uint64_t torn_ns;		/* no consistent snapshot since, 0 */
	bool torn_counted;
	bool seen;			/* in the scan under way */
	bool valid;			/* @snapshot may be used */
	struct ivm_linkpage snapshot;
	struct ivm_end *end;		/* NULL until followed */
};

struct process {
	pid_t pid;
	uint64_t start_ticks;
	uint64_t checked_ns;
	uint64_t check_took_ns;		/* grows with its descriptors */
	uint64_t gone_ns;
	bool seen;
	bool has_kvm;
	unsigned int vcpu_fds;
	GPtrArray *pages;		/* struct page *, owned */
	struct ivm_vm *vm;		/* NULL until it is in the topology */
};

struct ivm_discover {
	struct ivm_topology *topology;
	struct ivm_vcpus *vcpus;
	struct ivm_discover_filter filter;
	GHashTable *processes;		/* pid -> struct process */
	uint64_t settled_ns;		/* events until then need nobody any more */
	uint64_t boot_ns;		/* CLOCK_BOOTTIME at the scan under way */
	unsigned int last_pid;		/* as of the last look at all of /proc */
	uint64_t listed_ns;
	uint64_t vcpus_read_ns;
	uint64_t vcpus_cost_ns;		/* CPU time of the last reading */
	struct ivm_irqfds *irqfds;	/* NULL: not used */
	struct ivm_ivshmem_ends *ivshmem;
	uint64_t wires_read_ns;
	uint64_t wires_cost_ns;		/* CPU time of the last reading */
	bool wires_unsettled;		/* it has ends that are believed when they stay */
	uint64_t contradicts_ns;	/* since then, 0 not */
	bool contradiction_counted;
	struct ivm_discover_stats stats;
};

static void page_free(gpointer p)
{
	struct page *page = p;

	ivm_linkpage_unmap(page->head);
	if (page->fd >= 0)
		close(page->fd);
	g_free(page);
}

static void process_free(gpointer p)
{
	struct process *process = p;

	g_ptr_array_unref(process->pages);
	g_free(process);
}

/* Each link page is a descriptor: the usual 1024 are few for a thousand links */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/**
 * ivm_discover_new() - nothing found yet
 * @topology: to be kept up to date
 * @vcpus: source for vCPU threads; NULL to do without them
 * @filter: what to follow; its strings must stay valid
 *
 * Return: free with ivm_discover_free().
 */
struct ivm_discover *ivm_discover_new(struct ivm_topology *topology, struct ivm_vcpus *vcpus,
				      const struct ivm_discover_filter *filter)
{
	struct ivm_discover *d = g_new0(struct ivm_discover, 1);

	raise_descriptor_limit();
	d->topology = topology;
	d->vcpus = vcpus;
	d->filter = *filter;
	d->processes = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, process_free);
	return d;
}

/**
 * ivm_discover_free() - forgets everything but the topology
 * @d: may be NULL
 */
void ivm_discover_free(struct ivm_discover *d)
{
	if (!d)
		return;
	ivm_ivshmem_ends_free(d->ivshmem);
	g_hash_table_destroy(d->processes);
	g_free(d);
}

/**
 * ivm_discover_stats() - what could not be used
 * @d: the discovery
 *
 * Return: the counters, owned by @d.
 */
const struct ivm_discover_stats *ivm_discover_stats(const struct ivm_discover *d)
{
	return &d->stats;
}

/* ---- one process ---- */

/* A number from /proc/PID/stat, counted as proc(5) does; 0 if there is no such process */
static uint64_t read_stat(pid_t pid, int wanted)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
	g_autofree char *text = NULL;
	unsigned long long value = 0;
	const char *at;
	int field;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	/* The second field may hold anything, brackets and spaces too */
	at = strrchr(text, ')');
	for (field = 2; at && field < wanted; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%llu", &value) == 1 ? value : 0;
}

/* Start time in clock ticks since boot */
static uint64_t read_start_ticks(pid_t pid)
{
	return read_stat(pid, 22);
}

static pid_t read_parent(pid_t pid)
{
	return (pid_t)read_stat(pid, 4);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SEC_NS + now.tv_nsec;
}

/* The clock that start times count in is coarse: one that starts now may be ahead */
static uint64_t age_ns(const struct ivm_discover *d, const struct process *process)
{
	uint64_t start_ns = process->start_ticks * (SEC_NS / sysconf(_SC_CLK_TCK));

	return d->boot_ns > start_ns ? d->boot_ns - start_ns : 0;
}

static bool may_have_pages(const struct process *process)
{
	return process->has_kvm || process->pages->len;
}

static bool is_due(const struct ivm_discover *d, const struct process *process, uint64_t now_ns,
		   bool everything)
{
	uint64_t interval_ns = MIN(age_ns(d, process) / CHECK_AGE,
				   may_have_pages(process) ? VM_CHECK_NS : OTHER_CHECK_NS);

	if (everything || !process->checked_ns)
		return true;
	/* A process with thousands of descriptors must not keep us busy */
	if (now_ns - process->checked_ns < CHECK_REST * process->check_took_ns)
		return false;
	return now_ns - process->checked_ns >= interval_ns;
}

static struct page *find_page(const struct process *process, uint64_t inode)
{
	guint i;

	for (i = 0; i < process->pages->len; i++) {
		struct page *page = g_ptr_array_index(process->pages, i);

		if (page->inode == inode)
			return page;
	}
	return NULL;
}

/* Tracers hold pages for reading only, this one too; owners made them */
static bool is_writable(int dir_fd, const char *fd_name)
{
	struct stat st;

	return !fstatat(dir_fd, fd_name, &st, AT_SYMLINK_NOFOLLOW) && (st.st_mode & S_IWUSR);
}

static void note_page(struct process *process, int dir_fd, const char *fd_name, uint64_t now_ns)
{
	struct stat st;
	struct page *page = fstatat(dir_fd, fd_name, &st, 0) ? NULL : find_page(process, st.st_ino);
	int fd;

	if (page) {
		page->seen = true;
		return;
	}
	if (!is_writable(dir_fd, fd_name))
		return;
	fd = openat(dir_fd, fd_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (fstat(fd, &st)) {
		close(fd);
		return;
	}
	page = g_new0(struct page, 1);
	page->inode = st.st_ino;
	page->fd = fd;
	page->first_ns = now_ns;
	page->seen = true;
	g_ptr_array_add(process->pages, page);
}

static void note_descriptor(struct process *process, int dir_fd, const char *fd_name,
			    uint64_t now_ns)
{
	char target[64];
	ssize_t bytes = readlinkat(dir_fd, fd_name, target, sizeof(target) - 1);

	if (bytes < 0)
		return;
	target[bytes] = 0;
	if (!strcmp(target, VM_FD_NAME))
		process->has_kvm = true;
	else if (g_str_has_prefix(target, VCPU_FD_PREFIX))
		process->vcpu_fds++;
	else if (!strcmp(target, LINK_FD_NAME))
		note_page(process, dir_fd, fd_name, now_ns);
}

static void mark_pages(struct process *process, uint64_t now_ns)
{
	guint i;

	for (i = 0; i < process->pages->len; i++) {
		struct page *page = g_ptr_array_index(process->pages, i);

		if (!page->seen && !page->gone_ns)
			page->gone_ns = now_ns;
		else if (page->seen)
			page->gone_ns = 0;
		page->seen = false;
	}
}

static void check_descriptors(struct ivm_discover *d, struct process *process, uint64_t now_ns)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", process->pid);
	uint64_t start_ns = ivm_now_ns();
	DIR *dir = opendir(path);
	struct dirent *entry;

	process->checked_ns = now_ns;
	if (!dir) {
		d->stats.unreadable += errno == EACCES;
		return;
	}
	process->vcpu_fds = 0;
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			note_descriptor(process, dirfd(dir), entry->d_name, now_ns);
	closedir(dir);
	mark_pages(process, now_ns);
	process->check_took_ns = ivm_now_ns() - start_ns;
}

/* ---- link pages ---- */

/*
 * An owner that lost its CPU while writing is asked again at the next scan.
 * Only one that stays away takes something from us.
 */
static void note_torn(struct ivm_discover *d, struct page *page, uint64_t now_ns)
{
	if (!page->torn_ns) {
		page->torn_ns = now_ns;
		page->torn_counted = false;
	} else if (!page->torn_counted && now_ns - page->torn_ns >= TORN_NS) {
		page->torn_counted = true;
		d->stats.torn++;
	}
}

/* Is something gone that doorbells from before are told by? */
static bool takes_away(const struct ivm_linkpage *before, const struct ivm_linkpage *now)
{
	return (before->up && !now->up) || (before->bar0_address != IVM_LINKPAGE_NO_ADDR &&
					    now->bar0_address == IVM_LINKPAGE_NO_ADDR);
}

/* Doorbells from before the link or the address went are still being worked off */
static void update_end(struct ivm_discover *d, struct page *page, uint64_t now_ns)
{
	if (!page->end)
		return;
	if (!takes_away(&page->end->page, &page->snapshot))
		page->left_ns = 0;
	else if (!page->left_ns)
		page->left_ns = now_ns;
	if (page->left_ns && d->settled_ns < page->left_ns)
		return;
	page->left_ns = 0;
	ivm_topology_update_end(d->topology, page->end, &page->snapshot);
}

/* With a thousand links most pages have not changed for a long time */
static bool is_fresh(const struct page *page, bool everything)
{
	return !everything && page->valid && !page->torn_ns && !page->left_ns &&
	       ivm_linkpage_is_current(page->fd, page->head, &page->snapshot);
}

static void refresh_page(struct ivm_discover *d, struct process *process, struct page *page,
			 uint64_t now_ns, bool everything)
{
	struct ivm_linkpage snapshot;
	const char *why = "it is too short";
	int err;

	if (is_fresh(page, everything))
		return;
	err = ivm_linkpage_read(page->fd, &snapshot);
	if (err == -EAGAIN) {
		note_torn(d, page, now_ns);
		return;
	}
	page->torn_ns = 0;
	if (!err)
		err = ivm_linkpage_check(&snapshot, &why);
	if (!err) {
		page->snapshot = snapshot;
		if (!page->valid)
			page->head = ivm_linkpage_map(page->fd);
		page->valid = true;
		update_end(d, page, now_ns);
		return;
	}
	d->stats.refused++;
	d->stats.refused_why = why;
	d->stats.refused_pid = process->pid;
}

static bool is_vm_named(const struct process *process, const char *vm)
{
	char number[16];

	if (!process->vm)
		return false;
	g_snprintf(number, sizeof(number), "%u", process->vm->id);
	return !strcmp(process->vm->name, vm) || !strcmp(number, vm);
}

static bool fits_filter(const struct ivm_discover *d, const struct process *process,
			const struct page *page)
{
	const struct ivm_discover_filter *f = &d->filter;

	return (!f->pid || f->pid == process->pid) &&
	       (!f->parent || f->parent == read_parent(process->pid)) &&
	       (!f->link || g_pattern_match_simple(f->link, page->snapshot.name)) &&
	       (!f->vm || is_vm_named(process, f->vm));
}

/*
 * A peer holds our page's descriptor for a moment while the link comes up: a
 * page that is down is not claimed at first sight.
 */
static bool is_settled(const struct page *page, uint64_t now_ns)
{
	return page->valid && !page->gone_ns &&
	       (page->snapshot.up || now_ns - page->first_ns >= IVM_DISCOVER_SETTLE_NS);
}

static bool is_filtering(const struct ivm_discover *d)
{
	return d->filter.pid || d->filter.parent || d->filter.link || d->filter.vm;
}

static bool is_claimed(const struct ivm_discover *d, uint64_t inode)
{
	guint i;

	for (i = 0; i < d->topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(d->topology->ends, i);

		if (end->page_inode == inode && !end->dead)
			return true;
	}
	return false;
}

/*
 * A peer gets our page's descriptor to map it and closes it then; on a busy host
 * that takes a while.  Of two holders the owner is the one who keeps it.
 */
static bool is_held_elsewhere(const struct ivm_discover *d, const struct process *process,
			      uint64_t inode)
{
	const struct process *other;
	const struct page *page;
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, d->processes);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		other = value;
		page = other != process ? find_page(other, inode) : NULL;
		if (page && !page->gone_ns && !other->gone_ns)
			return true;
	}
	return false;
}

static bool has_followed_peer(const struct ivm_discover *d, const struct page *page)
{
	guint i;

	if (!page->snapshot.up || !page->snapshot.link_id)
		return false;
	for (i = 0; i < d->topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(d->topology->ends, i);

		if (!end->dead && end->page.link_id == page->snapshot.link_id)
			return true;
	}
	return false;
}

static void read_name(pid_t pid, char *name, size_t name_bytes)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
	g_autofree char *text = NULL;
	gsize bytes;

	name[0] = 0;
	if (g_file_get_contents(path, &text, &bytes, NULL))
		ivm_vm_name_parse(text, bytes, name, name_bytes);
}

/* A process without a VM is shown as ps(1) shows one without arguments */
static void read_process_name(pid_t pid, char *name, size_t name_bytes)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid);
	g_autofree char *text = NULL;

	name[0] = 0;
	if (g_file_get_contents(path, &text, NULL, NULL))
		g_snprintf(name, name_bytes, "[%s]", g_strchomp(text));
}

static void claim_vm(struct ivm_discover *d, struct process *process)
{
	char name[IVM_VM_NAME_BYTES];

	if (process->vm)
		return;
	if (process->has_kvm || process->pages->len)
		read_name(process->pid, name, sizeof(name));
	else
		read_process_name(process->pid, name, sizeof(name));
	process->vm = ivm_topology_add_vm(d->topology, process->pid, process->start_ticks, name);
}

static void claim_page(struct ivm_discover *d, struct process *process, struct page *page,
		       uint64_t now_ns)
{
	if (page->end || !is_settled(page, now_ns) || is_claimed(d, page->inode))
		return;
	/* A VM's number is known only once it has one */
	if (d->filter.vm || d->filter.all_vms)
		claim_vm(d, process);
	if (is_filtering(d) && !fits_filter(d, process, page) && !has_followed_peer(d, page))
		return;
	if (is_held_elsewhere(d, process, page->inode))
		return;
	claim_vm(d, process);
	page->end = ivm_topology_add_end(d->topology, process->vm, page->inode, &page->snapshot,
					 now_ns);
}

static void drop_gone_pages(struct ivm_discover *d, struct process *process)
{
	guint i = 0;

	while (i < process->pages->len) {
		struct page *page = g_ptr_array_index(process->pages, i);

		if (!page->gone_ns || d->settled_ns < page->gone_ns) {
			i++;
			continue;
		}
		if (page->end)
			ivm_topology_end_gone(d->topology, page->end);
		g_ptr_array_remove_index(process->pages, i);
	}
}

/* ---- all processes ---- */

static void drop_process(struct ivm_discover *d, struct process *process)
{
	if (process->vm)
		ivm_topology_vm_gone(d->topology, process->vm);
	g_hash_table_remove(d->processes, GINT_TO_POINTER(process->pid));
}

static void visit(struct ivm_discover *d, pid_t pid, uint64_t now_ns, bool everything)
{
	struct process *process = g_hash_table_lookup(d->processes, GINT_TO_POINTER(pid));
	uint64_t start_ticks;

	if (process && !is_due(d, process, now_ns, everything)) {
		process->seen = true;
		return;
	}
	start_ticks = read_start_ticks(pid);
	if (!start_ticks)
		return;
	if (process && process->start_ticks != start_ticks) {
		drop_process(d, process);
		process = NULL;
	}
	if (!process) {
		process = g_new0(struct process, 1);
		process->pid = pid;
		process->start_ticks = start_ticks;
		process->pages = g_ptr_array_new_with_free_func(page_free);
		g_hash_table_insert(d->processes, GINT_TO_POINTER(pid), process);
	}
	process->seen = true;
	check_descriptors(d, process, now_ns);
}

/* The number that was given to a process or thread last, of any; 0 if unknown */
static unsigned int read_last_pid(void)
{
	g_autofree char *text = NULL;
	const char *at;

	if (!g_file_get_contents("/proc/loadavg", &text, NULL, NULL))
		return 0;
	at = strrchr(text, ' ');
	return at ? strtoul(at, NULL, 10) : 0;
}

static void visit_known(struct ivm_discover *d, uint64_t now_ns)
{
	GList *pids = g_hash_table_get_keys(d->processes);
	GList *l;

	for (l = pids; l; l = l->next)
		visit(d, GPOINTER_TO_INT(l->data), now_ns, false);
	g_list_free(pids);
}

/* Where no process was born there is none to be found */
static int visit_all(struct ivm_discover *d, uint64_t now_ns, bool everything)
{
	unsigned int last_pid = read_last_pid();
	struct dirent *entry;
	DIR *dir;

	if (!everything && last_pid && last_pid == d->last_pid && now_ns - d->listed_ns < LIST_NS) {
		visit_known(d, now_ns);
		return 0;
	}
	d->last_pid = last_pid;
	d->listed_ns = now_ns;
	dir = opendir("/proc");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			visit(d, atoi(entry->d_name), now_ns, everything);
	closedir(dir);
	return 0;
}

static void refresh_process(struct ivm_discover *d, struct process *process, uint64_t now_ns,
			    bool everything)
{
	guint i;

	if (process->has_kvm && d->filter.all_vms)
		claim_vm(d, process);
	for (i = 0; i < process->pages->len; i++) {
		struct page *page = g_ptr_array_index(process->pages, i);

		refresh_page(d, process, page, now_ns, everything);
		claim_page(d, process, page, now_ns);
	}
	drop_gone_pages(d, process);
}

static void refresh_all(struct ivm_discover *d, uint64_t now_ns, bool everything)
{
	GList *processes = g_hash_table_get_values(d->processes);
	GList *l;

	for (l = processes; l; l = l->next) {
		struct process *process = l->data;

		if (!process->seen && !process->gone_ns)
			process->gone_ns = now_ns;
		process->seen = false;
		refresh_process(d, process, now_ns, everything);
		if (process->gone_ns && d->settled_ns >= process->gone_ns)
			drop_process(d, process);
	}
	g_list_free(processes);
}

/* ---- vCPUs ---- */


static void note_vcpu(void *arg, const struct ivm_vcpu_seen *vcpu)
{
	struct ivm_discover *d = arg;
	struct ivm_vm *vm = ivm_topology_vm(d->topology, vcpu->tgid);

	if (vm)
		ivm_topology_set_vcpu(d->topology, vm, vcpu->vcpu_id, vcpu->tid);
}

static bool has_young_vm(const struct ivm_discover *d)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, d->processes);
	while (g_hash_table_iter_next(&it, NULL, &value))
		if (may_have_pages(value) && age_ns(d, value) < YOUNG_NS)
			return true;
	return false;
}

/*
 * Reading a table means looking at all open files of the host: how often that is
 * done depends on how long it takes, and on whether there may be news at all.
 */
static uint64_t table_interval_ns(const struct ivm_discover *d, uint64_t cost_ns, uint64_t least_ns)
{
	if (has_young_vm(d))
		return CLAMP(TABLE_YOUNG_COST * cost_ns, least_ns, TABLE_YOUNG_LIMIT_NS);
	return CLAMP(TABLE_COST * cost_ns, least_ns, TABLE_LIMIT_NS);
}

static int read_vcpus(struct ivm_discover *d, const GArray *tgids, uint64_t now_ns)
{
	uint64_t begin_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
	int err;

	d->vcpus_read_ns = now_ns;
	err = ivm_vcpus_read(d->vcpus, (pid_t *)tgids->data, tgids->len, note_vcpu, d);
	d->vcpus_cost_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
	return err;
}

static int refresh_vcpus(struct ivm_discover *d, uint64_t now_ns)
{
	g_autoptr(GArray) tgids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	bool due = now_ns - d->vcpus_read_ns >=
		   table_interval_ns(d, d->vcpus_cost_ns, VCPU_CHECK_NS);
	struct process *process;
	unsigned int known;
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, d->processes);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		process = value;
		if (!process->vm || process->gone_ns)
			continue;
		g_array_append_val(tgids, process->pid);
		known = process->vm->vcpus;
		/* One whose descriptors were looked at too early has more by now */
		due |= known != process->vcpu_fds || (process->has_kvm && !known);
	}
	if (!due || !tgids->len || !d->vcpus)
		return 0;
	return read_vcpus(d, tgids, now_ns);
}

/* ---- what KVM has bound to eventfds ---- */

static struct process *living_process(struct ivm_discover *d, pid_t tgid)
{
	struct process *process = g_hash_table_lookup(d->processes, GINT_TO_POINTER(tgid));

	return process && !process->gone_ns ? process : NULL;
}

static bool name_process(void *arg, pid_t tgid, char *name)
{
	struct process *process = living_process(arg, tgid);

	if (!process)
		return false;
	if (process->vm)
		g_strlcpy(name, process->vm->name, IVM_VM_NAME_BYTES);
	else if (process->has_kvm)
		read_name(tgid, name, IVM_VM_NAME_BYTES);
	else
		read_process_name(tgid, name, IVM_VM_NAME_BYTES);
	if (!*name)
		g_snprintf(name, IVM_VM_NAME_BYTES, "pid-%d", tgid);
	return true;
}

static bool follows_one(struct ivm_discover *d, pid_t tgid, const char *link)
{
	const struct ivm_discover_filter *f = &d->filter;
	struct process *process = living_process(d, tgid);

	/* A VM's number is known only once it has one */
	if (f->vm && process)
		claim_vm(d, process);
	return process && (!f->pid || f->pid == tgid) &&
	       (!f->parent || f->parent == read_parent(tgid)) &&
	       (!f->link || g_pattern_match_simple(f->link, link)) &&
	       (!f->vm || is_vm_named(process, f->vm));
}

static bool follows_pair(void *arg, pid_t from, pid_t to, const char *link)
{
	return follows_one(arg, from, link) || follows_one(arg, to, link);
}

static bool has_vm(void *arg, pid_t tgid)
{
	const struct process *process = living_process(arg, tgid);

	return process && process->has_kvm;
}

/* A descriptor that a link page names is a link's, whether or not that is followed */
static bool is_of_link(const struct process *process, int fd)
{
	uint32_t v;
	guint i;

	for (i = 0; i < process->pages->len; i++) {
		const struct page *page = g_ptr_array_index(process->pages, i);

		for (v = 0; page->valid && v < IVM_LINKPAGE_VECTORS; v++)
			if (page->snapshot.peer_eventfd[v] == fd ||
			    page->snapshot.vector[v].eventfd == fd)
				return true;
	}
	return false;
}

static bool writes_are_followed(void *arg, pid_t tgid, int fd, pid_t to)
{
	struct ivm_discover *d = arg;
	struct process *process = living_process(d, tgid);

	return process && (d->filter.foreign || (process->has_kvm && tgid != to)) &&
	       !is_of_link(process, fd);
}

static struct ivm_vm *claim_process(void *arg, pid_t tgid)
{
	struct process *process = living_process(arg, tgid);

	if (!process)
		return NULL;
	claim_vm(arg, process);
	return process->vm;
}

/**
 * ivm_discover_use_irqfds() - also finds what only KVM's tables show
 * @d: the discovery
 * @irqfds: the reader of these tables; must outlive @d
 *
 * Finds ivshmem-doorbell pairs, and holds the links' pages against the tables.
 */
void ivm_discover_use_irqfds(struct ivm_discover *d, struct ivm_irqfds *irqfds)
{
	const struct ivm_ivshmem_host host = {
		.name = name_process,
		.follows = follows_pair,
		.writes = writes_are_followed,
		.is_vm = has_vm,
		.claim = claim_process,
		.arg = d,
	};

	d->irqfds = irqfds;
	d->ivshmem = ivm_ivshmem_ends_new(d->topology, &host);
}

static void note_contradiction(void *arg, const struct ivm_end *end, uint32_t vector,
			       const char *what)
{
	struct ivm_discover_stats *stats = arg;

	g_snprintf(stats->contradiction, sizeof(stats->contradiction),
		   "link '%s', end %u, doorbell %u: %s", end->page.name, end->id, vector, what);
}

/* Only what stays counts: the two are not read at the same instant */
static void check_wires(struct ivm_discover *d, const struct ivm_wires *wires, uint64_t now_ns)
{
	if (!ivm_wires_check(wires, d->topology, NULL, NULL)) {
		d->contradicts_ns = 0;
		d->contradiction_counted = false;
	} else if (!d->contradicts_ns) {
		d->contradicts_ns = now_ns;
	} else if (!d->contradiction_counted && now_ns - d->contradicts_ns >= CONTRADICTS_NS) {
		d->contradiction_counted = true;
		d->stats.contradictions++;
		ivm_wires_check(wires, d->topology, note_contradiction, &d->stats);
	}
}

/* A host without iterators has link pages only, and a gap is read again next time */
static void read_wires(struct ivm_discover *d, uint64_t now_ns)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	uint64_t begin_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
	const struct ivm_irqfds_gaps *gaps;
	struct ivm_wires *wires;

	d->wires_unsettled = false;
	if (ivm_irqfds_read(d->irqfds, records))
		return;
	gaps = ivm_irqfds_gaps(d->irqfds);
	if (!gaps->lost && !gaps->torn) {
		wires = ivm_wires_new(records);
		d->wires_unsettled = ivm_ivshmem_ends_refresh(d->ivshmem, wires, now_ns,
							      d->settled_ns);
		check_wires(d, wires, now_ns);
		ivm_wires_free(wires);
	}
	d->wires_cost_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
}

static void refresh_pages(struct ivm_discover *d, uint64_t now_ns)
{
	struct process *process;
	GHashTableIter it;
	gpointer value;
	guint i;

	g_hash_table_iter_init(&it, d->processes);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		process = value;
		for (i = 0; i < process->pages->len; i++)
			refresh_page(d, process, g_ptr_array_index(process->pages, i), now_ns,
				     false);
	}
}

static uint64_t wires_interval_ns(const struct ivm_discover *d)
{
	if (d->wires_unsettled)
		return IVM_DISCOVER_SETTLE_NS;
	return table_interval_ns(d, d->wires_cost_ns, WIRES_CHECK_NS);
}

static void refresh_wires(struct ivm_discover *d, uint64_t now_ns, bool everything)
{
	if (!d->irqfds)
		return;
	ivm_ivshmem_ends_expire(d->ivshmem, d->settled_ns);
	if (!everything && now_ns - d->wires_read_ns < wires_interval_ns(d))
		return;
	d->wires_read_ns = now_ns;
	read_wires(d, now_ns);
	if (!d->wires_unsettled || !everything)
		return;
	/* Whoever asks for everything wants to know it now */
	g_usleep(IVM_DISCOVER_SETTLE_NS / 1000);
	now_ns += IVM_DISCOVER_SETTLE_NS;
	refresh_pages(d, now_ns);
	read_wires(d, now_ns);
}

/**
 * ivm_discover_scan() - brings the topology up to date
 * @d: the discovery
 * @now_ns: CLOCK_MONOTONIC
 * @settled_ns: events until then were worked off.  Who is gone, or a link that is
 *		down, stays in the topology until what happened before was
 * @everything: look at all processes, not only at those that are due
 *
 * Return: 0 or -errno.
 */
int ivm_discover_scan(struct ivm_discover *d, uint64_t now_ns, uint64_t settled_ns,
		      bool everything)
{
	int err;

	d->settled_ns = settled_ns;
	d->boot_ns = read_clock(CLOCK_BOOTTIME);
	err = visit_all(d, now_ns, everything);
	if (err)
		return err;
	refresh_all(d, now_ns, everything);
	refresh_wires(d, now_ns, everything);
	return refresh_vcpus(d, now_ns);
}
