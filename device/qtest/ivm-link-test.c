/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: two linked ends in every mode, and peers that misbehave.
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#if __has_include("qobject/qdict.h")
#include "qobject/qdict.h"
#else
#include "qapi/qmp/qdict.h"
#endif
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "ivm-test.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SHMEM_BYTES (1 << 20)

/*
 * Two QEMUs
 */

typedef struct Pair {
    char *path;
    const char *accel;
    char *options[2];
    QTestState *qts[2];
    IvmDev dev[2];
} Pair;

static void pair_start_end(Pair *p, int side)
{
    g_autofree char *chardev = g_strdup_printf(
        "-chardev socket,id=l0,path=%s,%s", p->path,
        side ? "reconnect=1" : "server=on,wait=off");

    p->qts[side] = ivm_test_start(p->accel, "%s -device ivm-mailbox,id=m0,"
                                  "addr=5,chardev=l0,%s", chardev,
                                  p->options[side]);
    p->dev[side] = ivm_dev(p->qts[side], "m0", 5);
}

static Pair *pair_start(const char *accel, const char *a, const char *b)
{
    Pair *p = g_new0(Pair, 1);

    p->path = ivm_test_socket();
    p->accel = accel;
    p->options[0] = g_strdup(a);
    p->options[1] = g_strdup(b);
    pair_start_end(p, 0);
    pair_start_end(p, 1);
    return p;
}

static Pair *pair_up(const char *accel, const char *a, const char *b)
{
    Pair *p = pair_start(accel, a, b);

    ivm_wait_up(&p->dev[0]);
    ivm_wait_up(&p->dev[1]);
    return p;
}

static void pair_stop(Pair *p)
{
    ivm_test_quit(p->qts[1]);
    ivm_test_quit(p->qts[0]);
    unlink(p->path);
    g_free(p->path);
    g_free(p->options[0]);
    g_free(p->options[1]);
    g_free(p);
}

/* A mode, and the accelerator it needs */
typedef struct Mode {
    const char *name;
    uint32_t value;
    const char *accel;
    bool control;       /* MASK and STATUS act */
} Mode;

static const Mode modes[] = {
    { "qemu", IVM_MODE_QEMU, NULL, true },
    { "irqfd", IVM_MODE_IRQFD, "-accel kvm", true },
    { "direct", IVM_MODE_DIRECT, "-accel kvm", false },
};

static bool mode_possible(const Mode *mode)
{
    if (mode->accel && !ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return false;
    }
    return true;
}

static Pair *pair_in_mode(const Mode *mode, const char *a, const char *b)
{
    g_autofree char *opt_a = g_strdup_printf("mode=%s,%s", mode->name, a);
    g_autofree char *opt_b = g_strdup_printf("mode=%s,%s", mode->name, b);

    return pair_up(mode->accel, opt_a, opt_b);
}

/* The receiver takes all that was rung, and nothing of it is a surprise */
static void expect_raised(IvmDev *dev, unsigned vector)
{
    ivm_wait_raised(dev, vector);
    ivm_settle(dev);
    g_assert_false(ivm_raised(dev, vector));
}

static void expect_quiet(IvmDev *dev, unsigned vector)
{
    ivm_settle(dev);
    g_assert_false(ivm_raised(dev, vector));
}

/*
 * Link up
 */

static void check_end(IvmDev *dev, const Mode *mode, uint32_t side,
                      uint32_t vectors, uint32_t peer_vectors)
{
    g_autofree char *state = ivm_property(dev, "link-state");
    g_autofree char *effect = ivm_property(dev, "mode-in-effect");
    g_autofree char *received = ivm_property(dev, "mode-received");

    g_assert_cmphex(ivm_read(dev, IVM_REG_MODE), ==,
                    mode->value << 8 | mode->value);
    g_assert_cmphex(ivm_read(dev, IVM_REG_LINK), ==, 1 << 8 | IVM_LINK_UP);
    g_assert_cmphex(ivm_read(dev, IVM_REG_SIDE), ==, side);
    g_assert_cmphex(ivm_read(dev, IVM_REG_VECTORS), ==, vectors);
    g_assert_cmphex(ivm_read(dev, IVM_REG_PEER_VECTORS), ==, peer_vectors);
    g_assert_cmphex(ivm_read(dev, IVM_REG_FEATURES), ==, IVM_FEATURE_SHMEM |
                    (mode->control ? IVM_FEATURE_IRQ_CTRL : 0));
    g_assert_cmpstr(state, ==, "up");
    g_assert_cmpstr(effect, ==, mode->name);
    g_assert_cmpstr(received, ==, mode->name);
}

static void test_up(gconstpointer data)
{
    const Mode *mode = data;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3,link=x", "vectors=40,link=x");
    check_end(&p->dev[0], mode, IVM_SIDE_SERVER, 3, 40);
    check_end(&p->dev[1], mode, IVM_SIDE_CLIENT, 40, 3);
    ivm_mem_write(&p->dev[0], p->dev[0].bar2 + SHMEM_BYTES - 4, 0xcafe);
    g_assert_cmphex(ivm_mem_read(&p->dev[1], p->dev[1].bar2 + SHMEM_BYTES - 4),
                    ==, 0xcafe);
    pair_stop(p);
}

static void test_ring(gconstpointer data)
{
    const Mode *mode = data;
    Pair *p;
    unsigned i;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=40");
    for (i = 0; i < 2; i++) {
        ivm_msix_setup(&p->dev[i], i ? 40 : 3);
    }
    ivm_ring(&p->dev[0], 39, 1);
    expect_raised(&p->dev[1], 39);
    ivm_ring(&p->dev[0], 0, 2);
    expect_raised(&p->dev[1], 0);
    ivm_ring(&p->dev[1], 2, 3);
    expect_raised(&p->dev[0], 2);
    ivm_ring(&p->dev[1], 3, 4);
    ivm_ring(&p->dev[1], 39, 5);
    ivm_ring(&p->dev[1], 1023, 6);
    g_assert_cmpuint(ivm_read(&p->dev[0], IVM_REG_RUNG), ==, 2);
    g_assert_cmpuint(ivm_read(&p->dev[1], IVM_REG_RUNG), ==, 1);
    g_assert_cmpuint(ivm_read(&p->dev[1], IVM_REG_DROPPED), ==, 3);
    for (i = 0; i < 40; i++) {
        expect_quiet(&p->dev[1], i);
    }
    pair_stop(p);
}

static void test_256(gconstpointer data)
{
    const Mode *mode = data;
    Pair *p;
    unsigned v;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=256", "vectors=256");
    ivm_msix_setup(&p->dev[1], 256);
    for (v = 0; v < 256; v++) {
        ivm_ring(&p->dev[0], v, v);
    }
    for (v = 0; v < 256; v++) {
        ivm_wait_raised(&p->dev[1], v);
    }
    g_assert_cmpuint(ivm_read(&p->dev[0], IVM_REG_RUNG), ==, 256);
    pair_stop(p);
}

/*
 * MSI-X
 */

typedef void GateFn(IvmDev *dev, bool open);

static void gate_vector(IvmDev *dev, bool open)
{
    ivm_msix_mask(dev, 1, !open);
}

static void gate_function(IvmDev *dev, bool open)
{
    ivm_msix_enable(dev, true, !open);
}

static void gate_enable(IvmDev *dev, bool open)
{
    ivm_msix_enable(dev, open, false);
}

static void gate_bus_master(IvmDev *dev, bool open)
{
    ivm_bus_master(dev, open);
}

