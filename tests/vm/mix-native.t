#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/rig.sh" native "$(dirname "$0")/mix.txt" 300 check-mix.py
