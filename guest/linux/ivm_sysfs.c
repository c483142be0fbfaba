// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox: /sys/class/ivm/ivmN.
 */
#include <linux/sysfs.h>

#include "ivm_mailbox.h"

const char *ivm_mode_name(u32 mode)
{
	static const char * const names[] = {
		[IVM_MODE_DOWN] = "down",
		[IVM_MODE_QEMU] = "qemu",
		[IVM_MODE_IRQFD] = "irqfd",
		[IVM_MODE_DIRECT] = "direct",
	};

	return mode < ARRAY_SIZE(names) ? names[mode] : "unknown";
}

static struct ivm_dev *to_ivm(struct device *dev)
{
	return container_of(dev, struct ivm_dev, dev);
}

/* How the doorbells of this end travel */
static ssize_t mode_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 mode = READ_ONCE(to_ivm(dev)->mode);

	return sysfs_emit(buf, "%s\n", ivm_mode_name(mode >> IVM_MODE_TX_SHIFT & IVM_MODE_FIELD));
}
static DEVICE_ATTR_RO(mode);

static ssize_t mode_received_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 mode = READ_ONCE(to_ivm(dev)->mode);

	return sysfs_emit(buf, "%s\n", ivm_mode_name(mode >> IVM_MODE_RX_SHIFT & IVM_MODE_FIELD));
}
static DEVICE_ATTR_RO(mode_received);

static ssize_t link_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(to_ivm(dev)->link) & IVM_LINK_UP ? "up" : "down");
}
static DEVICE_ATTR_RO(link);

/* Why the link is down, as the device numbers it */
static ssize_t link_reason_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 link = READ_ONCE(to_ivm(dev)->link);

	return sysfs_emit(buf, "%u\n", link & IVM_LINK_UP ? 0 :
			  link >> IVM_LINK_REASON_SHIFT & IVM_LINK_REASON_FIELD);
}
static DEVICE_ATTR_RO(link_reason);

static ssize_t link_count_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(to_ivm(dev)->link) >> IVM_LINK_COUNT_SHIFT &
			  IVM_LINK_COUNT_FIELD);
}
static DEVICE_ATTR_RO(link_count);

static ssize_t side_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", to_ivm(dev)->side == IVM_SIDE_SERVER ? "server" : "client");
}
static DEVICE_ATTR_RO(side);

static ssize_t peer_ready_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(to_ivm(dev)->peer_ready));
}
static DEVICE_ATTR_RO(peer_ready);

static ssize_t channels_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", to_ivm(dev)->channels);
}
static DEVICE_ATTR_RO(channels);

static ssize_t max_message_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", ivm_ring_max(&to_ivm(dev)->layout));
}
static DEVICE_ATTR_RO(max_message);

static struct attribute *link_attrs[] = {
	&dev_attr_mode.attr,
	&dev_attr_mode_received.attr,
	&dev_attr_link.attr,
	&dev_attr_link_reason.attr,
	&dev_attr_link_count.attr,
	&dev_attr_side.attr,
	&dev_attr_peer_ready.attr,
	&dev_attr_channels.attr,
	&dev_attr_max_message.attr,
	NULL
};

static const struct attribute_group link_group = { .attrs = link_attrs };

/* Counters, of all channels together; IVM_IOC_STATS has them one by one */
#define COUNTER(name, of_chan)								\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)	\
{											\
	struct ivm_dev *ivm = to_ivm(dev);						\
	struct ivm_chan *chan;								\
	u64 sum = 0;									\
	u32 i;										\
											\
	for (i = 0; i < ivm->channels; i++) {						\
		chan = &ivm->chan[i];							\
		sum += (of_chan);							\
	}										\
	return sysfs_emit(buf, "%llu\n", sum);						\
}											\
static DEVICE_ATTR_RO(name)

COUNTER(rung, atomic64_read(&chan->rung));
COUNTER(interrupts, atomic64_read(&chan->irqs));
COUNTER(sent, READ_ONCE(chan->sent));
COUNTER(received, READ_ONCE(chan->received));
COUNTER(failed, READ_ONCE(chan->failed));
COUNTER(full, READ_ONCE(chan->full));
COUNTER(resets, READ_ONCE(chan->resets));

static struct attribute *counter_attrs[] = {
	&dev_attr_rung.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_sent.attr,
	&dev_attr_received.attr,
	&dev_attr_failed.attr,
	&dev_attr_full.attr,
	&dev_attr_resets.attr,
	NULL
};

static const struct attribute_group counter_group = {
	.name = "counters",
	.attrs = counter_attrs,
};

const struct attribute_group *ivm_groups[] = { &link_group, &counter_group, NULL };
