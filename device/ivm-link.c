/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: the protocol with the peer, see ivm-link-proto.h.
 *
 * Nothing here waits.  The peer is not trusted with this process's memory:
 * every field is checked before use, and whatever does not fit takes the link
 * down.  That, and everything else that ends a connection, is left to a bottom
 * half: the chardev may report that it closed from inside a write, with its
 * lock held, on a vCPU thread.
 */
#include "qemu/osdep.h"
#include <elf.h>
#include <sys/resource.h>
#include <glib-unix.h>
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/guest-random.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "chardev/char-socket.h"
#include "ivm-mailbox.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_hello) != 128);
QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_fds) != IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_ready) != IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_driver) != IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_ring) != IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof(struct ivm_msg_bye) != IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof_field(IvmLink, rx) % IVM_MSG_UNIT);
QEMU_BUILD_BUG_ON(sizeof_field(IvmLink, rx) < IVM_MSG_MAX_BYTES);

/* A peer that connects and then says nothing keeps others from connecting */
#define IVM_HANDSHAKE_MS 10000

#if defined(__x86_64__)
#define IVM_HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define IVM_HOST_MACHINE EM_AARCH64
#elif defined(__s390x__)
#define IVM_HOST_MACHINE EM_S390
#elif defined(__powerpc64__)
#define IVM_HOST_MACHINE EM_PPC64
#elif defined(__riscv)
#define IVM_HOST_MACHINE EM_RISCV
#else
#define IVM_HOST_MACHINE EM_NONE
#endif

#define IVM_HOST_ENDIAN (HOST_BIG_ENDIAN ? IVM_ENDIAN_BIG : IVM_ENDIAN_LITTLE)

static void ivm_link_flush(IvmMailbox *s);

static SocketChardev *ivm_link_chardev(IvmMailbox *s)
{
    return SOCKET_CHARDEV(s->chr.chr);
}

/* Returns: the descriptor of the connection, or -1 */
int ivm_link_socket_fd(IvmMailbox *s)
{
    SocketChardev *sock;

    if (s->link.state == IVM_LINK_CLOSED || s->link.closed || !s->chr.chr) {
        return -1;
    }
    sock = ivm_link_chardev(s);
    return sock->sioc ? sock->sioc->fd : -1;
}

