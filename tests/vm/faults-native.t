#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All but the flood whose vector is moved: how often that happens is up to the host
exec "$(dirname "$0")/faults.sh" native late moving fanout deferred held_msix held_mask raised_msix \
	raised_mask init killed relinked wandering both fallback no_irqfd overload churn
