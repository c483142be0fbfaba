// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUs and their interrupts: distributor, redistributors and timer of a GICv3.
 * its.c makes messages of the device into interrupts.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "gic.h"
#include "its.h"
#include "layout.h"
#include "psci.h"

#define GICD_CTLR		(VIRT_GICD + 0x0000)
#define   CTLR_GROUP1		(1u << 1)
#define   CTLR_AFFINITY		(1u << 4)
#define   CTLR_PENDING		(1u << 31)

#define GICR_STRIDE		0x20000
#define GICR_WAKER		0x0014
#define   WAKER_SLEEP		(1u << 1)
#define   WAKER_ASLEEP		(1u << 2)
#define GICR_SGI		0x10000	/* second page of 64 KiB: SGIs and PPIs */
#define GICR_IGROUPR0		(GICR_SGI + 0x080)
#define GICR_ISENABLER0		(GICR_SGI + 0x100)

#define ICC_PMR			"s3_0_c4_c6_0"
#define ICC_SRE			"s3_0_c12_c12_5"
#define ICC_IGRPEN1		"s3_0_c12_c12_7"

#define TIMER_ENABLE		1u

#define WAIT_MS			2000

void secondary_main(uint32_t cpu);
void exception(uint32_t number, uint64_t syndrome, uint64_t address) __attribute__((noreturn));
extern const char secondary[];

static uint32_t cpus_online = 1;
static uint32_t timer_ticks;
static uint64_t timer_period;

uintptr_t gic_redistributor(uint32_t cpu)
{
	return VIRT_GICR + (uintptr_t)cpu * GICR_STRIDE;
}

uint32_t ticks(void)
{
	return __atomic_load_n(&timer_ticks, __ATOMIC_RELAXED);
}

void exception(uint32_t number, uint64_t syndrome, uint64_t address)
{
	die("exception %u, syndrome 0x%x at 0x%x", number, (uint32_t)syndrome, (uint32_t)address);
}

static void wait_clear(uintptr_t reg, uint32_t bits, const char *what)
{
	uint64_t end = rdtsc() + (uint64_t)WAIT_MS * clock_khz();

	while (mmio_read32(reg) & bits) {
		if (rdtsc() > end)
			die("GIC: the %s does not get ready", what);
	}
}

/* On the CPU itself */
static void init_cpu(uint32_t cpu)
{
	uintptr_t base = gic_redistributor(cpu);

	mmio_write32(base + GICR_WAKER, mmio_read32(base + GICR_WAKER) & ~WAKER_SLEEP);
	wait_clear(base + GICR_WAKER, WAKER_ASLEEP, "redistributor");
	mmio_write32(base + GICR_IGROUPR0, 0xffffffff);
	mmio_write32(base + GICR_ISENABLER0, 1u << SGI_WAKE | 1u << PPI_TIMER);
	write_sysreg(ICC_SRE, read_sysreg(ICC_SRE) | 1);
	isb();
	write_sysreg(ICC_PMR, 0xff);
	write_sysreg(ICC_IGRPEN1, 1);
	isb();
}

void timer_tick(void)
{
	write_sysreg("cntv_cval_el0", read_sysreg("cntv_cval_el0") + timer_period);
	isb();
	timer_ticks++;
}

static void start_timer(void)
{
	timer_period = (uint64_t)clock_khz() * TICK_MS;
	write_sysreg("cntv_cval_el0", rdtsc() + timer_period);
	write_sysreg("cntv_ctl_el0", TIMER_ENABLE);
	isb();
}

void apic_init(void)
{
	mmio_write32(GICD_CTLR, CTLR_AFFINITY | CTLR_GROUP1);
	wait_clear(GICD_CTLR, CTLR_PENDING, "distributor");
	init_cpu(0);
	its_init();
	its_add_cpu(0);
	start_timer();
	irq_enable();
}

void secondary_main(uint32_t cpu)
{
	init_cpu(cpu);
	__atomic_add_fetch(&cpus_online, 1, __ATOMIC_RELEASE);
	for (;;) {
		irq_disable();
		irq_enable_and_halt();
	}
}

static void start_cpu(uint32_t cpu)
{
	uint64_t end = rdtsc() + (uint64_t)WAIT_MS * clock_khz();

	if (psci(PSCI_CPU_ON, cpu, (uintptr_t)secondary, cpu))
		die("CPU %u does not start: -smp %u or more?", cpu, cpu + 1);
	while (__atomic_load_n(&cpus_online, __ATOMIC_ACQUIRE) <= cpu) {
		if (rdtsc() > end)
			die("CPU %u does not come up", cpu);
		cpu_relax();
	}
	its_add_cpu(cpu);
}

void apic_start_cpus(uint32_t count)
{
	uint32_t cpu;

	for (cpu = 1; cpu < count; cpu++)
		start_cpu(cpu);
}

void apic_restart_cpu(uint32_t cpu)
{
	die("CPU %u cannot be reset: there is no INIT on arm64", cpu);
}

void apic_hold_cpu(uint32_t cpu, bool hold)
{
	die("CPU %u cannot be %s: delay=init is for PCs", cpu, hold ? "held" : "let go");
}

void apic_check_layout(const struct layout *layout)
{
	(void)layout;			/* LPIs do not run out */
}

void apic_route_link(const struct layout *layout, enum route route, uint32_t requester,
		     uint32_t vector, uint32_t *address, uint32_t *data)
{
	if (route != ROUTE_OWN)
		die("route=: arm64 knows only route=own");
	its_map(requester, vector, vector % layout->cpus);
	*address = ITS_MESSAGE_ADDRESS;
	*data = vector;
}

void apic_start_noise(const struct layout *layout, uint32_t hz)
{
	die("noise=%u: not on arm64", layout->cpus ? hz : 0);
}

void apic_noise(uint64_t *timers, uint64_t *ipis)
{
	*timers = *ipis = 0;
}

/* boot.S maps all there is */
void map_identity(uint64_t address, uint64_t bytes)
{
	if (address + bytes > 2 * PCI_WINDOW_HIGH)
		die("a BAR is beyond what is mapped");
}
