/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boards the qtests run on, one for each target: how a guest of it reaches
 * PCI configuration space, and where it sees BARs and memory.
 *
 * On all of them the CPU and the bus see BARs and RAM at the same addresses.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "ivm-machine.h"

#define PC_CONFIG_ADDRESS 0xcf8
#define PC_CONFIG_DATA 0xcfc

#define VIRT_ECAM 0x4010000000ull

/* PCI of the e500: CCSR + 0x8000, big-endian but for the data register */
#define E500_PCI 0xfe0008000ull
#define E500_CONFIG_DATA (E500_PCI + 4)
#define E500_OUTBOUND 0xc20
#define E500_INBOUND 0xde0
#define E500_TRANSLATED 0x00
#define E500_BASE 0x08
#define E500_ATTRIBUTES 0x10
#define E500_WINDOW_256M 0x8000001bu    /* enabled, 2 << 27 bytes */

static const IvmMachine machines[] = {
    {
        .arch = "x86_64",
        .args = "-machine pc -cpu qemu64",
        .bars = 0xe0000000,
        .messages = 0x100000,
        .pc = true,
    }, {
        .arch = "aarch64",
        .args = "-machine virt",
        .bars = 0x10000000,
        .messages = 0x40100000,
    }, {
        .arch = "ppc64",
        .args = "-machine ppce500",
        .bars = 0xe0000000,
        .messages = 0x100000,
        .big_endian = true,
    },
};

const IvmMachine *ivm_machine(const char *arch)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(machines); i++) {
        if (g_str_equal(machines[i].arch, arch)) {
            return &machines[i];
        }
    }
    g_error("no board of %s is known here", arch);
}

/* The e500 does not start without a program, though none ever runs here */
static char *e500_firmware(void)
{
    static const uint32_t elf[] = {
        0x7f454c46, 0x01020100, 0, 0,       /* 32 bit, big-endian */
        0x00020014, 1, 0x1000, 52,          /* executable, PowerPC */
        0, 0, 0x00340020, 0x00010000, 0,    /* one program header */
        1, 84, 0x1000, 0x1000, 4, 4, 5, 4,
        0x48000000,
    };
    char *path = g_strdup_printf("%s/ivm-%d.elf", g_get_tmp_dir(), getpid());
    g_autofree uint32_t *image = g_memdup2(elf, sizeof(elf));
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(elf); i++) {
        image[i] = cpu_to_be32(elf[i]);
    }
    g_assert(g_file_set_contents(path, (char *)image, sizeof(elf), NULL));
    return path;
}

/* Returns: command line options of the board; @dispose is a file to remove */
char *ivm_machine_args(const IvmMachine *machine, char **dispose)
{
    *dispose = NULL;
    if (!machine->big_endian) {
        return g_strdup(machine->args);
    }
    *dispose = e500_firmware();
    return g_strdup_printf("%s -bios %s", machine->args, *dispose);
}

/*
 * Memory as a guest sees it that takes the byte order into account, as all
 * drivers do: PCI is little-endian.
 */

uint32_t ivm_load(const IvmMachine *machine, QTestState *qts, uint64_t at)
{
    uint32_t value = qtest_readl(qts, at);

    return machine->big_endian ? bswap32(value) : value;
}

void ivm_store(const IvmMachine *machine, QTestState *qts, uint64_t at,
               uint32_t value)
{
    qtest_writel(qts, at, machine->big_endian ? bswap32(value) : value);
}

static void store16(const IvmMachine *machine, QTestState *qts, uint64_t at,
                    uint16_t value)
{
    qtest_writew(qts, at, machine->big_endian ? bswap16(value) : value);
}

static uint64_t ecam(uint16_t bdf, uint8_t offset)
{
    return VIRT_ECAM + ((uint64_t)bdf << 12) + offset;
}

/* Selects @offset on those boards that have one register for all */
static void config_select(const IvmMachine *machine, QTestState *qts,
                          uint16_t bdf, uint8_t offset)
{
    uint32_t address = 0x80000000u | bdf << 8 | (offset & ~3);

    if (machine->pc) {
        qtest_outl(qts, PC_CONFIG_ADDRESS, address);
    } else if (machine->big_endian) {
        qtest_writel(qts, E500_PCI, address);
    }
}

uint32_t ivm_machine_config_read(const IvmMachine *machine, QTestState *qts,
                                 uint16_t bdf, uint8_t offset)
{
    config_select(machine, qts, bdf, offset);
    if (machine->pc) {
        return qtest_inl(qts, PC_CONFIG_DATA);
    }
    return ivm_load(machine, qts, machine->big_endian ? E500_CONFIG_DATA
                                                      : ecam(bdf, offset & ~3));
}

void ivm_machine_config_write(const IvmMachine *machine, QTestState *qts,
                              uint16_t bdf, uint8_t offset, uint32_t value)
{
    config_select(machine, qts, bdf, offset);
    if (machine->pc) {
        qtest_outl(qts, PC_CONFIG_DATA, value);
    } else {
        ivm_store(machine, qts, machine->big_endian ? E500_CONFIG_DATA
                                                    : ecam(bdf, offset & ~3),
                  value);
    }
}

void ivm_machine_config_writew(const IvmMachine *machine, QTestState *qts,
                               uint16_t bdf, uint8_t offset, uint16_t value)
{
    config_select(machine, qts, bdf, offset);
    if (machine->pc) {
        qtest_outw(qts, PC_CONFIG_DATA + (offset & 2), value);
    } else {
        store16(machine, qts, machine->big_endian
                              ? E500_CONFIG_DATA + (offset & 2)
                              : ecam(bdf, offset), value);
    }
}

/* Windows of 256 MiB, address = address: BARs for the CPU, RAM for the bus */
void ivm_machine_setup(const IvmMachine *machine, QTestState *qts)
{
    uint64_t out = E500_PCI + E500_OUTBOUND, in = E500_PCI + E500_INBOUND;

    if (!machine->big_endian) {
        return;
    }
    qtest_writel(qts, out + E500_TRANSLATED, machine->bars >> 12);
    qtest_writel(qts, out + E500_BASE, machine->bars >> 12);
    qtest_writel(qts, out + E500_ATTRIBUTES, E500_WINDOW_256M);
    qtest_writel(qts, in + E500_TRANSLATED, 0);
    qtest_writel(qts, in + E500_BASE, 0);
    qtest_writel(qts, in + E500_ATTRIBUTES, E500_WINDOW_256M);
}
