/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/un.h>
#if __has_include("qobject/qdict.h")
#include "qobject/qdict.h"
#else
#include "qapi/qmp/qdict.h"
#endif
#include "qemu/bswap.h"
#include "ivm-test.h"

#define MSIX_CAP_ID 0x11
#define MSIX_CONTROL 2
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASKALL 0x4000
#define MSI_VALUE(vector) (0x4d000000u | (vector))

/*
 * QEMU
 */

char *ivm_test_socket(void)
{
    static unsigned n;

    return g_strdup_printf("%s/ivm-%d-%u.sock", g_get_tmp_dir(), getpid(),
                           n++);
}

bool ivm_test_have_kvm(void)
{
    return ivm_machine(qtest_get_arch())->pc && qtest_has_accel("kvm") &&
           access("/dev/kvm", R_OK | W_OK) == 0;
}

/* Returns: false, and the test is skipped, if only a PC has what it needs */
bool ivm_test_needs_pc(const char *what)
{
    if (!ivm_machine(qtest_get_arch())->pc) {
        g_test_skip(what);
        return false;
    }
    return true;
}

/* What libqtest does not keep: process ids before 8.0, and the board */
typedef struct Qemu {
    const IvmMachine *machine;
    pid_t pid;
} Qemu;

static GHashTable *qemus;

static const IvmMachine *machine_of(QTestState *qts)
{
    Qemu *qemu = qemus ? g_hash_table_lookup(qemus, qts) : NULL;

    return qemu ? qemu->machine : ivm_machine(qtest_get_arch());
}

static pid_t read_pid_file(const char *path)
{
    g_autofree char *text = NULL;

    g_assert(g_file_get_contents(path, &text, NULL, NULL));
    return atoi(text);
}

static QTestState *start(const IvmMachine *machine, const char *accel,
                         const char *args)
{
    g_autofree char *pid_file = g_strdup_printf("%s/ivm-%d.pid",
                                                g_get_tmp_dir(), getpid());
    g_autofree char *dispose = NULL;
    g_autofree char *board = ivm_machine_args(machine, &dispose);
    Qemu *qemu = g_new0(Qemu, 1);
    QTestState *qts;

    qts = qtest_initf("%s -S %s -m 64 -nodefaults -pidfile %s %s",
                      accel ? accel : "", board, pid_file, args);
    *qemu = (Qemu){ machine, read_pid_file(pid_file) };
    unlink(pid_file);
    if (dispose) {
        unlink(dispose);
    }
    if (!qemus) {
        qemus = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }
    g_hash_table_insert(qemus, qts, qemu);
    ivm_machine_setup(machine, qts);
    return qts;
}

/* No guest code runs: under KVM the machine is left stopped */
QTestState *ivm_test_start(const char *accel, const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return start(ivm_machine(qtest_get_arch()), accel, args);
}

/* Returns: the emulator of @arch beside the one under test, NULL if none is */
char *ivm_test_emulator(const char *arch)
{
    g_autofree char *dir = g_path_get_dirname(getenv("QTEST_QEMU_BINARY"));
    char *path = g_strdup_printf("%s/qemu-system-%s", dir, arch);

    if (access(path, X_OK) < 0) {
        g_free(path);
        return NULL;
    }
    return path;
}

/* The same with the board of another target; libqtest knows but one */
QTestState *ivm_test_start_arch(const char *arch, const char *accel,
                                const char *fmt, ...)
{
    g_autofree char *tested = g_strdup(getenv("QTEST_QEMU_BINARY"));
    g_autofree char *emulator = ivm_test_emulator(arch);
    g_autofree char *args = NULL;
    QTestState *qts;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    setenv("QTEST_QEMU_BINARY", emulator, 1);
    qts = start(ivm_machine(arch), accel, args);
    setenv("QTEST_QEMU_BINARY", tested, 1);
    return qts;
}

pid_t ivm_test_pid(QTestState *qts)
{
    Qemu *qemu = g_hash_table_lookup(qemus, qts);

    return qemu->pid;
}

void ivm_test_quit(QTestState *qts)
{
    if (qemus) {
        g_hash_table_remove(qemus, qts);
    }
    qtest_quit(qts);
}

