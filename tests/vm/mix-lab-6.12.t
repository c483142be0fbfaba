#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/rig.sh" lab-6.12 mix-lab 900 check-mix.py
