// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox: driver of QEMU's ivm-mailbox device.
 *
 * A vector is a channel: its doorbell, its interrupt, and a ring of messages in
 * each direction.  Channels are there for programs (/dev/ivmN) and for the
 * kernel's mailbox framework.  docs/driver.md says what both can rely on.
 */
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timex.h>

#include "ivm_mailbox.h"

#define CREATE_TRACE_POINTS
#include "ivm_trace.h"

#define DRIVER_NAME	"ivm_mailbox"
#define MAX_DEVICES	256

static bool stamps = true;
module_param(stamps, bool, 0444);
MODULE_PARM_DESC(stamps, "leave time stamps for the host's tracer (default on)");

static unsigned int cookie;
module_param(cookie, uint, 0444);
MODULE_PARM_DESC(cookie, "number that the count of doorbells starts from");

static DEFINE_IDA(numbers);
static DEFINE_MUTEX(devices_mutex);
static struct ivm_dev *devices[MAX_DEVICES];
static dev_t first_devt;

static struct class ivm_class = {
	.name = "ivm",
	.dev_groups = ivm_groups,
};

/**
 * ivm_find() - the device behind /dev/ivmN
 * @number: N
 *
 * Return: the device, to be given back with put_device(), or NULL.
 */
struct ivm_dev *ivm_find(unsigned int number)
{
	struct ivm_dev *ivm;

	if (number >= MAX_DEVICES)
		return NULL;
	mutex_lock(&devices_mutex);
	ivm = devices[number];
	if (ivm)
		get_device(&ivm->dev);
	mutex_unlock(&devices_mutex);
	return ivm;
}

/* ---- interrupts ---- */

/* Waking is all there is to do, so it is done right here and not in a thread */
static irqreturn_t ivm_interrupt(int irq, void *data)
{
	u64 tsc = get_cycles();
	struct ivm_chan *chan = data;
	struct ivm_dev *ivm = chan->ivm;
	u64 count = atomic64_inc_return(&chan->irqs);

	WRITE_ONCE(chan->irq_tsc, tsc);
	ivm_stamp(ivm, IVM_STAMP_HANDLER, (u32)count, chan->index, tsc);
	trace_ivm_irq_handle(ivm->number, chan->index, count, tsc);
	ivm_chan_wake(chan);
	if (chan->index == ivm->channels - 1)
		ivm_link_kick(ivm);
	return IRQ_HANDLED;
}

static void free_interrupts(struct ivm_dev *ivm, u32 count)
{
	while (count--) {
		irq_clear_status_flags(ivm->chan[count].irq, IRQ_DISABLE_UNLAZY);
		pci_free_irq(ivm->pdev, count, &ivm->chan[count]);
	}
}

static int request_interrupts(struct ivm_dev *ivm)
{
	u32 i;
	int err;

	for (i = 0; i < ivm->channels; i++) {
		ivm->chan[i].irq = pci_irq_vector(ivm->pdev, i);
		/* A channel held by MSI-X must not run its handler even once */
		irq_set_status_flags(ivm->chan[i].irq, IRQ_DISABLE_UNLAZY);
		err = pci_request_irq(ivm->pdev, i, ivm_interrupt, NULL, &ivm->chan[i],
				      "ivm%d-%u", ivm->number, i);
		if (err) {
			free_interrupts(ivm, i);
			return err;
		}
	}
	return 0;
}

/* ---- what the device is ---- */

/* A device that does not say what it should is left alone */
static int check_device(struct pci_dev *pdev, void __iomem *regs)
{
	u32 id = readl(regs + IVM_REG_ID), version = readl(regs + IVM_REG_VERSION);
	u32 vectors = readl(regs + IVM_REG_VECTORS), side = readl(regs + IVM_REG_SIDE);
	u64 shmem_bytes = (u64)readl(regs + IVM_REG_SHMEM_SIZE) << 12;

	if (id != IVM_ID)
		return dev_err_probe(&pdev->dev, -ENODEV, "register ID is 0x%08x\n", id);
	if (version >> 16 != IVM_VERSION >> 16)
		return dev_err_probe(&pdev->dev, -ENODEV, "version 0x%08x is not known\n",
				     version);
	if (!vectors || vectors > IVM_MAX_VECTORS || side > 1)
		return dev_err_probe(&pdev->dev, -ENODEV, "%u vectors, side %u\n", vectors, side);
	if (shmem_bytes > IVM_SHMEM_MAX_BYTES ||
	    shmem_bytes != pci_resource_len(pdev, IVM_BAR_SHMEM))
		return dev_err_probe(&pdev->dev, -ENODEV,
				     "shared memory of 0x%llx bytes in a BAR of 0x%llx\n",
				     shmem_bytes,
				     (u64)pci_resource_len(pdev, IVM_BAR_SHMEM));
	return vectors;
}

