/* SPDX-License-Identifier: MIT */
/*
 * --reload: watches the files that workers have read, and replaces the workers when one of them is saved.
 *
 * Workers tell which files these are (python/watch.c finds out), as they read them: also those of a worker whose
 * application does not load. What is watched is the directory of each, by inotify, so a file that an editor puts
 * in another's place is seen as well as one that is written in place, and one that is gone as well as one that comes
 * back. A file that is being written counts when it is closed, and then for a moment nothing happens: there may
 * be more to come. No tree is walked, and what nobody has read costs nothing.
 *
 * Files stay known, whether the latest code still reads them or not: it may fail before it comes to them. While
 * it does not load, any Python file in a watched directory counts, since it may be the one that is missed.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "process_internal.h"

enum {
    QUIET_MS = 25,    /* without a change, after which what was saved together is complete */
    LATEST_MS = 1000, /* for which changes may keep coming */
    EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE,
};

struct watched_file {
    char *name;      /* owned */
    bool changed;    /* since the latest reload, as the next two */
    int64_t read_ns; /* when what workers have read had been saved; 0: none has read it */
    bool differs;    /* not all have read the same */
};

struct watched_dir {
    char *path; /* owned */
    int wd;     /* -1: it is gone */
    bool whole; /* any file in it counts */
    struct watched_file *files; /* owned */
    size_t count;
};

/* --- what is watched --------------------------------------------------------------------------- */

static void complain(struct watch *w, const char *path)
{
    if (w->complained || errno == ENOENT || errno == ENOTDIR)
        return;
    w->complained = true;
    if (errno == ENOSPC)
        log_warning("--reload: %s is not watched, nor is what comes after it: all watches that the system allows are in "
                    "use; raise sysctl fs.inotify.max_user_watches", path);
    else
        log_warning("--reload: cannot watch %s: %s", path, strerror(errno));
}

/* Watches what is at its path now, which may be another directory than before. */
static void look_at(struct watch *w, struct watched_dir *dir)
{
    dir->wd = inotify_add_watch(w->fd, dir->path, EVENTS | IN_ONLYDIR);
    if (dir->wd < 0)
        complain(w, dir->path);
}

static struct watched_dir *dir_of(struct watch *w, const char *path, size_t len);

/* What is not there is waited for where it would be made: in the nearest directory that is there. */
static void look_above(struct watch *w, const char *path)
{
    char above[PATH_MAX];
    struct stat is;
    char *slash;

    if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
        return;
    while ((slash = strrchr(above, '/')) != NULL && slash > above) {
        *slash = '\0';
        if (stat(above, &is) == 0) {
            struct watched_dir *dir = dir_of(w, above, strlen(above));

            if (dir->wd < 0)
                look_at(w, dir);
            return;
        }
    }
}

/* The directory of this path, which is watched from now on if it can be. */
static struct watched_dir *dir_of(struct watch *w, const char *path, size_t len)
{
    struct watched_dir *dir;

    for (size_t i = 0; i < w->count; i++) {
        dir = &w->dirs[i];
        if (strncmp(dir->path, path, len) == 0 && dir->path[len] == '\0')
            return dir;
    }
    w->dirs = mem_realloc(w->dirs, (w->count + 1) * sizeof(*w->dirs));
    dir = &w->dirs[w->count++];
    *dir = (struct watched_dir){.path = mem_strndup(path, len), .wd = -1};
    return dir;
}

static struct watched_file *file_of(struct watched_dir *dir, const char *name)
{
    for (size_t i = 0; i < dir->count; i++) {
        if (strcmp(dir->files[i].name, name) == 0)
            return &dir->files[i];
    }
    return NULL;
}

static struct watched_file *know(struct watched_dir *dir, const char *name)
{
    struct watched_file *file = file_of(dir, name);

    if (file != NULL)
        return file;
    dir->files = mem_realloc(dir->files, (dir->count + 1) * sizeof(*dir->files));
    file = &dir->files[dir->count++];
    *file = (struct watched_file){.name = mem_strndup(name, strlen(name))};
    return file;
}

static void note(struct watch *w)
{
    w->latest_ms = clock_ms();
    if (w->since_ms == 0)
        w->since_ms = w->latest_ms;
}

/* The first is named, the others are counted. */
static void note_file(struct watch *w, const struct watched_dir *dir, struct watched_file *file)
{
    if (!file->changed && w->changed++ == 0)
        snprintf(w->first, sizeof(w->first), "%s/%s", dir->path, file->name);
    file->changed = true;
    note(w);
}