void ivm_test_reset(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'system_reset'}");

    g_assert(qdict_haskey(response, "return"));
    qobject_unref(response);
    qtest_qmp_eventwait(qts, "RESET");
}

/*
 * PCI
 */

uint32_t ivm_config_read(IvmDev *dev, uint8_t offset)
{
    return ivm_machine_config_read(machine_of(dev->qts), dev->qts, dev->bdf,
                                   offset);
}

void ivm_config_write(IvmDev *dev, uint8_t offset, uint32_t value)
{
    ivm_machine_config_write(machine_of(dev->qts), dev->qts, dev->bdf, offset,
                             value);
}

void ivm_config_writew(IvmDev *dev, uint8_t offset, uint16_t value)
{
    ivm_machine_config_writew(machine_of(dev->qts), dev->qts, dev->bdf, offset,
                              value);
}

uint32_t ivm_mem_read(IvmDev *dev, uint64_t at)
{
    return ivm_load(machine_of(dev->qts), dev->qts, at);
}

void ivm_mem_write(IvmDev *dev, uint64_t at, uint32_t value)
{
    ivm_store(machine_of(dev->qts), dev->qts, at, value);
}

uint8_t ivm_find_capability(IvmDev *dev, uint8_t id)
{
    uint8_t offset = ivm_config_read(dev, 0x34) & 0xfc;

    while (offset) {
        uint32_t cap = ivm_config_read(dev, offset);

        if ((cap & 0xff) == id) {
            return offset;
        }
        offset = cap >> 8 & 0xfc;
    }
    return 0;
}

void ivm_dev_place(IvmDev *dev)
{
    ivm_config_write(dev, 0x10, dev->bar0);
    ivm_config_write(dev, 0x14, dev->bar1);
    ivm_config_write(dev, 0x18, dev->bar2);
    ivm_config_write(dev, 0x1c, 0);
    ivm_config_writew(dev, 0x04, 0x6);
}

IvmDev ivm_dev(QTestState *qts, const char *id, unsigned slot)
{
    return ivm_dev_on_bus(qts, id, 0, slot);
}

IvmDev ivm_dev_on_bus(QTestState *qts, const char *id, unsigned bus,
                      unsigned slot)
{
    const IvmMachine *machine = machine_of(qts);
    IvmDev dev = {
        .qts = qts,
        .id = id,
        .bdf = bus << 8 | slot << 3,
        .bar0 = machine->bars + slot * 0x1000000,
        .msi_base = machine->messages + slot * 0x10000,
    };

    dev.bar1 = dev.bar0 + 0x10000;
    dev.bar2 = dev.bar0 + 0x800000;
    g_assert_cmphex(ivm_config_read(&dev, 0), ==,
                    IVM_PCI_DEVICE_ID << 16 | IVM_PCI_VENDOR_ID);
    dev.msix_cap = ivm_find_capability(&dev, MSIX_CAP_ID);
    g_assert_cmpuint(dev.msix_cap, !=, 0);
    ivm_dev_place(&dev);
    return dev;
}

uint32_t ivm_read(IvmDev *dev, uint32_t offset)
{
    return ivm_mem_read(dev, dev->bar0 + offset);
}

void ivm_write(IvmDev *dev, uint32_t offset, uint32_t value)
{
    ivm_mem_write(dev, dev->bar0 + offset, value);
}

void ivm_ring(IvmDev *dev, unsigned vector, uint32_t cookie)
{
    ivm_write(dev, IVM_DOORBELL(vector), cookie);
}

/*
 * MSI-X
 */

void ivm_msix_enable(IvmDev *dev, bool enable, bool mask_all)
{
    ivm_config_writew(dev, dev->msix_cap + MSIX_CONTROL,
                      (enable ? MSIX_CONTROL_ENABLE : 0) |
                      (mask_all ? MSIX_CONTROL_MASKALL : 0));
}

void ivm_msix_message(IvmDev *dev, unsigned vector, uint64_t address,
                      uint32_t data)
{
    uint64_t entry = dev->bar1 + 16 * vector;

    ivm_mem_write(dev, entry, address);
    ivm_mem_write(dev, entry + 4, address >> 32);
    ivm_mem_write(dev, entry + 8, data);
}

