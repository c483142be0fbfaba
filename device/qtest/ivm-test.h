/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IVM_TEST_H
#define IVM_TEST_H
#endif
