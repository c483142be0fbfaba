// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Link pages and command lines as strangers may write them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/ivm-regs.h"
#include "tracer/discover.h"
#include "tracer/irqfds.h"
#include "tracer/linkpage.h"
#include "tracer/vcpus.h"

static void fill(struct ivm_linkpage *page)
{
	int v;

	memset(page, 0, sizeof(*page));
	page->magic = IVM_LINKPAGE_MAGIC;
	page->version = IVM_LINKPAGE_VERSION;
	page->bytes = sizeof(*page);
	page->bar0_address = 0x80000000;
	page->up = 1;
	page->mode_configured = IVM_MODE_AUTO;
	page->mode_tx = IVM_MODE_DIRECT;
	page->mode_rx = IVM_MODE_QEMU;
	page->vectors = IVM_LINKPAGE_VECTORS;
	page->peer_vectors = 1;
	page->socket_fd = 5;
	strcpy(page->name, "a-b");
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		page->peer_eventfd[v] = page->vector[v].eventfd = -1;
}

static void assert_good(const struct ivm_linkpage *page)
{
	const char *why = NULL;

	assert_int_equal(ivm_linkpage_check(page, &why), 0);
}

static void assert_bad(const struct ivm_linkpage *page, const char *part_of_why)
{
	const char *why = NULL;

	assert_int_equal(ivm_linkpage_check(page, &why), -EINVAL);
	assert_non_null(why);
	assert_non_null(strstr(why, part_of_why));
}

static void test_good_pages(void **state)
{
	struct ivm_linkpage page;

	(void)state;
	fill(&page);
	assert_good(&page);
	page.name[0] = 0;
	page.up = 0;
	page.vectors = 1;
	page.peer_vectors = 0;
	page.socket_fd = -1;
	page.bar0_address = IVM_LINKPAGE_NO_ADDR;
	assert_good(&page);
	/* A later minor version may be longer */
	page.version = IVM_LINKPAGE_VERSION + 1;
	page.bytes = sizeof(page) + 4096;
	assert_good(&page);
	memset(page.name, 'n', sizeof(page.name) - 1);
	assert_good(&page);
}

#define ASSERT_REFUSED(part_of_why, ...) do {	\
	fill(&page);				\
	__VA_ARGS__;				\
	assert_bad(&page, part_of_why);		\
} while (0)

static void test_bad_heads(void **state)
{
	struct ivm_linkpage page;

	(void)state;
	ASSERT_REFUSED("no link page", page.magic++);
	ASSERT_REFUSED("version", page.version = 0x00020000);
	ASSERT_REFUSED("shorter", page.bytes--);
	ASSERT_REFUSED("vectors", page.vectors = 0);
	ASSERT_REFUSED("vectors", page.vectors = 257);
	ASSERT_REFUSED("vectors", page.vectors = UINT32_MAX);
	ASSERT_REFUSED("vectors", page.peer_vectors = 257);
}

static void test_bad_fields(void **state)
{
	struct ivm_linkpage page;

	(void)state;
	ASSERT_REFUSED("field", page.up = 2);
	ASSERT_REFUSED("field", page.side = 2);
	ASSERT_REFUSED("field", page.reason = 128);
	ASSERT_REFUSED("field", page.mode_configured = IVM_MODE_AUTO + 1);
	ASSERT_REFUSED("field", page.mode_tx = IVM_MODE_AUTO);
	ASSERT_REFUSED("field", page.mode_rx = UINT32_MAX);
	ASSERT_REFUSED("field", page.bar0_address = 0x80001000);
	ASSERT_REFUSED("field", page.socket_fd = -2);
	ASSERT_REFUSED("field", page.peer_eventfd[255] = -2);
	ASSERT_REFUSED("field", page.vector[255].eventfd = INT32_MIN);
}

