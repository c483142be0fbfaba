// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text for the host, and the end of a program that fails.
 */
#include <stdarg.h>

#include "console.h"
#include "hot.h"
#include "serial.h"

/* Where formatted text goes: the serial line, or a buffer if one is given */
struct sink {
	char *buffer;
	uint32_t room;
};

static void put(struct sink *sink, char c)
{
	if (!sink->buffer) {
		serial_put(c);
	} else if (sink->room > 1) {
		*sink->buffer++ = c;
		*sink->buffer = '\0';
		sink->room--;
	}
}

static void put_number(struct sink *sink, uint64_t value, uint32_t base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(sink, digits[--n]);
}

static void put_text(struct sink *sink, const char *text)
{
	while (*text)
		put(sink, *text++);
}

static void put_format(struct sink *sink, const char *format, va_list args)
{
	for (; *format; format++) {
		if (*format != '%') {
			put(sink, *format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_text(sink, va_arg(args, const char *));
			break;
		case 'u':
			put_number(sink, va_arg(args, uint32_t), 10);
			break;
		case 'x':
			put_number(sink, va_arg(args, uint32_t), 16);
			break;
		case 'U':
			put_number(sink, va_arg(args, uint64_t), 10);
			break;
		}
	}
}

void console_print(const char *format, ...)
{
	struct sink serial = { 0 };
	va_list args;

	va_start(args, format);
	put_format(&serial, format, args);
	va_end(args);
}

void die(const char *format, ...)
{
	char text[sizeof(hot.result->error)] = "";
	struct sink sink = { text, sizeof(text) };
	va_list args;
	uint32_t i;

	irq_disable();
	va_start(args, format);
	put_format(&sink, format, args);
	va_end(args);
	console_print("ivm-bare: failed: %s\n", text);
	if (hot.result) {
		for (i = 0; i < sizeof(text); i++)
			hot.result->error[i] = text[i];
		__atomic_store_n(&hot.result->state, IVM_RESULT_FAILED, __ATOMIC_RELEASE);
	}
	machine_reset();
}
