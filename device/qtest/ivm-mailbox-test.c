/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: registers, doorbells without a link, properties, and a guest
 * that writes anything anywhere.
 */
#include "qemu/osdep.h"
#include <sys/wait.h>
#include "ivm-test.h"

typedef struct Alone {
    QTestState *qts;
    IvmDev dev;
    char *path;
} Alone;

static Alone alone_start(const char *options)
{
    Alone a = { .path = ivm_test_socket() };

    a.qts = ivm_test_start(NULL, "-chardev socket,id=l0,path=%s,server=on,"
                           "wait=off -device ivm-mailbox,id=m0,addr=5,"
                           "chardev=l0%s", a.path, options);
    a.dev = ivm_dev(a.qts, "m0", 5);
    return a;
}

static void alone_stop(Alone *a)
{
    ivm_test_quit(a->qts);
    unlink(a->path);
    g_free(a->path);
}

/*
 * Registers
 */

static void test_identity(void)
{
    Alone a = alone_start(",vectors=3,shmem=64K");

    g_assert_cmphex(ivm_config_read(&a.dev, 0x00), ==, 0x10f51af4);
    g_assert_cmphex(ivm_config_read(&a.dev, 0x08), ==, 0x08800001);
    g_assert_cmphex(ivm_config_read(&a.dev, 0x3c) & 0xff00, ==, 0);
    g_assert_cmphex(ivm_config_read(&a.dev, a.dev.msix_cap) >> 16 & 0x7ff, ==,
                    3 - 1);
    ivm_config_write(&a.dev, 0x10, 0xffffffff);
    g_assert_cmphex(ivm_config_read(&a.dev, 0x10), ==, 0xffffe000);
    ivm_config_write(&a.dev, 0x18, 0xffffffff);
    g_assert_cmphex(ivm_config_read(&a.dev, 0x18), ==, 0xffff000c);
    alone_stop(&a);
}

static void test_no_shmem(void)
{
    Alone a = alone_start(",shmem=0");

    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_SHMEM_SIZE), ==, 0);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_FEATURES), ==,
                    IVM_FEATURE_IRQ_CTRL);
    ivm_config_write(&a.dev, 0x18, 0xffffffff);
    g_assert_cmphex(ivm_config_read(&a.dev, 0x18), ==, 0);
    alone_stop(&a);
}

static const struct {
    uint32_t offset;
    uint32_t reset;
    uint32_t writable;
} registers[] = {
    { IVM_REG_ID, 0x424d5649, 0 },
    { IVM_REG_VERSION, 0x00010000, 0 },
    { IVM_REG_FEATURES, IVM_FEATURE_IRQ_CTRL, 0 },
    { IVM_REG_MODE, 0, 0 },
    { IVM_REG_LINK, 0, 0 },
    { IVM_REG_SIDE, 0, 0 },
    { IVM_REG_PEER_VECTORS, 0, 0 },
    { IVM_REG_VECTORS, 40, 0 },
    { IVM_REG_SHMEM_SIZE, 0x100, 0 },
    { IVM_REG_READY, 0, 1 },
    { IVM_REG_PEER_READY, 0, 0 },
    { IVM_REG_RUNG, 0, 0 },
    { IVM_REG_DROPPED, 0, 0 },
    { 0x038, 0, 0 },
    { 0x03c, 0, 0 },
    { IVM_REG_STATUS(0), 0, 0 },
    { IVM_REG_STATUS(1), 0, 0 },
    { IVM_REG_STATUS(7), 0, 0 },
    { IVM_REG_MASK(0), 0, 0xffffffff },
    { IVM_REG_MASK(1), 0, 0xff },
    { IVM_REG_MASK(2), 0, 0 },
    { IVM_REG_MASK(7), 0, 0 },
    { 0x080, 0, 0 },
    { 0x800, 0, 0 },
    { 0xffc, 0, 0 },
};

static void check_reset_values(IvmDev *dev)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(registers); i++) {
        g_assert_cmphex(ivm_read(dev, registers[i].offset), ==,
                        registers[i].reset);
    }
    g_assert_cmphex(ivm_read(dev, IVM_REG_LINK_VECTOR), ==, 0xffffffff);
}

