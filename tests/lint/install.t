#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is installed for Linux guests: all of it, where it belongs, and it builds as DKMS would.
. tests/tap.sh

out=${IVM_OUT:-.output}
to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT
export LC_ALL=C
unset MAKEFLAGS MFLAGS

is "make install-guest" "$(make -s install-guest O="$out" DESTDIR="$to" prefix=/opt/x 2>&1 |
	grep -v '^  [A-Z]')" ''
is "nothing beside the prefix" "$(ls "$to") $(ls "$to/opt")" "opt x"
is "the tool" "$("$to/opt/x/bin/ivm" --help | head -n 1)" \
	"usage: ivm COMMAND [OPTIONS] [MESSAGE...]"
is "its page" "$(sed -n 's/^.Dt //p' "$to/opt/x/share/man/man1/ivm.1")" "IVM 1"

if ! kernel=$(guest/linux/fetch-kernel.sh 6.12 2> /dev/null); then
	skip "the driver's source builds" "6.12's headers are not in the cache and cannot be fetched"
	done_testing
fi
# As DKMS has it: a copy in its tree, and the commands of dkms.conf
mkdir -p "$to/dkms/ivm_mailbox/1.0"
cp -r "$to/opt/x/src/ivm_mailbox-1.0" "$to/dkms/ivm_mailbox/1.0/build"
declare -a BUILT_MODULE_NAME BUILT_MODULE_LOCATION MAKE
# shellcheck disable=SC2034 # dkms.conf uses them
dkms_tree=$to/dkms kernel_source_dir=$kernel/headers
# shellcheck source=/dev/null
. "$to/dkms/ivm_mailbox/1.0/build/dkms.conf"
is "the driver's source builds" "$(${MAKE[0]} -s 2>&1 | grep -v '^Skipping BTF')" ''
module=$to/dkms/ivm_mailbox/1.0/build/${BUILT_MODULE_LOCATION[0]}/${BUILT_MODULE_NAME[0]}.ko
is "into the module that dkms.conf names" "$(grep -ao "license=GPL" "$module" 2>&1)" license=GPL
done_testing