static void test_bad_names(void **state)
{
	struct ivm_linkpage page;

	(void)state;
	ASSERT_REFUSED("name", memset(page.name, 'n', sizeof(page.name)));
	ASSERT_REFUSED("name", strcpy(page.name, "a\nb"));
	ASSERT_REFUSED("name", strcpy(page.name, "\x1b[31mred"));
	ASSERT_REFUSED("name", strcpy(page.name, "\xff\xfe"));
	ASSERT_REFUSED("name", strcpy(page.name, "\xc2\x9b" "31m"));
}

static int page_file(const struct ivm_linkpage *page, size_t bytes)
{
	int fd = memfd_create("ivm-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, page, bytes), bytes);
	return fd;
}

static void test_read(void **state)
{
	struct ivm_linkpage page, got;
	int fd;

	(void)state;
	fill(&page);
	page.seq = 4;
	page.dropped_other = 17;
	fd = page_file(&page, sizeof(page));
	assert_int_equal(ivm_linkpage_read(fd, &got), 0);
	assert_memory_equal(&page, &got, sizeof(page));
	close(fd);
}

static void test_read_short(void **state)
{
	struct ivm_linkpage page, got;
	int fd;

	(void)state;
	fill(&page);
	fd = page_file(&page, sizeof(page) - 1);
	assert_int_equal(ivm_linkpage_read(fd, &got), -EINVAL);
	close(fd);
	fd = page_file(&page, 0);
	assert_int_equal(ivm_linkpage_read(fd, &got), -EINVAL);
	close(fd);
}

/* An owner that died while it wrote leaves an odd sequence: no endless loop */
static void test_read_torn(void **state)
{
	struct ivm_linkpage page, got;
	int fd;

	(void)state;
	fill(&page);
	page.seq = 5;
	fd = page_file(&page, sizeof(page));
	assert_int_equal(ivm_linkpage_read(fd, &got), -EAGAIN);
	close(fd);
}

/* In place or not, a page is seen to change; one that may shrink is never mapped */
static void test_is_current(void **state)
{
	const struct ivm_linkpage *head;
	struct ivm_linkpage page;
	int fd, sealed;

	(void)state;
	fill(&page);
	for (sealed = 0; sealed < 2; sealed++) {
		page.seq = 4;
		fd = memfd_create("ivm-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(pwrite(fd, &page, sizeof(page), 0), sizeof(page));
		if (sealed)
			assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
		head = ivm_linkpage_map(fd);
		assert_int_equal(head != NULL, sealed);
		assert_true(ivm_linkpage_is_current(fd, head, &page));
		page.seq = 6;
		assert_false(ivm_linkpage_is_current(fd, head, &page));
		assert_int_equal(pwrite(fd, &page, sizeof(page), 0), sizeof(page));
		assert_true(ivm_linkpage_is_current(fd, head, &page));
		ivm_linkpage_unmap(head);
		close(fd);
	}
}

struct writer {
	struct ivm_linkpage *page;
	int stop;
};

/* Every write makes all slow fields equal: a mixture can be told */
static void *keep_writing(void *arg)
{
	struct writer *w = arg;
	uint32_t value = 0;
	int v;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		value++;
		__atomic_store_n(&w->page->seq, w->page->seq + 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		w->page->link_id = value;
		for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
			w->page->vector[v].msi_data = value;
		w->page->peer_eventfd[IVM_LINKPAGE_VECTORS - 1] = (int32_t)value;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		__atomic_store_n(&w->page->seq, w->page->seq + 1, __ATOMIC_RELAXED);
		if (value % 16 == 0)
			usleep(50);
	}
	return NULL;
}

static void test_read_against_writer(void **state)
{
	struct ivm_linkpage page, got;
	struct writer w = {};
	pthread_t thread;
	int fd, i, v, good = 0;

	(void)state;
	fill(&page);
	page.link_id = 0;
	page.peer_eventfd[IVM_LINKPAGE_VECTORS - 1] = 0;
	fd = page_file(&page, sizeof(page));
	w.page = mmap(NULL, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(w.page, MAP_FAILED);
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);
	for (i = 0; i < 2000; i++) {
		if (ivm_linkpage_read(fd, &got))
			continue;
		good++;
		for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
			assert_int_equal(got.vector[v].msi_data, got.link_id);
		assert_int_equal(got.peer_eventfd[IVM_LINKPAGE_VECTORS - 1], got.link_id);
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(good > 0);
	munmap(w.page, sizeof(page));
	close(fd);
}

/* ---- what is found ---- */

/* What BPF programs read is not asked for here */
int ivm_irqfds_read(struct ivm_irqfds *f, GArray *records)
{
	(void)f;
	(void)records;
	fail();
	return -ENOSYS;
}

const struct ivm_irqfds_gaps *ivm_irqfds_gaps(const struct ivm_irqfds *f)
{
	(void)f;
	fail();
	return NULL;
}

int ivm_vcpus_read(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn,
		   void *arg)
{
	(void)v;
	(void)tgids;
	(void)count;
	(void)fn;
	(void)arg;
	fail();
	return -ENOSYS;
}

#define FIRST_NS	1000000000ull
#define DOORBELL	(0x80000000 + IVM_DOORBELL_BASE)

/* A process that stands for a VM: it has the descriptor of a link page */
struct host {
	struct ivm_topology *topology;
	struct ivm_discover *discover;
	struct ivm_linkpage *page;
	pid_t vm;
};

static struct ivm_linkpage *map_page(int fd)
{
	struct ivm_linkpage *page;

	assert_int_equal(ftruncate(fd, sizeof(*page)), 0);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	return page;
}

static pid_t start_vm(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void stop_vm(struct host *h)
{
	kill(h->vm, SIGKILL);
	assert_int_equal(waitpid(h->vm, NULL, 0), h->vm);
}

static void set_up(struct host *h)
{
	int fd = memfd_create(IVM_LINKPAGE_NAME, 0);

	assert_true(fd >= 0);
	h->page = map_page(fd);
	fill(h->page);
	h->vm = start_vm();
	close(fd);
	h->topology = ivm_topology_new();
	h->discover = ivm_discover_new(h->topology, NULL,
				       &(struct ivm_discover_filter){ .pid = h->vm });
}

static void tear_down(struct host *h)
{
	ivm_discover_free(h->discover);
	ivm_topology_free(h->topology);
	munmap(h->page, sizeof(*h->page));
}

static void scan(struct host *h, uint64_t now_ns, uint64_t settled_ns)
{
	assert_int_equal(ivm_discover_scan(h->discover, now_ns, settled_ns, true), 0);
}

static bool rings(const struct host *h)
{
	return ivm_topology_has_doorbell(h->topology, h->vm, DOORBELL);
}

/*
 * Events are worked off later than they happen.  However long that takes, who
 * is gone meanwhile is needed to tell whose they were.
 */
static void expect_needed_until_settled(struct host *h)
{
	scan(h, FIRST_NS, FIRST_NS - 1);
	assert_true(rings(h));
	scan(h, FIRST_NS + 60 * FIRST_NS, FIRST_NS - 1);
	assert_true(rings(h));
	scan(h, FIRST_NS + 61 * FIRST_NS, FIRST_NS);
	assert_false(rings(h));
}

static void test_unmapped_doorbells(void **state)
{
	struct host h;

	(void)state;
	set_up(&h);
	scan(&h, 0, 0);
	assert_true(rings(&h));
	h.page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	h.page->seq += 2;
	expect_needed_until_settled(&h);
	stop_vm(&h);
	tear_down(&h);
}

static void test_ends_that_went(void **state)
{
	struct host h;

	(void)state;
	set_up(&h);
	scan(&h, 0, 0);
	assert_true(rings(&h));
	stop_vm(&h);
	expect_needed_until_settled(&h);
	tear_down(&h);
}

static void test_links_that_went_down(void **state)
{
	const struct ivm_end *end;
	struct host h;

	(void)state;
	set_up(&h);
	scan(&h, 0, 0);
	end = ivm_topology_end(h.topology, 1);
	assert_non_null(end);
	h.page->up = 0;
	h.page->seq += 2;
	scan(&h, FIRST_NS, FIRST_NS - 1);
	assert_true(end->page.up);
	scan(&h, 61 * FIRST_NS, FIRST_NS - 1);
	assert_true(end->page.up);
	scan(&h, 62 * FIRST_NS, FIRST_NS);
	assert_false(end->page.up);
	h.page->up = 1;
	h.page->seq += 2;
	scan(&h, 63 * FIRST_NS, FIRST_NS);
	assert_true(end->page.up);
	stop_vm(&h);
	tear_down(&h);
}

/* ---- names ---- */

#define ASSERT_NAME(expected, cmdline) do {						\
	char name[64] = "unset";							\
	assert_true(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, sizeof(name)));	\
	assert_string_equal(name, expected);						\
} while (0)

#define ASSERT_NO_NAME(cmdline) do {							\
	char name[64] = "";								\
	assert_false(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, sizeof(name)));	\
} while (0)

