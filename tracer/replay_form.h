/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of the replay form: one table for the reader and the writer.
 */
#ifndef IVM_REPLAY_FORM_H
#define IVM_REPLAY_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "replay.h"

enum form_kind {
	FORM_DEC,
	FORM_HEX,		/* all ones in 64 bits is "none" */
	FORM_SIGNED,
	FORM_MODE,		/* IVM_MODE_* */
	FORM_KIND,		/* enum ivm_end_kind */
	FORM_VECTOR_FLAGS,	/* IVM_LP_VEC_*, separated by commas */
	FORM_NAME,		/* text, %XX for what could be misread */
};

/* One KEY=VALUE and the field of a struct that it stands for */
struct form_field {
	const char *key;
	uint16_t offset;
	uint16_t bytes;
	uint8_t kind;
	bool required;		/* 0 must be written down, too */
};

#define FORM_EVENT_FIELDS	3

struct form_event {
	const char *name;
	struct form_field field[FORM_EVENT_FIELDS + 1];	/* ends with a NULL key */
};

/* A doorbell that an end accepts, and the one of the peer's with the same number */
struct form_vector {
	struct ivm_linkpage_vector in;
	int32_t peer_eventfd;
	uint32_t mask;
};

extern const struct form_event form_events[IVM_EV_TYPES];
/* a, b and c of an event, for what its own form does not name */
extern const struct form_field form_raw_fields[];
extern const struct form_field form_vm_fields[];		/* of struct ivm_vm */
extern const struct form_field form_vcpu_fields[];	/* of struct ivm_vcpu */
extern const struct form_field form_end_fields[];	/* of struct ivm_linkpage */
extern const struct form_field form_wired_fields[];	/* of struct ivm_end, without a page */
extern const struct form_field form_vector_fields[];	/* of struct form_vector */

bool form_has_offset(const struct form_field *fields, uint16_t offset);
int form_parse_u64(const char *text, uint64_t max, uint64_t *value);
int form_parse(const struct form_field *field, const char *text, void *object);
void form_print(const struct form_field *field, const void *object, FILE *out);

void form_page_init(struct ivm_linkpage *page);
void form_vector_get(const struct ivm_linkpage *page, uint32_t number, struct form_vector *v);
void form_vector_set(struct ivm_linkpage *page, uint32_t number, const struct form_vector *v);

#endif /* IVM_REPLAY_FORM_H */
