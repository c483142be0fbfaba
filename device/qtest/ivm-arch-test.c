/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: what must not depend on architecture or byte order.
 *
 * "bytes" says what is on the wire, in the registers and in the link page
 * without the help of any structure.  "unlike" links the emulator under test
 * with those of other targets that lie beside it.
 */
#include "qemu/osdep.h"
#include <elf.h>
#include <sys/mman.h>
#include "qemu/bswap.h"
#include "ivm-test.h"

#define SIDES 2

#if HOST_BIG_ENDIAN
#define HOST_ENDIAN_BYTE "02"
#define OTHER_ENDIAN_BYTE "01"
#else
#define HOST_ENDIAN_BYTE "01"
#define OTHER_ENDIAN_BYTE "02"
#endif

/*
 * Byte by byte
 */

typedef struct End {
    char *path;
    QTestState *qts;
    IvmDev dev;
    IvmPeerSock *peer;
} End;

static End end_start(const char *options)
{
    End e = { .path = ivm_test_socket() };

    e.qts = ivm_test_start(NULL, "-chardev socket,id=l0,path=%s,server=on,"
                           "wait=off -device ivm-mailbox,id=m0,addr=5,"
                           "chardev=l0,%s", e.path, options);
    e.dev = ivm_dev(e.qts, "m0", 5);
    e.peer = ivm_peer_connect(e.path);
    return e;
}

static void end_stop(End *e)
{
    ivm_peer_free(e->peer);
    ivm_test_quit(e->qts);
    unlink(e->path);
    g_free(e->path);
}

/* @hex: two digits a byte, blanks between, ".." for whatever it may be */
static void check_bytes(const char *what, const void *got, const char *hex)
{
    const uint8_t *byte = got;
    unsigned at = 0;

    for (; *hex; hex++) {
        if (*hex == ' ') {
            continue;
        }
        if (*hex != '.' && byte[at] != (g_ascii_xdigit_value(hex[0]) << 4 |
                                        g_ascii_xdigit_value(hex[1]))) {
            g_test_message("%s, byte 0x%x: 0x%02x is not %.2s", what, at,
                           byte[at], hex);
            g_test_fail();
        }
        hex++;
        at++;
    }
}

static size_t parse_bytes(uint8_t *out, const char *hex)
{
    size_t n = 0;

    for (; *hex; hex++) {
        if (*hex != ' ') {
            out[n++] = g_ascii_xdigit_value(hex[0]) << 4 |
                       g_ascii_xdigit_value(hex[1]);
            hex++;
        }
    }
    return n;
}

static void expect_bytes(End *e, const char *what, uint16_t type,
                         const char *hex)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];

    ivm_peer_expect(e->peer, msg, type);
    check_bytes(what, msg, hex);
}

static void send_bytes(End *e, const char *hex)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];

    ivm_peer_send_raw(e->peer, msg, parse_bytes(msg, hex), NULL, 0);
}

static void check_register(End *e, uint32_t offset, const char *hex)
{
    uint8_t bytes[4];

    qtest_memread(e->qts, e->dev.bar0 + offset, bytes, sizeof(bytes));
    check_bytes("register", bytes, hex);
}

#define ZERO8 "00 00 00 00 00 00 00 00 "
#define ZERO16 ZERO8 ZERO8
#define NAME64 "61 2d 62 00 00 00 00 00 " ZERO8 ZERO16 ZERO16 ZERO16
#define HEADER "49 56 4d 47 "

#define PEER_HELLO(machine, endian, mode, caps) \
    HEADER "01 00 80 00 00 00 01 00 " machine endian "01 " \
    mode "00 00 00 " caps "00 00 00 00 01 00 00 00 00 00 00 " \
    "00 00 01 00 00 00 00 00 67 45 23 01 00 00 00 00 " NAME64 ZERO16

static void check_hello(End *e)
{
    expect_bytes(e, "HELLO", IVM_MSG_HELLO,
                 HEADER "01 00 80 00 00 00 01 00 .. .. "
                 HOST_ENDIAN_BYTE " 00 01 00 00 00 01 00 00 00 "
                 "c8 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 "
                 ".. .. .. .. .. .. .. .. " NAME64 ZERO16);
}

