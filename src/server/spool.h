/* SPDX-License-Identifier: MIT */
/*
 * Where the content of a request gathers until it is complete: in memory up to a threshold, then in
 * an unlinked temporary file.
 */
#ifndef CSERVE_SPOOL_H
#define CSERVE_SPOOL_H

#include "cserve/buf.h"

struct spool {
    struct buf memory;  /* owned; empty once the file is used */
    int fd;             /* owned; -1 while in memory */
    uint64_t len;
    uint64_t threshold; /* bytes that stay in memory */
};

void spool_init(struct spool *s, uint64_t threshold);
void spool_release(struct spool *s);

/* Room for `len` bytes is wanted soon: avoids growing step by step. */
void spool_expect(struct spool *s, uint64_t len);

/*
 * 0, or -1 with errno (a full disk, a TMPDIR that does not exist): the spool is then of no use but
 * to be released. The file is made in $TMPDIR, or /tmp.
 */
int spool_append(struct spool *s, const char *bytes, size_t len);

#endif
