/* SPDX-License-Identifier: MIT */
/*
 * Opening files by names that clients choose: nothing outside a directory, and nothing behind a symbolic link, whatever
 * the name is and whatever happens in the file system meanwhile.
 */
#ifndef CSERVE_BENEATH_H
#define CSERVE_BENEATH_H

#include <stdbool.h>

/* Whether the kernel can do it in one step: Linux 5.6, and no filter of system calls that forbids it. */
bool beneath_has_openat2(int dir);

/*
 * Opens `path`, relative and of plain names (no empty one, no "." or ".."), for reading, below the directory `dir`. Never blocks: of a
 * FIFO or a device there may be a descriptor, so look at its type. -1 with errno: ENOENT, ENOTDIR, ELOOP (a symbolic
 * link), EACCES, ENAMETOOLONG, or what the system lacks.
 */
int beneath_open(int dir, const char *path, bool openat2);

#endif