/* Closed it holds, however often; opened it delivers once what came */
static void check_gate(Pair *p, GateFn *gate)
{
    IvmDev *tx = &p->dev[0], *rx = &p->dev[1];
    unsigned i;

    gate(rx, false);
    for (i = 0; i < 3; i++) {
        ivm_ring(tx, 1, i);
    }
    expect_quiet(rx, 1);
    g_assert_true(ivm_msix_pending(rx, 1));
    g_assert_false(ivm_msix_pending(rx, 0));
    gate(rx, true);
    expect_raised(rx, 1);
    g_assert_false(ivm_msix_pending(rx, 1));
    gate(rx, false);
    gate(rx, true);
    expect_quiet(rx, 1);
    ivm_ring(tx, 1, i);
    expect_raised(rx, 1);
}

/* Two gates closed, opened one after the other */
static void check_gates(Pair *p, GateFn *a, GateFn *b)
{
    a(&p->dev[1], false);
    b(&p->dev[1], false);
    ivm_ring(&p->dev[0], 1, 0);
    expect_quiet(&p->dev[1], 1);
    a(&p->dev[1], true);
    expect_quiet(&p->dev[1], 1);
    b(&p->dev[1], true);
    expect_raised(&p->dev[1], 1);
}

static void test_gates(gconstpointer data)
{
    const Mode *mode = data;
    static GateFn *const gates[] = {
        gate_vector, gate_function, gate_enable, gate_bus_master,
    };
    unsigned i, j;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=3");
    ivm_msix_setup(&p->dev[1], 3);
    for (i = 0; i < G_N_ELEMENTS(gates); i++) {
        check_gate(p, gates[i]);
        for (j = 0; j < G_N_ELEMENTS(gates); j++) {
            /* MSI-X control is one register: these two exclude each other */
            if (i != j && !(gates[i] == gate_function &&
                            gates[j] == gate_enable) &&
                !(gates[i] == gate_enable && gates[j] == gate_function)) {
                check_gates(p, gates[i], gates[j]);
            }
        }
    }
    pair_stop(p);
}

/*
 * MASK and STATUS
 */

static void check_mask_acts(IvmDev *tx, IvmDev *rx)
{
    const uint32_t bit = 1u << 1;

    ivm_write(rx, IVM_REG_MASK(1), bit);
    ivm_ring(tx, 33, 0);
    ivm_ring(tx, 33, 1);
    expect_quiet(rx, 33);
    ivm_wait_reg(rx, IVM_REG_STATUS(1), ~0u, bit);
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(0)), ==, 0);
    ivm_write(rx, IVM_REG_MASK(1), 0);
    expect_raised(rx, 33);
    /* Raised is not acknowledged; a new ring raises all the same */
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(1)), ==, bit);
    ivm_ring(tx, 33, 2);
    expect_raised(rx, 33);
    ivm_write(rx, IVM_REG_STATUS(1), ~bit);
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(1)), ==, bit);
    ivm_write(rx, IVM_REG_STATUS(1), bit);
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(1)), ==, 0);
    /* Acknowledged while held: cancelled */
    ivm_write(rx, IVM_REG_MASK(1), bit);
    ivm_ring(tx, 33, 3);
    ivm_wait_reg(rx, IVM_REG_STATUS(1), ~0u, bit);
    ivm_settle(rx);
    ivm_write(rx, IVM_REG_STATUS(1), bit);
    ivm_write(rx, IVM_REG_MASK(1), 0);
    expect_quiet(rx, 33);
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(1)), ==, 0);
}

static void check_mask_is_stored(IvmDev *tx, IvmDev *rx)
{
    ivm_write(rx, IVM_REG_MASK(1), 2);
    ivm_ring(tx, 33, 0);
    expect_raised(rx, 33);
    g_assert_cmphex(ivm_read(rx, IVM_REG_MASK(1)), ==, 2);
    g_assert_cmphex(ivm_read(rx, IVM_REG_STATUS(1)), ==, 0);
    ivm_write(rx, IVM_REG_MASK(1), 0);
    expect_quiet(rx, 33);
}

static void test_mask(gconstpointer data)
{
    const Mode *mode = data;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=2", "vectors=40");
    ivm_msix_setup(&p->dev[1], 40);
    if (mode->control) {
        check_mask_acts(&p->dev[0], &p->dev[1]);
    } else {
        check_mask_is_stored(&p->dev[0], &p->dev[1]);
    }
    pair_stop(p);
}

/*
 * READY, LINK_VECTOR, reset, coming and going
 */

static void test_ready(gconstpointer data)
{
    const Mode *mode = data;
    IvmDev *a, *b;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=2", "vectors=2");
    a = &p->dev[0];
    b = &p->dev[1];
    ivm_msix_setup(b, 2);
    ivm_write(b, IVM_REG_LINK_VECTOR, 1);
    ivm_write(b, IVM_REG_MASK(0), 2);
    ivm_write(a, IVM_REG_READY, 1);
    ivm_wait_reg(b, IVM_REG_PEER_READY, ~0u, 1);
    expect_raised(b, 1);
    g_assert_cmphex(ivm_read(b, IVM_REG_STATUS(0)), ==, 0);
    ivm_write(a, IVM_REG_READY, 1);
    expect_quiet(b, 1);
    ivm_test_reset(p->qts[0]);
    ivm_wait_reg(b, IVM_REG_PEER_READY, ~0u, 0);
    expect_raised(b, 1);
    pair_stop(p);
}

static void test_reset(gconstpointer data)
{
    const Mode *mode = data;
    IvmDev *a, *b;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=3");
    a = &p->dev[0];
    b = &p->dev[1];
    ivm_msix_setup(b, 3);
    ivm_msix_mask(b, 1, true);
    ivm_write(b, IVM_REG_MASK(0), 4);
    ivm_ring(a, 1, 0);
    ivm_ring(a, 2, 0);
    ivm_settle(b);
    ivm_raised(b, 2);
    ivm_test_reset(p->qts[1]);
    ivm_dev_place(b);
    g_assert_cmphex(ivm_read(b, IVM_REG_LINK), ==, 1 << 8 | IVM_LINK_UP);
    g_assert_cmphex(ivm_read(b, IVM_REG_STATUS(0)), ==, 0);
    g_assert_cmphex(ivm_read(b, IVM_REG_MASK(0)), ==, 0);
    ivm_ring(a, 0, 0);
    ivm_settle(b);
    ivm_msix_setup(b, 3);
    ivm_wait_raised(b, 0);
    expect_quiet(b, 1);
    expect_quiet(b, 2);
    ivm_ring(a, 1, 0);
    expect_raised(b, 1);
    pair_stop(p);
}

static void test_reconnect(gconstpointer data)
{
    const Mode *mode = data;
    int gone;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=3");
    for (gone = 1; gone >= 0; gone--) {
        IvmDev *stay = &p->dev[!gone];
        uint32_t ups = ivm_read(stay, IVM_REG_LINK) >> 8;

        ivm_msix_setup(stay, 3);
        ivm_write(stay, IVM_REG_LINK_VECTOR, 2);
        ivm_mem_write(&p->dev[gone], p->dev[gone].bar2 + 64, 0x5eed0000 + gone);
        ivm_write(&p->dev[gone], IVM_REG_READY, 1);
        ivm_wait_reg(stay, IVM_REG_PEER_READY, ~0u, 1);
        ivm_wait_raised(stay, 2);

        kill(ivm_test_pid(p->qts[gone]), SIGTERM);
        ivm_wait_down(stay, IVM_REASON_NO_PEER);
        ivm_wait_raised(stay, 2);
        g_assert_cmphex(ivm_read(stay, IVM_REG_PEER_VECTORS), ==, 0);
        g_assert_cmphex(ivm_read(stay, IVM_REG_PEER_READY), ==, 0);
        g_assert_cmphex(ivm_read(stay, IVM_REG_MODE), ==, 0);
        g_assert_cmphex(ivm_read(stay, IVM_REG_FEATURES), ==,
                        IVM_FEATURE_IRQ_CTRL);
        ivm_ring(stay, 0, 0);
        g_assert_cmpuint(ivm_read(stay, IVM_REG_DROPPED), >=, 1);

        ivm_test_quit(p->qts[gone]);
        pair_start_end(p, gone);
        ivm_wait_up(stay);
        ivm_wait_up(&p->dev[gone]);
        g_assert_cmpuint(ivm_read(stay, IVM_REG_LINK) >> 8, ==, ups + 1);
        g_assert_cmpuint(ivm_read(&p->dev[gone], IVM_REG_LINK) >> 8, ==, 1);
        ivm_wait_raised(stay, 2);
        g_assert_cmphex(ivm_mem_read(&p->dev[gone], p->dev[gone].bar2 + 64), ==,
                        0x5eed0000 + gone);
        ivm_ring(&p->dev[gone], 1, 0);
        expect_raised(stay, 1);
    }
    pair_stop(p);
}

