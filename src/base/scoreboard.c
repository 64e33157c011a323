/* SPDX-License-Identifier: MIT */
/*
 * The scoreboard: an anonymous file mapped by master and worker. What is in it was written by a process that
 * has crashed, maybe while it was writing, so nothing read from it is trusted: lengths are bounded, bytes are
 * escaped.
 */
#include "cserve/scoreboard.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* On a page of their own: a thread that writes there shares nothing with the loop, which counts. */
static size_t rows_at(void)
{
    return (sizeof(struct stats) + PAGE - 1) / PAGE * PAGE;
}

static size_t size_of(int count)
{
    return rows_at() + (size_t)count * sizeof(struct score);
}

int scoreboard_map(struct scoreboard *b, int fd, int count)
{
    void *memory;

    *b = (struct scoreboard){0};
    errno = EINVAL;
    if (count <= 0)
        return -1;
    memory = mmap(NULL, size_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -1;
    b->stats = memory;
    b->rows = (struct score *)((char *)memory + rows_at());
    b->count = count;
    return 0;
}

int scoreboard_open(struct scoreboard *b, int count)
{
    int fd = count > 0 ? memfd_create("cserve-scoreboard", MFD_CLOEXEC) : -1;

    *b = (struct scoreboard){0};
    if (count <= 0)
        errno = EINVAL;
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)size_of(count)) == 0 && scoreboard_map(b, fd, count) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void scoreboard_close(struct scoreboard *b)
{
    if (b->stats != NULL)
        munmap(b->stats, size_of(b->count));
    *b = (struct scoreboard){0};
}

int scoreboard_describe(const struct scoreboard *b, struct buf *out, int most)
{
    int found = 0;

    for (int i = 0; i < b->count; i++) {
        struct score row = b->rows[i];
        size_t len = row.len < SCORE_LINE_MAX ? row.len : SCORE_LINE_MAX;
        /* cppcheck-suppress knownConditionTrueFalse ; other processes write the rows */
        if (len == 0 || found++ >= most)
            continue;
        buf_append(out, found > 1 ? ", \"" : "\"", found > 1 ? 3 : 1);
        buf_append_escaped(out, str_make(row.line, len));
        buf_append(out, "\"", 1);
    }
    return found;
}

bool scoreboard_see(const struct scoreboard *b, int i, struct score_seen *seen)
{
    struct score *row = &b->rows[i];
    uint32_t calls = atomic_load_explicit(&row->calls, memory_order_acquire);
    uint32_t len = __atomic_load_n(&row->len, __ATOMIC_ACQUIRE);

    seen->since_ms = atomic_load_explicit(&row->since_ms, memory_order_relaxed);
    seen->len = len < SCORE_LINE_MAX ? len : SCORE_LINE_MAX;
    memcpy(seen->line, row->line, SCORE_LINE_MAX);
    /* Adds nothing, but nothing that was read before can be read after it, as it could behind a load. */
    return seen->len > 0 && atomic_fetch_add_explicit(&row->calls, 0, memory_order_acq_rel) == calls;
}
