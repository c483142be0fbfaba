// SPDX-License-Identifier: GPL-2.0-or-later
/* Samples: which hop each one belongs to, and the names of its functions */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "tracer/profile_join.h"
#include "tracer/symbols.h"

#define FROM_VCPU	11
#define TO_VCPU		21
#define TO_LOOP		20
#define OTHER		99

struct found {
	uint64_t journey, t_ns;
	enum ivm_point from, to;
	enum ivm_sample_thread thread;
};

static struct found found[64];
static unsigned int hops;

static int take_hop(void *arg, const struct ivm_taken_sample *s, const struct ivm_journey *j,
		    enum ivm_point from, enum ivm_point to, enum ivm_sample_thread thread)
{
	(void)arg;
	assert_true(hops < G_N_ELEMENTS(found));
	found[hops++] = (struct found) { j->id, s->t_ns, from, to, thread };
	return 0;
}

static const struct ivm_actors actors = {
	.from_tid = FROM_VCPU, .to_tid = TO_VCPU, .to_pid = TO_LOOP,
};

/* By way of QEMU, all points 10 ns apart from @start on */
static void add_qemu_journey(struct ivm_profile_join *p, uint64_t id, uint64_t start)
{
	const enum ivm_point points[] = {
		IVM_P_DISPATCH, IVM_P_USER, IVM_P_SEND, IVM_P_WAKE, IVM_P_RUN, IVM_P_RECV,
		IVM_P_ROUTE, IVM_P_ACCEPT, IVM_P_VCPU_WAKE, IVM_P_VCPU_RUN, IVM_P_INJECT,
		IVM_P_ENTRY,
	};
	struct ivm_journey j = { .id = id, .outcome = IVM_O_DELIVERED, .mode = IVM_M_QEMU };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(points); i++)
		j.t_ns[points[i]] = start + 10 * i;
	ivm_profile_join_journey(p, &j, &actors);
}

static void add_sample(struct ivm_profile_join *p, uint32_t tid, uint64_t journey, uint64_t t_ns)
{
	const struct ivm_taken_sample s = {
		.t_ns = t_ns, .journey = journey, .tid = tid, .stack = 1,
	};

	ivm_profile_join_sample(p, &s);
}

static void assert_hop(unsigned int i, uint64_t t_ns, enum ivm_point from, enum ivm_point to,
		       enum ivm_sample_thread thread)
{
	assert_true(i < hops);
	assert_int_equal(found[i].t_ns, t_ns);
	assert_int_equal(found[i].from, from);
	assert_int_equal(found[i].to, to);
	assert_int_equal(found[i].thread, thread);
}

static void assert_outside(const struct ivm_profile_join *p, uint64_t taken, uint64_t outside)
{
	struct ivm_profile_counts counts;

	ivm_profile_join_counts(p, &counts);
	assert_int_equal(counts.taken, taken);
	assert_int_equal(counts.outside, outside);
}

static void test_each_thread_in_its_hops(void **state)
{
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);
	uint64_t t;

	(void)state;
	hops = 0;
	/* All four look at each hop; the sender carries 7, the last one something else */
	for (t = 1005; t < 1115; t += 10) {
		add_sample(p, FROM_VCPU, 7, t);
		add_sample(p, TO_LOOP, 0, t);
		add_sample(p, TO_VCPU, 0, t);
		add_sample(p, OTHER, 8, t);
	}
	add_qemu_journey(p, 7, 1000);
	assert_int_equal(ivm_profile_join_settle(p, 1110), 0);
	assert_int_equal(hops, 0);
	assert_int_equal(ivm_profile_join_settle(p, 1111), 0);
	assert_hop(0, 1005, IVM_P_DISPATCH, IVM_P_USER, IVM_SAMPLE_SENDER);
	assert_hop(1, 1015, IVM_P_USER, IVM_P_SEND, IVM_SAMPLE_SENDER);
	assert_hop(2, 1025, IVM_P_SEND, IVM_P_WAKE, IVM_SAMPLE_SENDER);
	assert_hop(3, 1035, IVM_P_WAKE, IVM_P_RUN, IVM_SAMPLE_LOOP);
	assert_hop(4, 1045, IVM_P_RUN, IVM_P_RECV, IVM_SAMPLE_LOOP);
	/* Who raises is the main loop, but a sender that says it carries the journey does, too */
	assert_hop(5, 1055, IVM_P_RECV, IVM_P_ROUTE, IVM_SAMPLE_SENDER);
	assert_hop(6, 1055, IVM_P_RECV, IVM_P_ROUTE, IVM_SAMPLE_LOOP);
	ivm_profile_join_free(p);
}

