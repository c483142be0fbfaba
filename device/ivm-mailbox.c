/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: doorbells between two virtual machines, carried by QEMU, by
 * KVM's irqfd, or by KVM alone.
 *
 * The contract is docs/device-spec.md.  Two rules stand above it: nothing a
 * guest does may stop QEMU; a peer is trusted to make progress, never with
 * this process's memory.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/range.h"
#include "qemu/units.h"
#include "chardev/char-socket.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#if __has_include("hw/qdev-properties-system.h")
#include "hw/qdev-properties-system.h"
#endif
#include "ivm-mailbox.h"
#include "trace.h"

#define IVM_NO_READ 0xffffffffffffffffULL

static const char *const ivm_mode_names[] = {
    [IVM_MODE_DOWN] = "down",
    [IVM_MODE_QEMU] = "qemu",
    [IVM_MODE_IRQFD] = "irqfd",
    [IVM_MODE_DIRECT] = "direct",
    [IVM_MODE_AUTO] = "auto",
};

const char *ivm_mode_name(uint32_t mode)
{
    return mode < ARRAY_SIZE(ivm_mode_names) ? ivm_mode_names[mode] : "?";
}

const char *ivm_reason_text(uint32_t reason)
{
    static const char *const text[] = {
        [IVM_REASON_NO_PEER] = "no peer",
        [IVM_REASON_HANDSHAKE] = "handshake",
        [IVM_REASON_PROTOCOL] = "protocol error",
        [IVM_REASON_VERSION] = "protocol versions differ",
        [IVM_REASON_SIDE] = "both ends on the same side",
        [IVM_REASON_NAME] = "link names differ",
        [IVM_REASON_SHMEM] = "shared memory sizes differ",
        [IVM_REASON_MODE] = "mode not possible",
        [IVM_REASON_RESOURCES] = "out of resources",
    };

    return reason < ARRAY_SIZE(text) ? text[reason] : "?";
}

/* What messages call this device */
const char *ivm_label(IvmMailbox *s)
{
    if (s->name && s->name[0]) {
        return s->name;
    }
    return s->chr.chr && s->chr.chr->label ? s->chr.chr->label : "";
}

/*
 * Link
 */

uint32_t ivm_mailbox_features(IvmMailbox *s)
{
    uint32_t features = ivm_irq_control(s) ? IVM_FEATURE_IRQ_CTRL : 0;

    if (s->up && s->link.fd_pass && s->shmem_bytes) {
        features |= IVM_FEATURE_SHMEM;
    }
    return features;
}

static uint32_t ivm_mailbox_link_register(IvmMailbox *s)
{
    uint32_t count = s->link_ups & IVM_LINK_COUNT_FIELD;

    return (s->up ? IVM_LINK_UP : s->reason << IVM_LINK_REASON_SHIFT) |
           count << IVM_LINK_COUNT_SHIFT;
}

/* Tell the guest, if it wants to know, and the host */
void ivm_mailbox_link_changed(IvmMailbox *s)
{
    uint32_t link = ivm_mailbox_link_register(s);

    ivm_linkpage_publish(s);
    if (link == s->last_link && s->peer_ready == s->last_peer_ready) {
        return;
    }
    s->last_link = link;
    s->last_peer_ready = s->peer_ready;
    trace_ivm_mailbox_link(ivm_label(s), link, s->peer_ready);
    if (s->link_vector < s->vectors) {
        ivm_irq_raise(s, s->link_vector);
    }
}

/**
 * ivm_mailbox_link_up: both ends are ready
 * @s: device
 *
 * All that the guest can see of it changes together, under the BQL.
 */
void ivm_mailbox_link_up(IvmMailbox *s)
{
    s->up = true;
    s->reason = 0;
    s->link_ups++;
    s->drop_logged = false;
    s->tx_mode = s->link.tx_mode;
    s->rx_mode = s->link.rx_mode;
    s->peer_vectors = s->link.peer.vectors;
    trace_ivm_mailbox_up(ivm_label(s), ivm_mode_name(s->tx_mode),
                         ivm_mode_name(s->rx_mode), s->peer_vectors);
    ivm_irq_link_up(s);
    ivm_doorbell_update(s);
    ivm_mailbox_link_changed(s);
}

/**
 * ivm_mailbox_link_down: the link is no more, or did not come to be
 * @s: device; @reason is already set
 *
 * First nothing may arrive any more, then what has arrived is looked at.
 */
