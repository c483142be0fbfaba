#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/rig.sh" lab-6.1 "$(dirname "$0")/mix-lab.txt" 300 check-mix.py