/* Text that can be shown on a terminal as it is */
bool ivm_link_name_valid(const char *name, size_t bytes)
{
    size_t len = strnlen(name, bytes);
    size_t i;

    if (len == bytes || !g_utf8_validate(name, len, NULL)) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/*
 * Giving up
 */

static void G_GNUC_PRINTF(3, 4)
ivm_link_fail(IvmMailbox *s, uint32_t reason, const char *fmt, ...)
{
    va_list ap;

    if (s->link.failed) {
        return;
    }
    s->link.failed = true;
    s->link.fail_reason = reason;
    va_start(ap, fmt);
    s->link.fail_text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    trace_ivm_link_fail(ivm_label(s), reason, s->link.fail_text);
    qemu_bh_schedule(s->bh);
}

static void ivm_link_warn(IvmMailbox *s)
{
    uint32_t bit = 1u << s->link.fail_reason;

    if (!(s->warned_reasons & bit)) {
        s->warned_reasons |= bit;
        warn_report("ivm-mailbox %s: no link: %s", ivm_label(s),
                    s->link.fail_text);
    }
}

static void ivm_link_init_header(struct ivm_msg_header *header, uint16_t type,
                                 uint16_t bytes)
{
    header->magic = cpu_to_le32(IVM_MSG_MAGIC);
    header->type = cpu_to_le16(type);
    header->bytes = cpu_to_le16(bytes);
}

/* Best effort: the connection is closed next, whether this is taken or not */
static void ivm_link_say_bye(IvmMailbox *s)
{
    struct ivm_msg_bye bye = { .reason = cpu_to_le32(s->link.fail_reason) };

    ivm_link_init_header(&bye.header, IVM_MSG_BYE, sizeof(bye));
    if (s->link.tx_bytes == 0) {
        qemu_chr_fe_write(&s->chr, (uint8_t *)&bye, sizeof(bye));
    }
}

static void ivm_link_drop_fds(IvmLink *link)
{
    while (link->rx_nfds > 0) {
        int fd = link->rx_fds[--link->rx_nfds];

        if (fd >= 0) {
            close(fd);
        }
    }
}

static void ivm_link_forget(IvmMailbox *s)
{
    IvmLink *link = &s->link;

    if (link->tx_watch) {
        g_source_remove(link->tx_watch);
    }
    ivm_link_drop_fds(link);
    if (link->shmem_fd >= 0) {
        close(link->shmem_fd);
    }
    g_free(link->fail_text);
    memset(link, 0, sizeof(*link));
    link->shmem_fd = -1;
    if (s->handshake_timer) {
        timer_del(s->handshake_timer);
    }
}

/* A mismatch stays the reason while the peer keeps coming back with it */
static uint32_t ivm_link_reason_after(IvmMailbox *s)
{
    if (s->link.failed) {
        return s->link.fail_reason;
    }
    if (s->up || s->reason == IVM_REASON_HANDSHAKE) {
        return IVM_REASON_NO_PEER;
    }
    return s->reason;
}

static void ivm_link_close(IvmMailbox *s)
{
    bool hang_up = s->link.failed && !s->link.closed;

    if (s->link.state == IVM_LINK_CLOSED) {
        return;
    }
    trace_ivm_link_close(ivm_label(s), s->link.failed);
    s->reason = ivm_link_reason_after(s);
    if (s->link.failed) {
        ivm_link_warn(s);
    }
    ivm_mailbox_link_down(s);
    if (hang_up) {
        ivm_link_say_bye(s);
        qemu_chr_fe_disconnect(&s->chr);
    }
    ivm_link_forget(s);
    ivm_mailbox_link_changed(s);
}

static void ivm_link_bh(void *opaque)
{
    IvmMailbox *s = opaque;

    if (s->link.closed || s->link.failed) {
        ivm_link_close(s);
    }
}

static void ivm_link_timeout(void *opaque)
{
    IvmMailbox *s = opaque;

    ivm_link_fail(s, IVM_REASON_HANDSHAKE,
                  "the peer does not answer; connection closed after %d s",
                  IVM_HANDSHAKE_MS / 1000);
}

/*
 * Sending
 */

static gboolean ivm_link_writable(void *unused, GIOCondition cond, void *opaque)
{
    IvmMailbox *s = opaque;

    s->link.tx_watch = 0;
    ivm_link_flush(s);
    return G_SOURCE_REMOVE;
}

static void ivm_link_wait_writable(IvmMailbox *s)
{
    if (!s->link.tx_watch && !s->link.closed) {
        s->link.tx_watch = qemu_chr_fe_add_watch(&s->chr, G_IO_OUT | G_IO_HUP,
                                                 ivm_link_writable, s);
    }
}

static void ivm_link_queue(IvmMailbox *s, const void *msg, size_t bytes)
{
    IvmLink *link = &s->link;

    if (bytes > sizeof(link->tx) - link->tx_bytes) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer sends but does not receive");
        return;
    }
    memcpy(link->tx + link->tx_bytes, msg, bytes);
    link->tx_bytes += bytes;
}

static void ivm_link_send(IvmMailbox *s, const void *msg, size_t bytes)
{
    ivm_link_queue(s, msg, bytes);
    ivm_link_flush(s);
}

/* Returns: true if all that was queued is gone */
static bool ivm_link_flush_queue(IvmMailbox *s)
{
    IvmLink *link = &s->link;

    while (link->tx_bytes) {
        int ret = qemu_chr_fe_write(&s->chr, link->tx, link->tx_bytes);

        if (ret <= 0) {
            ivm_link_wait_writable(s);
            return false;
        }
        link->tx_bytes -= ret;
        memmove(link->tx, link->tx + ret, link->tx_bytes);
    }
    return true;
}

static void ivm_link_send_driver(IvmMailbox *s)
{
    struct ivm_msg_driver msg = { .ready = cpu_to_le32(s->ready) };

    s->link.driver_dirty = false;
    trace_ivm_link_driver(ivm_label(s), "send", s->ready);
    ivm_link_init_header(&msg.header, IVM_MSG_DRIVER, sizeof(msg));
    ivm_link_queue(s, &msg, sizeof(msg));
}

static void ivm_link_queue_ring(IvmMailbox *s, unsigned vector, uint32_t count,
                                uint32_t cookie)
{
    struct ivm_msg_ring msg = {
        .vector = cpu_to_le32(vector),
        .count = cpu_to_le32(count),
        .sequence = cpu_to_le64(++s->link.tx_sequence),
        .cookie = cpu_to_le32(cookie),
    };

    trace_ivm_link_ring_send(ivm_label(s), vector, s->link.tx_sequence, cookie,
                             count);
    ivm_link_init_header(&msg.header, IVM_MSG_RING, sizeof(msg));
    ivm_link_queue(s, &msg, sizeof(msg));
}

/* Returns: false if there was none */
static bool ivm_link_queue_held(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    IvmDoorbell *bell;
    uint8_t vector;

    if (!link->held_count) {
        return false;
    }
    vector = link->held[0];
    bell = &s->doorbell[vector];
    memmove(link->held, link->held + 1, --link->held_count);
    ivm_link_queue_ring(s, vector, bell->held, bell->held_cookie);
    bell->held = 0;
    return true;
}