/* A ring that was held when the link went down is not lost */
static void test_held_over_down(gconstpointer data)
{
    const Mode *mode = data;
    IvmDev *b;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=3");
    b = &p->dev[1];
    ivm_msix_setup(b, 3);
    ivm_msix_mask(b, 0, true);
    ivm_write(b, IVM_REG_MASK(0), 2);
    ivm_ring(&p->dev[0], 0, 0);
    ivm_ring(&p->dev[0], 1, 0);
    ivm_settle(b);
    kill(ivm_test_pid(p->qts[0]), SIGTERM);
    ivm_wait_down(b, IVM_REASON_NO_PEER);
    ivm_msix_mask(b, 0, false);
    ivm_wait_raised(b, 0);
    if (mode->control) {
        g_assert_false(ivm_raised(b, 1));
        g_assert_cmphex(ivm_read(b, IVM_REG_STATUS(0)), ==, 3);
        ivm_write(b, IVM_REG_MASK(0), 0);
    }
    ivm_wait_raised(b, 1);
    pair_stop(p);
}

static void test_unplug(gconstpointer data)
{
    const Mode *mode = data;
    QDict *response;
    Pair *p;

    if (!mode_possible(mode) ||
        !ivm_test_needs_pc("this board's bus has no hotplug")) {
        return;
    }
    p = pair_in_mode(mode, "vectors=3", "vectors=3");
    ivm_msix_setup(&p->dev[1], 3);
    response = qtest_qmp(p->qts[1], "{'execute': 'device_del',"
                         "'arguments': {'id': 'm0'}}");
    g_assert(qdict_haskey(response, "return"));
    qobject_unref(response);
    qtest_outl(p->qts[1], 0xae08, 1 << 5);
    qtest_qmp_eventwait(p->qts[1], "DEVICE_DELETED");
    ivm_wait_down(&p->dev[0], IVM_REASON_NO_PEER);
    response = qtest_qmp(p->qts[1], "{'execute': 'device_add', 'arguments': {"
                         "'driver': 'ivm-mailbox', 'id': 'm0', 'addr': '5',"
                         "'chardev': 'l0', 'vectors': 3, 'mode': %s}}",
                         mode->name);
    g_assert(qdict_haskey(response, "return"));
    qobject_unref(response);
    p->dev[1] = ivm_dev(p->qts[1], "m0", 5);
    ivm_wait_up(&p->dev[0]);
    ivm_wait_up(&p->dev[1]);
    ivm_msix_setup(&p->dev[1], 3);
    ivm_ring(&p->dev[0], 2, 0);
    expect_raised(&p->dev[1], 2);
    pair_stop(p);
}

/*
 * What the ends agree on
 */

static void check_refused(const char *accel, const char *a, const char *b,
                          uint32_t reason, const char *text)
{
    Pair *p = pair_start(accel, a, b);
    unsigned i;

    for (i = 0; i < 2; i++) {
        g_autofree char *property = NULL;

        ivm_wait_down(&p->dev[i], reason);
        property = ivm_property(&p->dev[i], "link-reason");
        g_assert_cmpstr(property, ==, text);
        g_assert_cmphex(ivm_read(&p->dev[i], IVM_REG_LINK) >> 8, ==, 0);
    }
    pair_stop(p);
}

static void test_mismatch_name(void)
{
    check_refused(NULL, "link=a-b", "link=a-c", IVM_REASON_NAME,
                  "link names differ");
}

static void test_mismatch_side(void)
{
    check_refused(NULL, "side=client", "side=client", IVM_REASON_SIDE,
                  "both ends on the same side");
}

static void test_mismatch_shmem(void)
{
    check_refused(NULL, "shmem=64K", "shmem=0", IVM_REASON_SHMEM,
                  "shared memory sizes differ");
}

static void test_mismatch_mode(void)
{
    check_refused(NULL, "mode=irqfd", "mode=qemu", IVM_REASON_MODE,
                  "mode not possible");
}

static void test_one_name(void)
{
    Pair *p = pair_up(NULL, "link=a-b", "side=auto");

    pair_stop(p);
}

static void test_auto_tcg(void)
{
    Pair *p = pair_up(NULL, "mode=auto", "mode=auto");

    g_assert_cmphex(ivm_read(&p->dev[0], IVM_REG_MODE), ==, 0x0101);
    pair_stop(p);
}

static void test_auto_kvm(void)
{
    Pair *p;

    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    p = pair_up("-accel kvm", "mode=auto", "mode=auto,irq-ctrl=on");
    g_assert_cmphex(ivm_read(&p->dev[0], IVM_REG_MODE), ==,
                    IVM_MODE_DIRECT << 8 | IVM_MODE_IRQFD);
    g_assert_cmphex(ivm_read(&p->dev[1], IVM_REG_MODE), ==,
                    IVM_MODE_IRQFD << 8 | IVM_MODE_DIRECT);
    pair_stop(p);
    check_refused("-accel kvm", "mode=direct", "mode=auto,irq-ctrl=on",
                  IVM_REASON_MODE, "mode not possible");
}

/* Two ends over TCP: doorbells, but nothing shared */
static void test_tcp(void)
{
    QTestState *qts[2];
    IvmDev dev[2];
    int port = 20000 + getpid() % 20000;
    unsigned i;

    for (i = 0; i < 2; i++) {
        qts[i] = ivm_test_start(NULL, "-chardev socket,id=l0,host=127.0.0.1,"
                                "port=%d,%s -device ivm-mailbox,id=m0,addr=5,"
                                "chardev=l0", port,
                                i ? "reconnect=1" : "server=on,wait=off");
        dev[i] = ivm_dev(qts[i], "m0", 5);
    }
    for (i = 0; i < 2; i++) {
        ivm_wait_up(&dev[i]);
        g_assert_cmphex(ivm_read(&dev[i], IVM_REG_FEATURES), ==,
                        IVM_FEATURE_IRQ_CTRL);
        g_assert_cmphex(ivm_read(&dev[i], IVM_REG_MODE), ==, 0x0101);
    }
    ivm_msix_setup(&dev[1], 1);
    ivm_ring(&dev[0], 0, 0);
    expect_raised(&dev[1], 0);
    ivm_test_quit(qts[1]);
    ivm_test_quit(qts[0]);
}

/*
 * The link page, as a tracer finds it
 */

static int find_memfd(pid_t pid, const char *name)
{
    g_autofree char *dir = g_strdup_printf("/proc/%d/fd", pid);
    g_autofree char *want = g_strdup_printf("/memfd:%s (deleted)", name);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *entry;
    int found = -1;

    g_assert_nonnull(d);
    while ((entry = g_dir_read_name(d))) {
        g_autofree char *path = g_strdup_printf("%s/%s", dir, entry);
        g_autofree char *link = g_file_read_link(path, NULL);

        if (link && g_str_equal(link, want)) {
            g_assert_cmpint(found, ==, -1);
            found = open(path, O_RDONLY);
        }
    }
    g_assert_cmpint(found, >=, 0);
    return found;
}

