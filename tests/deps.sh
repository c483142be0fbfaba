#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs the packages given as arguments, or says how to.
set -eu

[ $# -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root:" >&2
	echo "  apt-get install --no-install-recommends $*" >&2
	exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
echo "  DEPS     installing $# packages: $*"
export DEBIAN_FRONTEND=noninteractive
# A fresh machine has no package list, an old one a stale one
if ! { apt-get update && apt-get install -y --no-install-recommends "$@"; } > "$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "deps: apt-get could not install: $*" >&2
	exit 1
fi
echo "  DEPS     done in $((SECONDS - start)) s"