/*
 * Descriptors to send and to expect, in order: the link page, the shared
 * memory if that end provides it, its eventfds if it receives by them.
 *
 * Returns: false if there is no message number @item
 */
static bool ivm_link_fds_item(IvmMailbox *s, bool mine, unsigned item,
                              struct ivm_msg_fds *msg)
{
    IvmLink *link = &s->link;
    bool shmem = s->shmem_bytes && link->provide_shmem == mine;
    uint32_t mode = mine ? link->rx_mode : link->tx_mode;
    uint32_t vectors = mine ? s->vectors : link->peer.vectors;

    if (mode == IVM_MODE_QEMU) {
        vectors = 0;
    }
    memset(msg, 0, sizeof(*msg));
    ivm_link_init_header(&msg->header, IVM_MSG_FDS, sizeof(*msg));
    if (!link->fd_pass || item > shmem + DIV_ROUND_UP(vectors, IVM_FDS_MAX)) {
        return false;
    }
    if (item <= shmem) {
        msg->kind = item ? IVM_FDS_SHMEM : IVM_FDS_LINKPAGE;
        msg->count = 1;
    } else {
        msg->kind = IVM_FDS_EVENTFDS;
        msg->first = (item - 1 - shmem) * IVM_FDS_MAX;
        msg->count = MIN(vectors - msg->first, IVM_FDS_MAX);
    }
    return true;
}

static void ivm_link_swap_fds(struct ivm_msg_fds *msg)
{
    msg->kind = cpu_to_le32(msg->kind);
    msg->first = cpu_to_le32(msg->first);
    msg->count = cpu_to_le32(msg->count);
}

static void ivm_link_item_fds(IvmMailbox *s, const struct ivm_msg_fds *msg,
                              int *fds)
{
    unsigned i;

    switch (msg->kind) {
    case IVM_FDS_LINKPAGE:
        fds[0] = s->page_fd;
        break;
    case IVM_FDS_SHMEM:
        fds[0] = s->shmem_fd;
        break;
    default:
        for (i = 0; i < msg->count; i++) {
            fds[i] = event_notifier_get_fd(&s->vector[msg->first + i].event);
        }
    }
}

/* The queue is empty.  Descriptors travel with a message of their own. */
static void ivm_link_send_item(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    struct ivm_msg_fds msg;
    int fds[IVM_FDS_MAX];
    int count, ret;

    if (link->state != IVM_LINK_SETUP || link->tx_item_sent ||
        !ivm_link_fds_item(s, true, link->tx_item, &msg)) {
        return;
    }
    ivm_link_item_fds(s, &msg, fds);
    count = msg.count;
    trace_ivm_link_fds(ivm_label(s), "send", msg.kind, msg.first, count);
    ivm_link_swap_fds(&msg);
    qemu_chr_fe_set_msgfds(&s->chr, fds, count);
    ret = qemu_chr_fe_write(&s->chr, (uint8_t *)&msg, sizeof(msg));
    if (ret == sizeof(msg)) {
        link->tx_item_sent = true;
    } else if (ret <= 0) {
        ivm_link_wait_writable(s);
    } else {
        ivm_link_fail(s, IVM_REASON_RESOURCES,
                      "the socket does not take a message of %zu bytes",
                      sizeof(msg));
    }
}

/* Send what waits, oldest first, for as long as the socket takes it */
static void ivm_link_flush(IvmMailbox *s)
{
    IvmLink *link = &s->link;

    if (link->closed || link->failed || link->state == IVM_LINK_CLOSED) {
        return;
    }
    while (ivm_link_flush_queue(s)) {
        if (link->state != IVM_LINK_RUNNING) {
            ivm_link_send_item(s);
            return;
        }
        if (link->driver_dirty) {
            ivm_link_send_driver(s);
        } else if (!ivm_link_queue_held(s)) {
            return;
        }
    }
}

/**
 * ivm_link_ring: carry a doorbell in-band
 * @s: device, link up, mode qemu
 * @vector: below the peer's vectors
 * @cookie: value of the doorbell
 *
 * Sent from here if the socket takes it.  If not, or if others wait already,
 * the ring is held, and rings of one vector add up: memory stays bounded, no
 * ring is lost and no vCPU waits.
 */
void ivm_link_ring(IvmMailbox *s, unsigned vector, uint32_t cookie)
{
    IvmLink *link = &s->link;
    IvmDoorbell *bell = &s->doorbell[vector];

    if (!link->tx_bytes && !link->held_count) {
        ivm_link_queue_ring(s, vector, 1, cookie);
        ivm_link_flush(s);
        return;
    }
    if (!bell->held) {
        link->held[link->held_count++] = vector;
    }
    bell->held++;
    bell->held_cookie = cookie;
    trace_ivm_link_ring_held(ivm_label(s), vector, cookie, bell->held);
}