static void check_page(const struct ivm_linkpage *page, const Mode *mode)
{
    unsigned v;

    g_assert_cmphex(page->magic, ==, IVM_LINKPAGE_MAGIC);
    g_assert_cmphex(page->version, ==, IVM_LINKPAGE_VERSION);
    g_assert_cmpuint(page->bytes, ==, sizeof(*page));
    g_assert_cmpuint(page->seq % 2, ==, 0);
    g_assert_cmpuint(page->up, ==, 1);
    g_assert_cmphex(page->link_id, !=, 0);
    g_assert_cmphex(page->shmem_bytes, ==, SHMEM_BYTES);
    g_assert_cmpuint(page->generation, ==, 1);
    g_assert_cmpuint(page->mode_configured, ==, mode->value);
    g_assert_cmpuint(page->mode_tx, ==, mode->value);
    g_assert_cmpuint(page->mode_rx, ==, mode->value);
    g_assert_cmpstr(page->name, ==, "a-b");
    g_assert_cmpint(page->socket_fd, >=, 0);
    for (v = 0; v < 256; v++) {
        bool in = mode->value != IVM_MODE_QEMU && v < page->vectors;
        bool out = mode->value != IVM_MODE_QEMU && v < page->peer_vectors;

        g_assert_cmpint(page->peer_eventfd[v] >= 0, ==, out);
        if (v < page->vectors) {
            g_assert_cmpint(page->vector[v].eventfd >= 0, ==, in);
        }
    }
}

static void test_page(gconstpointer data)
{
    const Mode *mode = data;
    const struct ivm_linkpage *page[2];
    unsigned i;
    Pair *p;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=2,link=a-b", "vectors=20,link=a-b");
    for (i = 0; i < 2; i++) {
        int fd = find_memfd(ivm_test_pid(p->qts[i]), IVM_LINKPAGE_NAME);

        g_assert_cmphex(fcntl(fd, F_GET_SEALS), ==,
                        SEALS | F_SEAL_FUTURE_WRITE);
        page[i] = mmap(NULL, sizeof(*page[i]), PROT_READ, MAP_SHARED, fd, 0);
        g_assert(page[i] != MAP_FAILED);
        close(fd);
        check_page(page[i], mode);
        g_assert_cmphex(page[i]->bar0_address, ==, p->dev[i].bar0);
        close(find_memfd(ivm_test_pid(p->qts[i]), IVM_SHMEM_NAME));
    }
    g_assert_cmphex(page[0]->link_id, ==, page[1]->link_id);
    ivm_msix_setup(&p->dev[1], 20);
    g_assert_cmphex(page[1]->vector[19].msi_address, ==,
                    p->dev[1].msi_base + 4 * 19);
    g_assert_cmphex(page[1]->vector[19].flags & IVM_LP_VEC_DELIVERABLE, ==,
                    IVM_LP_VEC_DELIVERABLE);
    ivm_ring(&p->dev[0], 19, 0);
    expect_raised(&p->dev[1], 19);
    g_assert_cmpuint(page[0]->rung[19], ==, 1);
    g_assert_cmpuint(page[1]->raised[19], ==, 1);
    ivm_ring(&p->dev[0], 20, 0);
    ivm_ring(&p->dev[0], 256, 0);
    g_assert_cmpuint(page[0]->dropped[20], ==, 1);
    g_assert_cmpuint(page[0]->dropped_other, ==, 1);
    ivm_msix_mask(&p->dev[1], 19, true);
    ivm_ring(&p->dev[0], 19, 0);
    ivm_settle(&p->dev[1]);
    g_assert_cmpuint(page[1]->held[19], ==, 1);
    pair_stop(p);
}

/* An interrupt message that is one: KVM takes the vector, and gives it back */
static void test_irqfd_attached(gconstpointer data)
{
    const Mode *mode = data;
    const struct ivm_linkpage *page;
    IvmDev *dev;
    Pair *p;
    int fd;

    if (!mode_possible(mode)) {
        return;
    }
    p = pair_in_mode(mode, "vectors=2", "vectors=2");
    dev = &p->dev[1];
    fd = find_memfd(ivm_test_pid(p->qts[1]), IVM_LINKPAGE_NAME);
    page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
    g_assert(page != MAP_FAILED);
    close(fd);
    ivm_msix_setup(dev, 2);
    g_assert_cmphex(page->vector[0].flags, ==, IVM_LP_VEC_DELIVERABLE |
                    (mode->accel ? IVM_LP_VEC_QEMU_FALLBACK : 0));
    ivm_msix_mask(dev, 0, true);
    g_assert_cmphex(page->vector[0].flags, ==, 0);
    ivm_mem_write(dev, dev->bar1, 0xfee00000);
    ivm_mem_write(dev, dev->bar1 + 8, 0x41);
    ivm_msix_mask(dev, 0, false);
    g_assert_cmphex(page->vector[0].flags, ==, IVM_LP_VEC_DELIVERABLE |
                    (mode->accel ? IVM_LP_VEC_IRQFD : 0));
    ivm_bus_master(dev, false);
    g_assert_cmphex(page->vector[0].flags, ==, 0);
    ivm_bus_master(dev, true);
    /* High bits that KVM refuses together with its whole table */
    ivm_msix_mask(dev, 0, true);
    ivm_mem_write(dev, dev->bar1 + 4, 0xff);
    ivm_msix_mask(dev, 0, false);
    g_assert_cmphex(page->vector[0].flags, ==, IVM_LP_VEC_DELIVERABLE |
                    (mode->accel ? IVM_LP_VEC_QEMU_FALLBACK : 0));
    pair_stop(p);
}

/*
 * Peers made by hand.  The device listens; whatever was done to it, a good
 * peer that comes next gets its link.
 */

typedef struct Hostile {
    char *path;
    QTestState *qts;
    IvmDev dev;
    IvmPeerSock *peer;
    unsigned ups;
} Hostile;

static Hostile *hostile_start(const char *accel, const char *options)
{
    Hostile *h = g_new0(Hostile, 1);

    h->path = ivm_test_socket();
    h->qts = ivm_test_start(accel, "-chardev socket,id=l0,path=%s,server=on,"
                            "wait=off -device ivm-mailbox,id=m0,addr=5,"
                            "chardev=l0,%s", h->path, options);
    h->dev = ivm_dev(h->qts, "m0", 5);
    return h;
}

static void hostile_connect(Hostile *h)
{
    h->peer = ivm_peer_connect(h->path);
}

static void hostile_leave(Hostile *h)
{
    ivm_peer_free(h->peer);
    h->peer = NULL;
}

static void hostile_stop(Hostile *h)
{
    if (h->peer) {
        hostile_leave(h);
    }
    ivm_test_quit(h->qts);
    unlink(h->path);
    g_free(h->path);
    g_free(h);
}

static void send_linkpage(IvmPeerSock *peer)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];
    int fd = ivm_peer_memfd(IVM_LINKPAGE_NAME, sizeof(struct ivm_linkpage),
                            SEALS);

    ivm_peer_send_fds(peer, IVM_FDS_LINKPAGE, 0, &fd, 1);
    ivm_peer_expect(peer, msg, IVM_MSG_ACK);
    close(fd);
}

static void hello_as(Hostile *h, uint32_t mode, uint32_t caps, uint32_t vectors)
{
    struct ivm_msg_hello hello = ivm_peer_make_hello(mode, caps, vectors);

    ivm_peer_hello(h->peer, &hello);
}

/* A whole handshake, mode qemu both ways, no descriptors */
static void hostile_up_plain(Hostile *h)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];

    hostile_connect(h);
    hello_as(h, IVM_MODE_QEMU, 0, 4);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    ivm_wait_up(&h->dev);
    h->ups++;
    g_assert_cmpuint(ivm_read(&h->dev, IVM_REG_LINK) >> 8, ==, h->ups);
}

