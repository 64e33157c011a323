/* SPDX-License-Identifier: MIT */
/* What every unit test includes: cmocka, and the headers it wants before it. */
#ifndef CSERVE_UNIT_H
#define CSERVE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