/* The guest's READY register changed */
void ivm_link_driver(IvmMailbox *s)
{
    if (s->up) {
        s->link.driver_dirty = true;
        ivm_link_flush(s);
    }
}

/*
 * Agreeing
 */

static uint32_t ivm_link_caps(IvmMailbox *s)
{
    SocketChardev *sock = ivm_link_chardev(s);
    uint32_t caps = 0;

    if (sock->ioc &&
        qio_channel_has_feature(sock->ioc, QIO_CHANNEL_FEATURE_FD_PASS)) {
        caps |= IVM_CAP_FD_PASS;
    }
    if (ivm_doorbell_direct_capable()) {
        caps |= IVM_CAP_IOEVENTFD;
    }
    if (ivm_irq_irqfd_capable()) {
        caps |= IVM_CAP_IRQFD;
    }
    if (s->irq_ctrl) {
        caps |= IVM_CAP_IRQ_CTRL;
    }
    if (s->shmem_fd >= 0) {
        caps |= IVM_CAP_SHMEM_HELD;
    }
    return caps;
}

static void ivm_link_begin(IvmMailbox *s)
{
    struct ivm_msg_hello hello = {
        .version = cpu_to_le32(IVM_LINK_VERSION),
        .machine = cpu_to_le16(IVM_HOST_MACHINE),
        .endian = IVM_HOST_ENDIAN,
        .side = s->side,
        .mode = cpu_to_le32(s->mode),
        .caps = cpu_to_le32(ivm_link_caps(s)),
        .vectors = cpu_to_le32(s->vectors),
        .shmem_bytes = cpu_to_le64(s->shmem_bytes),
    };

    ivm_link_forget(s);
    s->link.state = IVM_LINK_HELLO;
    qemu_guest_getrandom_nofail(&s->link.link_id, sizeof(s->link.link_id));
    s->link.link_id |= 1;   /* 0 means none */
    hello.link_id = cpu_to_le64(s->link.link_id);
    pstrcpy(hello.name, sizeof(hello.name), s->name ? s->name : "");
    ivm_link_init_header(&hello.header, IVM_MSG_HELLO, sizeof(hello));
    trace_ivm_link_open(ivm_label(s), le32_to_cpu(hello.caps));
    if (s->reason == IVM_REASON_NO_PEER) {
        s->reason = IVM_REASON_HANDSHAKE;
    }
    timer_mod(s->handshake_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + IVM_HANDSHAKE_MS);
    ivm_mailbox_link_changed(s);
    ivm_link_send(s, &hello, sizeof(hello));
}

/*
 * The mode of one direction: what the sender wants, if both can.
 *
 * Returns: IVM_MODE_DOWN if it must not be
 */
static uint32_t ivm_link_settle(uint32_t wanted, uint32_t sender,
                                uint32_t receiver)
{
    bool irqfd = (sender & receiver & IVM_CAP_FD_PASS) &&
                 (receiver & IVM_CAP_IRQFD);
    bool direct = irqfd && (sender & IVM_CAP_IOEVENTFD) &&
                  !(receiver & IVM_CAP_IRQ_CTRL);

    switch (wanted) {
    case IVM_MODE_AUTO:
        if (direct) {
            return IVM_MODE_DIRECT;
        }
        return irqfd ? IVM_MODE_IRQFD : IVM_MODE_QEMU;
    case IVM_MODE_DIRECT:
        return direct ? wanted : IVM_MODE_DOWN;
    case IVM_MODE_IRQFD:
        return irqfd ? wanted : IVM_MODE_DOWN;
    default:
        return wanted;
    }
}

/* What a refused mode lacks, in words */
static const char *ivm_link_lacking(IvmMailbox *s, uint32_t sender,
                                    uint32_t receiver)
{
    if (!s->link.peer.alike) {
        return "a peer whose host has the same architecture";
    }
    if (!(sender & receiver & IVM_CAP_FD_PASS)) {
        return "a socket that passes descriptors";
    }
    if (!(receiver & IVM_CAP_IRQFD)) {
        return "KVM with irqfds at the receiver";
    }
    if (receiver & IVM_CAP_IRQ_CTRL) {
        return "a receiver without irq-ctrl=on";
    }
    return "KVM with ioeventfds at the sender";
}

static bool ivm_link_settle_modes(IvmMailbox *s, uint32_t caps)
{
    IvmLink *link = &s->link;
    uint32_t peer_caps = link->peer.caps;

    link->tx_mode = ivm_link_settle(s->mode, caps, peer_caps);
    link->rx_mode = ivm_link_settle(link->peer.mode, peer_caps, caps);
    if (!link->tx_mode) {
        ivm_link_fail(s, IVM_REASON_MODE, "mode=%s needs %s",
                      ivm_mode_name(s->mode),
                      ivm_link_lacking(s, caps, peer_caps));
    } else if (!link->rx_mode) {
        ivm_link_fail(s, IVM_REASON_MODE, "the peer's mode=%s needs %s",
                      ivm_mode_name(link->peer.mode),
                      ivm_link_lacking(s, peer_caps, caps));
    }
    return !link->failed;
}

