/* SPDX-License-Identifier: MIT */
/*
 * Opening below a directory.
 *
 * Where there is openat2, the kernel resolves the whole path and refuses what leaves the directory. Elsewhere it is
 * opened name by name, each below the descriptor of the one before: a directory that is renamed or replaced by a link
 * meanwhile changes nothing, since no name is ever looked up twice.
 */
#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

enum { FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW };

static int open_at_once(int dir, const char *path)
{
#ifdef RESOLVE_BENEATH
    const struct open_how how = {
        .flags = FILE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
#else /* the headers are older than Linux 5.6 */
    (void)dir;
    (void)path;
    errno = ENOSYS;
    return -1;
#endif
}

bool beneath_has_openat2(int dir)
{
    int fd = open_at_once(dir, ".");

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_plain(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Opens the directory of this name in `dir`. */
static int descend(int dir, const char *name, size_t len)
{
    char copy[256]; /* NAME_MAX and NUL */

    if (len >= sizeof(copy)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(copy, name, len);
    copy[len] = '\0';
    if (!is_plain(copy)) {
        errno = ENOENT;
        return -1;
    }
    return openat(dir, copy, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_by_steps(int dir, const char *path)
{
    int at = dir, fd = -1, reason;
    const char *slash;

    while (at >= 0 && (slash = strchr(path, '/')) != NULL) {
        int below = descend(at, path, (size_t)(slash - path));
        reason = errno;
        if (at != dir)
            close(at);
        errno = reason;
        at = below;
        path = slash + 1;
    }
    if (at < 0)
        return -1;
    errno = ENOENT;
    if (is_plain(path))
        fd = openat(at, path, FILE_FLAGS);
    reason = errno;
    if (at != dir)
        close(at);
    errno = reason;
    return fd;
}

int beneath_open(int dir, const char *path, bool openat2)
{
    return openat2 ? open_at_once(dir, path) : open_by_steps(dir, path);
}