void ivm_msix_setup(IvmDev *dev, unsigned vectors)
{
    unsigned v;

    for (v = 0; v < vectors; v++) {
        ivm_msix_message(dev, v, dev->msi_base + 4 * v, MSI_VALUE(v));
        ivm_msix_mask(dev, v, false);
    }
    ivm_msix_enable(dev, true, false);
}

void ivm_msix_mask(IvmDev *dev, unsigned vector, bool mask)
{
    ivm_mem_write(dev, dev->bar1 + 16 * vector + 12, mask);
}

bool ivm_msix_pending(IvmDev *dev, unsigned vector)
{
    uint32_t pba = ivm_config_read(dev, dev->msix_cap + 8);

    g_assert_cmpuint(pba & 7, ==, IVM_BAR_MSIX);
    return ivm_mem_read(dev, dev->bar1 + (pba & ~7u) + vector / 32 * 4) &
           1u << vector % 32;
}

void ivm_bus_master(IvmDev *dev, bool on)
{
    ivm_config_writew(dev, 0x04, on ? 0x6 : 0x2);
}

bool ivm_raised(IvmDev *dev, unsigned vector)
{
    uint64_t address = dev->msi_base + 4 * vector;
    uint32_t value = ivm_mem_read(dev, address);

    if (!value) {
        return false;
    }
    g_assert_cmphex(value, ==, MSI_VALUE(vector));
    ivm_mem_write(dev, address, 0);
    return true;
}

static gint64 deadline(void)
{
    return g_get_monotonic_time() + IVM_TEST_DEADLINE_S * G_USEC_PER_SEC;
}

