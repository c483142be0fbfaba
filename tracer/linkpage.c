// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Link page snapshots, their validation, and names of VMs.
 *
 * Pages are read with pread(): a page that its owner forgot to seal could shrink
 * under a mapping and kill the tracer.  Only the sequence of one that is sealed
 * is looked at in place, for that is done all the time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "../device/ivm-regs.h"
#include "linkpage.h"

/* What is mapped: up to the sequence, and a read has shown that so much is there */
#define HEAD_BYTES	(offsetof(struct ivm_linkpage, seq) + sizeof(uint32_t))

static int read_exactly(int fd, void *to, size_t bytes, off_t offset)
{
	ssize_t got = pread(fd, to, bytes, offset);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EINVAL;
}

static int read_seq(int fd, uint32_t *seq)
{
	return read_exactly(fd, seq, sizeof(*seq), offsetof(struct ivm_linkpage, seq));
}

/**
 * ivm_linkpage_read() - a consistent snapshot of a link page
 * @fd: of the page
 * @page: set to the snapshot; not validated, see ivm_linkpage_check()
 *
 * The sequence is read again after the copy: equal and even means that no
 * write of the owner fell between.
 *
 * Return: 0; -EAGAIN if the owner kept writing; -EINVAL if the file is too
 * short; another -errno.
 */
int ivm_linkpage_read(int fd, struct ivm_linkpage *page)
{
	uint32_t before, after;
	int i, err;

	for (i = 0; i < IVM_LINKPAGE_RETRIES; i++) {
		err = read_seq(fd, &before);
		if (err)
			return err;
		if (before & 1)
			continue;
		err = read_exactly(fd, page, sizeof(*page), 0);
		if (!err)
			err = read_seq(fd, &after);
		if (err)
			return err;
		if (before == after && page->seq == before)
			return 0;
	}
	return -EAGAIN;
}

/**
 * ivm_linkpage_map() - the head of a link page, in place
 * @fd: of the page, from which ivm_linkpage_read() has read
 *
 * Return: for ivm_linkpage_is_current(), to be given back with
 * ivm_linkpage_unmap(); NULL if its owner could make it shorter.
 */
