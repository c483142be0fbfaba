// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUs, their local APICs and IDTs.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "lapic.h"
#include "layout.h"

#define LAPIC_ID		0x020
#define LAPIC_TPR		0x080
#define LAPIC_LDR		0x0d0
#define LAPIC_SPURIOUS		0x0f0
#define   SPURIOUS_ENABLE	0x100
#define LAPIC_LVT_TIMER		0x320
#define   TIMER_PERIODIC	0x20000
#define LAPIC_LVT_LINT0		0x350
#define LAPIC_LVT_LINT1		0x360
#define   LVT_MASKED		0x10000
#define LAPIC_TIMER_INITIAL	0x380
#define LAPIC_TIMER_CURRENT	0x390
#define LAPIC_TIMER_DIVIDE	0x3e0
#define   DIVIDE_BY_16		0x3

#define ICR_INIT		0x4500
#define ICR_STARTUP		0x4600
#define ICR_FIXED		0x4000
#define ICR_TO_ALL		0x80000

#define MSI_LOGICAL		(1u << 2)
#define MSI_BROADCAST		0xffu

#define CALIBRATION_MS		2

#define AP_START_MS		2000

#define GATE_INTERRUPT		0x8e00
#define GIB			(1ull << 30)
#define EXTRA_PAGES		16	/* tables for memory above 4 GiB */

struct gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, reserved;
};

extern const char link_entries[], exception_entries[];
extern const char timer_entry[], wake_entry[], spurious_entry[];
extern const char noise_timer_entry[], noise_tick_entry[], noise_ipi_entry[];
extern const char ap_trampoline[], ap_trampoline_end[];
extern uint64_t boot_pml4[512], boot_pdpt[512];
extern uint32_t ap_starting, timer_ticks;
extern uint64_t noise_timers, noise_ipis;
extern uint32_t noise_icr, noise_per_tick, noise_until_tick;

void ap_main(uint32_t cpu);
void exception(uint32_t number, const uint64_t *frame) __attribute__((noreturn));

static struct gate idt[BARE_MAX_CPUS][256];
static uint32_t cpus_online = 1;
static uint32_t timer_period;			/* timer counts in TICK_MS */
static uint32_t noise_period, noise_vector;	/* of CPUs other than 0, 0 while quiet */
static uint32_t held_cpu, cpu_holds;		/* 0: none */

static uint32_t lapic_read(uint32_t reg)
{
	return mmio_read32(LAPIC_BASE + reg);
}

static void lapic_write(uint32_t reg, uint32_t value)
{
	mmio_write32(LAPIC_BASE + reg, value);
}

uint32_t ticks(void)
{
	return __atomic_load_n(&timer_ticks, __ATOMIC_RELAXED);
}

/* Vectors 8, 10..14, 17, 21, 29 and 30 push an error code below the frame */
void exception(uint32_t number, const uint64_t *frame)
{
	bool has_code = 0x60227d00 >> number & 1;

	die("exception %u at %x", number, (uint32_t)frame[has_code]);
}

static void set_gate(uint32_t cpu, uint32_t vector, const char *entry)
{
	uint64_t offset = (uintptr_t)entry;

	idt[cpu][vector] = (struct gate){
		.offset_low = offset,
		.selector = SEL_CODE64,
		.flags = GATE_INTERRUPT,
		.offset_middle = offset >> 16,
		.offset_high = offset >> 32,
	};
}

static void load_idt(uint32_t cpu)
{
	const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) pointer = {
		sizeof(idt[cpu]) - 1, (uintptr_t)idt[cpu],
	};

	asm volatile("lidt %0" : : "m"(pointer));
}

/* Before the CPU starts for the first time: what is routed to it stays over an INIT */
static void fill_idt(uint32_t cpu)
{
	uint32_t vector;

	for (vector = 0; vector < 32; vector++)
		set_gate(cpu, vector, exception_entries + 16 * vector);
	for (; vector < 256; vector++)
		set_gate(cpu, vector, spurious_entry);
	set_gate(cpu, IDT_TIMER, timer_entry);
	set_gate(cpu, IDT_WAKE, wake_entry);
}