void ivm_wait_raised(IvmDev *dev, unsigned vector)
{
    gint64 end = deadline();

    while (!ivm_raised(dev, vector)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/*
 * Chardev and eventfd handlers run in the main loop, and so do QMP commands:
 * a few of those later what was in a socket has been read.
 */
void ivm_settle(IvmDev *dev)
{
    unsigned i;

    for (i = 0; i < 5; i++) {
        g_usleep(2000);
        g_free(ivm_property(dev, "link-state"));
    }
}

/*
 * Link
 */

void ivm_wait_reg(IvmDev *dev, uint32_t offset, uint32_t mask, uint32_t value)
{
    gint64 end = deadline();

    while ((ivm_read(dev, offset) & mask) != value) {
        if (g_get_monotonic_time() > end) {
            g_assert_cmphex(ivm_read(dev, offset) & mask, ==, value);
        }
        g_usleep(1000);
    }
}

void ivm_wait_up(IvmDev *dev)
{
    ivm_wait_reg(dev, IVM_REG_LINK, IVM_LINK_UP, IVM_LINK_UP);
}

void ivm_wait_down(IvmDev *dev, uint32_t reason)
{
    ivm_wait_reg(dev, IVM_REG_LINK, 0xff, reason << IVM_LINK_REASON_SHIFT);
}

char *ivm_property(IvmDev *dev, const char *name)
{
    QDict *response = qtest_qmp(dev->qts, "{'execute': 'qom-get', 'arguments':"
                                "{'path': %s, 'property': %s}}", dev->id, name);
    char *value;

    g_assert(qdict_haskey(response, "return"));
    value = g_strdup(qdict_get_str(response, "return"));
    qobject_unref(response);
    return value;
}

/*
 * Peer
 */

IvmPeerSock *ivm_peer_connect(const char *path)
{
    IvmPeerSock *peer = g_new0(IvmPeerSock, 1);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    gint64 end = deadline();

    peer->page_fd = -1;
    peer->shmem_fd = -1;
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(peer->fd, >=, 0);
    g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    while (connect(peer->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return peer;
}

void ivm_peer_free(IvmPeerSock *peer)
{
    unsigned i;

    close(peer->fd);
    if (peer->page_fd >= 0) {
        close(peer->page_fd);
    }
    if (peer->shmem_fd >= 0) {
        close(peer->shmem_fd);
    }
    for (i = 0; i < peer->events; i++) {
        close(peer->event_fd[i]);
    }
    g_free(peer);
}

/* The device may have closed already: that is for the caller to find out */
void ivm_peer_send_raw(IvmPeerSock *peer, const void *buf, size_t bytes,
                       const int *fds, unsigned nfds)
{
    char control[CMSG_SPACE(64 * sizeof(int))] = { };
    struct iovec iov = { .iov_base = (void *)buf, .iov_len = bytes };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    g_assert_cmpuint(nfds, <=, 64);
    if (nfds) {
        struct cmsghdr *cmsg;

        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
    }
    if (sendmsg(peer->fd, &msg, MSG_NOSIGNAL) < 0) {
        g_assert(errno == EPIPE || errno == ECONNRESET);
    }
}

static void peer_take_cmsg(struct msghdr *msg, int *fds,
                           unsigned *nfds)
{
    struct cmsghdr *cmsg;

    *nfds = 0;
    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        g_assert_cmpint(cmsg->cmsg_type, ==, SCM_RIGHTS);
        *nfds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        g_assert_cmpuint(*nfds, <=, IVM_FDS_MAX);
        memcpy(fds, CMSG_DATA(cmsg), *nfds * sizeof(int));
    }
}

static void peer_keep_fds(IvmPeerSock *peer, const struct ivm_msg_fds *msg,
                          const int *fds, unsigned nfds)
{
    unsigned i;

    g_assert_cmpuint(le32_to_cpu(msg->count), ==, nfds);
    switch (le32_to_cpu(msg->kind)) {
    case IVM_FDS_LINKPAGE:
        peer->page_fd = fds[0];
        break;
    case IVM_FDS_SHMEM:
        peer->shmem_fd = fds[0];
        break;
    case IVM_FDS_EVENTFDS:
        g_assert_cmpuint(le32_to_cpu(msg->first), ==, peer->events);
        for (i = 0; i < nfds; i++) {
            peer->event_fd[peer->events++] = fds[i];
        }
        break;
    default:
        g_assert_not_reached();
    }
}

/* Returns: false at the end of the connection */
static bool peer_read(IvmPeerSock *peer, void *buf, size_t bytes, int *fds,
                      unsigned *nfds)
{
    char control[CMSG_SPACE(IVM_FDS_MAX * sizeof(int))];
    size_t done = 0;

    *nfds = 0;
    while (done < bytes) {
        struct pollfd pfd = { .fd = peer->fd, .events = POLLIN };
        struct iovec iov = { (char *)buf + done, bytes - done };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = control, .msg_controllen = sizeof(control),
        };
        unsigned n;
        ssize_t ret;

        g_assert_cmpint(poll(&pfd, 1, IVM_TEST_DEADLINE_S * 1000), ==, 1);
        ret = recvmsg(peer->fd, &msg, MSG_CMSG_CLOEXEC);
        if (ret <= 0) {
            g_assert(ret == 0 || errno == ECONNRESET);
            return false;
        }
        peer_take_cmsg(&msg, fds, &n);
        *nfds += n;
        done += ret;
    }
    return true;
}

/* One whole message into @msg, which must hold IVM_MSG_MAX_BYTES */
bool ivm_peer_receive(IvmPeerSock *peer, void *msg, uint16_t *type)
{
    struct ivm_msg_header *header = msg;
    int fds[IVM_FDS_MAX];
    unsigned nfds, more;
    size_t bytes;

    if (!peer_read(peer, msg, IVM_MSG_UNIT, fds, &nfds)) {
        return false;
    }
    g_assert_cmphex(le32_to_cpu(header->magic), ==, IVM_MSG_MAGIC);
    bytes = le16_to_cpu(header->bytes);
    g_assert_cmpuint(bytes % IVM_MSG_UNIT, ==, 0);
    g_assert_cmpuint(bytes, <=, IVM_MSG_MAX_BYTES);
    if (bytes > IVM_MSG_UNIT) {
        int unused[IVM_FDS_MAX];

        g_assert(peer_read(peer, (char *)msg + IVM_MSG_UNIT,
                           bytes - IVM_MSG_UNIT, unused, &more));
        g_assert_cmpuint(more, ==, 0);
    }
    *type = le16_to_cpu(header->type);
    if (*type == IVM_MSG_FDS) {
        peer_keep_fds(peer, msg, fds, nfds);
    } else {
        g_assert_cmpuint(nfds, ==, 0);
    }
    return true;
}

void ivm_peer_expect(IvmPeerSock *peer, void *msg, uint16_t type)
{
    uint16_t got;

    g_assert(ivm_peer_receive(peer, msg, &got));
    g_assert_cmpuint(got, ==, type);
}

/* BYE or not, but the end */
void ivm_peer_expect_close(IvmPeerSock *peer)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];
    uint16_t type;

    while (ivm_peer_receive(peer, msg, &type)) {
        /* what was on its way */
    }
}

