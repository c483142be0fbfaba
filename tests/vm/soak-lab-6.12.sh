#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A hundred thousand interrupts in each mode: 10 minutes.  COUNT=N for fewer.
COUNT=${COUNT:-100000} exec "$(dirname "$0")/rig.sh" lab-6.12 soak-lab 9000