static bool ivm_link_enough_fds(uint32_t vectors, uint32_t peer_vectors)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
           limit.rlim_cur >= vectors + peer_vectors + 8;
}

/* Whoever alone holds a segment provides it, so that its content survives */
static void ivm_link_choose_provider(IvmMailbox *s, uint32_t caps)
{
    bool mine = caps & IVM_CAP_SHMEM_HELD;
    bool theirs = s->link.peer.caps & IVM_CAP_SHMEM_HELD;

    s->link.provide_shmem = mine != theirs ? mine
                                           : s->side == IVM_SIDE_SERVER;
}

/* All that this end has to offer must exist before the first is sent */
static void ivm_link_prepare(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    int ret = 0;

    if (link->fd_pass && link->provide_shmem && s->shmem_bytes) {
        ret = ivm_shmem_create(s);
    }
    if (ret == 0 && link->rx_mode != IVM_MODE_QEMU) {
        ret = ivm_irq_create_events(s);
    }
    if (ret < 0) {
        ivm_link_fail(s, IVM_REASON_RESOURCES,
                      "cannot create descriptors: %s", strerror(-ret));
    } else if (!ivm_link_enough_fds(s->vectors, link->peer.vectors)) {
        ivm_link_fail(s, IVM_REASON_RESOURCES,
                      "%u and %u vectors need more descriptors than "
                      "RLIMIT_NOFILE allows", s->vectors, link->peer.vectors);
    }
}

static bool ivm_link_check_hello(IvmMailbox *s,
                                 const struct ivm_msg_hello *hello)
{
    uint32_t version = le32_to_cpu(hello->version);
    uint32_t vectors = le32_to_cpu(hello->vectors);
    uint32_t mode = le32_to_cpu(hello->mode);

    if (version >> 16 != IVM_LINK_VERSION >> 16) {
        ivm_link_fail(s, IVM_REASON_VERSION,
                      "the peer speaks version %u of the protocol, not %u",
                      version >> 16, IVM_LINK_VERSION >> 16);
    } else if (vectors < 1 || vectors > IVM_MAX_VECTORS ||
               mode < IVM_MODE_QEMU || mode > IVM_MODE_AUTO ||
               hello->side > IVM_SIDE_CLIENT ||
               !ivm_link_name_valid(hello->name, sizeof(hello->name))) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL, "the peer's HELLO is not valid");
    }
    return !s->link.failed;
}

static bool ivm_link_check_match(IvmMailbox *s,
                                 const struct ivm_msg_hello *hello)
{
    uint64_t shmem_bytes = le64_to_cpu(hello->shmem_bytes);

    if (hello->side == s->side) {
        ivm_link_fail(s, IVM_REASON_SIDE, "both ends are the %s; one must be "
                      "side=%s", s->side ? "client" : "server",
                      s->side ? "server" : "client");
    } else if (s->name && hello->name[0] && strcmp(s->name, hello->name)) {
        ivm_link_fail(s, IVM_REASON_NAME, "the peer calls the link '%s'",
                      hello->name);
    } else if (shmem_bytes != s->shmem_bytes) {
        ivm_link_fail(s, IVM_REASON_SHMEM, "the peer has shmem=%" PRIu64
                      ", this end %" PRIu64, shmem_bytes, s->shmem_bytes);
    }
    return !s->link.failed;
}

/* No descriptor comes from a host of another architecture, whatever is said */
static bool ivm_link_alike(const struct ivm_msg_hello *hello)
{
    uint16_t machine = le16_to_cpu(hello->machine);

    return hello->endian == IVM_HOST_ENDIAN &&
           (machine == IVM_HOST_MACHINE || machine == EM_NONE ||
            IVM_HOST_MACHINE == EM_NONE);
}

static void ivm_link_advance(IvmMailbox *s);