static void lapic_enable(uint32_t cpu)
{
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_LDR, 1u << (24 + cpu));
	lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | IDT_SPURIOUS);
}

static void wait_ms(uint32_t ms)
{
	uint64_t end = rdtsc() + (uint64_t)ms * clock_khz();

	while (rdtsc() < end)
		cpu_relax();
}

/* The timer's pace relative to the TSC; how long the window really was does not matter */
static uint32_t timer_ticks_per_period(void)
{
	uint64_t start, tsc;
	uint32_t timer;

	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
	start = rdtsc();
	wait_ms(CALIBRATION_MS);
	timer = UINT32_MAX - lapic_read(LAPIC_TIMER_CURRENT);
	tsc = rdtsc() - start;
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	timer = (uint64_t)timer * clock_khz() / tsc * TICK_MS;
	if (!timer)
		die("the APIC timer does not run");
	return timer;
}

static void start_timer(uint32_t vector, uint32_t period)
{
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, TIMER_PERIODIC | vector);
	lapic_write(LAPIC_TIMER_INITIAL, period);
}

void apic_init(void)
{
	outb(0x21, 0xff);		/* no interrupts from the old controllers */
	outb(0xa1, 0xff);
	fill_idt(0);
	load_idt(0);
	lapic_enable(0);
	timer_period = timer_ticks_per_period();
	start_timer(IDT_TIMER, timer_period);
	irq_enable();
}

void ap_main(uint32_t cpu)
{
	bool noisy = false;
	uint32_t period;

	load_idt(cpu);
	lapic_enable(cpu);
	__atomic_add_fetch(&cpus_online, 1, __ATOMIC_RELEASE);
	for (;;) {
		irq_disable();
		period = __atomic_load_n(&noise_period, __ATOMIC_ACQUIRE);
		if (period && !noisy)
			start_timer(noise_vector, period);
		noisy = period;
		while (__atomic_load_n(&held_cpu, __ATOMIC_ACQUIRE) == cpu) {
			__atomic_store_n(&cpu_holds, cpu, __ATOMIC_RELEASE);
			cpu_relax();
		}
		irq_enable_and_halt();
	}
}

static void send_ipi(uint32_t apic_id, uint32_t command)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, command);
}

static void start_cpu(uint32_t cpu)
{
	uint64_t end = rdtsc() + (uint64_t)AP_START_MS * clock_khz();

	ap_starting = cpu;
	send_ipi(cpu, ICR_INIT);
	wait_ms(10);
	send_ipi(cpu, ICR_STARTUP | AP_TRAMPOLINE >> 12);
	while (__atomic_load_n(&cpus_online, __ATOMIC_ACQUIRE) <= cpu) {
		if (rdtsc() > end)
			die("CPU %u does not start: -smp %u or more?", cpu, cpu + 1);
		cpu_relax();
	}
}

void apic_start_cpus(uint32_t count)
{
	char *target = (char *)AP_TRAMPOLINE;
	const char *source;
	uint32_t cpu;

	asm("" : "+r"(target));		/* an address the compiler must not reason about */
	for (source = ap_trampoline; source < ap_trampoline_end; source++)
		*target++ = *source;
	for (cpu = 1; cpu < count; cpu++) {
		fill_idt(cpu);
		start_cpu(cpu);
	}
}

void apic_restart_cpu(uint32_t cpu)
{
	__atomic_sub_fetch(&cpus_online, 1, __ATOMIC_RELAXED);
	start_cpu(cpu);
	__atomic_store_n(&held_cpu, 0, __ATOMIC_RELEASE);	/* not before: it would take them */
}

