// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The interrupt translation service of a GICv3.
 */
#include "clock.h"
#include "console.h"
#include "gic.h"
#include "its.h"

#define GITS_CTLR		(VIRT_GITS + 0x0000)
#define GITS_TYPER		(VIRT_GITS + 0x0008)
#define   TYPER_PTA		(1ull << 19)	/* CPUs go by address, not by number */
#define GITS_CBASER		(VIRT_GITS + 0x0080)
#define GITS_CWRITER		(VIRT_GITS + 0x0088)
#define GITS_CREADR		(VIRT_GITS + 0x0090)
#define GITS_BASER(n)		(VIRT_GITS + 0x0100 + 8 * (n))
#define   BASER_TYPE(baser)	((baser) >> 56 & 7)
#define   TYPE_DEVICES		1
#define   TYPE_COLLECTIONS	4
#define   BASER_ENTRY_BYTES(baser) (((baser) >> 48 & 31) + 1)
#define   BASER_64K_PAGES	(2ull << 8)

#define GICR_CTLR		0x0000
#define   CTLR_ENABLE_LPIS	1u
#define GICR_TYPER		0x0008
#define GICR_PROPBASER		0x0070
#define GICR_PENDBASER		0x0078
#define   PENDBASER_ZERO	(1ull << 62)

/* Of a table's address: in shareable write-back memory, as these fields have it */
#define VALID			(1ull << 63)
#define GITS_NORMAL		(7ull << 59 | 1 << 10)
#define GICR_NORMAL		(7ull << 7 | 1 << 10)

#define CMD_SYNC		0x05
#define CMD_MAPD		0x08
#define CMD_MAPC		0x09
#define CMD_MAPTI		0x0a

#define LPI_ID_BITS		14
#define LPIS			((1 << LPI_ID_BITS) - LPI_FIRST)
#define LPI_ON			0xa1	/* priority and enable bit */

#define TABLE_BYTES		0x10000
#define MAX_DEVICES		2	/* role=both */
#define EVENT_BITS		8
#define QUEUE_BYTES		4096
#define WAIT_MS			2000

struct command {
	uint64_t word[4];
};

static uint8_t lpi_config[LPIS] __attribute__((aligned(TABLE_BYTES)));
static uint8_t lpi_pending[BARE_MAX_CPUS][TABLE_BYTES] __attribute__((aligned(TABLE_BYTES)));
static uint8_t device_table[TABLE_BYTES] __attribute__((aligned(TABLE_BYTES)));
static uint8_t collection_table[TABLE_BYTES] __attribute__((aligned(TABLE_BYTES)));
static uint8_t event_table[MAX_DEVICES][32 << EVENT_BITS] __attribute__((aligned(256)));
static struct command queue[QUEUE_BYTES / sizeof(struct command)]
	__attribute__((aligned(TABLE_BYTES)));
static uint32_t devices[MAX_DEVICES], device_count;

static void run(uint64_t word0, uint64_t word1, uint64_t word2)
{
	uint64_t end = rdtsc() + (uint64_t)WAIT_MS * clock_khz();
	uint64_t at = mmio_read64(GITS_CWRITER);

	queue[at / sizeof(*queue)] = (struct command){ { word0, word1, word2 } };
	at = (at + sizeof(*queue)) % QUEUE_BYTES;
	dsb();
	mmio_write64(GITS_CWRITER, at);
	while (mmio_read64(GITS_CREADR) != at) {
		if (rdtsc() > end)
			die("ITS: command 0x%x does not end", (uint32_t)word0 & 0xff);
	}
}

/* How commands name a CPU's redistributor */
static uint64_t target(uint32_t cpu)
{
	uintptr_t base = gic_redistributor(cpu);

	if (mmio_read64(GITS_TYPER) & TYPER_PTA)
		return base;
	return (mmio_read64(base + GICR_TYPER) >> 8 & 0xffff) << 16;
}

static void give_tables(void)
{
	uint32_t i;

	for (i = 0; i < 8; i++) {
		uint64_t baser = mmio_read64(GITS_BASER(i)), table;

		if (BASER_TYPE(baser) == TYPE_DEVICES)
			table = (uintptr_t)device_table;
		else if (BASER_TYPE(baser) == TYPE_COLLECTIONS)
			table = (uintptr_t)collection_table;
		else
			continue;
		mmio_write64(GITS_BASER(i), VALID | GITS_NORMAL | BASER_64K_PAGES | table);
	}
}

void its_init(void)
{
	uint32_t i;

	for (i = 0; i < LPIS; i++)
		lpi_config[i] = LPI_ON;
	give_tables();
	mmio_write64(GITS_CBASER, VALID | GITS_NORMAL | (uintptr_t)queue |
		     (QUEUE_BYTES / 4096 - 1));
	mmio_write64(GITS_CWRITER, 0);
	mmio_write32(GITS_CTLR, 1);
}

void its_add_cpu(uint32_t cpu)
{
	uintptr_t base = gic_redistributor(cpu);

	mmio_write64(base + GICR_PROPBASER, (uintptr_t)lpi_config | GICR_NORMAL |
		     (LPI_ID_BITS - 1));
	mmio_write64(base + GICR_PENDBASER, (uintptr_t)lpi_pending[cpu] | GICR_NORMAL |
		     PENDBASER_ZERO);
	mmio_write32(base + GICR_CTLR, CTLR_ENABLE_LPIS);
	dsb();
	run(CMD_MAPC, 0, VALID | target(cpu) | cpu);
	run(CMD_SYNC, 0, target(cpu));
}

static uint32_t find_device(uint32_t requester)
{
	uint32_t i;

	for (i = 0; i < device_count; i++) {
		if (devices[i] == requester)
			return i;
	}
	if (device_count == MAX_DEVICES)
		die("ITS: more than %u devices", MAX_DEVICES);
	devices[device_count++] = requester;
	run(CMD_MAPD | (uint64_t)requester << 32, EVENT_BITS - 1,
	    VALID | (uintptr_t)event_table[i]);
	return i;
}

void its_map(uint32_t requester, uint32_t event, uint32_t cpu)
{
	uint64_t lpi = LPI_FIRST + 256 * find_device(requester) + event;

	run(CMD_MAPTI | (uint64_t)requester << 32, lpi << 32 | event, cpu);
	run(CMD_SYNC, 0, target(cpu));
}