static void hostile_recover(Hostile *h)
{
    uint64_t sequence = 1;

    if (h->peer) {
        hostile_leave(h);
    }
    hostile_up_plain(h);
    ivm_raised(&h->dev, 0);
    ivm_peer_ring(h->peer, 0, 1, sequence);
    ivm_wait_raised(&h->dev, 0);
    hostile_leave(h);
    ivm_wait_down(&h->dev, IVM_REASON_NO_PEER);
}

/* After what was just sent the device hangs up, says why, and recovers */
static void hostile_expect(Hostile *h, uint32_t reason)
{
    ivm_peer_expect_close(h->peer);
    ivm_wait_down(&h->dev, reason);
    hostile_recover(h);
}

static void set_header(struct ivm_msg_header *header, uint32_t magic,
                       uint16_t type, uint16_t bytes)
{
    header->magic = cpu_to_le32(magic);
    header->type = cpu_to_le16(type);
    header->bytes = cpu_to_le16(bytes);
}

static void test_garbage(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());
    unsigned i, j;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < 20; i++) {
        uint8_t junk[4096];

        for (j = 0; j < sizeof(junk); j++) {
            junk[j] = g_rand_int(rand);
        }
        hostile_connect(h);
        ivm_peer_send_raw(h->peer, junk,
                          g_rand_int_range(rand, 32, sizeof(junk)), NULL, 0);
        hostile_expect(h, IVM_REASON_PROTOCOL);
    }
    hostile_stop(h);
}

/* A good header but for one thing, in each state */
static void test_headers(void)
{
    static const struct ivm_msg_header bad[] = {
        { IVM_MSG_MAGIC ^ 1, IVM_MSG_BYE, 32 },
        { IVM_MSG_MAGIC, 0, 32 },
        { IVM_MSG_MAGIC, IVM_MSG_BYE + 1, 32 },
        { IVM_MSG_MAGIC, 0xffff, 32 },
        { IVM_MSG_MAGIC, IVM_MSG_BYE, 0 },
        { IVM_MSG_MAGIC, IVM_MSG_BYE, 31 },
        { IVM_MSG_MAGIC, IVM_MSG_BYE, 64 },
        { IVM_MSG_MAGIC, IVM_MSG_HELLO, 32 },
        { IVM_MSG_MAGIC, IVM_MSG_HELLO, 544 },
        { IVM_MSG_MAGIC, IVM_MSG_HELLO, 0xffe0 },
        { IVM_MSG_MAGIC, IVM_MSG_READY, 64 },
        { IVM_MSG_MAGIC, IVM_MSG_RING, 64 },
    };
    Hostile *h = hostile_start(NULL, "vectors=4");
    unsigned i, up;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < 2 * G_N_ELEMENTS(bad); i++) {
        uint8_t msg[32] = { };

        up = i % 2;
        set_header((struct ivm_msg_header *)msg, bad[i / 2].magic,
                   bad[i / 2].type, bad[i / 2].bytes);
        if (up) {
            hostile_up_plain(h);
        } else {
            hostile_connect(h);
        }
        ivm_peer_send_raw(h->peer, msg, sizeof(msg), NULL, 0);
        hostile_expect(h, IVM_REASON_PROTOCOL);
    }
    hostile_stop(h);
}

/* Each message where it does not belong */
static void test_order(void)
{
    static const uint16_t types[] = {
        IVM_MSG_FDS, IVM_MSG_ACK, IVM_MSG_READY, IVM_MSG_DRIVER, IVM_MSG_RING,
    };
    Hostile *h = hostile_start(NULL, "vectors=4");
    struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU, 0, 4);
    unsigned i;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        hostile_connect(h);
        ivm_peer_simple(h->peer, types[i], 0);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        hostile_connect(h);
        hello_as(h, IVM_MODE_QEMU, IVM_CAP_FD_PASS, 4);
        ivm_peer_simple(h->peer, types[i], 0);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        if (types[i] != IVM_MSG_DRIVER && types[i] != IVM_MSG_RING) {
            hostile_up_plain(h);
            ivm_peer_simple(h->peer, types[i], 0);
            hostile_expect(h, IVM_REASON_PROTOCOL);
        }
    }
    hostile_up_plain(h);
    ivm_peer_send_raw(h->peer, &hello, sizeof(hello), NULL, 0);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_stop(h);
}

typedef void HelloFn(struct ivm_msg_hello *hello);

static void hello_version(struct ivm_msg_hello *hello)
{
    hello->version = cpu_to_le32(2 << 16);
}

static void hello_vectors_0(struct ivm_msg_hello *hello)
{
    hello->vectors = 0;
}

static void hello_vectors_257(struct ivm_msg_hello *hello)
{
    hello->vectors = cpu_to_le32(257);
}

static void hello_vectors_max(struct ivm_msg_hello *hello)
{
    hello->vectors = UINT32_MAX;
}

static void hello_mode_down(struct ivm_msg_hello *hello)
{
    hello->mode = 0;
}

static void hello_mode_beyond(struct ivm_msg_hello *hello)
{
    hello->mode = cpu_to_le32(IVM_MODE_AUTO + 1);
}

static void hello_side_equal(struct ivm_msg_hello *hello)
{
    hello->side = IVM_SIDE_SERVER;
}

static void hello_side_beyond(struct ivm_msg_hello *hello)
{
    hello->side = 2;
}

static void hello_name_endless(struct ivm_msg_hello *hello)
{
    memset(hello->name, 'a', sizeof(hello->name));
}

static void hello_name_escape(struct ivm_msg_hello *hello)
{
    strcpy(hello->name, "a\033[2J");
}

static void hello_name_utf8(struct ivm_msg_hello *hello)
{
    strcpy(hello->name, "a\xc3");
}

static void hello_shmem(struct ivm_msg_hello *hello)
{
    hello->shmem_bytes = cpu_to_le64(UINT64_MAX);
}

static void hello_mode_irqfd(struct ivm_msg_hello *hello)
{
    hello->mode = cpu_to_le32(IVM_MODE_IRQFD);
}

static void test_hellos(void)
{
    static const struct {
        HelloFn *change;
        uint32_t reason;
    } bad[] = {
        { hello_version, IVM_REASON_VERSION },
        { hello_vectors_0, IVM_REASON_PROTOCOL },
        { hello_vectors_257, IVM_REASON_PROTOCOL },
        { hello_vectors_max, IVM_REASON_PROTOCOL },
        { hello_mode_down, IVM_REASON_PROTOCOL },
        { hello_mode_beyond, IVM_REASON_PROTOCOL },
        { hello_side_equal, IVM_REASON_SIDE },
        { hello_side_beyond, IVM_REASON_PROTOCOL },
        { hello_name_endless, IVM_REASON_PROTOCOL },
        { hello_name_escape, IVM_REASON_PROTOCOL },
        { hello_name_utf8, IVM_REASON_PROTOCOL },
        { hello_shmem, IVM_REASON_SHMEM },
        { hello_mode_irqfd, IVM_REASON_MODE },
    };
    Hostile *h = hostile_start(NULL, "vectors=4");
    unsigned i;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU, 0, 4);

        bad[i].change(&hello);
        hostile_connect(h);
        ivm_peer_hello(h->peer, &hello);
        hostile_expect(h, bad[i].reason);
    }
    hostile_stop(h);
}

/* A later minor version: longer, and with bits nobody knows yet */
static void test_hello_longer(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    uint8_t msg[IVM_MSG_MAX_BYTES] = { };
    struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU,
                                                     0xfffffe00, 4);

    hello.version = cpu_to_le32(IVM_LINK_VERSION + 1);
    hello.header.bytes = cpu_to_le16(sizeof(msg));
    memcpy(msg, &hello, sizeof(hello));
    hostile_connect(h);
    ivm_peer_send_raw(h->peer, msg, sizeof(msg), NULL, 0);
    ivm_peer_expect(h->peer, msg, IVM_MSG_HELLO);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    hostile_stop(h);
}

