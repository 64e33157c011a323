/* SPDX-License-Identifier: MIT */
/* Time. Durations and deadlines are in milliseconds of the monotonic clock; dates are UTC seconds. */
#ifndef CSERVE_CLOCK_H
#define CSERVE_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t clock_ms(void); /* monotonic */
int64_t clock_us(void); /* monotonic */
time_t clock_wall(void); /* seconds since 1970 */

#define CLOCK_TEXT_MAX 32 /* with the NUL */
/* "2026-11-24T22:48:14+00:00": the wall's time where we are (RFC 3339). */
void clock_format(char out[CLOCK_TEXT_MAX], time_t when);
/* "Nov": whatever language the application has chosen, which strftime would speak. */
const char *clock_month(const struct tm *when);

#endif
