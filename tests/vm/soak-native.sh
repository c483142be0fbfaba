#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A million interrupts in each mode, more in a flood: 20 minutes.  COUNT=N for fewer.
COUNT=${COUNT:-1000000} exec "$(dirname "$0")/rig.sh" native soak 9000