static void test_edges(void **state)
{
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);

	(void)state;
	hops = 0;
	add_sample(p, FROM_VCPU, 7, 999);	/* before */
	add_sample(p, FROM_VCPU, 7, 1000);	/* at the first point */
	add_sample(p, FROM_VCPU, 7, 1010);	/* at the next: the hop from there */
	add_sample(p, TO_VCPU, 0, 1109);
	add_sample(p, TO_VCPU, 0, 1110);	/* at the last point: it is over */
	add_qemu_journey(p, 7, 1000);
	assert_int_equal(ivm_profile_join_settle(p, UINT64_MAX), 0);
	assert_int_equal(hops, 3);
	assert_hop(0, 1000, IVM_P_DISPATCH, IVM_P_USER, IVM_SAMPLE_SENDER);
	assert_hop(1, 1010, IVM_P_USER, IVM_P_SEND, IVM_SAMPLE_SENDER);
	assert_hop(2, 1109, IVM_P_INJECT, IVM_P_ENTRY, IVM_SAMPLE_RECEIVER);
	assert_outside(p, 5, 2);
	ivm_profile_join_free(p);
}

static void test_unsorted_samples(void **state)
{
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);

	(void)state;
	hops = 0;
	add_sample(p, OTHER, 0, 500000);
	add_sample(p, TO_VCPU, 0, 600095);
	add_sample(p, FROM_VCPU, 7, 600005);	/* of another CPU */
	add_qemu_journey(p, 7, 600000);
	assert_int_equal(ivm_profile_join_settle(p, UINT64_MAX), 0);
	assert_int_equal(hops, 2);
	ivm_profile_join_free(p);
}

static void test_several_under_way(void **state)
{
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);
	uint64_t id;

	(void)state;
	hops = 0;
	add_sample(p, TO_LOOP, 0, 1045);
	for (id = 1; id <= 20; id++)
		add_qemu_journey(p, id, 1000);
	assert_int_equal(ivm_profile_join_settle(p, UINT64_MAX), 0);
	assert_int_equal(hops, 8);
	assert_outside(p, 1, 0);
	ivm_profile_join_free(p);
}

static void test_only_what_is_delivered(void **state)
{
	struct ivm_journey j = { .id = 7, .outcome = IVM_O_COALESCED };
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);

	(void)state;
	hops = 0;
	j.t_ns[IVM_P_DISPATCH] = 1000;
	j.t_ns[IVM_P_ROUTE] = 2000;
	add_sample(p, FROM_VCPU, 7, 1500);
	ivm_profile_join_journey(p, &j, &actors);
	j.outcome = IVM_O_DELIVERED;
	j.flags = IVM_J_DISORDERED;
	ivm_profile_join_journey(p, &j, &actors);
	assert_int_equal(ivm_profile_join_settle(p, UINT64_MAX), 0);
	assert_int_equal(hops, 0);
	assert_outside(p, 1, 1);
	ivm_profile_join_free(p);
}

