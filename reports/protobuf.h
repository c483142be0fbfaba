/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protocol Buffers, the writing half of what a trace needs.
 *
 * A message is a byte array that fields are appended to; a message within
 * another is built in an array of its own first.
 */
#ifndef IVM_REPORT_PROTOBUF_H
#define IVM_REPORT_PROTOBUF_H

#include <stdint.h>

#include <glib.h>

void ivm_pb_u64(GByteArray *message, unsigned int field, uint64_t value);
void ivm_pb_fixed64(GByteArray *message, unsigned int field, uint64_t value);

/* What is no UTF-8 in @text is replaced: a parser may refuse the whole message */
void ivm_pb_string(GByteArray *message, unsigned int field, const char *text);

/* Appends @inner and empties it, so that it can be used for the next one */
void ivm_pb_message(GByteArray *message, unsigned int field, GByteArray *inner);

#endif /* IVM_REPORT_PROTOBUF_H */
