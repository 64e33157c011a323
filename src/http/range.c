/* SPDX-License-Identifier: MIT */
/*
 * Ranges of bytes, as a client asks for them: "bytes=0-499, 1000-, -200".
 *
 * What is kept is bounded in number and never overlaps, so that the parts of an answer are together no longer
 * than the representation, whatever the field says. A field that is not understood is no error: the client gets everything.
 */
#include "cserve/range.h"

#include <stdbool.h>

enum spec { SPEC_BAD, SPEC_BEYOND, SPEC_WITHIN };

/* The part of *list before the first comma, trimmed; *list is what is behind that, and empty after the last. */
static struct str next_spec(struct str *list)
{
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
    struct str spec = str_trim(str_make(list->ptr, len));

    len += comma != NULL;
    *list = str_make(list->ptr + len, list->len - len);
    return spec;
}

/* A position; one of more digits than a number holds is just far beyond the end. */
static bool read_position(struct str digits, uint64_t *position)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
    }
    if (digits.len > 0 && str_to_u64(digits, UINT64_MAX, position) != 0)
        *position = UINT64_MAX;
    return digits.len > 0;
}

/* "-200": the last bytes. */
static enum spec read_suffix(struct http_range *range, struct str digits, uint64_t size)
{
    uint64_t count;

    if (!read_position(digits, &count))
        return SPEC_BAD;
    range->len = count < size ? count : size;
    range->first = size - range->len;
    return range->len > 0 ? SPEC_WITHIN : SPEC_BEYOND;
}

static enum spec read_spec(struct http_range *range, struct str spec, uint64_t size)
{
    const char *dash = spec.len > 0 ? memchr(spec.ptr, '-', spec.len) : NULL;
    uint64_t last = UINT64_MAX;
    struct str before, behind;

    if (dash == NULL)
        return SPEC_BAD;
    before = str_make(spec.ptr, (size_t)(dash - spec.ptr));
    behind = str_make(dash + 1, spec.len - before.len - 1);
    if (before.len == 0)
        return read_suffix(range, behind, size);
    if (!read_position(before, &range->first) || (behind.len > 0 && !read_position(behind, &last)))
        return SPEC_BAD;
    if (last < range->first)
        return SPEC_BAD;
    if (range->first >= size)
        return SPEC_BEYOND;
    range->len = (last < size ? last + 1 : size) - range->first;
    return SPEC_WITHIN;
}

static bool overlaps(const struct http_ranges *ranges, const struct http_range *range)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const struct http_range *other = &ranges->at[i];
        if (range->first < other->first + other->len && other->first < range->first + range->len)
            return true;
    }
    return false;
}

enum http_range_verdict http_ranges_parse(struct http_ranges *ranges, struct str value, uint64_t size)
{
    static const struct str unit = STR("bytes=");
    struct http_range range = {0, 0};
    size_t seen = 0;

    ranges->count = 0;
    if (value.len < unit.len || !str_equal_nocase(str_make(value.ptr, unit.len), unit))
        return HTTP_RANGE_IGNORED;
    value = str_make(value.ptr + unit.len, value.len - unit.len);
    while (value.len > 0) {
        struct str spec = next_spec(&value);
        enum spec kind = read_spec(&range, spec, size);

        if (spec.len == 0)
            continue; /* an empty element of a list counts for nothing */
        if (kind == SPEC_BAD || ++seen > HTTP_RANGES_MAX)
            return HTTP_RANGE_IGNORED;
        if (kind == SPEC_BEYOND)
            continue;
        if (overlaps(ranges, &range))
            return HTTP_RANGE_IGNORED;
        ranges->at[ranges->count++] = range;
    }
    if (seen == 0)
        return HTTP_RANGE_IGNORED;
    return ranges->count > 0 ? HTTP_RANGE_PARTIAL : HTTP_RANGE_UNSATISFIABLE;
}
