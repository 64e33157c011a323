/* SPDX-License-Identifier: MIT */
/*
 * The parser's inner loops: find the first byte that is not of a class. Wide loads where the
 * processor has them (AVX2 or SSE4.2, chosen by scan_init), a table elsewhere. No function
 * reads outside the range that it is given.
 */
#ifndef CSERVE_SCAN_H
#define CSERVE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scan_class {
    SCAN_TOKEN = 1,   /* RFC 9110 tchar */
    SCAN_VALUE = 2,   /* HTAB, SP, VCHAR, obs-text: what a field value may hold */
    SCAN_TARGET = 4,  /* 0x21..0x7e without '#' */
    SCAN_HOST = 8,    /* RFC 3986 reg-name, without '%' */
};

/* One bit set of enum scan_class for each byte. */
extern const uint8_t scan_table[256];

/* Each returns the first byte in [p, end) that is not of its class, or end. */
const char *scan_token(const char *p, const char *end);
const char *scan_value(const char *p, const char *end);
const char *scan_target(const char *p, const char *end);

/* The ways to scan, for tests: each returns false where the processor lacks it and changes nothing. */
enum scan_kind { SCAN_PORTABLE, SCAN_SSE42, SCAN_AVX2 };
bool scan_use(enum scan_kind kind);

/* Chooses the best kind; before it the portable one is used. Call once before threads start. */
void scan_init(void);

static inline bool scan_is(unsigned char byte, enum scan_class class)
{
    return (scan_table[byte] & class) != 0;
}

#endif
