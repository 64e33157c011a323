/* SPDX-License-Identifier: MIT */
/* Time. Durations and deadlines are in milliseconds of the monotonic clock; dates are UTC seconds. */
#ifndef CSERVE_CLOCK_H
#define CSERVE_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t clock_ms(void); /* monotonic */
int64_t clock_us(void); /* monotonic */
time_t clock_wall(void); /* seconds since 1970 */

#endif
