// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The flattened device tree that QEMU leaves: only the command line is of use.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot.h"
#include "console.h"

#define FDT_MAGIC	0xd00dfeed
#define FDT_BEGIN_NODE	1
#define FDT_END_NODE	2
#define FDT_PROP	3
#define FDT_NOP		4

/* All big-endian */
struct fdt_header {
	uint32_t magic, bytes, structure, strings;
};

extern const struct fdt_header *boot_fdt;

static uint32_t big_endian(uint32_t value)
{
	return __builtin_bswap32(value);
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Words that a text of a node's name takes up, its end included */
static uint32_t name_words(const char *name)
{
	uint32_t length = 0;

	while (name[length])
		length++;
	return length / 4 + 1;
}

/* Nobody but /chosen has the property */
static const char *find_property(const uint32_t *at, const char *strings, const char *name)
{
	for (;;) {
		switch (big_endian(*at++)) {
		case FDT_BEGIN_NODE:
			at += name_words((const char *)at);
			break;
		case FDT_PROP:
			if (same(strings + big_endian(at[1]), name))
				return (const char *)(at + 2);
			at += 2 + (big_endian(at[0]) + 3) / 4;
			break;
		case FDT_END_NODE:
		case FDT_NOP:
			break;
		default:		/* the end */
			return NULL;
		}
	}
}

const char *boot_command_line(void)
{
	const char *tree = (const char *)boot_fdt;

	if (!boot_fdt || big_endian(boot_fdt->magic) != FDT_MAGIC)
		die("started without a device tree");
	return find_property((const uint32_t *)(tree + big_endian(boot_fdt->structure)),
			     tree + big_endian(boot_fdt->strings), "bootargs");
}