/* Whatever the peer says, byte by byte: no read is a message */
static void test_crumbs(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU, 0, 4);
    uint8_t msg[IVM_MSG_MAX_BYTES];
    unsigned i;

    hostile_connect(h);
    for (i = 0; i < sizeof(hello); i++) {
        ivm_peer_send_raw(h->peer, (uint8_t *)&hello + i, 1, NULL, 0);
        if (i % 16 == 0) {
            ivm_settle(&h->dev);
        }
    }
    ivm_peer_expect(h->peer, msg, IVM_MSG_HELLO);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    hostile_stop(h);
}

/* The peer vanishes after every number of bytes it could have sent */
static void test_vanish(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU, 0, 4);
    unsigned bytes;

    ivm_msix_setup(&h->dev, 4);
    for (bytes = 0; bytes <= sizeof(hello); bytes += 8) {
        hostile_connect(h);
        ivm_peer_send_raw(h->peer, &hello, bytes, NULL, 0);
        if (bytes % 16) {
            ivm_settle(&h->dev);
        }
        hostile_recover(h);
    }
    /* Half a RING on a link that is up */
    hostile_up_plain(h);
    ivm_peer_send_raw(h->peer, &hello, 7, NULL, 0);
    ivm_settle(&h->dev);
    hostile_leave(h);
    ivm_wait_down(&h->dev, IVM_REASON_NO_PEER);
    hostile_recover(h);
    hostile_stop(h);
}

/* A peer that connects and says nothing must not keep others out for good */
static void test_silent(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");

    ivm_msix_setup(&h->dev, 4);
    hostile_connect(h);
    hostile_expect(h, IVM_REASON_HANDSHAKE);
    hostile_stop(h);
}

static void test_rings(void)
{
    static const struct {
        uint32_t vector;
        uint32_t count;
        uint64_t sequence;
    } bad[] = {
        { 4, 1, 1 }, { UINT32_MAX, 1, 1 }, { 0, 0, 1 }, { 0, 1, 0 },
        { 0, 1, 2 }, { 0, 1, UINT64_MAX },
    };
    Hostile *h = hostile_start(NULL, "vectors=4");
    unsigned i;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        hostile_up_plain(h);
        ivm_peer_ring(h->peer, bad[i].vector, bad[i].count, bad[i].sequence);
        hostile_expect(h, IVM_REASON_PROTOCOL);
    }
    hostile_up_plain(h);
    ivm_peer_ring(h->peer, 3, UINT32_MAX, 1);
    ivm_wait_raised(&h->dev, 3);
    ivm_peer_ring(h->peer, 3, 1, 1);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_up_plain(h);
    ivm_peer_simple(h->peer, IVM_MSG_DRIVER, 2);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_up_plain(h);
    ivm_peer_simple(h->peer, IVM_MSG_BYE, IVM_REASON_NAME);
    hostile_expect(h, IVM_REASON_NAME);
    hostile_up_plain(h);
    ivm_peer_simple(h->peer, IVM_MSG_BYE, 0xffffffff);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_stop(h);
}

/*
 * Descriptors
 */

/* Up to where the device waits for the peer's first descriptor */
static void hostile_at_fds(Hostile *h, uint32_t caps)
{
    hostile_connect(h);
    hello_as(h, IVM_MODE_QEMU, IVM_CAP_FD_PASS | caps, 4);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    g_assert_cmpint(h->peer->page_fd, >=, 0);
    g_assert_cmpint(h->peer->shmem_fd, >=, 0);
}

static int some_file(void)
{
    int fd = open(getenv("QTEST_QEMU_BINARY"), O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_fds_linkpage(void)
{
    const size_t bytes = sizeof(struct ivm_linkpage);
    int fds[] = {
        ivm_peer_memfd("a", bytes, 0),
        ivm_peer_memfd("b", bytes, F_SEAL_GROW | F_SEAL_SEAL),
        ivm_peer_memfd("c", bytes - 1, SEALS),
        ivm_peer_memfd("d", bytes + 4096, SEALS),
        ivm_peer_memfd("e", 0, SEALS),
        eventfd(0, EFD_CLOEXEC),
        some_file(),
    };
    Hostile *h = hostile_start(NULL, "vectors=4");
    unsigned i;

    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        hostile_at_fds(h, 0);
        ivm_peer_send_fds(h->peer, IVM_FDS_LINKPAGE, 0, &fds[i], 1);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        close(fds[i]);
    }
    hostile_stop(h);
}

static void test_fds_count(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    struct ivm_msg_fds msg = { .kind = cpu_to_le32(IVM_FDS_LINKPAGE),
                               .count = cpu_to_le32(1) };
    int fds[40];
    unsigned i;

    set_header(&msg.header, IVM_MSG_MAGIC, IVM_MSG_FDS, sizeof(msg));
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = ivm_peer_memfd("x", sizeof(struct ivm_linkpage), SEALS);
    }
    ivm_msix_setup(&h->dev, 4);
    /* none, two, more than QEMU takes; announced and not */
    for (i = 0; i < 3; i++) {
        static const unsigned counts[] = { 0, 2, 40 };

        hostile_at_fds(h, 0);
        ivm_peer_send_raw(h->peer, &msg, sizeof(msg), fds, counts[i]);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        hostile_at_fds(h, 0);
        ivm_peer_send_fds(h->peer, IVM_FDS_LINKPAGE, 0, fds, counts[i]);
        hostile_expect(h, IVM_REASON_PROTOCOL);
    }
    /* of another kind, or not the first */
    hostile_at_fds(h, 0);
    ivm_peer_send_fds(h->peer, IVM_FDS_SHMEM, 0, fds, 1);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_at_fds(h, 0);
    ivm_peer_send_fds(h->peer, IVM_FDS_LINKPAGE, 1, fds, 1);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    /* with a message that carries none */
    hostile_connect(h);
    {
        struct ivm_msg_hello hello = ivm_peer_make_hello(IVM_MODE_QEMU, 0, 4);

        ivm_peer_send_raw(h->peer, &hello, sizeof(hello), fds, 3);
    }
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_up_plain(h);
    set_header(&msg.header, IVM_MSG_MAGIC, IVM_MSG_DRIVER, sizeof(msg));
    ivm_peer_send_raw(h->peer, &msg, sizeof(msg), fds, 1);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
    hostile_stop(h);
}

/* The peer alone says it holds a segment, so it must provide a good one */
static void test_fds_shmem(void)
{
    int ro, i;
    int fds[7];
    Hostile *h = hostile_start(NULL, "vectors=4");

    fds[0] = ivm_peer_memfd("a", SHMEM_BYTES, 0);
    fds[1] = ivm_peer_memfd("b", SHMEM_BYTES / 2, SEALS);
    fds[2] = ivm_peer_memfd("c", SHMEM_BYTES * 2, SEALS);
    fds[3] = ivm_peer_memfd("d", SHMEM_BYTES, SEALS | F_SEAL_WRITE);
    fds[4] = ivm_peer_memfd("e", SHMEM_BYTES, SEALS | F_SEAL_FUTURE_WRITE);
    fds[5] = eventfd(0, EFD_CLOEXEC);
    ro = ivm_peer_memfd("f", SHMEM_BYTES, SEALS);
    {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", ro);

        fds[6] = open(path, O_RDONLY | O_CLOEXEC);
    }
    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        hostile_connect(h);
        hello_as(h, IVM_MODE_QEMU, IVM_CAP_FD_PASS | IVM_CAP_SHMEM_HELD, 4);
        ivm_peer_take_fds(h->peer);
        send_linkpage(h->peer);
        ivm_peer_send_fds(h->peer, IVM_FDS_SHMEM, 0, &fds[i], 1);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        close(fds[i]);
    }
    close(ro);
    hostile_stop(h);
}