void apic_hold_cpu(uint32_t cpu, bool hold)
{
	uint64_t end = rdtsc() + (uint64_t)AP_START_MS * clock_khz();

	__atomic_store_n(&cpu_holds, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&held_cpu, hold ? cpu : 0, __ATOMIC_RELEASE);
	if (!hold)
		return;
	send_ipi(cpu, ICR_FIXED | IDT_WAKE);
	while (__atomic_load_n(&cpu_holds, __ATOMIC_ACQUIRE) != cpu) {
		if (rdtsc() > end)
			die("CPU %u cannot be held", cpu);
		cpu_relax();
	}
}

void apic_check_layout(const struct layout *layout)
{
	/* Above them one for noise, then those of ROUTE_OTHER */
	if (layout->base + 2 * layout->span + 1 > IDT_TIMER)
		die("irq=%u: no room for %u IDT vectors", layout->base, layout->span);
}

void apic_route_link(const struct layout *layout, enum route route, uint32_t requester,
		     uint32_t vector, uint32_t *address, uint32_t *data)
{
	uint32_t cpus = layout->cpus, cpu = vector % cpus, destination = cpu;

	(void)requester;		/* a message says all by itself */
	*data = layout->base + vector / cpus;
	if (route == ROUTE_OTHER) {
		destination = cpu = (vector + 1) % cpus;
		*data += layout->span + 1;
	} else if (route != ROUTE_OWN) {
		destination = MSI_BROADCAST;
		*data = layout->base + vector;
		for (cpu = 1; cpu < cpus; cpu++)
			set_gate(cpu, *data, link_entries + 32 * vector);
		cpu = 0;
	}
	set_gate(cpu, *data, link_entries + 32 * vector);
	*address = LAPIC_BASE | destination << 12;
	if (route == ROUTE_LOGICAL)
		*address = LAPIC_BASE | ((1u << cpus) - 1) << 12 | MSI_LOGICAL;
}

void apic_start_noise(const struct layout *layout, uint32_t hz)
{
	uint32_t below = layout->base - 1, above = layout->base + layout->span, cpu;
	uint32_t per_tick = hz * TICK_MS / 1000;

	for (cpu = 0; cpu < layout->cpus; cpu++) {
		set_gate(cpu, below, cpu ? noise_timer_entry : noise_tick_entry);
		set_gate(cpu, above, noise_ipi_entry);
	}
	noise_icr = ICR_TO_ALL | ICR_FIXED | above;
	noise_per_tick = noise_until_tick = per_tick;
	noise_vector = below;
	start_timer(below, timer_period / per_tick);
	__atomic_store_n(&noise_period, timer_period / per_tick, __ATOMIC_RELEASE);
	for (cpu = 1; cpu < layout->cpus; cpu++)
		send_ipi(cpu, ICR_FIXED | IDT_WAKE);
}

void apic_noise(uint64_t *timers, uint64_t *ipis)
{
	*timers = __atomic_load_n(&noise_timers, __ATOMIC_RELAXED);
	*ipis = __atomic_load_n(&noise_ipis, __ATOMIC_RELAXED);
}

/* The table that @entry points to, made if there is none */
static uint64_t *next_table(uint64_t *entry)
{
	static uint64_t pages[EXTRA_PAGES][512] __attribute__((aligned(4096)));
	static uint32_t used;

	if (!(*entry & 1)) {
		if (used == EXTRA_PAGES)
			die("out of page tables");
		*entry = (uintptr_t)pages[used++] | 3;
	}
	return (uint64_t *)(*entry & ~0xfffull);
}

void map_identity(uint64_t address, uint64_t bytes)
{
	uint64_t at, end = address + bytes, *pdpt, *pd;
	uint32_t i;

	for (at = address & -GIB; at < end; at += GIB) {
		pdpt = next_table(&boot_pml4[at >> 39 & 511]);
		if (pdpt[at >> 30 & 511] & 1)
			continue;
		pd = next_table(&pdpt[at >> 30 & 511]);
		for (i = 0; i < 512; i++)
			pd[i] = (at + ((uint64_t)i << 21)) | 0x83;
	}
}