static void check_identity(End *e)
{
    check_register(e, IVM_REG_ID, "49 56 4d 42");
    check_register(e, IVM_REG_VERSION, "00 00 01 00");
    check_register(e, IVM_REG_VECTORS, "c8 00 00 00");
    check_register(e, IVM_REG_SHMEM_SIZE, "10 00 00 00");
}

static void test_bytes_wire(void)
{
    End e = end_start("vectors=200,shmem=64K,mode=qemu,link=a-b");
    uint8_t word[4];

    check_identity(&e);
    check_hello(&e);
    send_bytes(&e, PEER_HELLO("00 00 ", HOST_ENDIAN_BYTE " ", "01 ", "00 "));
    expect_bytes(&e, "READY", IVM_MSG_READY,
                 HEADER "04 00 20 00 " ZERO8 ZERO16);
    send_bytes(&e, HEADER "04 00 20 00 " ZERO8 ZERO16);
    ivm_wait_up(&e.dev);
    check_register(&e, IVM_REG_LINK, "01 01 00 00");
    check_register(&e, IVM_REG_MODE, "01 01 00 00");
    check_register(&e, IVM_REG_PEER_VECTORS, "00 01 00 00");

    ivm_ring(&e.dev, 0xfe, 0x11223344);
    expect_bytes(&e, "RING", IVM_MSG_RING,
                 HEADER "06 00 20 00 fe 00 00 00 01 00 00 00 "
                 "01 00 00 00 00 00 00 00 44 33 22 11 00 00 00 00");
    ivm_write(&e.dev, IVM_REG_READY, IVM_READY);
    expect_bytes(&e, "DRIVER", IVM_MSG_DRIVER,
                 HEADER "05 00 20 00 01 00 00 00 00 00 00 00 " ZERO16);

    ivm_msix_setup(&e.dev, 200);
    send_bytes(&e, HEADER "05 00 20 00 01 00 00 00 00 00 00 00 " ZERO16);
    send_bytes(&e, HEADER "06 00 20 00 a1 00 00 00 02 00 00 00 "
               "01 00 00 00 00 00 00 00 44 33 22 11 00 00 00 00");
    ivm_wait_reg(&e.dev, IVM_REG_STATUS(5), ~0u, 2);
    check_register(&e, IVM_REG_STATUS(5), "02 00 00 00");
    check_register(&e, IVM_REG_PEER_READY, "01 00 00 00");
    qtest_memread(e.qts, e.dev.msi_base + 4 * 0xa1, word, sizeof(word));
    check_bytes("MSI", word, "a1 00 00 4d");
    end_stop(&e);
}

/* Descriptors: the page this end shows, and the FDS and ACK around it */
static void test_bytes_page(void)
{
    End e = end_start("vectors=200,shmem=64K,mode=qemu,link=a-b");
    uint8_t page[sizeof(struct ivm_linkpage)];

    check_hello(&e);
    send_bytes(&e, PEER_HELLO("00 00 ", HOST_ENDIAN_BYTE " ", "01 ", "01 "));
    expect_bytes(&e, "FDS", IVM_MSG_FDS,
                 HEADER "02 00 20 00 01 00 00 00 00 00 00 00 01 00 00 00 "
                 "00 00 00 00 " ZERO8);
    send_bytes(&e, HEADER "03 00 20 00 01 00 00 00 00 00 00 00 01 00 00 00 "
               "00 00 00 00 " ZERO8);
    expect_bytes(&e, "FDS", IVM_MSG_FDS,
                 HEADER "02 00 20 00 02 00 00 00 00 00 00 00 01 00 00 00 "
                 "00 00 00 00 " ZERO8);
    g_assert_cmpint(pread(e.peer->page_fd, page, sizeof(page), 0), ==,
                    sizeof(page));
    check_bytes("link page", page,
                "49 56 4c 50 01 00 01 00 a0 30 00 00 .. .. .. .. "
                ZERO8 "00 00 00 .. 00 00 00 00 00 00 01 00 00 00 00 00 "
                "00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 "
                "00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 "
                "02 00 00 00 c8 00 00 00 00 00 00 00 .. 00 00 00 " NAME64);
    g_assert_cmphex(page[0x1b], ==, e.dev.bar0 >> 24);
    end_stop(&e);
}

