/* SPDX-License-Identifier: MIT */
/*
 * Finding the virtual environment and making sure that it fits. An environment is a directory
 * with a pyvenv.cfg; CPython itself does the rest once it is told that the environment's
 * bin/python is its name.
 *
 * Packages of another Python version would import in part and fail in odd places, so such an environment is
 * refused, and the message says what would help. An environment of the same version that another installation
 * made is used without that installation's standard library, which need not fit our interpreter.
 */
#include "compat.h"

#include "venv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/str.h"

enum { CFG_MAX = 16 * 1024 }; /* a pyvenv.cfg is some hundred bytes */

/* new text: "a/b" */
static char *join(const char *a, const char *b)
{
    struct buf path;

    buf_init(&path);
    buf_printf(&path, "%s/%s", a, b);
    buf_append(&path, "", 1);
    return path.data;
}

static bool has_cfg(const char *dir)
{
    char *cfg = join(dir, "pyvenv.cfg");
    bool found = access(cfg, R_OK) == 0;

    free(cfg);
    return found;
}

/*
 * New text: the name that this program was started by if that leads here, so that a link in an
 * environment's bin counts, and else where it really is.
 */
static char *executable_path(void)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): that is how getauxval returns a pointer */
    const char *started_as = (const char *)getauxval(AT_EXECFN);
    char *real = realpath("/proc/self/exe", NULL);
    char *named = started_as == NULL ? NULL : realpath(started_as, NULL);
    bool same = real != NULL && named != NULL && strcmp(real, named) == 0;

    free(named);
    if (!same)
        return real;
    free(real);
    return mem_strndup(started_as, strlen(started_as));
}

/* New text: the environment that the executable is in, or NULL. */
static char *dir_of_executable(void)
{
    char *found = NULL;
    char *exe = executable_path();
    char *slash = exe == NULL ? NULL : strrchr(exe, '/');

    if (slash != NULL) {
        *slash = '\0';
        char *above = join(exe, "..");
        if (has_cfg(exe))
            found = realpath(exe, NULL);
        else if (has_cfg(above))
            found = realpath(above, NULL);
        free(above);
    }
    free(exe);
    return found;
}

/* Reads a small file. 0, or -1 with errno. */
static int read_file(struct buf *out, const char *path)
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return -1;
    out->len = fread(buf_room(out, CFG_MAX), 1, CFG_MAX, file);
    fclose(file);
    return 0;
}

/* The value of "key = value" in a pyvenv.cfg; empty if it has none. */
static struct str cfg_value(struct str cfg, struct str key)
{
    while (cfg.len > 0) {
        const char *newline = memchr(cfg.ptr, '\n', cfg.len);
        struct str line = str_make(cfg.ptr, newline == NULL ? cfg.len : (size_t)(newline - cfg.ptr));
        const char *sign = memchr(line.ptr, '=', line.len);
        cfg.ptr += line.len + (newline != NULL);
        cfg.len -= line.len + (newline != NULL);
        if (sign == NULL)
            continue;
        struct str name = str_trim(str_make(line.ptr, (size_t)(sign - line.ptr)));
        if (str_equal_nocase(name, key))
            return str_trim(str_make(sign + 1, (size_t)(line.ptr + line.len - sign - 1)));
    }
    return str_make("", 0);
}

/* Whether "3.11.2" or "3.11.2.final.0" is a release of the Python that we are. */
static bool is_our_version(struct str version)
{
    char ours[16];
    int len = snprintf(ours, sizeof(ours), "%d.%d", PY_MAJOR_VERSION, PY_MINOR_VERSION);

    if (version.len < (size_t)len || memcmp(version.ptr, ours, (size_t)len) != 0)
        return false;
    return version.len == (size_t)len || version.ptr[len] == '.';
}

/* Whether an environment holds packages for our version, and a build with or without "t": free threads. */
static bool has_packages(const char *dir, const char *abi)
{
    char lib[32];
    snprintf(lib, sizeof(lib), "lib/python%d.%d%s", PY_MAJOR_VERSION, PY_MINOR_VERSION, abi);
    char *path = join(dir, lib);
    bool found = access(path, F_OK) == 0;

    free(path);
    return found;
}

static int check_version(const struct venv *venv, const struct venv_seeker *seeker, struct str cfg)
{
    struct str version = cfg_value(cfg, STR("version"));
    bool is_other_abi = !has_packages(venv->dir, COMPAT_ABI) && has_packages(venv->dir, COMPAT_OTHER_ABI);

    if (version.len == 0)
        version = cfg_value(cfg, STR("version_info"));
    if (version.len == 0 && has_packages(venv->dir, COMPAT_ABI)) /* its pyvenv.cfg is silent */
        return 0;
    if (version.len == 0)
        version = STR("of an unknown version");
    if (is_our_version(version) && !is_other_abi)
        return 0;
    log_critical("the virtual environment %s (from %s) is for Python %.*s%s, but this cserve has Python %s" COMPAT_ABI
                 " (%s). Make the environment with %s -m venv, or %s%s%s",
                 venv->dir, venv->source, (int)version.len, version.ptr, is_other_abi ? COMPAT_OTHER_ABI : "",
                 PY_VERSION, seeker->python, seeker->python, seeker->remedy[0], venv->dir, seeker->remedy[1]);
    return -1;
}

