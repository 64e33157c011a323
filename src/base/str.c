/* SPDX-License-Identifier: MIT */
/*
 * Views of bytes: comparing, reading numbers, making them printable.
 *
 * Nothing here depends on the locale: what a letter, a digit or a blank is, is decided by ASCII.
 * Numbers are read digit by digit, since strtoul accepts blanks, signs and prefixes that a
 * message must not hold.
 */
#include "cserve/str.h"

static unsigned char lower(unsigned char byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    if (str_equal(a, b))
        return true;
    for (size_t i = 0; i < a.len; i++) {
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
            return false;
    }
    return true;
}

int str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9 || value > UINT64_MAX / 10 || 10 * value > UINT64_MAX - digit)
            return -1;
        value = 10 * value + digit;
    }
    if (value > max)
        return -1;
    *out = value;
    return 0;
}

/* Writes how `byte` looks in a log line to out; returns the length, 1 to 4. */
static size_t escape_byte(char out[4], unsigned char byte)
{
    static const char hex[16] = "0123456789abcdef";
    static const char named[256] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};

    out[0] = '\\';
    if (named[byte]) {
        out[1] = named[byte];
        return 2;
    }
    if (byte >= 0x20 && byte <= 0x7e) {
        out[0] = (char)byte;
        return 1;
    }
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

size_t str_escape(char *dst, size_t cap, struct str s)
{
    size_t written = 0;
    for (size_t i = 0; i < s.len; i++) {
        char text[4];
        size_t len = escape_byte(text, (unsigned char)s.ptr[i]);
        if (cap - written < len)
            break;
        memcpy(dst + written, text, len);
        written += len;
    }
    return written;
}
