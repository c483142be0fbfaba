// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast the counter runs: it says so itself.
 */
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "psci.h"

static uint32_t khz;

void clock_init(void)
{
	khz = read_sysreg("cntfrq_el0") / 1000;
	if (!khz)
		die("the counter does not run");
}

uint32_t clock_khz(void)
{
	return khz;
}

bool runs_on_kvm(void)
{
	struct smccc uid = smccc(SMCCC_VENDOR_UID, 0, 0, 0);

	return (uint32_t)uid.result[0] == 0xb66fb428 && (uint32_t)uid.result[1] == 0xe911c52e &&
	       (uint32_t)uid.result[2] == 0x564bcaa9 && (uint32_t)uid.result[3] == 0x743a004d;
}
