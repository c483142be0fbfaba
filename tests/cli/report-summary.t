#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec /usr/bin/python3 tests/cli/report-summary.py