void ivm_mailbox_link_down(IvmMailbox *s)
{
    if (s->up) {
        trace_ivm_mailbox_down(ivm_label(s), ivm_reason_text(s->reason));
    }
    s->peer_vectors = 0;
    ivm_doorbell_link_down(s);
    ivm_irq_link_down(s);
    s->tx_mode = IVM_MODE_DOWN;
    s->rx_mode = IVM_MODE_DOWN;
    s->up = false;
    s->peer_ready = 0;
    ivm_irq_update(s, 0, s->vectors - 1);
    ivm_linkpage_unmap_peer(s);
}

/*
 * Registers
 */

/* Bits of a STATUS or MASK word that belong to vectors of this device */
static uint32_t ivm_mailbox_vector_bits(IvmMailbox *s, unsigned word)
{
    if (s->vectors >= word * 32 + 32) {
        return UINT32_MAX;
    }
    return s->vectors > word * 32 ? (1u << (s->vectors % 32)) - 1 : 0;
}

static uint32_t ivm_mailbox_read_register(IvmMailbox *s, hwaddr offset)
{
    switch (offset) {
    case IVM_REG_ID:
        return IVM_ID;
    case IVM_REG_VERSION:
        return s->version;
    case IVM_REG_FEATURES:
        return ivm_mailbox_features(s);
    case IVM_REG_MODE:
        return s->tx_mode << IVM_MODE_TX_SHIFT |
               s->rx_mode << IVM_MODE_RX_SHIFT;
    case IVM_REG_LINK:
        return ivm_mailbox_link_register(s);
    case IVM_REG_SIDE:
        return s->side;
    case IVM_REG_PEER_VECTORS:
        return s->peer_vectors;
    case IVM_REG_VECTORS:
        return s->vectors;
    case IVM_REG_SHMEM_SIZE:
        return s->shmem_bytes >> 12;
    case IVM_REG_LINK_VECTOR:
        return s->link_vector;
    case IVM_REG_READY:
        return s->ready;
    case IVM_REG_PEER_READY:
        return s->peer_ready;
    case IVM_REG_RUNG:
        return s->rung;
    case IVM_REG_DROPPED:
        return s->dropped;
    case IVM_REG_STATUS(0) ... IVM_REG_STATUS(IVM_REG_WORDS - 1):
        return ivm_irq_status(s, (offset - IVM_REG_STATUS(0)) / 4);
    case IVM_REG_MASK(0) ... IVM_REG_MASK(IVM_REG_WORDS - 1):
        return s->mask[(offset - IVM_REG_MASK(0)) / 4];
    default:
        return 0;
    }
}

static void ivm_mailbox_set_ready(IvmMailbox *s, uint32_t ready)
{
    if (s->ready != ready) {
        s->ready = ready;
        ivm_link_driver(s);
    }
}

static void ivm_mailbox_write_register(IvmMailbox *s, hwaddr offset,
                                       uint32_t value)
{
    unsigned word;

    switch (offset) {
    case IVM_REG_LINK_VECTOR:
        s->link_vector = value < s->vectors ? value : IVM_LINK_VECTOR_NONE;
        break;
    case IVM_REG_READY:
        ivm_mailbox_set_ready(s, value & IVM_READY);
        break;
    case IVM_REG_STATUS(0) ... IVM_REG_STATUS(IVM_REG_WORDS - 1):
        word = (offset - IVM_REG_STATUS(0)) / 4;
        ivm_irq_acknowledge(s, word, value);
        break;
    case IVM_REG_MASK(0) ... IVM_REG_MASK(IVM_REG_WORDS - 1):
        word = (offset - IVM_REG_MASK(0)) / 4;
        ivm_irq_set_mask(s, word, value & ivm_mailbox_vector_bits(s, word));
        break;
    }
}

static bool ivm_mailbox_access_ok(IvmMailbox *s, hwaddr offset, unsigned size,
                                  const char *what)
{
    if (size == 4 && offset % 4 == 0) {
        return true;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "ivm-mailbox %s: %s of %u bytes at 0x%"
                  HWADDR_PRIx ": only aligned 32-bit accesses are allowed\n",
                  ivm_label(s), what, size, offset);
    return false;
}

static uint64_t ivm_mailbox_read(void *opaque, hwaddr offset, unsigned size)
{
    IvmMailbox *s = opaque;
    uint32_t value;

    if (!ivm_mailbox_access_ok(s, offset, size, "read")) {
        return IVM_NO_READ;
    }
    value = ivm_mailbox_read_register(s, offset);
    trace_ivm_mailbox_read(ivm_label(s), offset, value);
    return value;
}

