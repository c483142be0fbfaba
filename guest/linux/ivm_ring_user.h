/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ivm_ring.c takes from the kernel, for its tests in user space.
 */
#ifndef IVM_RING_USER_H
#define IVM_RING_USER_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef uint32_t __le32;

#define __force
#define le32_to_cpu(x)		le32toh(x)
#define cpu_to_le32(x)		htole32(x)
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define virt_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define virt_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define virt_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define min(a, b)		((a) < (b) ? (a) : (b))

static inline bool is_power_of_2(u32 n)
{
	return n && !(n & (n - 1));
}

static inline u32 rounddown_pow_of_two(u32 n)
{
	return 1u << (31 - __builtin_clz(n));
}

#endif /* IVM_RING_USER_H */