/* A peer that says it can do all, from a host where it cannot */
static void check_stranger(const char *hello, const char *mode, bool up)
{
    g_autofree char *options = g_strdup_printf("vectors=200,shmem=64K,mode=%s",
                                               mode);
    End e = end_start(options);
    uint8_t msg[IVM_MSG_MAX_BYTES];

    ivm_peer_expect(e.peer, msg, IVM_MSG_HELLO);
    send_bytes(&e, hello);
    if (up) {
        ivm_peer_expect(e.peer, msg, IVM_MSG_READY);
    } else {
        ivm_peer_expect_close(e.peer);
        ivm_wait_down(&e.dev, IVM_REASON_MODE);
    }
    end_stop(&e);
}

static void test_strangers(void)
{
    check_stranger(PEER_HELLO("16 00 ", OTHER_ENDIAN_BYTE " ", "01 ", "07 "),
                   "qemu", true);
    check_stranger(PEER_HELLO("16 00 ", OTHER_ENDIAN_BYTE " ", "04 ", "07 "),
                   "auto", true);
    check_stranger(PEER_HELLO("16 00 ", OTHER_ENDIAN_BYTE " ", "01 ", "07 "),
                   "irqfd", false);
    check_stranger(PEER_HELLO("16 00 ", OTHER_ENDIAN_BYTE " ", "03 ", "07 "),
                   "auto", false);
    /* The same byte order, but no machine has two architectures */
    check_stranger(PEER_HELLO("f3 00 ", HOST_ENDIAN_BYTE " ", "01 ", "07 "),
                   "irqfd", false);
}

/*
 * Two targets
 */

typedef struct Two {
    char *path;
    QTestState *qts[SIDES];
    IvmDev dev[SIDES];
} Two;

static const char *const archs[] = { "x86_64", "aarch64", "ppc64" };

static bool other_missing(const char *arch)
{
    g_autofree char *emulator = ivm_test_emulator(arch);

    if (emulator) {
        return false;
    }
    g_test_skip("no emulator of the other target beside the tested one");
    return true;
}

static Two *two_start(const char *other, const char *accel,
                      const char *const *options)
{
    Two *t = g_new0(Two, 1);

    t->path = ivm_test_socket();
    t->qts[0] = ivm_test_start(
        accel, "-chardev socket,id=l0,path=%s,server=on,wait=off "
        "-device ivm-mailbox,id=m0,addr=5,chardev=l0,%s", t->path, options[0]);
    t->qts[1] = ivm_test_start_arch(
        other, NULL, "-chardev socket,id=l0,path=%s,reconnect=1 "
        "-device ivm-mailbox,id=m0,addr=6,chardev=l0,%s", t->path, options[1]);
    t->dev[0] = ivm_dev(t->qts[0], "m0", 5);
    t->dev[1] = ivm_dev(t->qts[1], "m0", 6);
    return t;
}

static void two_stop(Two *t)
{
    unsigned i;

    for (i = 0; i < SIDES; i++) {
        ivm_test_quit(t->qts[i]);
    }
    unlink(t->path);
    g_free(t->path);
    g_free(t);
}

static void check_two_registers(Two *t)
{
    static const uint32_t vectors[SIDES] = { 7, 200 };
    unsigned i;

    for (i = 0; i < SIDES; i++) {
        IvmDev *dev = &t->dev[i];

        g_assert_cmphex(ivm_read(dev, IVM_REG_ID), ==, IVM_ID);
        g_assert_cmphex(ivm_read(dev, IVM_REG_SIDE), ==, i);
        g_assert_cmphex(ivm_read(dev, IVM_REG_MODE), ==, 0x0101);
        g_assert_cmpuint(ivm_read(dev, IVM_REG_VECTORS), ==, vectors[i]);
        g_assert_cmpuint(ivm_read(dev, IVM_REG_PEER_VECTORS), ==, vectors[!i]);
        g_assert_cmphex(ivm_read(dev, IVM_REG_FEATURES), ==,
                        IVM_FEATURE_SHMEM | IVM_FEATURE_IRQ_CTRL);
    }
}