static void peer_header(struct ivm_msg_header *header, uint16_t type,
                        uint16_t bytes)
{
    header->magic = cpu_to_le32(IVM_MSG_MAGIC);
    header->type = cpu_to_le16(type);
    header->bytes = cpu_to_le16(bytes);
}

struct ivm_msg_hello ivm_peer_make_hello(uint32_t mode, uint32_t caps,
                                         uint32_t vectors)
{
    struct ivm_msg_hello hello = {
        .version = cpu_to_le32(IVM_LINK_VERSION),
        .endian = IVM_ENDIAN_LITTLE,
        .side = IVM_SIDE_CLIENT,
        .mode = cpu_to_le32(mode),
        .caps = cpu_to_le32(caps),
        .vectors = cpu_to_le32(vectors),
        .shmem_bytes = cpu_to_le64(1 << 20),
        .link_id = cpu_to_le64(0x1234567),
    };

    peer_header(&hello.header, IVM_MSG_HELLO, sizeof(hello));
    return hello;
}

/* Both HELLOs */
void ivm_peer_hello(IvmPeerSock *peer, const struct ivm_msg_hello *hello)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];

    ivm_peer_expect(peer, msg, IVM_MSG_HELLO);
    memcpy(&peer->hello, msg, sizeof(peer->hello));
    ivm_peer_send_raw(peer, hello, sizeof(*hello), NULL, 0);
}

void ivm_peer_send_fds(IvmPeerSock *peer, uint32_t kind, uint32_t first,
                       const int *fds, unsigned count)
{
    struct ivm_msg_fds msg = {
        .kind = cpu_to_le32(kind),
        .first = cpu_to_le32(first),
        .count = cpu_to_le32(count),
    };

    peer_header(&msg.header, IVM_MSG_FDS, sizeof(msg));
    ivm_peer_send_raw(peer, &msg, sizeof(msg), fds, count);
}

/* Receive one FDS and acknowledge it */
void ivm_peer_take_fds(IvmPeerSock *peer)
{
    uint8_t msg[IVM_MSG_MAX_BYTES];
    struct ivm_msg_fds ack;

    ivm_peer_expect(peer, msg, IVM_MSG_FDS);
    memcpy(&ack, msg, sizeof(ack));
    peer_header(&ack.header, IVM_MSG_ACK, sizeof(ack));
    ivm_peer_send_raw(peer, &ack, sizeof(ack), NULL, 0);
}

/* READY, DRIVER, BYE: a header and perhaps a number */
void ivm_peer_simple(IvmPeerSock *peer, uint16_t type, uint32_t value)
{
    struct ivm_msg_driver msg = { .ready = cpu_to_le32(value) };

    peer_header(&msg.header, type, sizeof(msg));
    ivm_peer_send_raw(peer, &msg, sizeof(msg), NULL, 0);
}

void ivm_peer_ring(IvmPeerSock *peer, uint32_t vector, uint32_t count,
                   uint64_t sequence)
{
    struct ivm_msg_ring msg = {
        .vector = cpu_to_le32(vector),
        .count = cpu_to_le32(count),
        .sequence = cpu_to_le64(sequence),
    };

    peer_header(&msg.header, IVM_MSG_RING, sizeof(msg));
    ivm_peer_send_raw(peer, &msg, sizeof(msg), NULL, 0);
}

int ivm_peer_memfd(const char *name, uint64_t bytes, unsigned seals)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    if (seals) {
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    }
    return fd;
}
