/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few instructions C has no words for.
 */
#ifndef IVM_BARE_CPU_H
#define IVM_BARE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MISALIGNED_MMIO	false	/* an alignment fault, before the device can see it */

#define read_sysreg(name) ({						\
	uint64_t _value;						\
	asm volatile("mrs %0, " name : "=r"(_value) : : "memory");	\
	_value;								\
})

#define write_sysreg(name, value)					\
	asm volatile("msr " name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
	asm volatile("isb" : : : "memory");
}

/* All that was written is seen by devices and other CPUs before what follows */
static inline void dsb(void)
{
	asm volatile("dsb sy" : : : "memory");
}

/* The counter that is here what the TSC is on a PC: same pace on all CPUs */
static inline uint64_t rdtsc(void)
{
	isb();
	return read_sysreg("cntvct_el0");
}

static inline uint32_t mmio_read32(uintptr_t address)
{
	uint32_t value;

	asm volatile("ldr %w0, [%1]; dmb oshld" : "=r"(value) : "r"(address) : "memory");
	return value;
}

/* What was stored to shared memory comes before the doorbell */
static inline void mmio_write32(uintptr_t address, uint32_t value)
{
	asm volatile("dmb oshst; str %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline uint64_t mmio_read64(uintptr_t address)
{
	uint64_t value;

	asm volatile("ldr %0, [%1]; dmb oshld" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write64(uintptr_t address, uint64_t value)
{
	asm volatile("dmb oshst; str %0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline void irq_disable(void)
{
	asm volatile("msr daifset, #2" : : : "memory");
}

static inline void irq_enable(void)
{
	asm volatile("msr daifclr, #2" : : : "memory");
}

/* Sleep until an interrupt; wfi ends for a masked one too, so none is slept through */
static inline void irq_enable_and_halt(void)
{
	asm volatile("dsb sy; wfi; msr daifclr, #2; isb" : : : "memory");
}

static inline void cpu_relax(void)
{
	asm volatile("yield" : : : "memory");
}

#endif /* IVM_BARE_CPU_H */
