/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: memory shared with the host and with the peer.
 *
 * Two kinds of memfd: the link page, written by its owner only, and the shared
 * memory of the two guests, mapped over BAR2.  A descriptor that comes from
 * the peer is used only if nothing the peer does with it later can hurt this
 * process: it must not shrink (SIGBUS) and must be what it claims to be.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "ivm-mailbox.h"
#include "trace.h"

/* Debian 12's <sys/mman.h> has it, older ones do not */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int ivm_memfd_create(const char *name, uint64_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int ret;

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, bytes) < 0) {
        ret = -errno;
        close(fd);
        return ret;
    }
    return fd;
}

/* A memfd (only those have seals) that keeps its size for good */
static bool ivm_memfd_acceptable(int fd, uint64_t bytes)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    return seals >= 0 && (seals & F_SEAL_SHRINK) &&
           fstat(fd, &st) == 0 && st.st_size == bytes;
}

/*
 * Anything else could block this thread when written to, or be written to by
 * mistake: a descriptor of the peer's choice is not ours to write.
 */
bool ivm_eventfd_acceptable(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link(link, NULL);

    return target && g_str_equal(target, "anon_inode:[eventfd]");
}

static int ivm_linkpage_create(IvmMailbox *s)
{
    size_t bytes = sizeof(*s->page);
    void *page;
    int ret;

    s->page_fd = ivm_memfd_create(IVM_LINKPAGE_NAME, bytes);
    if (s->page_fd < 0) {
        return s->page_fd;
    }
    page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->page_fd, 0);
    if (page == MAP_FAILED) {
        ret = -errno;
    } else {
        s->page = page;
        /* From here on nobody else can map it for writing */
        ret = fcntl(s->page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
                    F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
    }
    if (ret < 0) {
        ivm_linkpage_exit(s);
    }
    return ret;
}

bool ivm_linkpage_init(IvmMailbox *s, Error **errp)
{
    int ret = ivm_linkpage_create(s);
    unsigned v;

    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot create the link page");
        return false;
    }
    s->page->magic = cpu_to_le32(IVM_LINKPAGE_MAGIC);
    s->page->version = cpu_to_le32(IVM_LINKPAGE_VERSION);
    s->page->bytes = cpu_to_le32(sizeof(*s->page));
    for (v = 0; v < IVM_LINKPAGE_VECTORS; v++) {
        s->page->vector[v].eventfd = cpu_to_le32(-1);
        s->page->peer_eventfd[v] = cpu_to_le32(-1);
    }
    return true;
}

void ivm_linkpage_exit(IvmMailbox *s)
{
    if (s->page) {
        munmap(s->page, sizeof(*s->page));
        s->page = NULL;
    }
    if (s->page_fd >= 0) {
        close(s->page_fd);
        s->page_fd = -1;
    }
}

static void ivm_linkpage_write_vector(IvmMailbox *s, unsigned v)
{
    struct ivm_linkpage_vector *out = &s->page->vector[v];
    PCIDevice *pdev = PCI_DEVICE(s);
    MSIMessage msg = msix_get_message(pdev, v);
    uint32_t flags = 0;

    if (ivm_irq_deliverable(s, v)) {
        flags |= IVM_LP_VEC_DELIVERABLE;
    }
    if (s->vector[v].irqfd) {
        flags |= IVM_LP_VEC_IRQFD;
    }
    if (s->vector[v].refused) {
        flags |= IVM_LP_VEC_QEMU_FALLBACK;
    }
    out->msi_address = cpu_to_le64(msg.address);
    out->msi_data = cpu_to_le32(msg.data);
    out->flags = cpu_to_le32(flags);
    out->eventfd = cpu_to_le32(event_notifier_get_fd(&s->vector[v].event));
}

static void ivm_linkpage_write_link(IvmMailbox *s)
{
    struct ivm_linkpage *page = s->page;
    uint64_t id = s->side == IVM_SIDE_SERVER ? s->link.link_id
                                             : s->link.peer.link_id;
    const char *name = s->up ? s->link.peer.name : "";

    if (s->name) {
        name = s->name;
    }
    page->link_id = cpu_to_le64(s->up ? id : 0);
    page->bar0_address = cpu_to_le64(ivm_doorbell_bar0_address(s));
    page->shmem_bytes = cpu_to_le64(s->shmem_bytes);
    page->generation = cpu_to_le32(s->link_ups);
    page->up = cpu_to_le32(s->up);
    page->reason = cpu_to_le32(s->reason);
    page->side = cpu_to_le32(s->side);
    page->accel = cpu_to_le32(kvm_enabled() ? IVM_ACCEL_KVM : IVM_ACCEL_OTHER);
    page->mode_configured = cpu_to_le32(s->mode);
    page->mode_tx = cpu_to_le32(s->tx_mode);
    page->mode_rx = cpu_to_le32(s->rx_mode);
    page->features = cpu_to_le32(ivm_mailbox_features(s));
    page->vectors = cpu_to_le32(s->vectors);
    page->peer_vectors = cpu_to_le32(s->peer_vectors);
    page->socket_fd = cpu_to_le32(ivm_link_socket_fd(s));
    page->shmem_fd = cpu_to_le32(s->shmem_fd);
    pstrcpy(page->name, sizeof(page->name), name);
}