static int map_shmem(struct ivm_dev *ivm)
{
	struct pci_dev *pdev = ivm->pdev;
	u64 bytes = pci_resource_len(pdev, IVM_BAR_SHMEM);
	int err;

	if (!bytes)
		return 0;
	err = pci_request_region(pdev, IVM_BAR_SHMEM, DRIVER_NAME);
	if (err)
		return dev_err_probe(&pdev->dev, err, "BAR %d is in use\n", IVM_BAR_SHMEM);
	/* It is memory, and everybody else maps it as such */
	ivm->shmem = devm_memremap(&pdev->dev, pci_resource_start(pdev, IVM_BAR_SHMEM), bytes,
				   MEMREMAP_WB);
	if (IS_ERR(ivm->shmem))
		return dev_err_probe(&pdev->dev, PTR_ERR(ivm->shmem), "cannot map BAR %d\n",
				     IVM_BAR_SHMEM);
	ivm->own = ivm->shmem + ivm->side * (bytes / 2);
	ivm->peer = ivm->shmem + (ivm->side ^ 1) * (bytes / 2);
	return ivm_layout_plan(&ivm->layout, bytes / 2, ivm->channels, stamps);
}

/* ---- probe and remove ---- */

static void ivm_release(struct device *dev)
{
	struct ivm_dev *ivm = container_of(dev, struct ivm_dev, dev);
	u32 i;

	for (i = 0; i < ivm->channels; i++)
		kvfree(ivm->chan[i].rx_buf);
	ida_free(&numbers, ivm->number);
	kfree(ivm->mbox_chans);
	kvfree(ivm);
}

static struct ivm_dev *ivm_new(struct pci_dev *pdev, u32 channels)
{
	struct ivm_dev *ivm;

	ivm = kvzalloc(struct_size(ivm, chan, channels), GFP_KERNEL);
	if (!ivm)
		return ERR_PTR(-ENOMEM);
	ivm->number = ida_alloc_max(&numbers, MAX_DEVICES - 1, GFP_KERNEL);
	if (ivm->number < 0) {
		int err = ivm->number;

		kvfree(ivm);
		return ERR_PTR(err);
	}
	ivm->pdev = pdev;
	ivm->channels = channels;
	init_rwsem(&ivm->alive);
	atomic_set(&ivm->cookie, (int)cookie);
	ivm_link_init(ivm);

	device_initialize(&ivm->dev);
	ivm->dev.class = &ivm_class;
	ivm->dev.parent = &pdev->dev;
	ivm->dev.release = ivm_release;
	ivm->dev.devt = first_devt + ivm->number;
	cdev_init(&ivm->cdev, &ivm_fops);
	ivm->cdev.owner = THIS_MODULE;
	return ivm;
}

static void publish(struct ivm_dev *ivm, bool there)
{
	mutex_lock(&devices_mutex);
	devices[ivm->number] = there ? ivm : NULL;
	mutex_unlock(&devices_mutex);
}

/* From here on interrupts come and the peer may be told that we are there */
static int start(struct ivm_dev *ivm)
{
	int err;

	err = request_interrupts(ivm);
	if (err)
		return dev_err_probe(&ivm->pdev->dev, err, "cannot have its interrupts\n");
	err = ivm_controller_register(ivm);
	if (err) {
		dev_err_probe(&ivm->pdev->dev, err, "cannot register a mailbox controller\n");
		goto out_interrupts;
	}
	err = cdev_device_add(&ivm->cdev, &ivm->dev);
	if (err) {
		dev_err_probe(&ivm->pdev->dev, err, "cannot make /dev/ivm%d\n", ivm->number);
		goto out_controller;
	}
	publish(ivm, true);
	ivm_write(ivm, IVM_REG_LINK_VECTOR, ivm->channels - 1);
	ivm_link_kick(ivm);
	return 0;

out_controller:
	ivm_controller_unregister(ivm);
out_interrupts:
	free_interrupts(ivm, ivm->channels);
	return err;
}

