// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * COM1, and the end of the program.
 */
#include <stdarg.h>

#include "console.h"
#include "hot.h"

#define COM1		0x3f8
#define COM1_IER	(COM1 + 1)
#define COM1_FCR	(COM1 + 2)
#define COM1_LCR	(COM1 + 3)
#define COM1_MCR	(COM1 + 4)
#define COM1_LSR	(COM1 + 5)
#define LSR_RX_READY	0x01
#define LSR_TX_EMPTY	0x20

#define TX_SPINS	1000000	/* a host that does not read must not hang the guest */

/* Where formatted text goes: the serial line, or a buffer if one is given */
struct sink {
	char *buffer;
	uint32_t room;
};

void console_init(void)
{
	outb(COM1_IER, 0);
	outb(COM1_LCR, 0x80);
	outb(COM1, 1);
	outb(COM1_IER, 0);
	outb(COM1_LCR, 0x03);
	outb(COM1_FCR, 0x07);
	outb(COM1_MCR, 0x03);
}

static void put_serial(char c)
{
	uint32_t spins;

	for (spins = 0; spins < TX_SPINS && !(inb(COM1_LSR) & LSR_TX_EMPTY); spins++)
		cpu_relax();
	outb(COM1, c);
}

static void put(struct sink *sink, char c)
{
	if (!sink->buffer) {
		put_serial(c);
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

bool console_has_input(void)
{
	if (!(inb(COM1_LSR) & LSR_RX_READY))
		return false;
	inb(COM1);
	return true;
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

void machine_reset(void)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) no_idt;
	uint32_t spins;

	irq_disable();
	outb(0x64, 0xfe);		/* the keyboard controller's reset line */
	for (spins = 0; spins < 10000; spins++)
		cpu_relax();
	outb(0xcf9, 0x06);		/* the chipset's */
	for (spins = 0; spins < 10000; spins++)
		cpu_relax();
	asm volatile("lidt %0; ud2" : : "m"(no_idt));	/* a triple fault */
	for (;;)
		;
}