/**
 * ivm_linkpage_publish: bring the link page up to date
 * @s: device
 *
 * For all that is not a counter.  Readers that come in between see an odd or
 * a changed @seq and try again.
 */
void ivm_linkpage_publish(IvmMailbox *s)
{
    uint32_t seq;
    unsigned v;

    if (!s->page) {
        return;
    }
    seq = le32_to_cpu(s->page->seq);
    qatomic_set(&s->page->seq, cpu_to_le32(seq + 1));
    smp_wmb();
    ivm_linkpage_write_link(s);
    for (v = 0; v < s->vectors; v++) {
        ivm_linkpage_write_vector(s, v);
    }
    for (v = 0; v < IVM_MAX_VECTORS; v++) {
        s->page->peer_eventfd[v] =
            cpu_to_le32(event_notifier_get_fd(&s->doorbell[v].event));
    }
    smp_wmb();
    qatomic_set(&s->page->seq, cpu_to_le32(seq + 2));
}

/* Takes @fd, and closes it: a process keeps no descriptor of a foreign page */
int ivm_linkpage_map_peer(IvmMailbox *s, int fd)
{
    size_t bytes = sizeof(*s->peer_page);
    void *page;
    int ret = 0;

    if (!ivm_memfd_acceptable(fd, bytes)) {
        close(fd);
        return -EINVAL;
    }
    page = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        ret = -errno;
    } else {
        s->peer_page = page;
    }
    close(fd);
    return ret;
}

void ivm_linkpage_unmap_peer(IvmMailbox *s)
{
    if (s->peer_page) {
        munmap((void *)s->peer_page, sizeof(*s->peer_page));
        s->peer_page = NULL;
    }
}

/**
 * ivm_shmem_create: make sure that this end has a segment to offer
 * @s: device
 *
 * Returns: 0, or a negative errno
 */
int ivm_shmem_create(IvmMailbox *s)
{
    int fd, ret;

    if (s->shmem_fd >= 0) {
        return 0;
    }
    fd = ivm_memfd_create(IVM_SHMEM_NAME, s->shmem_bytes);
    if (fd < 0) {
        return fd;
    }
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        ret = -errno;
        close(fd);
        return ret;
    }
    ret = ivm_shmem_map(s, fd);
    if (ret < 0) {
        close(fd);
    }
    return ret;
}

/* It must also allow to be written, or the guest's first store would kill us */
bool ivm_shmem_acceptable(IvmMailbox *s, int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return ivm_memfd_acceptable(fd, s->shmem_bytes) &&
           !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

/**
 * ivm_shmem_map: show a segment in BAR2
 * @s: device
 * @fd: acceptable segment; kept open by the device if this succeeds
 *
 * The mapping replaces pages under a RAM block that stays, so neither the
 * guest's memory map nor KVM's memory slot changes.
 *
 * Returns: 0, or a negative errno; then BAR2 is as it was
 */
int ivm_shmem_map(IvmMailbox *s, int fd)
{
    void *bar = memory_region_get_ram_ptr(&s->bar2);
    void *map = mmap(NULL, s->shmem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                     fd, 0);
    int ret;

    if (map == MAP_FAILED) {
        return -errno;
    }
    /*
     * Not mmap() with MAP_FIXED: if the segment forbids to be mapped that
     * fails after it removed what was there, and the guest's next access
     * would be the end of this process.
     */
    if (mremap(map, s->shmem_bytes, s->shmem_bytes,
               MREMAP_MAYMOVE | MREMAP_FIXED, bar) == MAP_FAILED) {
        ret = -errno;
        munmap(map, s->shmem_bytes);
        return ret;
    }
    if (s->shmem_fd >= 0) {
        close(s->shmem_fd);
    }
    s->shmem_fd = fd;
    trace_ivm_shmem_map(ivm_label(s), fd, s->shmem_bytes);
    return 0;
}