static int set_up(struct ivm_dev *ivm, void __iomem *regs)
{
	u32 i;
	int err;

	ivm->regs = regs;
	ivm->side = ivm_read(ivm, IVM_REG_SIDE);
	err = dev_set_name(&ivm->dev, "ivm%d", ivm->number);
	if (!err)
		err = map_shmem(ivm);
	for (i = 0; i < ivm->channels; i++)
		ivm_chan_init(ivm, i);
	return err ? err : start(ivm);
}

static int ivm_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct ivm_dev *ivm;
	void __iomem *regs;
	int err, vectors;

	err = pcim_enable_device(pdev);
	if (err)
		return dev_err_probe(&pdev->dev, err, "cannot enable it\n");
	if (pci_resource_len(pdev, IVM_BAR_REGS) != IVM_BAR0_BYTES)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR 0 has 0x%llx bytes\n",
				     (u64)pci_resource_len(pdev, IVM_BAR_REGS));
	err = pcim_iomap_regions(pdev, BIT(IVM_BAR_REGS), DRIVER_NAME);
	if (err)
		return dev_err_probe(&pdev->dev, err, "cannot map BAR 0\n");
	regs = pcim_iomap_table(pdev)[IVM_BAR_REGS];
	vectors = check_device(pdev, regs);
	if (vectors < 0)
		return vectors;
	pci_set_master(pdev);
	/* With fewer interrupts than vectors the rest is no channel */
	vectors = pci_alloc_irq_vectors(pdev, 1, vectors, PCI_IRQ_MSIX);
	if (vectors < 0)
		return dev_err_probe(&pdev->dev, vectors, "no MSI-X vectors\n");

	ivm = ivm_new(pdev, vectors);
	if (IS_ERR(ivm))
		return PTR_ERR(ivm);
	err = set_up(ivm, regs);
	if (err) {
		put_device(&ivm->dev);
		return err;
	}
	pci_set_drvdata(pdev, ivm);
	return 0;
}

/*
 * Whoever is inside is waited for, whoever comes later finds it dead, and
 * whoever sleeps is woken.  Files and clients keep the structure, not the device.
 */
static void ivm_remove(struct pci_dev *pdev)
{
	struct ivm_dev *ivm = pci_get_drvdata(pdev);
	u32 i;

	publish(ivm, false);
	down_write(&ivm->alive);
	WRITE_ONCE(ivm->dead, true);
	up_write(&ivm->alive);
	cdev_device_del(&ivm->cdev, &ivm->dev);
	for (i = 0; i < ivm->channels; i++)
		ivm_chan_wake(&ivm->chan[i]);
	ivm_controller_unregister(ivm);
	for (i = 0; i < ivm->channels; i++)
		ivm_chan_unhold(&ivm->chan[i]);
	free_interrupts(ivm, ivm->channels);
	ivm_link_stop(ivm);
	put_device(&ivm->dev);
}

static const struct pci_device_id ivm_ids[] = {
	{ PCI_DEVICE(IVM_PCI_VENDOR_ID, IVM_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ivm_ids);

static struct pci_driver ivm_driver = {
	.name = DRIVER_NAME,
	.id_table = ivm_ids,
	.probe = ivm_probe,
	.remove = ivm_remove,
	.shutdown = ivm_remove,
};

static int __init ivm_init(void)
{
	int err;

	err = alloc_chrdev_region(&first_devt, 0, MAX_DEVICES, "ivm");
	if (err)
		return err;
	err = class_register(&ivm_class);
	if (err)
		goto out_region;
	err = pci_register_driver(&ivm_driver);
	if (err)
		goto out_class;
	return 0;

out_class:
	class_unregister(&ivm_class);
out_region:
	unregister_chrdev_region(first_devt, MAX_DEVICES);
	return err;
}
module_init(ivm_init);

static void __exit ivm_exit(void)
{
	pci_unregister_driver(&ivm_driver);
	class_unregister(&ivm_class);
	unregister_chrdev_region(first_devt, MAX_DEVICES);
	ida_destroy(&numbers);
}
module_exit(ivm_exit);

MODULE_DESCRIPTION("Mailbox between virtual machines: QEMU's ivm-mailbox");
MODULE_LICENSE("GPL");