static void ivm_link_handle_hello(IvmMailbox *s,
                                  const struct ivm_msg_hello *hello)
{
    IvmLink *link = &s->link;
    uint32_t caps = ivm_link_caps(s);

    if (!ivm_link_check_hello(s, hello) || !ivm_link_check_match(s, hello)) {
        return;
    }
    link->peer.alike = ivm_link_alike(hello);
    if (!link->peer.alike) {
        caps &= ~IVM_CAP_FD_PASS;
    }
    link->peer.caps = le32_to_cpu(hello->caps);
    link->peer.mode = le32_to_cpu(hello->mode);
    link->peer.vectors = le32_to_cpu(hello->vectors);
    link->peer.link_id = le64_to_cpu(hello->link_id);
    pstrcpy(link->peer.name, sizeof(link->peer.name), hello->name);
    link->fd_pass = caps & link->peer.caps & IVM_CAP_FD_PASS;
    trace_ivm_link_hello(ivm_label(s), link->peer.caps, link->peer.mode,
                         link->peer.vectors);
    if (!ivm_link_settle_modes(s, caps)) {
        return;
    }
    ivm_link_choose_provider(s, caps);
    ivm_link_prepare(s);
    link->state = IVM_LINK_SETUP;
    ivm_link_advance(s);
}

/* After this the peer may ring: whatever can go wrong here comes before it */
static void ivm_link_queue_ready(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    struct ivm_msg_ready ready = { };
    int ret;

    if (link->shmem_fd >= 0) {
        ret = ivm_shmem_map(s, link->shmem_fd);
        if (ret < 0) {
            ivm_link_fail(s, IVM_REASON_RESOURCES,
                          "cannot map the shared memory: %s", strerror(-ret));
            return;
        }
        link->shmem_fd = -1;
    }
    ivm_irq_snapshot(s);
    ivm_link_init_header(&ready.header, IVM_MSG_READY, sizeof(ready));
    ivm_link_queue(s, &ready, sizeof(ready));
    link->ready_sent = true;
}

/* Send the next descriptors, or READY when all of both ends are through */
static void ivm_link_advance(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    struct ivm_msg_fds next;

    if (link->failed || link->state != IVM_LINK_SETUP) {
        return;
    }
    if (!link->ready_sent &&
        !ivm_link_fds_item(s, true, link->tx_item, &next) &&
        !ivm_link_fds_item(s, false, link->rx_item, &next)) {
        ivm_link_queue_ready(s);
    }
    ivm_link_flush(s);
    if (link->ready_sent && link->ready_received && !link->failed &&
        !link->closed) {
        timer_del(s->handshake_timer);
        link->state = IVM_LINK_RUNNING;
        link->driver_dirty = s->ready;
        ivm_mailbox_link_up(s);
        ivm_link_flush(s);
    }
}

/*
 * Receiving
 */

static int ivm_link_take_fd(IvmLink *link, unsigned i)
{
    int fd = link->rx_fds[i];

    link->rx_fds[i] = -1;
    return fd;
}

static bool ivm_link_accept_eventfds(IvmMailbox *s,
                                     const struct ivm_msg_fds *msg)
{
    IvmLink *link = &s->link;
    unsigned i;

    for (i = 0; i < msg->count; i++) {
        if (!ivm_eventfd_acceptable(link->rx_fds[i])) {
            return false;
        }
    }
    for (i = 0; i < msg->count; i++) {
        int fd = ivm_link_take_fd(link, i);

        /* The chardev made it blocking, for this end and for the peer */
        g_unix_set_fd_nonblocking(fd, true, NULL);
        event_notifier_init_fd(&s->doorbell[msg->first + i].event, fd);
    }
    return true;
}

static bool ivm_link_accept_fds(IvmMailbox *s, const struct ivm_msg_fds *msg)
{
    IvmLink *link = &s->link;

    switch (msg->kind) {
    case IVM_FDS_LINKPAGE:
        return ivm_linkpage_map_peer(s, ivm_link_take_fd(link, 0)) == 0;
    case IVM_FDS_SHMEM:
        if (!ivm_shmem_acceptable(s, link->rx_fds[0])) {
            return false;
        }
        link->shmem_fd = ivm_link_take_fd(link, 0);
        return true;
    default:
        return ivm_link_accept_eventfds(s, msg);
    }
}

static void ivm_link_handle_fds(IvmMailbox *s, const struct ivm_msg_fds *wire)
{
    IvmLink *link = &s->link;
    struct ivm_msg_fds msg, ack = *wire;

    if (!ivm_link_fds_item(s, false, link->rx_item, &msg) ||
        msg.kind != le32_to_cpu(wire->kind) ||
        msg.first != le32_to_cpu(wire->first) ||
        msg.count != le32_to_cpu(wire->count) || link->rx_nfds != msg.count) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer sent descriptors out of order, or %d where "
                      "it announced %u", link->rx_nfds,
                      le32_to_cpu(wire->count));
        return;
    }
    trace_ivm_link_fds(ivm_label(s), "receive", msg.kind, msg.first,
                       msg.count);
    if (!ivm_link_accept_fds(s, &msg)) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "a descriptor from the peer is not of the right kind");
        return;
    }
    ivm_link_drop_fds(link);
    link->rx_item++;
    ivm_link_init_header(&ack.header, IVM_MSG_ACK, sizeof(ack));
    ivm_link_queue(s, &ack, sizeof(ack));
    ivm_link_advance(s);
}

