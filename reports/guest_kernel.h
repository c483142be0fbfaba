/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel of a Linux guest adds to the host's hops, as the guest timed it
 * by its own clock: write..ring on the way out, isr..read on the way in.
 */
#ifndef IVM_GUEST_KERNEL_H
#define IVM_GUEST_KERNEL_H

#include <stdio.h>

#include <sqlite3.h>

struct json_object;

/**
 * ivm_guest_kernel_print() - a table of it, nothing if no guest said so
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_guest_kernel_print(sqlite3 *db, FILE *out);

/**
 * ivm_guest_kernel_json() - an array with an object for each mode, VM and hop
 *
 * Return: the array, empty if no guest said so; NULL if the recording is damaged.
 */
struct json_object *ivm_guest_kernel_json(sqlite3 *db);

#endif /* IVM_GUEST_KERNEL_H */
