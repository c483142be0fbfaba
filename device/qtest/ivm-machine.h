/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boards the qtests run on, see ivm-machine.c.
 */
#ifndef IVM_MACHINE_H
#define IVM_MACHINE_H

#include "libqtest.h"

typedef struct IvmMachine {
    const char *arch;       /* of qemu-system-ARCH */
    const char *args;
    uint64_t bars;          /* PCI memory from here on */
    uint64_t messages;      /* RAM that nobody uses */
    bool big_endian;        /* the guest: qtest's words are in its order */
    bool pc;                /* q35, hotplug, and KVM if the host has it */
} IvmMachine;

const IvmMachine *ivm_machine(const char *arch);
char *ivm_machine_args(const IvmMachine *machine, char **dispose);
void ivm_machine_setup(const IvmMachine *machine, QTestState *qts);

uint32_t ivm_load(const IvmMachine *machine, QTestState *qts, uint64_t at);
void ivm_store(const IvmMachine *machine, QTestState *qts, uint64_t at,
               uint32_t value);

uint32_t ivm_machine_config_read(const IvmMachine *machine, QTestState *qts,
                                 uint16_t bdf, uint8_t offset);
void ivm_machine_config_write(const IvmMachine *machine, QTestState *qts,
                              uint16_t bdf, uint8_t offset, uint32_t value);
void ivm_machine_config_writew(const IvmMachine *machine, QTestState *qts,
                               uint16_t bdf, uint8_t offset, uint16_t value);

#endif /* IVM_MACHINE_H */