static void test_registers(void)
{
    Alone a = alone_start(",vectors=40");
    unsigned i;

    check_reset_values(&a.dev);
    for (i = 0; i < G_N_ELEMENTS(registers); i++) {
        uint32_t expected = registers[i].reset | registers[i].writable;

        ivm_write(&a.dev, registers[i].offset, 0xffffffff);
        g_assert_cmphex(ivm_read(&a.dev, registers[i].offset), ==, expected);
        ivm_write(&a.dev, registers[i].offset, 0);
        g_assert_cmphex(ivm_read(&a.dev, registers[i].offset), ==,
                        registers[i].reset & ~registers[i].writable);
    }
    alone_stop(&a);
}

static void test_link_vector(void)
{
    Alone a = alone_start(",vectors=40");

    ivm_write(&a.dev, IVM_REG_LINK_VECTOR, 39);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_LINK_VECTOR), ==, 39);
    ivm_write(&a.dev, IVM_REG_LINK_VECTOR, 40);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_LINK_VECTOR), ==, 0xffffffff);
    ivm_write(&a.dev, IVM_REG_LINK_VECTOR, 0);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_LINK_VECTOR), ==, 0);
    alone_stop(&a);
}

static void test_access(void)
{
    Alone a = alone_start(",vectors=40");
    uint64_t base = a.dev.bar0;
    unsigned i;

    ivm_write(&a.dev, IVM_REG_MASK(0), 0x12345678);
    for (i = 0; i < 8; i++) {
        uint64_t at = base + IVM_REG_MASK(0) + i;

        g_assert_cmphex(qtest_readb(a.qts, at), ==, 0xff);
        g_assert_cmphex(qtest_readw(a.qts, at), ==, 0xffff);
        g_assert_cmphex(qtest_readq(a.qts, at), ==, UINT64_MAX);
        qtest_writeb(a.qts, at, 0);
        qtest_writew(a.qts, at, 0);
        qtest_writeq(a.qts, at, 0);
        if (i % 4) {
            g_assert_cmphex(qtest_readl(a.qts, at), ==, 0xffffffff);
            qtest_writel(a.qts, at, 0);
        }
    }
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_MASK(0)), ==, 0x12345678);
    /* Doorbells of the wrong size are none, not even dropped ones */
    qtest_writeb(a.qts, base + IVM_DOORBELL(0), 1);
    qtest_writew(a.qts, base + IVM_DOORBELL(0), 1);
    qtest_writeq(a.qts, base + IVM_DOORBELL(0), 1);
    g_assert_cmphex(qtest_readw(a.qts, base + IVM_DOORBELL(0)), ==, 0xffff);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_DROPPED), ==, 0);
    alone_stop(&a);
}

static void test_doorbell_down(void)
{
    Alone a = alone_start(",vectors=4");

    ivm_ring(&a.dev, 0, 1);
    ivm_ring(&a.dev, 3, 2);
    ivm_ring(&a.dev, 255, 3);
    ivm_ring(&a.dev, IVM_DOORBELL_MAX, 4);
    g_assert_cmphex(ivm_read(&a.dev, IVM_DOORBELL(0)), ==, 0);
    g_assert_cmphex(ivm_read(&a.dev, IVM_DOORBELL(IVM_DOORBELL_MAX)), ==, 0);
    g_assert_cmpuint(ivm_read(&a.dev, IVM_REG_DROPPED), ==, 4);
    g_assert_cmpuint(ivm_read(&a.dev, IVM_REG_RUNG), ==, 0);
    alone_stop(&a);
}

static void test_reset(void)
{
    Alone a = alone_start(",vectors=40");

    ivm_ring(&a.dev, 0, 1);
    ivm_write(&a.dev, IVM_REG_LINK_VECTOR, 1);
    ivm_write(&a.dev, IVM_REG_READY, 1);
    ivm_write(&a.dev, IVM_REG_MASK(0), 0xff);
    ivm_test_reset(a.qts);
    ivm_dev_place(&a.dev);
    /* Counters are history, and history is not reset */
    g_assert_cmpuint(ivm_read(&a.dev, IVM_REG_DROPPED), ==, 1);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_LINK_VECTOR), ==, 0xffffffff);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_READY), ==, 0);
    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_MASK(0)), ==, 0);
    alone_stop(&a);
}

static void test_side(void)
{
    Alone a = alone_start(",side=client");

    g_assert_cmphex(ivm_read(&a.dev, IVM_REG_SIDE), ==, IVM_SIDE_CLIENT);
    alone_stop(&a);
}

static void test_private_shmem(void)
{
    Alone a = alone_start(",shmem=64K");

    g_assert_cmphex(qtest_readq(a.qts, a.dev.bar2), ==, 0);
    qtest_writeq(a.qts, a.dev.bar2 + 0xfff8, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(a.qts, a.dev.bar2 + 0xfff8), ==,
                    0x1122334455667788);
    alone_stop(&a);
}

