/* SPDX-License-Identifier: MIT */
/*
 * Views of bytes: comparing, reading numbers, making them printable.
 *
 * Nothing here depends on the locale: what a letter, a digit or a blank is, is decided by ASCII.
 * Numbers are read digit by digit, since strtoul accepts blanks, signs and prefixes that a
 * message must not hold.
 */
#include "cserve/str.h"

static const char hex[16] = "0123456789abcdef";

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

/* Whether all 8 bytes of a word are printable ASCII that no escape stands for. */
static bool is_plain_word(const char *bytes)
{
    const uint64_t ones = 0x0101010101010101, highs = ones << 7;
    uint64_t word, quote, backslash, del, odd;

    memcpy(&word, bytes, sizeof(word));
    quote = word ^ ones * '"';
    backslash = word ^ ones * '\\';
    del = word ^ ones * 0x7f;
    odd = word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
          ((del - ones) & ~del);
    return (odd & highs) == 0;
}

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\';
}

/* How many bytes from the first on stand for themselves, in a log line as in JSON. */
static size_t plain_run(const char *bytes, size_t len)
{
    size_t run = 0;

    while (len - run >= sizeof(uint64_t) && is_plain_word(bytes + run))
        run += sizeof(uint64_t);
    while (run < len && is_plain((unsigned char)bytes[run]))
        run++;
    return run;
}

/* Writes how a byte that is not plain looks in a log line to out; returns the length, 2 to 4. */
static size_t escape_byte(char out[4], unsigned char byte)
{
    static const char named[256] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};

    out[0] = '\\';
    if (named[byte]) {
        out[1] = named[byte];
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

size_t str_escape(char *dst, size_t cap, struct str s)
{
    size_t written = 0, at = 0;

    while (at < s.len) {
        size_t run = plain_run(s.ptr + at, s.len - at), len;
        char text[4];

        if (run > cap - written)
            run = cap - written;
        memcpy(dst + written, s.ptr + at, run);
        written += run;
        at += run;
        if (at == s.len || written == cap)
            break;
        len = escape_byte(text, (unsigned char)s.ptr[at++]);
        if (cap - written < len)
            break;
        memcpy(dst + written, text, len);
        written += len;
    }
    return written;
}

/* As escape_byte, for a JSON string: the character of this number; returns the length, 2 to 6. */
static size_t escape_json_byte(char *out, unsigned char byte)
{
    static const char named[256] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};

    out[0] = '\\';
    if (named[byte]) {
        out[1] = named[byte];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[byte >> 4];
    out[5] = hex[byte & 15];
    return 6;
}

/* Bytes of the UTF-8 sequence above U+007F that s begins with; 0 if it begins with none (RFC 3629, 4). */
static size_t utf8_len(struct str s)
{
    const unsigned char *b = (const unsigned char *)s.ptr;
    size_t len = b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;

    if (len == 0 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f)) /* overlong, surrogate */
        return 0;
    if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f)) /* overlong, above U+10FFFF */
        return 0;
    return len;
}

size_t str_escape_json(char *dst, struct str s, bool utf8)
{
    char *end = dst;
    size_t at = 0;

    while (at < s.len) {
        size_t run = plain_run(s.ptr + at, s.len - at);

        if (run == 0 && utf8)
            run = utf8_len(str_make(s.ptr + at, s.len - at));
        memcpy(end, s.ptr + at, run);
        end += run;
        at += run;
        if (run == 0)
            end += escape_json_byte(end, (unsigned char)s.ptr[at++]);
    }
    return (size_t)(end - dst);
}
