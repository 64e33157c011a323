/* SPDX-License-Identifier: MIT */
/* A view of bytes that somebody else owns: not NUL-terminated, may hold any byte. */
#ifndef CSERVE_STR_H
#define CSERVE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){("" literal), sizeof(literal) - 1})

static inline struct str str_make(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case only: bytes above 0x7f compare as they are. */
bool str_equal_nocase(struct str a, struct str b);

static inline bool str_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the SP and HTAB at both ends. */
static inline struct str str_trim(struct str s)
{
    while (s.len > 0 && str_is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && str_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/*
 * Decimal digits only, all of them, at least one: no sign, no space, at most `max`.
 * Returns 0 and sets *out, or -1 and leaves *out alone.
 */
int str_to_u64(struct str s, uint64_t max, uint64_t *out);

/*
 * Appends `s` to `dst` (capacity `cap`) so that it is printable ASCII on a terminal or in a log
 * line: control bytes, `"`, `\` and bytes above 0x7e become \xHH (or \n \r \t \" \\). Returns the
 * bytes written; stops before an escape that does not fit. Needs 4 bytes for each byte of `s`.
 */
size_t str_escape(char *dst, size_t cap, struct str s);

/*
 * Writes `s` to `dst` as it stands in a JSON string, without the quotes. `utf8`: what is UTF-8 in it stays. All other
 * bytes above 0x7e, and controls, become the character of that number (latin-1), \u00XX: so the result is valid whatever `s`
 * holds. Returns the bytes written; needs 6 for each byte of `s`.
 */
size_t str_escape_json(char *dst, struct str s, bool utf8);

#endif
