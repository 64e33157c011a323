/* SPDX-License-Identifier: MIT */
/*
 * The file with the master's pid. It appears whole or not at all, replaces one that a dead master left, and
 * is not removed by anybody but whose pid it holds. A new binary beside an old one writes FILE.2, and renames
 * it to FILE when the old one has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"

#include "process_internal.h"

/* The pid in a file; 0: there is none. */
static long read_pid(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static bool is_alive(long pid)
{
    return pid > 0 && pid != (long)getpid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* 0, or -1 with errno. */
static int write_file(const char *path)
{
    char beside[4200], text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    snprintf(beside, sizeof(beside), "%s.%ld.new", path, (long)getpid());
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, (size_t)len);
    int closed = close(fd);
    if (written == len && closed == 0 && rename(beside, path) == 0)
        return 0;
    int error = errno;
    unlink(beside);
    errno = error;
    return -1;
}

int pidfile_write(struct master *m)
{
    const char *file = m->config->pid_file;
    const char *suffix = m->old_master >= 0 ? ".2" : "";

    if (file == NULL)
        return 0;
    if ((size_t)snprintf(m->pid_path, sizeof(m->pid_path), "%s%s", file, suffix) >= sizeof(m->pid_path)) {
        log_critical("--pid %s: the name is too long", file);
        m->pid_path[0] = '\0';
        return -1;
    }
    long other = read_pid(m->pid_path);
    if (is_alive(other))
        log_critical("--pid %s: process %ld, which is running, has it; stop that, or name another file", file,
                     other);
    else if (write_file(m->pid_path) == 0)
        return 0;
    else
        log_critical("--pid %s cannot be written: %s", file, strerror(errno));
    m->pid_path[0] = '\0';
    return -1;
}

void pidfile_promote(struct master *m)
{
    const char *file = m->config->pid_file;

    if (m->pid_path[0] == '\0' || file == NULL)
        return;
    if (rename(m->pid_path, file) != 0)
        log_error("%s cannot be renamed to %s: %s", m->pid_path, file, strerror(errno));
    else
        snprintf(m->pid_path, sizeof(m->pid_path), "%s", file);
}

void pidfile_remove(struct master *m)
{
    if (m->pid_path[0] != '\0' && read_pid(m->pid_path) == (long)getpid())
        unlink(m->pid_path);
}
