/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks each register of the device from inside a guest.
 */
#ifndef IVM_BARE_SELFTEST_H
#define IVM_BARE_SELFTEST_H

#include "mailbox.h"
#include "options.h"

/**
 * selftest_run() - check the registers of an ivm-mailbox against its contract
 *
 * Prints one line per failed check and a closing line; dies if any failed.
 */
void selftest_run(struct mailbox *mailbox, struct options *options);

#endif /* IVM_BARE_SELFTEST_H */