static int64_t saved_at(const struct stat *is)
{
    return is->st_mtim.tv_sec * INT64_C(1000000000) + is->st_mtim.tv_nsec;
}

static bool is_saved_since(const char *path, int64_t saved_ns)
{
    struct stat is;

    return stat(path, &is) == 0 && saved_at(&is) != saved_ns;
}

static void note_read(struct watched_file *file, int64_t saved_ns)
{
    file->differs |= file->read_ns != 0 && file->read_ns != saved_ns;
    file->read_ns = saved_ns;
}

/* If it was saved before it was watched, that is a change all the same. */
static void add_file(struct watch *w, const char *path, int64_t saved_ns)
{
    const char *slash = strrchr(path, '/');
    struct watched_dir *dir = dir_of(w, path, slash > path ? (size_t)(slash - path) : 1);

    if (dir->wd < 0)
        look_at(w, dir);
    bool is_there = dir->wd >= 0, is_known = file_of(dir, slash + 1) != NULL;
    struct watched_file *file = know(dir, slash + 1);
    note_read(file, saved_ns);
    if (!is_known && is_saved_since(path, saved_ns))
        note_file(w, dir, file);
    if (!is_there)
        look_above(w, path); /* last: it may move the others */
}

static void add_dir(struct watch *w, const char *path, bool whole)
{
    struct watched_dir *dir = dir_of(w, path, strlen(path));

    dir->whole |= whole;
    look_at(w, dir);
}

void watch_file(struct watch *w, const char *path, int64_t saved_ns)
{
    char *real = NULL;

    if (w->fd < 0)
        return;
    add_file(w, path, saved_ns);
    real = realpath(path, NULL); /* a link stays, while what it leads to is saved */
    if (real != NULL && strcmp(real, path) != 0)
        add_file(w, real, saved_ns);
    free(real);
}

/* `here` is the current directory. */
static void add_extra(struct watch *w, const char *here, const char *path)
{
    struct buf whole;
    struct stat is;

    buf_init(&whole);
    buf_printf(&whole, "%s%s%s", path[0] == '/' ? "" : here, path[0] == '/' ? "" : "/", path);
    buf_append(&whole, "", 1);
    bool is_there = stat(path, &is) == 0;
    if (!is_there)
        log_warning("--reload-extra-file %s: %s", path, strerror(errno));
    if (is_there && S_ISDIR(is.st_mode))
        add_dir(w, whole.data, true);
    else
        watch_file(w, whole.data, is_there ? saved_at(&is) : 0);
    buf_release(&whole);
}

void watch_open(struct watch *w, const struct process_config *config)
{
    char *here;

    w->fd = -1;
    if (!config->reload)
        return;
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0) {
        log_warning("--reload: files cannot be watched: %s%s", strerror(errno),
                    errno == EMFILE ? "; raise sysctl fs.inotify.max_user_instances" : "");
        return;
    }
    here = getcwd(NULL, 0);
    if (here == NULL)
        return;
    add_dir(w, here, false); /* where a module may be that there is not yet */
    for (size_t i = 0; i < config->python.path_count; i++)
        add_dir(w, config->python.paths[i], false);
    for (size_t i = 0; i < config->reload_file_count; i++)
        add_extra(w, here, config->reload_files[i]);
    free(here);
}

void watch_close(struct watch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        for (size_t j = 0; j < w->dirs[i].count; j++)
            free(w->dirs[i].files[j].name);
        free(w->dirs[i].files);
        free(w->dirs[i].path);
    }
    free(w->dirs);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct watch){.fd = -1};
}

void watch_failure(struct watch *w)
{
    w->failed = true;
}

/* --- what has changed -------------------------------------------------------------------------- */

/* Whether a file that nobody has read may be the one that the application does not load without. */
static bool is_missed(const struct watch *w, const struct inotify_event *event)
{
    size_t len = strlen(event->name);
    bool is_module = len > 3 && strcmp(event->name + len - 3, ".py") == 0;

    if (!w->failed || event->name[0] == '.' || strcmp(event->name, "__pycache__") == 0)
        return false;
    return is_module || (event->mask & IN_ISDIR) != 0;
}

