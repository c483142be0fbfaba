// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the compiler may call on its own account, even freestanding.
 */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

void *memcpy(void *to, const void *from, size_t bytes)
{
	const volatile char *source = from;
	volatile char *target = to;

	while (bytes--)
		*target++ = *source++;
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	volatile char *target = to;

	while (bytes--)
		*target++ = value;
	return to;
}
