#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All but those that move a vector while it rings: make soak has them, too
exec "$(dirname "$0")/faults.sh" native late fanout deferred held_msix held_mask raised_msix \
	raised_mask init killed relinked wandering both fallback
