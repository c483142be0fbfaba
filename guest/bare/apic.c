// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUs, their local APICs and IDTs.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "layout.h"

#define LAPIC_ID		0x020
#define LAPIC_TPR		0x080
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
extern const char ap_trampoline[], ap_trampoline_end[];
extern uint64_t boot_pml4[512], boot_pdpt[512];
extern uint32_t ap_starting, timer_ticks;

void ap_main(uint32_t cpu);
void exception(uint32_t number, const uint64_t *frame) __attribute__((noreturn));

static struct gate idt[BARE_MAX_CPUS][256];
static uint32_t cpus_online = 1;

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
	uint32_t vector;

	for (vector = 0; vector < 32; vector++)
		set_gate(cpu, vector, exception_entries + 16 * vector);
	for (; vector < 256; vector++)
		set_gate(cpu, vector, spurious_entry);
	set_gate(cpu, IDT_TIMER, timer_entry);
	set_gate(cpu, IDT_WAKE, wake_entry);
	asm volatile("lidt %0" : : "m"(pointer));
}

static void lapic_enable(void)
{
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
	lapic_write(LAPIC_TPR, 0);
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

void apic_init(void)
{
	uint32_t period;

	outb(0x21, 0xff);		/* no interrupts from the old controllers */
	outb(0xa1, 0xff);
	load_idt(0);
	lapic_enable();
	period = timer_ticks_per_period();
	lapic_write(LAPIC_LVT_TIMER, TIMER_PERIODIC | IDT_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, period);
	irq_enable();
}

void ap_main(uint32_t cpu)
{
	load_idt(cpu);
	lapic_enable();
	__atomic_add_fetch(&cpus_online, 1, __ATOMIC_RELEASE);
	for (;;)
		irq_enable_and_halt();
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
	for (cpu = 1; cpu < count; cpu++)
		start_cpu(cpu);
}

void apic_route_link(uint32_t vector, uint32_t cpus, uint32_t *address, uint32_t *data)
{
	uint32_t cpu = vector % cpus;

	*address = LAPIC_BASE | cpu << 12;
	*data = IDT_LINK_BASE + vector / cpus;
	set_gate(cpu, *data, link_entries + 32 * vector);
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