static void ivm_link_handle_ack(IvmMailbox *s, const struct ivm_msg_fds *wire)
{
    IvmLink *link = &s->link;
    struct ivm_msg_fds msg;

    if (!link->tx_item_sent ||
        !ivm_link_fds_item(s, true, link->tx_item, &msg) ||
        msg.kind != le32_to_cpu(wire->kind) ||
        msg.first != le32_to_cpu(wire->first) ||
        msg.count != le32_to_cpu(wire->count)) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer acknowledged what was not sent");
        return;
    }
    link->tx_item++;
    link->tx_item_sent = false;
    ivm_link_advance(s);
}

static void ivm_link_handle_ready(IvmMailbox *s)
{
    struct ivm_msg_fds msg;

    if (s->link.ready_received ||
        ivm_link_fds_item(s, false, s->link.rx_item, &msg)) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL, "the peer's READY comes %s",
                      s->link.ready_received ? "twice" : "too early");
        return;
    }
    s->link.ready_received = true;
    ivm_link_advance(s);
}

static void ivm_link_handle_driver(IvmMailbox *s,
                                   const struct ivm_msg_driver *msg)
{
    uint32_t ready = le32_to_cpu(msg->ready);

    if (ready > 1) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL, "the peer's DRIVER is %u", ready);
        return;
    }
    trace_ivm_link_driver(ivm_label(s), "receive", ready);
    s->peer_ready = ready;
    ivm_mailbox_link_changed(s);
}

static void ivm_link_handle_ring(IvmMailbox *s, const struct ivm_msg_ring *msg)
{
    uint32_t vector = le32_to_cpu(msg->vector);
    uint32_t count = le32_to_cpu(msg->count);
    uint64_t sequence = le64_to_cpu(msg->sequence);

    if (s->rx_mode != IVM_MODE_QEMU || vector >= s->vectors || !count ||
        sequence != s->link.rx_sequence + 1) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL, "the peer's RING of vector %u, "
                      "number %" PRIu64 ", is not valid", vector, sequence);
        return;
    }
    s->link.rx_sequence = sequence;
    trace_ivm_link_ring_receive(ivm_label(s), vector, sequence,
                                le32_to_cpu(msg->cookie), count);
    ivm_irq_rung(s, vector, count);
}

static void ivm_link_handle_bye(IvmMailbox *s, const struct ivm_msg_bye *msg)
{
    uint32_t reason = le32_to_cpu(msg->reason);

    if (reason > IVM_REASON_RESOURCES) {
        reason = IVM_REASON_PROTOCOL;
    }
    if (reason == IVM_REASON_NO_PEER) {
        /* It leaves in peace; what follows is the end of the connection */
        return;
    }
    ivm_link_fail(s, reason, "the peer refused: %s", ivm_reason_text(reason));
}

static bool ivm_link_fits(IvmLinkState state, uint16_t type, uint16_t bytes)
{
    switch (type) {
    case IVM_MSG_HELLO:
        return state == IVM_LINK_HELLO &&
               bytes >= sizeof(struct ivm_msg_hello);
    case IVM_MSG_FDS:
    case IVM_MSG_ACK:
    case IVM_MSG_READY:
        return state == IVM_LINK_SETUP && bytes == IVM_MSG_UNIT;
    case IVM_MSG_DRIVER:
    case IVM_MSG_RING:
        return state == IVM_LINK_RUNNING && bytes == IVM_MSG_UNIT;
    case IVM_MSG_BYE:
        return bytes == IVM_MSG_UNIT;
    default:
        return false;
    }
}

static void ivm_link_dispatch(IvmMailbox *s, const void *msg, uint16_t type)
{
    switch (type) {
    case IVM_MSG_HELLO:
        ivm_link_handle_hello(s, msg);
        break;
    case IVM_MSG_FDS:
        ivm_link_handle_fds(s, msg);
        break;
    case IVM_MSG_ACK:
        ivm_link_handle_ack(s, msg);
        break;
    case IVM_MSG_READY:
        ivm_link_handle_ready(s);
        break;
    case IVM_MSG_DRIVER:
        ivm_link_handle_driver(s, msg);
        break;
    case IVM_MSG_RING:
        ivm_link_handle_ring(s, msg);
        break;
    case IVM_MSG_BYE:
        ivm_link_handle_bye(s, msg);
        break;
    }
}

