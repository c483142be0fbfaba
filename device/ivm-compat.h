/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU versions the device builds in, 7.2 to 10.x.
 */
#ifndef IVM_COMPAT_H
#define IVM_COMPAT_H

#include "qapi/error.h"
#include "hw/pci/pci.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"

#if __has_include("hw/pci/pci_device.h")
#include "hw/pci/pci_device.h"
#endif

#if __has_include("system/kvm.h")
#include "system/kvm.h"
#include "system/runstate.h"
#else
#include "sysemu/kvm.h"
#include "sysemu/runstate.h"
#endif

#if __has_include("system/memory.h")
#include "system/memory.h"
#include "system/address-spaces.h"
#else
#include "exec/memory.h"
#include "exec/address-spaces.h"
#endif

#if QEMU_VERSION_MAJOR >= 10
typedef const Property IvmProperty;
#define IVM_PROP_LIST_END
#else
typedef Property IvmProperty;
#define IVM_PROP_LIST_END DEFINE_PROP_END_OF_LIST(),
#endif

#if QEMU_VERSION_MAJOR > 10 || \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
typedef const void *IvmClassData;
#else
typedef void *IvmClassData;
#endif

static inline void ivm_class_set_reset(DeviceClass *dc,
                                       void (*reset)(DeviceState *))
{
#if QEMU_VERSION_MAJOR > 9 || \
    (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 2)
    device_class_set_legacy_reset(dc, reset);
#else
    dc->reset = reset;
#endif
}

/* From 8.2 on the blocker owns the reason and clears it on failure */
static inline int ivm_migrate_block(Error **reason, Error **errp)
{
#if QEMU_VERSION_MAJOR > 8 || \
    (QEMU_VERSION_MAJOR == 8 && QEMU_VERSION_MINOR >= 2)
    return migrate_add_blocker(reason, errp);
#else
    int ret = migrate_add_blocker(*reason, errp);

    if (ret < 0) {
        error_free(*reason);
        *reason = NULL;
    }
    return ret;
#endif
}

static inline void ivm_migrate_unblock(Error **reason)
{
    if (!*reason) {
        return;
    }
#if QEMU_VERSION_MAJOR > 8 || \
    (QEMU_VERSION_MAJOR == 8 && QEMU_VERSION_MINOR >= 2)
    migrate_del_blocker(reason);
#else
    migrate_del_blocker(*reason);
    error_free(*reason);
    *reason = NULL;
#endif
}

#endif /* IVM_COMPAT_H */