const struct ivm_linkpage *ivm_linkpage_map(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	void *head;

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return NULL;
	head = mmap(NULL, HEAD_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	return head == MAP_FAILED ? NULL : head;
}

/**
 * ivm_linkpage_unmap() - gives a head back
 * @head: as ivm_linkpage_map() returned it, may be NULL
 */
void ivm_linkpage_unmap(const struct ivm_linkpage *head)
{
	if (head)
		munmap((void *)head, HEAD_BYTES);
}

/**
 * ivm_linkpage_is_current() - has the owner written since a snapshot?
 * @fd: of the page
 * @head: of the page; NULL if it is not mapped
 * @page: as ivm_linkpage_read() returned it
 *
 * Four bytes instead of sixteen thousand.  The atomic counters and masks may
 * have changed all the same: they are not under the sequence lock.
 *
 * Return: true if it has not.
 */
bool ivm_linkpage_is_current(int fd, const struct ivm_linkpage *head,
			     const struct ivm_linkpage *page)
{
	uint32_t seq;

	if (head)
		return __atomic_load_n(&head->seq, __ATOMIC_ACQUIRE) == page->seq;
	return !read_seq(fd, &seq) && seq == page->seq;
}

/* NUL-terminated UTF-8 without control characters: it goes to terminals */
static bool is_printable(const char *text, size_t bytes)
{
	const char *end = memchr(text, 0, bytes);
	const char *c;

	if (!end || !g_utf8_validate(text, end - text, NULL))
		return false;
	for (c = text; c < end; c = g_utf8_next_char(c))
		if (g_unichar_iscntrl(g_utf8_get_char(c)))
			return false;
	return true;
}

static bool check_fds(const struct ivm_linkpage *page)
{
	int v;

	if (page->socket_fd < -1)
		return false;
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		if (page->peer_eventfd[v] < -1 || page->vector[v].eventfd < -1)
			return false;
	return true;
}

static bool check_modes(const struct ivm_linkpage *page)
{
	return page->mode_configured <= IVM_MODE_AUTO && page->mode_tx <= IVM_MODE_DIRECT &&
	       page->mode_rx <= IVM_MODE_DIRECT;
}

static bool check_address(const struct ivm_linkpage *page)
{
	return page->bar0_address == IVM_LINKPAGE_NO_ADDR ||
	       !(page->bar0_address & (IVM_BAR0_BYTES - 1));
}

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

/**
 * ivm_linkpage_check() - may this snapshot be used?
 * @page: as ivm_linkpage_read() returned it
 * @why: set to the reason if not
 *
 * Return: 0 or -EINVAL.
 */
int ivm_linkpage_check(const struct ivm_linkpage *page, const char **why)
{
	if (page->magic != IVM_LINKPAGE_MAGIC)
		return refuse(why, "it is no link page");
	if (page->version >> 16 != IVM_LINKPAGE_VERSION >> 16)
		return refuse(why, "its version is not supported");
	if (page->bytes < sizeof(*page))
		return refuse(why, "it is shorter than its version says");
	if (!page->vectors || page->vectors > IVM_LINKPAGE_VECTORS ||
	    page->peer_vectors > IVM_LINKPAGE_VECTORS)
		return refuse(why, "its number of vectors is out of range");
	if (!is_printable(page->name, sizeof(page->name)))
		return refuse(why, "its link name is no printable text");
	if (!check_modes(page) || page->up > 1 || page->side > IVM_SIDE_CLIENT ||
	    page->reason > IVM_LINK_REASON_FIELD || !check_address(page) || !check_fds(page))
		return refuse(why, "a field is out of range");
	return 0;
}

/* One "key=value" of a QEMU option; ",," stands for a comma */
static const char *next_field(const char *at, GString *field)
{
	g_string_truncate(field, 0);
	while (*at) {
		if (*at == ',' && at[1] != ',')
			return at + 1;
		if (*at == ',')
			at++;
		g_string_append_c(field, *at++);
	}
	return at;
}

/* Copies what fits, never half a character */
static void copy_text(char *to, size_t to_bytes, const char *text)
{
	const char *end = text + strlen(text);

	while ((size_t)(end - text) >= to_bytes)
		end = g_utf8_find_prev_char(text, end);
	memcpy(to, text, end - text);
	to[end - text] = 0;
}

/* The guest's name in the value of -name: "a", "guest=a", "a,process=b" */
static bool name_of_option(const char *value, char *name, size_t name_bytes)
{
	g_autoptr(GString) field = g_string_new(NULL);
	const char *at = value;
	const char *found;

	while (*at) {
		bool first = at == value;

		at = next_field(at, field);
		if (g_str_has_prefix(field->str, "guest="))
			found = field->str + strlen("guest=");
		else if (first && !strchr(field->str, '='))
			found = field->str;
		else
			continue;
		if (!*found || !is_printable(found, strlen(found) + 1))
			return false;
		copy_text(name, name_bytes, found);
		return true;
	}
	return false;
}

/**
 * ivm_vm_name_parse() - the name a user gave a VM
 * @cmdline: as in /proc/PID/cmdline: arguments, each with its NUL
 * @cmdline_bytes: of all of it
 * @name: set to the name, cut to fit
 * @name_bytes: size of @name
 *
 * Return: true if there is a usable one.
 */
bool ivm_vm_name_parse(const char *cmdline, size_t cmdline_bytes, char *name, size_t name_bytes)
{
	const char *end = cmdline + cmdline_bytes;
	const char *arg = cmdline;
	bool is_value = false;
	bool found = false;

	while (arg < end) {
		const char *nul = memchr(arg, 0, end - arg);

		if (!nul)
			break;
		if (is_value)
			found |= name_of_option(arg, name, name_bytes);
		is_value = !is_value && (!strcmp(arg, "-name") || !strcmp(arg, "--name"));
		arg = nul + 1;
	}
	return found;
}
