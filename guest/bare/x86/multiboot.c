// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a multiboot loader leaves.
 */
#include <stddef.h>
#include <stdint.h>

#include "boot.h"
#include "console.h"

#define MULTIBOOT_LOADER_MAGIC	0x2badb002
#define MULTIBOOT_HAS_CMDLINE	(1u << 2)

extern uint32_t multiboot_magic, multiboot_info;

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

const char *boot_command_line(void)
{
	const struct multiboot_info *info = (const void *)(uintptr_t)multiboot_info;

	if (multiboot_magic != MULTIBOOT_LOADER_MAGIC)
		die("not started by a multiboot loader");
	return info->flags & MULTIBOOT_HAS_CMDLINE ? (const char *)(uintptr_t)info->cmdline : NULL;
}
