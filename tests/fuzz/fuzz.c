/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: see fuzz.h. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* FNV-1a: as good as any for this. */
struct dice dice_make(const uint8_t *seed, size_t size)
{
    struct dice d = {0xcbf29ce484222325u};

    for (size_t i = 0; i < size; i++)
        d.state = (d.state ^ seed[i]) * 0x100000001b3u;
    if (d.state == 0)
        d.state = 1;
    return d;
}

/* xorshift64*. */
size_t dice_roll(struct dice *d, size_t sides)
{
    d->state ^= d->state >> 12;
    d->state ^= d->state << 25;
    d->state ^= d->state >> 27;
    return (size_t)((d->state * 0x2545f4914f6cdd1du) >> 33) % sides;
}

char *fuzz_copy(const void *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

bool fuzz_inside(struct str part, struct str whole)
{
    if (part.len == 0)
        return true;
    return part.ptr >= whole.ptr && part.len <= whole.len &&
           (size_t)(part.ptr - whole.ptr) <= whole.len - part.len;
}

bool fuzz_is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];

        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}
