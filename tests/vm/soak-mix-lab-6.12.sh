#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 16 links, a round trip after the other and flooded: 10 minutes.  COUNT=N for each link.
COUNT=${COUNT:-100} exec "$(dirname "$0")/rig.sh" lab-6.12 soak-mix-lab 3600 check-mix.py
