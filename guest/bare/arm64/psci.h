/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of the firmware, which is QEMU or KVM itself.
 */
#ifndef IVM_BARE_PSCI_H
#define IVM_BARE_PSCI_H

#include <stdint.h>

#define PSCI_CPU_ON		0xc4000003
#define PSCI_SYSTEM_RESET	0x84000009
#define SMCCC_VENDOR_UID	0x8600ff01

struct smccc {
	uint64_t result[4];
};

static inline struct smccc smccc(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a;
	register uint64_t x2 asm("x2") = b;
	register uint64_t x3 asm("x3") = c;

	asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
		     "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
		     "x16", "x17", "memory");
	return (struct smccc){ { x0, x1, x2, x3 } };
}

/* Return: 0, or a negative error of PSCI */
static inline int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	return smccc(function, a, b, c).result[0];
}

#endif /* IVM_BARE_PSCI_H */
