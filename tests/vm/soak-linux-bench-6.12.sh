#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ten minutes, more on a busy machine
exec "$(dirname "$0")/linux-lab.sh" 6.12 1000
