// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast the TSC runs.
 */
#include "clock.h"
#include "console.h"
#include "cpu.h"

#define CPUID_HYPERVISOR	0x40000000
#define CPUID_KVM_FEATURES	0x40000001
#define   KVM_FEATURE_CLOCK	(1u << 3)
#define MSR_KVM_SYSTEM_TIME	0x4b564d01

#define PIT_HZ			1193182
#define PIT_CHANNEL2		0x42
#define PIT_COMMAND		0x43
#define PIT_GATE		0x61
#define   GATE_ON		0x01
#define   GATE_SPEAKER		0x02
#define   GATE_OUT		0x20
#define PIT_ROUND_MS		5
#define PIT_ROUNDS		6
#define PIT_SPINS		1000000

/* Written by KVM: nanoseconds = (tsc << tsc_shift) * tsc_to_system_mul >> 32 */
struct kvm_time {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

static uint32_t tsc_khz;

uint32_t clock_khz(void)
{
	return tsc_khz;
}

static void cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "0"(leaf), "2"(0));
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
}

bool runs_on_kvm(void)
{
	uint32_t a, b, c, d;

	cpuid(1, &a, &b, &c, &d);
	if (!(c >> 31))
		return false;
	cpuid(CPUID_HYPERVISOR, &a, &b, &c, &d);
	return b == 0x4b4d564b && c == 0x564b4d56 && d == 0x4d;	/* "KVMKVMKVM" */
}

static bool has_kvm_clock(void)
{
	uint32_t a, b, c, d;

	if (!runs_on_kvm())
		return false;
	cpuid(CPUID_KVM_FEATURES, &a, &b, &c, &d);
	return a & KVM_FEATURE_CLOCK;
}

/* 10^6 ns a millisecond, taken back through the multiplication and the shift */
static uint32_t kvm_khz(void)
{
	static volatile struct kvm_time time __attribute__((aligned(32)));
	uint64_t khz;

	if (!has_kvm_clock())
		return 0;
	wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&time | 1);
	khz = time.tsc_to_system_mul ? (1000000ull << 32) / time.tsc_to_system_mul : 0;
	khz = time.tsc_shift < 0 ? khz << -time.tsc_shift : khz >> time.tsc_shift;
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
	return khz;
}

/* Let the PIT's channel 2 count down @pit_count once */
static void pit_wait(uint32_t pit_count)
{
	uint8_t gate = inb(PIT_GATE) & ~(GATE_SPEAKER | GATE_ON);
	uint32_t spins;

	outb(PIT_GATE, gate);
	outb(PIT_COMMAND, 0xb0);	/* channel 2, low then high byte, mode 0 */
	outb(PIT_CHANNEL2, pit_count & 0xff);
	outb(PIT_CHANNEL2, pit_count >> 8);
	outb(PIT_GATE, gate | GATE_ON);
	for (spins = 0; !(inb(PIT_GATE) & GATE_OUT); spins++) {
		if (spins == PIT_SPINS)
			die("the PIT does not count");
	}
	outb(PIT_GATE, gate);
}

/* A host that takes the CPU away makes a round longer, never shorter */
static uint32_t pit_khz(void)
{
	uint32_t round, khz, least = UINT32_MAX;
	uint64_t start;

	for (round = 0; round < PIT_ROUNDS; round++) {
		start = rdtsc();
		pit_wait(PIT_HZ * PIT_ROUND_MS / 1000);
		khz = (rdtsc() - start) / PIT_ROUND_MS;
		if (khz < least)
			least = khz;
	}
	return least;
}

void clock_init(void)
{
	tsc_khz = kvm_khz();
	if (!tsc_khz)
		tsc_khz = pit_khz();
	if (!tsc_khz)
		die("the TSC does not run");
}