/* -M q35: an express endpoint, with function level reset */
static void test_flr(void)
{
    g_autofree char *path = ivm_test_socket();
    QTestState *qts;
    IvmDev dev;
    uint8_t cap;

    if (!ivm_test_needs_pc("q35 is a PC")) {
        return;
    }
    qts = qtest_initf(
        "-S -machine q35 -m 64 -nodefaults "
        "-chardev socket,id=l0,path=%s,server=on,wait=off "
        "-device ivm-mailbox,id=m0,addr=5,chardev=l0,vectors=40", path);
    dev = ivm_dev(qts, "m0", 5);
    cap = ivm_config_read(&dev, 0x34);
    while ((ivm_config_read(&dev, cap) & 0xff) != 0x10) {
        cap = ivm_config_read(&dev, cap) >> 8;
        g_assert_cmpuint(cap, !=, 0);
    }
    g_assert_cmphex(ivm_config_read(&dev, cap + 4) & 1 << 28, !=, 0);
    ivm_write(&dev, IVM_REG_MASK(0), 0xff);
    ivm_write(&dev, IVM_REG_READY, 1);
    ivm_config_writew(&dev, cap + 8, 0x8000);
    ivm_dev_place(&dev);
    g_assert_cmphex(ivm_read(&dev, IVM_REG_MASK(0)), ==, 0);
    g_assert_cmphex(ivm_read(&dev, IVM_REG_READY), ==, 0);
    ivm_test_quit(qts);
    unlink(path);
}

/*
 * Properties
 */

typedef struct BadOption {
    const char *name;
    const char *args;
    const char *message;
} BadOption;

#define SOCK "-chardev socket,id=l0,path=/dev/null/none,reconnect=1 "

static const BadOption bad_options[] = {
    { "no-chardev", "-device ivm-mailbox", "chardev= is missing" },
    { "unknown-chardev", "-device ivm-mailbox,chardev=nope", "nope" },
    { "not-a-socket", "-chardev null,id=n -device ivm-mailbox,chardev=n",
      "not a plain socket" },
    { "pty", "-chardev pty,id=n -device ivm-mailbox,chardev=n",
      "not a plain socket" },
    { "telnet", "-chardev socket,id=n,host=127.0.0.1,port=0,server=on,wait=off,"
      "telnet=on -device ivm-mailbox,chardev=n", "not a plain socket" },
    { "twice", SOCK "-device ivm-mailbox,chardev=l0 "
      "-device ivm-mailbox,chardev=l0", "in use" },
    { "mode", SOCK "-device ivm-mailbox,chardev=l0,mode=fast",
      "mode=fast: expected auto, qemu, irqfd or direct" },
    { "mode-down", SOCK "-device ivm-mailbox,chardev=l0,mode=down",
      "mode=down: expected" },
    { "side", SOCK "-device ivm-mailbox,chardev=l0,side=left",
      "side=left: expected auto, server or client" },
    { "vectors-0", SOCK "-device ivm-mailbox,chardev=l0,vectors=0",
      "vectors=0: must be from 1 to 256" },
    { "vectors-257", SOCK "-device ivm-mailbox,chardev=l0,vectors=257",
      "vectors=257: must be from 1 to 256" },
    { "vectors-negative", SOCK "-device ivm-mailbox,chardev=l0,vectors=-1",
      "vectors" },
    { "vectors-text", SOCK "-device ivm-mailbox,chardev=l0,vectors=x",
      "vectors" },
    { "shmem-odd", SOCK "-device ivm-mailbox,chardev=l0,shmem=100K",
      "must be 0 or a power of two" },
    { "shmem-small", SOCK "-device ivm-mailbox,chardev=l0,shmem=32K",
      "must be 0 or a power of two" },
    { "shmem-big", SOCK "-device ivm-mailbox,chardev=l0,shmem=2G",
      "must be 0 or a power of two" },
    { "irq-ctrl", SOCK "-device ivm-mailbox,chardev=l0,irq-ctrl=maybe",
      "irq-ctrl" },
    { "link-long", SOCK "-device ivm-mailbox,chardev=l0,link="
      "0123456789012345678901234567890123456789012345678901234567890123",
      "at most 63 bytes" },
    { "link-control", SOCK "-device ivm-mailbox,chardev=l0,link=a\x01z",
      "without control characters" },
    { "link-utf8", SOCK "-device ivm-mailbox,chardev=l0,link=a\xffz", "UTF-8" },
    { "direct-tcg", SOCK "-device ivm-mailbox,chardev=l0,mode=direct",
      "mode=direct needs KVM with ioeventfds and irqfds" },
    { "irqfd-tcp", "-chardev socket,id=n,host=127.0.0.1,port=0,server=on,"
      "wait=off -device ivm-mailbox,chardev=n,mode=irqfd",
      "cannot pass descriptors" },
    { "unknown", SOCK "-device ivm-mailbox,chardev=l0,modus=qemu", "modus" },
};

