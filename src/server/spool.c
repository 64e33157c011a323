/* SPDX-License-Identifier: MIT */
/*
 * The spool. The file never has a name that others can open: O_TMPFILE where the file system knows it,
 * otherwise a name that is unlinked before the first byte is written; mode 0600 in both cases.
 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void spool_init(struct spool *s, uint64_t threshold)
{
    buf_init(&s->memory);
    s->fd = -1;
    s->len = 0;
    s->threshold = threshold;
}

void spool_release(struct spool *s)
{
    buf_release(&s->memory);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->len = 0;
}

void spool_expect(struct spool *s, uint64_t len)
{
    if (len <= s->threshold)
        buf_room(&s->memory, (size_t)len);
}

static int open_unlinked(void)
{
    const char *directory = getenv("TMPDIR");
    char name[PATH_MAX];
    int fd;

    if (directory == NULL || directory[0] == '\0')
        directory = "/tmp";
    fd = open(directory, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(name, sizeof(name), "%s/cserve-XXXXXX", directory) >= (int)sizeof(name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t count = write(fd, bytes, len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        bytes += count;
        len -= (size_t)count;
    }
    return 0;
}

static int move_to_file(struct spool *s)
{
    s->fd = open_unlinked();
    if (s->fd < 0 || write_all(s->fd, s->memory.data, s->memory.len) != 0)
        return -1;
    buf_release(&s->memory);
    return 0;
}

int spool_append(struct spool *s, const char *bytes, size_t len)
{
    if (s->fd < 0 && s->len + len > s->threshold && move_to_file(s) != 0)
        return -1;
    s->len += len;
    if (s->fd >= 0)
        return write_all(s->fd, bytes, len);
    buf_append(&s->memory, bytes, len);
    return 0;
}