/* What one guest stores byte by byte the other reads as bytes and as words */
static void check_two_memory(Two *t)
{
    static const uint8_t bytes[] = { 0x78, 0x56, 0x34, 0x12 };
    uint8_t got[4];
    unsigned i;

    for (i = 0; i < SIDES; i++) {
        IvmDev *to = &t->dev[!i];

        qtest_memwrite(t->qts[i], t->dev[i].bar2 + 64 * i, bytes, 4);
        qtest_memread(t->qts[!i], to->bar2 + 64 * i, got, 4);
        g_assert_cmpmem(got, 4, bytes, 4);
        g_assert_cmphex(ivm_mem_read(to, to->bar2 + 64 * i), ==, 0x12345678);
    }
}

static void check_two_rings(Two *t, const uint32_t *vector)
{
    unsigned i, round;

    for (i = 0; i < SIDES; i++) {
        IvmDev *to = &t->dev[!i];

        ivm_msix_setup(to, vector[i] + 1);
        for (round = 0; round < 10; round++) {
            ivm_ring(&t->dev[i], vector[i], 0xc0de0000 + round);
            ivm_wait_raised(to, vector[i]);
        }
        ivm_settle(to);
        g_assert_false(ivm_raised(to, vector[i]));
        g_assert_cmpuint(ivm_read(&t->dev[i], IVM_REG_RUNG), ==, 10);
        g_assert_cmpuint(ivm_read(&t->dev[i], IVM_REG_DROPPED), ==, 0);
        g_assert_cmphex(ivm_read(to, IVM_REG_STATUS(vector[i] / 32)), ==,
                        1u << vector[i] % 32);
    }
}

static void test_two(gconstpointer data)
{
    static const char *const options[] = { "vectors=7,mode=qemu,link=a-b",
                                           "vectors=200,mode=qemu" };
    static const uint32_t vector[SIDES] = { 199, 6 };
    Two *t;

    if (other_missing(data)) {
        return;
    }
    t = two_start(data, NULL, options);
    ivm_wait_up(&t->dev[0]);
    ivm_wait_up(&t->dev[1]);
    check_two_registers(t);
    check_two_memory(t);
    check_two_rings(t, vector);
    two_stop(t);
}

/* KVM here and TCG there: what cannot be is refused, `auto` takes what can */
static void test_two_modes(gconstpointer data)
{
    static const char *const wanted[] = { "mode=direct", "mode=qemu" };
    static const char *const best[] = { "mode=auto", "mode=auto" };
    g_autofree char *reason = NULL;
    Two *t;

    if (!ivm_test_have_kvm()) {
        g_test_skip("no KVM here for this target");
        return;
    }
    if (other_missing(data)) {
        return;
    }
    t = two_start(data, "-accel kvm", wanted);
    ivm_wait_down(&t->dev[0], IVM_REASON_MODE);
    ivm_wait_down(&t->dev[1], IVM_REASON_MODE);
    reason = ivm_property(&t->dev[0], "link-reason");
    g_assert_cmpstr(reason, ==, "mode not possible");
    two_stop(t);

    t = two_start(data, "-accel kvm", best);
    ivm_wait_up(&t->dev[0]);
    ivm_wait_up(&t->dev[1]);
    /* Whoever is without KVM receives by QEMU, whoever has it by its irqfd */
    g_assert_cmphex(ivm_read(&t->dev[0], IVM_REG_MODE), ==,
                    IVM_MODE_IRQFD << 8 | IVM_MODE_QEMU);
    g_assert_cmphex(ivm_read(&t->dev[1], IVM_REG_MODE), ==,
                    IVM_MODE_QEMU << 8 | IVM_MODE_IRQFD);
    two_stop(t);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/ivm/bytes/wire", test_bytes_wire);
    qtest_add_func("/ivm/bytes/link-page", test_bytes_page);
    qtest_add_func("/ivm/bytes/strangers", test_strangers);
    for (i = 0; i < G_N_ELEMENTS(archs); i++) {
        g_autofree char *pair = g_strdup_printf("/ivm/unlike/%s", archs[i]);
        g_autofree char *mode = g_strdup_printf("/ivm/unlike-modes/%s",
                                                archs[i]);

        qtest_add_data_func(pair, archs[i], test_two);
        if (!g_str_equal(archs[i], qtest_get_arch())) {
            qtest_add_data_func(mode, archs[i], test_two_modes);
        }
    }
    return g_test_run();
}