static void ivm_mailbox_write(void *opaque, hwaddr offset, uint64_t value,
                              unsigned size)
{
    IvmMailbox *s = opaque;

    if (!ivm_mailbox_access_ok(s, offset, size, "write")) {
        return;
    }
    if (offset >= IVM_DOORBELL_BASE) {
        ivm_doorbell_ring(s, (offset - IVM_DOORBELL_BASE) / 4, value);
    } else {
        trace_ivm_mailbox_write(ivm_label(s), offset, value);
        ivm_mailbox_write_register(s, offset, value);
    }
}

/* All sizes come here: on some hosts a refused one is a machine check */
static const MemoryRegionOps ivm_mailbox_ops = {
    .read = ivm_mailbox_read,
    .write = ivm_mailbox_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/*
 * PCI
 */

/* Several vectors may become deliverable at once: one look afterwards */
static void ivm_mailbox_write_config(PCIDevice *pdev, uint32_t address,
                                     uint32_t value, int len)
{
    IvmMailbox *s = IVM_MAILBOX(pdev);

    s->msix_batch = true;
    pci_default_write_config(pdev, address, value, len);
    s->msix_batch = false;
    if (range_covers_byte(address, len, PCI_COMMAND) ||
        ranges_overlap(address, len, pdev->msix_cap, MSIX_CAP_LENGTH)) {
        ivm_irq_update(s, 0, s->vectors - 1);
    }
    if (pci_is_express(pdev)) {
        pcie_cap_flr_write_config(pdev, address, value, len);
    }
}

static void ivm_mailbox_reset(DeviceState *dev)
{
    IvmMailbox *s = IVM_MAILBOX(dev);

    ivm_irq_reset(s);
    s->link_vector = IVM_LINK_VECTOR_NONE;
    ivm_mailbox_set_ready(s, 0);
    ivm_linkpage_publish(s);
}

static bool ivm_mailbox_parse_side(IvmMailbox *s, Error **errp)
{
    const char *side = s->side_text ? s->side_text : "auto";
    SocketChardev *sock = SOCKET_CHARDEV(s->chr.chr);

    if (g_str_equal(side, "auto")) {
        s->side = sock->is_listen ? IVM_SIDE_SERVER : IVM_SIDE_CLIENT;
    } else if (g_str_equal(side, "server")) {
        s->side = IVM_SIDE_SERVER;
    } else if (g_str_equal(side, "client")) {
        s->side = IVM_SIDE_CLIENT;
    } else {
        error_setg(errp, "side=%s: expected auto, server or client", side);
        return false;
    }
    return true;
}

static bool ivm_mailbox_parse_mode(IvmMailbox *s, Error **errp)
{
    const char *mode = s->mode_text ? s->mode_text : "auto";

    for (s->mode = IVM_MODE_QEMU; s->mode <= IVM_MODE_AUTO; s->mode++) {
        if (g_str_equal(mode, ivm_mode_name(s->mode))) {
            return true;
        }
    }
    error_setg(errp, "mode=%s: expected auto, qemu, irqfd or direct", mode);
    return false;
}

static bool ivm_mailbox_check_numbers(IvmMailbox *s, Error **errp)
{
    if (s->vectors < 1 || s->vectors > IVM_MAX_VECTORS) {
        error_setg(errp, "vectors=%u: must be from 1 to %u", s->vectors,
                   IVM_MAX_VECTORS);
        return false;
    }
    if (s->shmem_bytes && (s->shmem_bytes < IVM_SHMEM_MIN_BYTES ||
                           s->shmem_bytes > IVM_SHMEM_MAX_BYTES ||
                           !is_power_of_2(s->shmem_bytes))) {
        error_setg(errp, "shmem=%" PRIu64 ": must be 0 or a power of two from "
                   "64K to 1G", s->shmem_bytes);
        return false;
    }
    if (s->name && !ivm_link_name_valid(s->name, IVM_LINK_NAME_BYTES)) {
        error_setg(errp, "link: the name must be at most %u bytes of UTF-8 "
                   "without control characters", IVM_LINK_NAME_BYTES - 1);
        return false;
    }
    return true;
}

static bool ivm_mailbox_check_chardev(IvmMailbox *s, Error **errp)
{
    SocketChardev *sock;

    if (!qemu_chr_fe_backend_connected(&s->chr)) {
        error_setg(errp, "chardev= is missing: the id of a socket chardev");
        return false;
    }
    sock = (SocketChardev *)object_dynamic_cast(OBJECT(s->chr.chr),
                                                TYPE_CHARDEV_SOCKET);
    if (!sock || sock->is_telnet || sock->is_tn3270 || sock->is_websock) {
        error_setg(errp, "chardev '%s' is not a plain socket",
                   s->chr.chr->label);
        return false;
    }
    return true;
}

/* Whether a socket given by number passes descriptors shows when it is open */
static bool ivm_mailbox_may_pass_fds(IvmMailbox *s)
{
    SocketChardev *sock = SOCKET_CHARDEV(s->chr.chr);

    return !sock->tls_creds &&
           (!sock->addr || sock->addr->type == SOCKET_ADDRESS_TYPE_UNIX ||
            sock->addr->type == SOCKET_ADDRESS_TYPE_FD);
}

/* What a mode needs of this end alone; the peer's part shows at link-up */
static bool ivm_mailbox_check_mode(IvmMailbox *s, Error **errp)
{
    struct rlimit limit;
    rlim_t least = s->vectors + 1 + 8;

    if (s->mode == IVM_MODE_QEMU || s->mode == IVM_MODE_AUTO) {
        return true;
    }
    if (s->mode == IVM_MODE_DIRECT && !ivm_doorbell_direct_capable()) {
        error_setg(errp, "mode=direct needs KVM with ioeventfds and irqfds "
                   "(-accel kvm, kernel-irqchip not off)");
        return false;
    }
    if (!ivm_mailbox_may_pass_fds(s)) {
        error_setg(errp, "mode=%s needs a UNIX socket without TLS: chardev "
                   "'%s' cannot pass descriptors", ivm_mode_name(s->mode),
                   s->chr.chr->label);
        return false;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < least) {
        error_setg(errp, "vectors=%u needs %" PRIu64 " descriptors or more, "
                   "RLIMIT_NOFILE is %" PRIu64, s->vectors, (uint64_t)least,
                   (uint64_t)limit.rlim_cur);
        return false;
    }
    return true;
}

static bool ivm_mailbox_check_properties(IvmMailbox *s, Error **errp)
{
    return ivm_mailbox_check_chardev(s, errp) &&
           ivm_mailbox_check_numbers(s, errp) &&
           ivm_mailbox_parse_side(s, errp) &&
           ivm_mailbox_parse_mode(s, errp) &&
           ivm_mailbox_check_mode(s, errp);
}

static bool ivm_mailbox_init_bars(IvmMailbox *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    Error *err = NULL;

    memory_region_init_io(&s->bar0, OBJECT(s), &ivm_mailbox_ops, s,
                          "ivm-mailbox-regs", IVM_BAR0_BYTES);
    pci_register_bar(pdev, IVM_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->bar0);
    if (!s->shmem_bytes) {
        return true;
    }
    memory_region_init_ram_nomigrate(&s->bar2, OBJECT(s), "ivm-mailbox-shmem",
                                     s->shmem_bytes, &err);
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    pci_register_bar(pdev, IVM_BAR_SHMEM, PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_PREFETCH |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->bar2);
    return true;
}

static bool ivm_mailbox_block_migration(IvmMailbox *s, Error **errp)
{
    error_setg(&s->migration_blocker, "ivm-mailbox: the peer of a link would "
               "be left on the old host");
    return ivm_migrate_block(&s->migration_blocker, errp) >= 0;
}

/* Also undoes a part of what realize does.  Without its page it raises none. */
static void ivm_mailbox_cleanup(IvmMailbox *s)
{
    ivm_linkpage_exit(s);
    ivm_link_exit(s);
    ivm_doorbell_exit(s);
    ivm_irq_exit(s);
    ivm_migrate_unblock(&s->migration_blocker);
    if (s->shmem_fd >= 0) {
        close(s->shmem_fd);
        s->shmem_fd = -1;
    }
}

static void ivm_mailbox_realize(PCIDevice *pdev, Error **errp)
{
    IvmMailbox *s = IVM_MAILBOX(pdev);

    if (!ivm_mailbox_check_properties(s, errp)) {
        return;
    }
    if (pci_is_express(pdev)) {
        pcie_endpoint_cap_init(pdev, 0);
        pcie_cap_flr_init(pdev);
    }
    if (!ivm_mailbox_init_bars(s, errp) || !ivm_irq_init(s, errp) ||
        !ivm_linkpage_init(s, errp) || !ivm_mailbox_block_migration(s, errp)) {
        ivm_mailbox_cleanup(s);
        return;
    }
    s->link_vector = IVM_LINK_VECTOR_NONE;
    ivm_doorbell_init(s);
    trace_ivm_mailbox_realize(ivm_label(s), s->side, ivm_mode_name(s->mode),
                              s->vectors, s->shmem_bytes);
    ivm_link_init(s);
    ivm_linkpage_publish(s);
}

static void ivm_mailbox_exit(PCIDevice *pdev)
{
    ivm_mailbox_cleanup(IVM_MAILBOX(pdev));
}

/*
 * QOM
 */

static char *ivm_mailbox_get_link_state(Object *obj, Error **errp)
{
    return g_strdup(IVM_MAILBOX(obj)->up ? "up" : "down");
}

static char *ivm_mailbox_get_link_reason(Object *obj, Error **errp)
{
    IvmMailbox *s = IVM_MAILBOX(obj);

    return g_strdup(s->up ? "" : ivm_reason_text(s->reason));
}

static char *ivm_mailbox_get_mode(Object *obj, Error **errp)
{
    return g_strdup(ivm_mode_name(IVM_MAILBOX(obj)->tx_mode));
}

static char *ivm_mailbox_get_mode_received(Object *obj, Error **errp)
{
    return g_strdup(ivm_mode_name(IVM_MAILBOX(obj)->rx_mode));
}

static IvmProperty ivm_mailbox_properties[] = {
    DEFINE_PROP_CHR("chardev", IvmMailbox, chr),
    DEFINE_PROP_STRING("side", IvmMailbox, side_text),
    DEFINE_PROP_STRING("link", IvmMailbox, name),
    DEFINE_PROP_STRING("mode", IvmMailbox, mode_text),
    DEFINE_PROP_BOOL("irq-ctrl", IvmMailbox, irq_ctrl, false),
    DEFINE_PROP_UINT32("vectors", IvmMailbox, vectors, 1),
    DEFINE_PROP_SIZE("shmem", IvmMailbox, shmem_bytes, 1 * MiB),
    /* What drivers make of a device they do not know can be tested */
    DEFINE_PROP_UINT32("x-version", IvmMailbox, version, IVM_VERSION),
    IVM_PROP_LIST_END
};

static void ivm_mailbox_instance_init(Object *obj)
{
    IvmMailbox *s = IVM_MAILBOX(obj);

    s->page_fd = -1;
    s->shmem_fd = -1;
    s->link.shmem_fd = -1;
}

/* One type for both kinds of bus; the kind is known before PCI's realize */
static DeviceRealize ivm_mailbox_parent_realize;

static void ivm_mailbox_dc_realize(DeviceState *dev, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(dev);

    if (pci_bus_is_express(PCI_BUS(qdev_get_parent_bus(dev)))) {
        pdev->cap_present |= QEMU_PCI_CAP_EXPRESS;
    }
    ivm_mailbox_parent_realize(dev, errp);
}

static void ivm_mailbox_class_init(ObjectClass *klass, IvmClassData data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = ivm_mailbox_realize;
    k->exit = ivm_mailbox_exit;
    k->config_write = ivm_mailbox_write_config;
    k->vendor_id = IVM_PCI_VENDOR_ID;
    k->device_id = IVM_PCI_DEVICE_ID;
    k->revision = IVM_PCI_REVISION;
    k->class_id = IVM_PCI_CLASS;
    ivm_class_set_reset(dc, ivm_mailbox_reset);
    device_class_set_parent_realize(dc, ivm_mailbox_dc_realize,
                                    &ivm_mailbox_parent_realize);
    device_class_set_props(dc, ivm_mailbox_properties);
    dc->desc = "Doorbells between two virtual machines";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    object_class_property_add_str(klass, "link-state",
                                  ivm_mailbox_get_link_state, NULL);
    object_class_property_add_str(klass, "link-reason",
                                  ivm_mailbox_get_link_reason, NULL);
    object_class_property_add_str(klass, "mode-in-effect",
                                  ivm_mailbox_get_mode, NULL);
    object_class_property_add_str(klass, "mode-received",
                                  ivm_mailbox_get_mode_received, NULL);
}

static const TypeInfo ivm_mailbox_types[] = {
    {
        .name = TYPE_IVM_MAILBOX,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(IvmMailbox),
        .instance_init = ivm_mailbox_instance_init,
        .class_init = ivm_mailbox_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(ivm_mailbox_types)