/* A QEMU that is not expected to start; @before is for the shell */
static char *run_bad(const char *before, const char *args)
{
    g_autofree char *dispose = NULL;
    g_autofree char *board = ivm_machine_args(ivm_machine(qtest_get_arch()),
                                              &dispose);
    g_autofree char *cmd = g_strdup_printf(
        "sh -c '%s exec %s %s -accel tcg -m 64 -nodefaults -display none -S "
        "%s'", before, getenv("QTEST_QEMU_BINARY"), board, args);
    g_autoptr(GError) error = NULL;
    char *err = NULL;
    int status;

    g_assert(g_spawn_command_line_sync(cmd, NULL, &err, &status, &error));
    if (dispose) {
        unlink(dispose);
    }
    g_assert(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    return err;
}

/* One line that says what is wrong, exit code 1 */
static void test_bad_option(gconstpointer data)
{
    const BadOption *bad = data;
    g_autofree char *err = run_bad("", bad->args);

    if (!strstr(err, bad->message)) {
        g_test_message("expected '%s', got '%s'", bad->message, err);
        g_test_fail();
    }
}

static void test_rlimit(void)
{
    g_autofree char *err = run_bad(
        "ulimit -n 100;", "-chardev socket,id=l0,path=/dev/null/none,"
        "reconnect=1 -device ivm-mailbox,chardev=l0,mode=irqfd,vectors=256");

    g_assert_nonnull(strstr(err, "RLIMIT_NOFILE is 100"));
}

/*
 * Anything, anywhere
 */

static uint64_t fuzz_address(GRand *rand, IvmDev *dev)
{
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        return dev->bar1 + g_rand_int_range(rand, 0, 0x2000);
    case 1:
        return dev->bar2 + g_rand_int_range(rand, 0, 0x10000);
    case 2 ... 3:
        return dev->bar0 + 4 * g_rand_int_range(rand, 0, 0x40);
    case 4:
        return dev->bar1 + 4 * g_rand_int_range(rand, 0, 0x200);
    default:
        return dev->bar0 + g_rand_int_range(rand, 0, 0x2000);
    }
}

/* Values that mean something come more often than random ones */
static uint64_t fuzz_value(GRand *rand, IvmDev *devs)
{
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        return g_rand_int_range(rand, 0, 4);
    case 1:
        return UINT64_MAX;
    case 2:
        return devs[g_rand_int_range(rand, 0, 2)].bar0 +
               4 * g_rand_int_range(rand, 0, 0x420);
    case 3:
        return 0xfee00000 + g_rand_int_range(rand, 0, 0x1000);
    default:
        return (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    }
}

static void fuzz_access(GRand *rand, IvmDev *devs)
{
    IvmDev *dev = &devs[g_rand_int_range(rand, 0, 2)];
    uint64_t at = fuzz_address(rand, dev);
    uint64_t value = fuzz_value(rand, devs);

    switch (g_rand_int_range(rand, 0, 10)) {
    case 0:
        qtest_writeb(dev->qts, at, value);
        break;
    case 1:
        qtest_writew(dev->qts, at, value);
        break;
    case 2 ... 5:
        qtest_writel(dev->qts, at & ~3ull, value);
        break;
    case 6:
        qtest_writeq(dev->qts, at, value);
        break;
    case 7:
        qtest_readl(dev->qts, at);
        break;
    case 8:
        qtest_readq(dev->qts, at);
        break;
    default:
        ivm_config_writew(dev, g_rand_int_range(rand, 0, 64) * 4, value);
        break;
    }
}

/*
 * Two linked devices in one QEMU, so that messages can hit each other's
 * registers.  Now and then all is put back so that BARs are where writes go.
 */
