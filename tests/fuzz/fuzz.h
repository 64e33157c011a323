/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share.
 *
 * A target's input is nothing but the bytes that the code under test reads, so that corpora and
 * dictionaries stay plain protocol. What else a run depends on, such as where the input is split, comes
 * from dice whose seed is the input: the same input always runs the same way.
 */
#ifndef CSERVE_TESTS_FUZZ_H
#define CSERVE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cserve/str.h"

/* A target's only function; libFuzzer, or replay.c, calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts, naming what does not hold: a finding. */
#define EXPECT(condition) ((condition) ? (void)0 : fuzz_failed(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_failed(const char *condition, const char *file, int line);

struct dice {
    uint64_t state;
};

struct dice dice_make(const uint8_t *seed, size_t size);
/* From 0 to sides - 1. */
size_t dice_roll(struct dice *d, size_t sides);

/* A heap block of exactly these bytes, so that AddressSanitizer sees a read beyond them. free() it. */
char *fuzz_copy(const void *bytes, size_t len);

/* Whether `part` lies in `whole`, or is empty. */
bool fuzz_inside(struct str part, struct str whole);

/* Whether no byte of `s` is CR, LF, NUL, DEL or any other control but HTAB. */
bool fuzz_is_printable(struct str s);

#endif
