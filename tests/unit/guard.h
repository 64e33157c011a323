/* SPDX-License-Identifier: MIT */
/* Memory that ends at an unreadable page: reading one byte too many crashes, in every build. */
#ifndef CSERVE_GUARD_H
#define CSERVE_GUARD_H

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "cserve/str.h"

#define GUARD_SIZE ((size_t)1 << 20)
#define GUARD_PAGE ((size_t)65536) /* a multiple of every page size that matters */

/* Where the readable memory ends. */
static inline char *guard_end(void)
{
    static char *end;
    if (end == NULL) {
        char *start =
            mmap(NULL, GUARD_SIZE + GUARD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(start != MAP_FAILED);
        end = start + GUARD_SIZE;
        int failed = mprotect(end, GUARD_PAGE, PROT_NONE);
        assert(!failed);
        (void)failed;
    }
    return end;
}

/* A copy of `s` that ends there; valid until the next call. */
static inline char *guard_place(struct str s)
{
    assert(s.len <= GUARD_SIZE);
    char *at = guard_end() - s.len;
    if (s.len > 0)
        memmove(at, s.ptr, s.len);
    return at;
}

#endif
