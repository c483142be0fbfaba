#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/linux.sh" native 1 qemu:life qemu:messages