/* Returns: bytes of the message at @offset, 0 if it is not complete or bad */
static size_t ivm_link_message_bytes(IvmMailbox *s, size_t offset)
{
    struct ivm_msg_header header;
    size_t rest = s->link.rx_bytes - offset;
    uint16_t bytes;

    if (rest < sizeof(header)) {
        return 0;
    }
    memcpy(&header, s->link.rx + offset, sizeof(header));
    bytes = le16_to_cpu(header.bytes);
    if (le32_to_cpu(header.magic) != IVM_MSG_MAGIC || !bytes ||
        bytes % IVM_MSG_UNIT || bytes > IVM_MSG_MAX_BYTES ||
        !ivm_link_fits(s->link.state, le16_to_cpu(header.type), bytes)) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer sent what is no message of this protocol, or "
                      "not one that fits here (type %u, %u bytes)",
                      le16_to_cpu(header.type), bytes);
        return 0;
    }
    return rest < bytes ? 0 : bytes;
}

static void ivm_link_parse(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    size_t offset = 0;
    size_t bytes;

    /* An interrupt raised from here may end up unplugging the device */
    while (link->state != IVM_LINK_CLOSED && !link->failed && !link->closed) {
        /* Copied: aligned, and no later read changes it */
        union {
            struct ivm_msg_header header;
            uint8_t bytes[IVM_MSG_MAX_BYTES];
        } msg;

        bytes = ivm_link_message_bytes(s, offset);
        if (!bytes) {
            break;
        }
        memcpy(msg.bytes, link->rx + offset, bytes);
        offset += bytes;
        ivm_link_dispatch(s, &msg, le16_to_cpu(msg.header.type));
    }
    if (link->state != IVM_LINK_CLOSED) {
        link->rx_bytes -= offset;
        memmove(link->rx, link->rx + offset, link->rx_bytes);
    }
}

/* Multiples of a RING, so that no RING is read in two parts */
static int ivm_link_can_read(void *opaque)
{
    IvmMailbox *s = opaque;
    IvmLink *link = &s->link;

    if (link->state == IVM_LINK_CLOSED || link->failed || link->closed) {
        return 0;
    }
    return sizeof(link->rx) - link->rx_bytes;
}

static void ivm_link_take_msgfds(IvmMailbox *s)
{
    IvmLink *link = &s->link;
    int fds[IVM_FDS_MAX];
    int n = qemu_chr_fe_get_msgfds(&s->chr, fds, IVM_FDS_MAX);
    int i;

    if (n <= 0) {
        return;
    }
    if (link->rx_nfds) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer sent descriptors nobody asked for");
        for (i = 0; i < n; i++) {
            close(fds[i]);
        }
        return;
    }
    memcpy(link->rx_fds, fds, n * sizeof(fds[0]));
    link->rx_nfds = n;
}

static void ivm_link_read(void *opaque, const uint8_t *buf, int size)
{
    IvmMailbox *s = opaque;
    IvmLink *link = &s->link;

    if (size > ivm_link_can_read(s)) {
        return;
    }
    memcpy(link->rx + link->rx_bytes, buf, size);
    link->rx_bytes += size;
    ivm_link_take_msgfds(s);
    ivm_link_parse(s);
    if (link->rx_nfds && !link->rx_bytes) {
        ivm_link_fail(s, IVM_REASON_PROTOCOL,
                      "the peer sent descriptors nobody asked for");
    }
}

static void ivm_link_event(void *opaque, QEMUChrEvent event)
{
    IvmMailbox *s = opaque;

    switch (event) {
    case CHR_EVENT_OPENED:
        /* The bottom half for the last one may not have run yet */
        s->link.closed = true;
        ivm_link_close(s);
        if (s->bh) {
            ivm_link_begin(s);
        }
        break;
    case CHR_EVENT_CLOSED:
        s->link.closed = true;
        qemu_bh_schedule(s->bh);
        break;
    default:
        break;
    }
}

void ivm_link_init(IvmMailbox *s)
{
    s->link.shmem_fd = -1;
    s->bh = qemu_bh_new(ivm_link_bh, s);
    s->handshake_timer = timer_new_ms(QEMU_CLOCK_REALTIME, ivm_link_timeout, s);
    qemu_chr_fe_set_handlers(&s->chr, ivm_link_can_read, ivm_link_read,
                             ivm_link_event, NULL, s, NULL, true);
}

/* The peer must learn it now: the socket outlives the device */
void ivm_link_exit(IvmMailbox *s)
{
    if (!s->bh) {
        return;
    }
    qemu_chr_fe_set_handlers(&s->chr, NULL, NULL, NULL, NULL, NULL, NULL, true);
    if (s->link.state != IVM_LINK_CLOSED) {
        ivm_mailbox_link_down(s);
        if (!s->link.closed) {
            ivm_link_say_bye(s);
            qemu_chr_fe_disconnect(&s->chr);
        }
    }
    ivm_link_forget(s);
    timer_free(s->handshake_timer);
    s->handshake_timer = NULL;
    qemu_bh_delete(s->bh);
    s->bh = NULL;
}