/* New text: where a directory really is, or NULL. */
static char *real_dir(struct str dir)
{
    char *path = mem_strndup(dir.ptr, dir.len);
    char *real = realpath(path, NULL);

    free(path);
    return real;
}

/* Whether `home` of a pyvenv.cfg is where our interpreter is. */
static bool is_our_home(const char *ours, struct str home)
{
    const char *slash = strrchr(ours, '/');
    char *our_bin = slash == NULL ? NULL : real_dir(str_make(ours, (size_t)(slash - ours)));
    char *its_bin = real_dir(home);
    bool same = our_bin != NULL && its_bin != NULL && strcmp(our_bin, its_bin) == 0;

    free(our_bin);
    free(its_bin);
    return same;
}

/*
 * Until 3.13, site takes sys.prefix from the executable's pyvenv.cfg whatever the home is; since 3.14 both
 * come from the environment's own home or not at all.
 */
static int check_home(const struct venv *venv, const struct venv_seeker *seeker)
{
    if (PY_VERSION_HEX < 0x030E0000 || !venv->is_foreign || !seeker->around)
        return 0;
    log_critical("the virtual environment %s (from %s) belongs to another installation of Python than this "
                 "cserve (%s). Make the environment with %s -m venv, or %s%s%s",
                 venv->dir, venv->source, seeker->python, seeker->python, seeker->remedy[0], venv->dir,
                 seeker->remedy[1]);
    return -1;
}

static int check_cfg(struct venv *venv, const struct venv_seeker *seeker)
{
    struct buf cfg;
    int result = -1;
    char *path = join(venv->dir, "pyvenv.cfg");

    buf_init(&cfg);
    if (read_file(&cfg, path) == 0) {
        result = check_version(venv, seeker, str_make(cfg.data, cfg.len));
        venv->is_foreign = !is_our_home(seeker->python, cfg_value(str_make(cfg.data, cfg.len), STR("home")));
    } else {
        log_critical("%s (from %s) is no virtual environment: %s: %s", venv->dir, venv->source, path,
                     strerror(errno));
    }
    buf_release(&cfg);
    free(path);
    return result;
}

static int find_python(struct venv *venv, const struct venv_seeker *seeker)
{
    static const char *const names[] = {"bin/python", "bin/python3"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        venv->python = join(venv->dir, names[i]);
        if (access(venv->python, X_OK) == 0)
            return 0;
        free(venv->python);
        venv->python = NULL;
    }
    log_critical("the virtual environment %s (from %s) has no working bin/python: has the Python it was made "
                 "with been removed? Make it anew with %s -m venv --clear %s",
                 venv->dir, venv->source, seeker->python, venv->dir);
    return -1;
}

static int check(struct venv *venv, const struct venv_seeker *seeker)
{
    if (check_cfg(venv, seeker) != 0 || check_home(venv, seeker) != 0)
        return -1;
    return find_python(venv, seeker);
}

/* A directory that somebody named: it must be there. */
static int take_named(struct venv *venv, const struct venv_seeker *seeker, const char *source, const char *dir)
{
    venv->source = source;
    venv->dir = realpath(dir, NULL);
    if (venv->dir == NULL) {
        log_critical("the virtual environment %s (from %s): %s", dir, source, strerror(errno));
        return -1;
    }
    return check(venv, seeker);
}

int venv_find(struct venv *venv, const char *option, const struct venv_seeker *seeker)
{
    const char *activated = getenv("VIRTUAL_ENV");

    *venv = (struct venv){0};
    if (option != NULL)
        return take_named(venv, seeker, "--venv", option);
    if (activated != NULL && *activated != '\0')
        return take_named(venv, seeker, "VIRTUAL_ENV", activated);
    venv->source = "pyvenv.cfg";
    venv->dir = seeker->around ? dir_of_executable() : NULL;
    return venv->dir == NULL ? 0 : check(venv, seeker);
}

void venv_release(struct venv *venv)
{
    free(venv->dir);
    free(venv->python);
    *venv = (struct venv){0};
}

void venv_drop_home(const struct venv *venv)
{
    const char *home = getenv("PYTHONHOME");

    if (venv->dir == NULL || home == NULL || *home == '\0')
        return;
    log_warning("PYTHONHOME=%s is dropped, as activating does: it would hide the virtual environment %s",
                home, venv->dir);
    unsetenv("PYTHONHOME");
}