/* Whether it is a watched directory, or one of those that it is in, that comes or goes. */
static bool is_above(const struct watch *w, const struct watched_dir *dir, const struct inotify_event *event)
{
    size_t dir_len = strlen(dir->path), len = dir_len + 1 + strlen(event->name);

    if ((event->mask & IN_ISDIR) == 0)
        return false;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->dirs[i].path;

        if (strncmp(path, dir->path, dir_len) == 0 && path[dir_len] == '/' &&
            strncmp(path + dir_len + 1, event->name, strlen(event->name)) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

/* A new file is empty, and closed later; a link, of either kind, is all there. */
static bool is_link(const struct watched_dir *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat is;

    if (snprintf(path, sizeof(path), "%s/%s", dir->path, name) >= (int)sizeof(path) || lstat(path, &is) != 0)
        return false;
    return S_ISLNK(is.st_mode) || is.st_nlink > 1;
}

/* Returns whether that is a change. */
static bool take_in(struct watch *w, struct watched_dir *dir, const struct inotify_event *event)
{
    struct watched_file *file = file_of(dir, event->name);
    bool is_new_file = (event->mask & (IN_CREATE | IN_ISDIR)) == IN_CREATE && !is_link(dir, event->name);

    if (is_new_file || (file == NULL && !dir->whole && !is_missed(w, event) && !is_above(w, dir, event)))
        return false;
    bool is_new_dir = w->failed && (event->mask & IN_ISDIR) != 0;
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", dir->path, event->name);

    note_file(w, dir, file != NULL ? file : know(dir, event->name));
    if (is_new_dir && len < (int)sizeof(path)) {
        look_at(w, dir_of(w, path, (size_t)len)); /* a package that is being made */
    }
    return true;
}

static void take(struct watch *w, const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        note(w);
    for (size_t i = 0; i < w->count; i++) {
        struct watched_dir *dir = &w->dirs[i];

        if (dir->wd != event->wd)
            continue;
        if ((event->mask & IN_IGNORED) != 0)
            dir->wd = -1;
        else if (event->len > 0 && take_in(w, dir, event))
            return; /* by another path it is the same */
    }
}

void watch_hear(struct watch *w)
{
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t got;

    while (w->fd >= 0 && (got = read(w->fd, bytes, sizeof(bytes))) > 0) {
        for (const char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;

            take(w, event);
            at += sizeof(*event) + event->len;
        }
    }
}

int64_t watch_due(const struct watch *w)
{
    return w->since_ms == 0 ? 0 : earlier(w->latest_ms + QUIET_MS, w->since_ms + LATEST_MS);
}

/* As the user knows it: from here on. */
static const char *short_name(const char *path)
{
    char *here = getcwd(NULL, 0);
    size_t len = here != NULL ? strlen(here) : 0;
    bool below = len > 0 && strncmp(path, here, len) == 0 && path[len] == '/';

    free(here);
    return below ? path + len + 1 : path;
}

static void say(const struct watch *w)
{
    const char *name = short_name(w->first);

    if (w->changed == 0)
        log_info("many files changed: reloading");
    else if (w->changed == 1)
        log_info("%s changed: reloading", name);
    else
        log_info("%s and %u more changed: reloading", name, w->changed - 1);
}

/* Whether all workers have read the file as it is: one that the application writes before it reads it is no change. */
static bool is_read(const struct watched_dir *dir, const struct watched_file *file)
{
    char path[PATH_MAX];

    if (file->read_ns == 0 || file->differs ||
        snprintf(path, sizeof(path), "%s/%s", dir->path, file->name) >= (int)sizeof(path))
        return false;
    return access(path, F_OK) == 0 && !is_saved_since(path, file->read_ns);
}

/* Returns whether anything is left that has changed. */
static bool forget_read(struct watch *w)
{
    unsigned before = w->changed;

    w->changed = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct watched_dir *dir = &w->dirs[i];

        for (size_t j = 0; j < dir->count; j++) {
            struct watched_file *file = &dir->files[j];

            file->changed = file->changed && !is_read(dir, file);
            if (file->changed && w->changed++ == 0)
                snprintf(w->first, sizeof(w->first), "%s/%s", dir->path, file->name);
        }
    }
    return before == 0 || w->changed > 0;
}

bool watch_tend(struct watch *w, int64_t now_ms)
{
    if (w->since_ms == 0 || now_ms < watch_due(w))
        return false;
    w->since_ms = 0;
    if (!forget_read(w))
        return false;
    say(w);
    w->changed = 0;
    w->failed = false;
    for (size_t i = 0, count = w->count; i < count; i++) {
        for (size_t j = 0; j < w->dirs[i].count; j++)
            w->dirs[i].files[j] = (struct watched_file){.name = w->dirs[i].files[j].name};
        look_at(w, &w->dirs[i]); /* it may be there again */
        if (w->dirs[i].wd < 0)
            look_above(w, w->dirs[i].path);
    }
    return true;
}
