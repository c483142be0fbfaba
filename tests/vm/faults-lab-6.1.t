#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What an old verifier may make of our programs; make soak has all
exec "$(dirname "$0")/faults.sh" lab-6.1 moving no_irqfd
