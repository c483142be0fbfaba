#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Linux driver builds without a warning, and means the same byte order everywhere.
. tests/tap.sh

out=${IVM_OUT:-.output}
sparse=$(command -v sparse)
export LC_ALL=C

for series in 6.1 6.12; do
	if ! kernel=$(guest/linux/fetch-kernel.sh "$series" 2> /dev/null); then
		skip "builds against $series" "its headers are not in the cache and cannot be fetched"
		continue
	fi
	src=$out/check/driver-$series
	mkdir -p "$src/linux"
	cp -u guest/ivm-shmem.h "$src"
	cp -u guest/linux/*.[ch] guest/linux/Kbuild device/ivm-regs.h "$src/linux"
	cp -ru guest/linux/example "$src/linux"
	is "builds against $series without a warning" "$(env -u MAKEFLAGS -u MFLAGS \
		make -s -C "$kernel/headers" M="$(realpath "$src")/linux" W=1 \
		${sparse:+C=1 CHECK="$sparse -D__CHECK_ENDIAN__"} modules 2>&1 |
		grep -v '^Skipping BTF')" ''
	[ -n "$sparse" ] || skip "sparse on $series" "sparse is not installed"
done
done_testing
