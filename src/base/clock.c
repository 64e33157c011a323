/* SPDX-License-Identifier: MIT */
/*
 * The two clocks. Deadlines use the monotonic one, which nobody can set; dates and log lines use
 * the wall. Both are read through the vDSO: no system call on the usual kernels.
 */
#include "cserve/clock.h"

#include <string.h>

static struct timespec monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* fails only for a clock that does not exist */
    return now;
}

int64_t clock_ms(void)
{
    struct timespec now = monotonic();
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_us(void)
{
    struct timespec now = monotonic();
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

time_t clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

void clock_format(char out[CLOCK_TEXT_MAX], time_t when)
{
    struct tm local;
    size_t len;

    localtime_r(&when, &local);
    len = strftime(out, CLOCK_TEXT_MAX - 1, "%Y-%m-%dT%H:%M:%S%z", &local);
    if (len < 2)
        return;
    memmove(out + len - 1, out + len - 2, 3); /* the minutes of the offset, and the NUL */
    out[len - 2] = ':';
}

const char *clock_month(const struct tm *when)
{
    static const char names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    return names[when->tm_mon];
}