/* The content the peer kept shows up, and stays when the peer leaves */
static void test_shmem_held(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4");
    int fd = ivm_peer_memfd(IVM_SHMEM_NAME, SHMEM_BYTES, SEALS);
    uint8_t msg[IVM_MSG_MAX_BYTES];

    ivm_mem_write(&h->dev, h->dev.bar2, 0x11111111);
    g_assert_cmpint(pwrite(fd, "IVML", 4, 0), ==, 4);
    hostile_connect(h);
    hello_as(h, IVM_MODE_QEMU, IVM_CAP_FD_PASS | IVM_CAP_SHMEM_HELD, 4);
    ivm_peer_take_fds(h->peer);
    send_linkpage(h->peer);
    ivm_peer_send_fds(h->peer, IVM_FDS_SHMEM, 0, &fd, 1);
    ivm_peer_expect(h->peer, msg, IVM_MSG_ACK);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    ivm_wait_up(&h->dev);
    g_assert_cmphex(ivm_mem_read(&h->dev, h->dev.bar2), ==, 0x4c4d5649);
    hostile_leave(h);
    ivm_wait_down(&h->dev, IVM_REASON_NO_PEER);
    g_assert_cmphex(ivm_mem_read(&h->dev, h->dev.bar2), ==, 0x4c4d5649);
    close(fd);
    hostile_stop(h);
}

/* A peer that receives by irqfd sends an eventfd for each of its vectors */
static void hostile_at_eventfds(Hostile *h, uint32_t vectors)
{
    hostile_connect(h);
    hello_as(h, IVM_MODE_QEMU, IVM_CAP_FD_PASS | IVM_CAP_IRQFD, vectors);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    send_linkpage(h->peer);
}

static void test_fds_eventfds(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4,mode=auto");
    int pipes[2], bad[6], good[IVM_FDS_MAX];
    uint8_t msg[IVM_MSG_MAX_BYTES];
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        good[i] = eventfd(0, EFD_CLOEXEC);
    }
    g_assert_cmpint(pipe(pipes), ==, 0);
    bad[0] = pipes[0];
    bad[1] = pipes[1];
    bad[2] = some_file();
    bad[3] = ivm_peer_memfd("x", 4096, SEALS);
    bad[4] = socket(AF_UNIX, SOCK_STREAM, 0);
    bad[5] = open("/dev/null", O_RDWR);
    ivm_msix_setup(&h->dev, 4);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fds[] = { good[0], good[1], good[2], bad[i] };

        hostile_at_eventfds(h, 4);
        ivm_peer_send_fds(h->peer, IVM_FDS_EVENTFDS, 0, fds, 4);
        hostile_expect(h, IVM_REASON_PROTOCOL);
        close(bad[i]);
    }
    hostile_at_eventfds(h, 20);
    ivm_peer_send_fds(h->peer, IVM_FDS_EVENTFDS, 0, good, 15);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    hostile_at_eventfds(h, 20);
    ivm_peer_send_fds(h->peer, IVM_FDS_EVENTFDS, 0, good, 16);
    ivm_peer_expect(h->peer, msg, IVM_MSG_ACK);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    hostile_expect(h, IVM_REASON_PROTOCOL);
    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        close(good[i]);
    }
    hostile_stop(h);
}

/*
 * Eventfds that would block: the counter full, the description blocking.  The
 * vCPU that rings must not notice.
 */
static void test_full_eventfd(void)
{
    Hostile *h = hostile_start(NULL, "vectors=4,mode=irqfd");
    uint64_t full = UINT64_MAX - 1, got;
    uint8_t msg[IVM_MSG_MAX_BYTES];
    int fd = eventfd(0, EFD_CLOEXEC);
    unsigned i;

    hostile_at_eventfds(h, 1);
    ivm_peer_send_fds(h->peer, IVM_FDS_EVENTFDS, 0, &fd, 1);
    ivm_peer_expect(h->peer, msg, IVM_MSG_ACK);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    ivm_wait_up(&h->dev);
    g_assert_cmphex(ivm_read(&h->dev, IVM_REG_MODE) & 0xff, ==,
                    IVM_MODE_IRQFD);
    ivm_ring(&h->dev, 0, 0);
    g_assert_cmpint(read(fd, &got, 8), ==, 8);
    g_assert_cmpuint(got, ==, 1);
    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fd, &full, 8), ==, 8);
    for (i = 0; i < 10; i++) {
        ivm_ring(&h->dev, 0, 0);
    }
    g_assert_cmpuint(ivm_read(&h->dev, IVM_REG_RUNG), ==, 11);
    close(fd);
    hostile_stop(h);
}

/*
 * A peer that does not read: rings add up, none is lost, nobody waits
 */
static void test_slow_peer(void)
{
    const unsigned rings = 20000;
    Hostile *h = hostile_start(NULL, "vectors=4,mode=qemu");
    uint64_t total[4] = { }, sequence = 0, sum = 0;
    unsigned i, messages = 0;

    hostile_up_plain(h);
    for (i = 0; i < rings; i++) {
        ivm_ring(&h->dev, i % 4, i);
    }
    ivm_write(&h->dev, IVM_REG_READY, 1);
    g_assert_cmpuint(ivm_read(&h->dev, IVM_REG_RUNG), ==, rings);
    while (sum < rings) {
        union {
            struct ivm_msg_ring ring;
            uint8_t bytes[IVM_MSG_MAX_BYTES];
        } msg;
        uint16_t type;

        g_assert(ivm_peer_receive(h->peer, &msg, &type));
        if (type == IVM_MSG_DRIVER) {
            continue;
        }
        g_assert_cmpuint(type, ==, IVM_MSG_RING);
        g_assert_cmpuint(le64_to_cpu(msg.ring.sequence), ==, ++sequence);
        total[le32_to_cpu(msg.ring.vector)] += le32_to_cpu(msg.ring.count);
        sum += le32_to_cpu(msg.ring.count);
        messages++;
    }
    g_assert_cmpuint(messages, <, rings);
    for (i = 0; i < 4; i++) {
        g_assert_cmpuint(total[i], ==, rings / 4);
    }
    hostile_stop(h);
}

/* What MASK held is raised when the next link takes MASK's power away */
static void test_held_at_switch(void)
{
    Hostile *h;
    uint8_t msg[IVM_MSG_MAX_BYTES];

    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    h = hostile_start("-accel kvm", "vectors=4,mode=qemu");
    ivm_msix_setup(&h->dev, 4);
    hostile_up_plain(h);
    ivm_write(&h->dev, IVM_REG_MASK(0), 2);
    ivm_peer_ring(h->peer, 1, 1, 1);
    ivm_wait_reg(&h->dev, IVM_REG_STATUS(0), ~0u, 2);
    hostile_leave(h);
    ivm_wait_down(&h->dev, IVM_REASON_NO_PEER);
    g_assert_cmphex(ivm_read(&h->dev, IVM_REG_STATUS(0)), ==, 2);
    expect_quiet(&h->dev, 1);
    hostile_connect(h);
    hello_as(h, IVM_MODE_DIRECT, IVM_CAP_FD_PASS | IVM_CAP_IOEVENTFD |
             IVM_CAP_IRQFD, 4);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    send_linkpage(h->peer);
    g_assert_cmpuint(h->peer->events, ==, 4);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    ivm_wait_up(&h->dev);
    ivm_wait_raised(&h->dev, 1);
    g_assert_cmphex(ivm_read(&h->dev, IVM_REG_STATUS(0)), ==, 0);
    g_assert_cmphex(ivm_read(&h->dev, IVM_REG_MASK(0)), ==, 2);
    hostile_stop(h);
}

