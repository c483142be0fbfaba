// SPDX-License-Identifier: GPL-2.0-or-later
/* Protocol Buffers wire format: https://protobuf.dev/programming-guides/encoding/ */
#include <string.h>

#include "protobuf.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
};

static void varint(GByteArray *message, uint64_t value)
{
	uint8_t bytes[10];
	unsigned int count = 0;

	while (value >= 0x80) {
		bytes[count++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[count++] = (uint8_t)value;
	g_byte_array_append(message, bytes, count);
}

static void tag(GByteArray *message, unsigned int field, enum wire_type type)
{
	varint(message, (uint64_t)field << 3 | type);
}

static void bytes_field(GByteArray *message, unsigned int field, const void *data, size_t bytes)
{
	tag(message, field, WIRE_BYTES);
	varint(message, bytes);
	g_byte_array_append(message, data, (guint)bytes);
}

void ivm_pb_u64(GByteArray *message, unsigned int field, uint64_t value)
{
	tag(message, field, WIRE_VARINT);
	varint(message, value);
}

void ivm_pb_fixed64(GByteArray *message, unsigned int field, uint64_t value)
{
	uint64_t little = GUINT64_TO_LE(value);

	tag(message, field, WIRE_FIXED64);
	g_byte_array_append(message, (const guint8 *)&little, sizeof(little));
}

void ivm_pb_string(GByteArray *message, unsigned int field, const char *text)
{
	g_autofree char *valid = NULL;

	if (!g_utf8_validate(text, -1, NULL))
		text = valid = g_utf8_make_valid(text, -1);
	bytes_field(message, field, text, strlen(text));
}

void ivm_pb_message(GByteArray *message, unsigned int field, GByteArray *inner)
{
	bytes_field(message, field, inner->data, inner->len);
	g_byte_array_set_size(inner, 0);
}