static void test_names(void **state)
{
	(void)state;
	ASSERT_NAME("a", "qemu\0-name\0a");
	ASSERT_NAME("a", "qemu\0--name\0a\0-m\0" "64");
	ASSERT_NAME("a", "qemu\0-name\0a,debug-threads=on");
	ASSERT_NAME("a", "qemu\0-name\0guest=a,debug-threads=on");
	ASSERT_NAME("a", "qemu\0-name\0debug-threads=on,guest=a");
	ASSERT_NAME("a,b", "qemu\0-name\0a,,b,process=x");
	ASSERT_NAME("b", "qemu\0-name\0a\0-name\0b");
	ASSERT_NAME("m\xc3\xa4rz", "qemu\0-name\0m\xc3\xa4rz");
	ASSERT_NAME("-name", "qemu\0-name\0-name");
}

static void test_no_names(void **state)
{
	(void)state;
	ASSERT_NO_NAME("qemu");
	ASSERT_NO_NAME("qemu\0-name");
	ASSERT_NO_NAME("qemu\0-name\0");
	ASSERT_NO_NAME("qemu\0-name\0debug-threads=on");
	ASSERT_NO_NAME("qemu\0-name\0guest=");
	ASSERT_NO_NAME("qemu\0-name\0a\x1b[2Jb");
	ASSERT_NO_NAME("qemu\0-name\0\xff\xff");
	ASSERT_NO_NAME("qemu\0-names\0a");
	assert_false(ivm_vm_name_parse(NULL, 0, NULL, 0));
	/* The last argument lacks its NUL: it is not read beyond the end */
	assert_false(ivm_vm_name_parse("q\0-name\0a", sizeof("q\0-name\0a") - 1, NULL, 0));
}

/* Cut to fit, but never in the middle of a character */
static void test_long_names(void **state)
{
	static const char cmdline[] = "q\0-name\0" "aaa\xc3\xa4\xc3\xa4";
	char name[8];

	(void)state;
	assert_true(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, 8));
	assert_string_equal(name, "aaa\xc3\xa4\xc3\xa4");
	assert_true(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, 7));
	assert_string_equal(name, "aaa\xc3\xa4");
	assert_true(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, 5));
	assert_string_equal(name, "aaa");
	assert_true(ivm_vm_name_parse(cmdline, sizeof(cmdline), name, 1));
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_pages),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_short),
		cmocka_unit_test(test_read_torn),
		cmocka_unit_test(test_read_against_writer),
		cmocka_unit_test(test_is_current),
		cmocka_unit_test(test_unmapped_doorbells),
		cmocka_unit_test(test_ends_that_went),
		cmocka_unit_test(test_links_that_went_down),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