/* Old eventfds can interrupt nobody */
static void test_old_eventfds(void)
{
    Hostile *h;
    uint8_t msg[IVM_MSG_MAX_BYTES];
    uint64_t one = 1;
    int old;

    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    h = hostile_start("-accel kvm", "vectors=4,mode=qemu");
    ivm_msix_setup(&h->dev, 4);
    hostile_connect(h);
    hello_as(h, IVM_MODE_DIRECT, IVM_CAP_FD_PASS | IVM_CAP_IOEVENTFD |
             IVM_CAP_IRQFD, 4);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    ivm_peer_take_fds(h->peer);
    send_linkpage(h->peer);
    ivm_peer_expect(h->peer, msg, IVM_MSG_READY);
    ivm_peer_simple(h->peer, IVM_MSG_READY, 0);
    ivm_wait_up(&h->dev);
    old = dup(h->peer->event_fd[0]);
    g_assert_cmpint(write(old, &one, 8), ==, 8);
    ivm_wait_raised(&h->dev, 0);
    hostile_leave(h);
    ivm_wait_down(&h->dev, IVM_REASON_NO_PEER);
    g_assert_cmpint(write(old, &one, 8), ==, 8);
    expect_quiet(&h->dev, 0);
    close(old);
    hostile_stop(h);
}

/*
 * A guest whose interrupt message is a store to the slot's power switch: the
 * interrupt unplugs the device that raises it.
 */

#define ECAM 0xb0000000u
#define CAP_ID_EXP 0x10
#define EXP_SLTCTL 0x18
#define SLTCTL_POWER_OFF 0x0700     /* power controller and indicator off */

static void slot_setup(Hostile *h, IvmDev *port)
{
    IvmDev bridge = { };

    h->path = ivm_test_socket();
    h->qts = qtest_initf(
        "-S -machine q35 -m 64 -nodefaults "
        "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off "
        "-device pcie-root-port,id=rp,addr=4,chassis=1 "
        "-chardev socket,id=l0,path=%s,server=on,wait=off "
        "-device ivm-mailbox,id=m0,bus=rp,chardev=l0,vectors=4",
        h->path);
    bridge.qts = port->qts = h->qts;
    port->bdf = 4 << 3;
    ivm_config_write(&bridge, 0x60, ECAM | 1);
    ivm_config_write(port, 0x18, 0x00010100);
    ivm_config_write(port, 0x20, 0xe0f0e000);
    ivm_config_writew(port, 0x04, 0x6);
    h->dev = ivm_dev_on_bus(h->qts, "m0", 1, 0);
    hostile_up_plain(h);
    ivm_msix_setup(&h->dev, 4);
}

static void slot_off_by_msi(void (*trigger)(Hostile *h))
{
    Hostile *h = g_new0(Hostile, 1);
    IvmDev port = { };
    uint8_t cap;

    slot_setup(h, &port);
    cap = ivm_find_capability(&port, CAP_ID_EXP);
    /* On first: only a change of the switch counts */
    ivm_config_writew(&port, cap + EXP_SLTCTL, 0x0100);
    ivm_msix_mask(&h->dev, 1, true);
    ivm_msix_message(&h->dev, 1, ECAM + (4 << 15) + cap + EXP_SLTCTL,
                     SLTCTL_POWER_OFF);
    trigger(h);
    qtest_qmp_eventwait(h->qts, "DEVICE_DELETED");
    g_assert_cmphex(ivm_config_read(&h->dev, 0), ==, 0xffffffff);
    ivm_peer_expect_close(h->peer);
    hostile_stop(h);
}

static void trigger_ring(Hostile *h)
{
    ivm_msix_mask(&h->dev, 1, false);
    ivm_peer_ring(h->peer, 1, 1, 1);
    ivm_peer_ring(h->peer, 1, 1, 2);
}

static void trigger_unmask(Hostile *h)
{
    ivm_peer_ring(h->peer, 1, 1, 1);
    ivm_settle(&h->dev);
    g_assert_true(ivm_msix_pending(&h->dev, 1));
    ivm_msix_mask(&h->dev, 1, false);
}

static void trigger_mask(Hostile *h)
{
    ivm_msix_mask(&h->dev, 1, false);
    ivm_write(&h->dev, IVM_REG_MASK(0), 0xf);
    ivm_peer_ring(h->peer, 1, 1, 1);
    ivm_peer_ring(h->peer, 2, 1, 2);
    ivm_wait_reg(&h->dev, IVM_REG_STATUS(0), ~0u, 6);
    ivm_write(&h->dev, IVM_REG_MASK(0), 0);
}

static void trigger_link_down(Hostile *h)
{
    ivm_msix_mask(&h->dev, 1, false);
    ivm_write(&h->dev, IVM_REG_LINK_VECTOR, 1);
    ivm_peer_simple(h->peer, IVM_MSG_RING, 0);
}

static void test_msi_unplugs(void)
{
    if (!ivm_test_needs_pc("this board's bus has no hotplug")) {
        return;
    }
    slot_off_by_msi(trigger_ring);
    slot_off_by_msi(trigger_unmask);
    slot_off_by_msi(trigger_mask);
    slot_off_by_msi(trigger_link_down);
}

/* Other targets than a PC have no KVM: mode qemu is all they can */
static void add_mode_tests(const char *name, void (*fn)(gconstpointer))
{
    unsigned i, n = ivm_machine(qtest_get_arch())->pc ? G_N_ELEMENTS(modes) : 1;

    for (i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/ivm/%s/%s", modes[i].name,
                                                name);

        qtest_add_data_func(path, &modes[i], fn);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_mode_tests("up", test_up);
    add_mode_tests("ring", test_ring);
    add_mode_tests("256-vectors", test_256);
    add_mode_tests("msix-gates", test_gates);
    add_mode_tests("mask", test_mask);
    add_mode_tests("ready", test_ready);
    add_mode_tests("reset", test_reset);
    add_mode_tests("reconnect", test_reconnect);
    add_mode_tests("held-over-down", test_held_over_down);
    add_mode_tests("unplug", test_unplug);
    add_mode_tests("link-page", test_page);
    add_mode_tests("irqfd-attached", test_irqfd_attached);
    qtest_add_func("/ivm/agree/names-differ", test_mismatch_name);
    qtest_add_func("/ivm/agree/sides-equal", test_mismatch_side);
    qtest_add_func("/ivm/agree/shmem-differs", test_mismatch_shmem);
    qtest_add_func("/ivm/agree/mode-impossible", test_mismatch_mode);
    qtest_add_func("/ivm/agree/one-name", test_one_name);
    qtest_add_func("/ivm/agree/auto-tcg", test_auto_tcg);
    qtest_add_func("/ivm/agree/auto-kvm", test_auto_kvm);
    qtest_add_func("/ivm/agree/tcp", test_tcp);
    qtest_add_func("/ivm/peer/garbage", test_garbage);
    qtest_add_func("/ivm/peer/headers", test_headers);
    qtest_add_func("/ivm/peer/order", test_order);
    qtest_add_func("/ivm/peer/hellos", test_hellos);
    qtest_add_func("/ivm/peer/hello-longer", test_hello_longer);
    qtest_add_func("/ivm/peer/crumbs", test_crumbs);
    qtest_add_func("/ivm/peer/vanish", test_vanish);
    qtest_add_func("/ivm/peer/silent", test_silent);
    qtest_add_func("/ivm/peer/rings", test_rings);
    qtest_add_func("/ivm/peer/fds-linkpage", test_fds_linkpage);
    qtest_add_func("/ivm/peer/fds-count", test_fds_count);
    qtest_add_func("/ivm/peer/fds-shmem", test_fds_shmem);
    qtest_add_func("/ivm/peer/fds-eventfds", test_fds_eventfds);
    qtest_add_func("/ivm/peer/shmem-held", test_shmem_held);
    qtest_add_func("/ivm/peer/full-eventfd", test_full_eventfd);
    qtest_add_func("/ivm/peer/slow", test_slow_peer);
    qtest_add_func("/ivm/peer/held-at-switch", test_held_at_switch);
    qtest_add_func("/ivm/peer/old-eventfds", test_old_eventfds);
    qtest_add_func("/ivm/msi-unplugs", test_msi_unplugs);
    return g_test_run();
}