static void test_longer_than_samples_are_kept(void **state)
{
	struct ivm_profile_join *p = ivm_profile_join_new(take_hop, NULL);
	struct ivm_profile_counts counts;
	uint64_t i;

	(void)state;
	hops = 0;
	for (i = 0; i < IVM_PROFILE_SAMPLES + 10; i++)
		add_sample(p, OTHER, 0, 1000000 + i);
	add_qemu_journey(p, 7, 1000005);
	add_qemu_journey(p, 8, 1000010);
	assert_int_equal(ivm_profile_join_settle(p, UINT64_MAX), 0);
	ivm_profile_join_counts(p, &counts);
	assert_int_equal(counts.cut, 1);
	assert_int_equal(counts.outside, IVM_PROFILE_SAMPLES + 10);
	ivm_profile_join_free(p);
}

/* ---- names ---- */

static struct ivm_sample sample;

static void add_reg(unsigned int place, uint64_t value)
{
	sample.regs[place] = value;
}

/* By a system call: there is more on a stack than a program may read, says ASan */
static int copy_stack(void)
{
	struct iovec to = { sample.stack, sample.stack_bytes };
	struct iovec from = { (void *)(uintptr_t)sample.regs[19], sample.stack_bytes };

	assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), sample.stack_bytes);
	return 0;
}

static __attribute__((noipa)) int sampled_here(void)
{
	ucontext_t context;

	memset(&sample, 0, sizeof(sample));
	sample.tgid = sample.tid = (uint32_t)getpid();
	assert_int_equal(getcontext(&context), 0);
#if defined(__x86_64__)
	add_reg(4, (uint64_t)context.uc_mcontext.gregs[REG_RBP]);
	add_reg(5, (uint64_t)context.uc_mcontext.gregs[REG_RBX]);
	add_reg(0, (uint64_t)context.uc_mcontext.gregs[REG_R15]);
	add_reg(1, (uint64_t)context.uc_mcontext.gregs[REG_R14]);
	add_reg(2, (uint64_t)context.uc_mcontext.gregs[REG_R13]);
	add_reg(3, (uint64_t)context.uc_mcontext.gregs[REG_R12]);
	add_reg(16, (uint64_t)context.uc_mcontext.gregs[REG_RIP]);
	add_reg(19, (uint64_t)context.uc_mcontext.gregs[REG_RSP]);
	sample.stack_bytes = 2048;
	return copy_stack() + 1;
#else
	return 0;
#endif
}

static __attribute__((noipa)) int called_by_test(void)
{
	return sampled_here() + 1;
}

static int take_frames(void *arg, uint32_t stack, const char *frames)
{
	char **text = arg;

	text[stack - 1] = g_strdup(frames);
	return 0;
}

static void test_walks_a_stack(void **state)
{
	struct ivm_symbols *s = ivm_symbols_new();
	char *text[4] = {};
	unsigned int i;

	(void)state;
	if (called_by_test() != 2) {
		ivm_symbols_free(s);
		skip();
	}
	assert_int_equal(ivm_symbols_stack(s, &sample), 1);
	assert_int_equal(ivm_symbols_stack(s, &sample), 1);
	/* Outside of every file that is mapped: named so, and not walked on */
	sample.regs[16] = 4096;
	assert_int_equal(ivm_symbols_stack(s, &sample), 2);
	sample.stack_bytes = 0;
	sample.kernel_frames = 1;
	sample.kernel[0] = 0xffff000000000001;
	assert_int_equal(ivm_symbols_stack(s, &sample), 3);
	assert_int_equal(ivm_symbols_each(s, take_frames, text), 0);
	assert_non_null(strstr(text[0],
			       "\"test_walks_a_stack\",\"called_by_test\",\"sampled_here\"]"));
	assert_string_equal(text[1], "[\"[cut off]\",\"[unknown]\"]");
	assert_string_equal(text[2], "[\"[kernel+0xffff000000000001]_[k]\"]");
	assert_null(text[3]);
	for (i = 0; i < G_N_ELEMENTS(text); i++)
		g_free(text[i]);
	ivm_symbols_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_thread_in_its_hops),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_unsorted_samples),
		cmocka_unit_test(test_several_under_way),
		cmocka_unit_test(test_only_what_is_delivered),
		cmocka_unit_test(test_longer_than_samples_are_kept),
		cmocka_unit_test(test_walks_a_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
