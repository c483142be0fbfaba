/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two recordings of two hosts, joined: see join.c.
 */
#ifndef IVM_JOIN_H
#define IVM_JOIN_H

#include <stdbool.h>
#include <stdio.h>

struct ivm_join;

int ivm_join_open(const char *const *paths, struct ivm_join **join);
int ivm_join_print_text(const struct ivm_join *join, FILE *out);
int ivm_join_print_json(const struct ivm_join *join, FILE *out);
bool ivm_join_is_whole(const struct ivm_join *join);
void ivm_join_close(struct ivm_join *join);

#endif /* IVM_JOIN_H */