static void fuzz(const char *accel, const char *mode, unsigned rounds)
{
    g_autofree char *path = ivm_test_socket();
    QTestState *qts = ivm_test_start(
        accel, "-chardev socket,id=l0,path=%s,server=on,wait=off "
        "-chardev socket,id=l1,path=%s "
        "-device ivm-mailbox,id=m0,addr=5,chardev=l0,vectors=8,%s,shmem=64K "
        "-device ivm-mailbox,id=m1,addr=6,chardev=l1,vectors=8,%s,shmem=64K",
        path, path, mode, mode);
    IvmDev devs[2] = { ivm_dev(qts, "m0", 5), ivm_dev(qts, "m1", 6) };
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());
    unsigned round, i;

    for (round = 0; round < rounds; round++) {
        for (i = 0; i < 2; i++) {
            ivm_dev_place(&devs[i]);
            ivm_msix_setup(&devs[i], 8);
        }
        for (i = 0; i < 300; i++) {
            fuzz_access(rand, devs);
        }
    }
    ivm_test_reset(qts);
    for (i = 0; i < 2; i++) {
        ivm_dev_place(&devs[i]);
        g_assert_cmphex(ivm_read(&devs[i], IVM_REG_ID), ==, IVM_ID);
        ivm_wait_up(&devs[i]);
    }
    ivm_test_quit(qts);
    unlink(path);
}

static void test_fuzz_qemu(void)
{
    fuzz(NULL, "mode=qemu", 60);
}

static void test_fuzz_direct(void)
{
    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    fuzz("-accel kvm", "mode=direct", 60);
}

static void test_fuzz_irqfd(void)
{
    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    fuzz("-accel kvm", "mode=irqfd", 60);
}

/*
 * Both ends in one QEMU, one mapped over the other and away again: for a
 * moment KVM is asked to have two ioeventfds at one address.
 */
static void test_overlap(void)
{
    g_autofree char *path = ivm_test_socket();
    QTestState *qts;
    IvmDev dev[2], moved;
    unsigned i, j;

    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    qts = ivm_test_start(
        "-accel kvm", "-chardev socket,id=l0,path=%s,server=on,wait=off "
        "-chardev socket,id=l1,path=%s "
        "-device ivm-mailbox,id=m0,addr=5,chardev=l0,vectors=8,mode=direct "
        "-device ivm-mailbox,id=m1,addr=6,chardev=l1,vectors=8,mode=direct",
        path, path);
    dev[0] = ivm_dev(qts, "m0", 5);
    dev[1] = ivm_dev(qts, "m1", 6);
    ivm_wait_up(&dev[0]);
    ivm_wait_up(&dev[1]);
    for (i = 0; i < 2; i++) {
        for (j = 0; j < 3; j++) {
            moved = dev[i];
            moved.bar0 = dev[!i].bar0 + (j == 2 ? 0x1000 : 0);
            ivm_dev_place(&moved);
            g_assert_cmphex(ivm_read(&dev[!i], IVM_REG_ID), ==, IVM_ID);
            ivm_dev_place(&dev[i]);
        }
    }
    for (i = 0; i < 2; i++) {
        g_assert_cmphex(ivm_read(&dev[i], IVM_REG_ID), ==, IVM_ID);
        ivm_msix_setup(&dev[!i], 8);
        ivm_ring(&dev[i], 7, 0);
        ivm_wait_raised(&dev[!i], 7);
    }
    ivm_test_quit(qts);
    unlink(path);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/ivm/registers/identity", test_identity);
    qtest_add_func("/ivm/registers/no-shmem", test_no_shmem);
    qtest_add_func("/ivm/registers/values", test_registers);
    qtest_add_func("/ivm/registers/link-vector", test_link_vector);
    qtest_add_func("/ivm/registers/access", test_access);
    qtest_add_func("/ivm/registers/doorbell-down", test_doorbell_down);
    qtest_add_func("/ivm/registers/reset", test_reset);
    qtest_add_func("/ivm/registers/side", test_side);
    qtest_add_func("/ivm/registers/private-shmem", test_private_shmem);
    qtest_add_func("/ivm/registers/flr", test_flr);
    for (i = 0; i < G_N_ELEMENTS(bad_options); i++) {
        g_autofree char *name = g_strdup_printf("/ivm/properties/%s",
                                                bad_options[i].name);

        qtest_add_data_func(name, &bad_options[i], test_bad_option);
    }
    qtest_add_func("/ivm/properties/rlimit", test_rlimit);
    qtest_add_func("/ivm/overlap", test_overlap);
    qtest_add_func("/ivm/fuzz/qemu", test_fuzz_qemu);
    qtest_add_func("/ivm/fuzz/irqfd", test_fuzz_irqfd);
    qtest_add_func("/ivm/fuzz/direct", test_fuzz_direct);
    return g_test_run();
}
