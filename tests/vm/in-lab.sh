#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs a script of this directory in a lab, with what was built; files that it leaves in
# $LAB_OUT are in OUT afterwards.
#
#   in-lab.sh KERNEL SECONDS OUT [OPTION-OF-LAB/RUN.SH...] -- COMMAND...
set -u

here=$(cd "$(dirname "$0")" && pwd)
kernel=$1 limit_s=$2 out=$3
shift 3
# Not all of IVM_OUT: recordings of other tests are in it
exec "$here/../lab/run.sh" --kernel "$kernel" --timeout "$limit_s" --out "$out" \
	--log "$out/console.log" --env "IVM_OUT=$IVM_OUT" --env "IVMTRACE=$IVMTRACE" \
	--env guest_timeout_s=240 \
	--tool "$IVMTRACE" --tool "$IVM_OUT/vm/delay" --tool "$IVM_OUT/vm/refuse.so" --tool mkfifo --tool nice --tool taskset \
	--share "$IVM_OUT/guest" --share "$IVM_OUT/qemu" --share "$here" "$@"
