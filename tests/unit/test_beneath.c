/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/server/beneath.h"

static char top[] = "/tmp/cserve-beneath-XXXXXX";

static void write_file(int dir, const char *path)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, strlen(path)), (ssize_t)strlen(path));
    close(fd);
}

/* top/secret, and top/dir/ with a file, a directory with a file, links and a FIFO. *state is the descriptor of top/dir. */
static int make_tree(void **state)
{
    static int dir;
    char path[64];

    assert_non_null(mkdtemp(top));
    snprintf(path, sizeof(path), "%s/dir", top);
    assert_int_equal(mkdir(path, 0700), 0);
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    write_file(dir, "../secret");
    write_file(dir, "file");
    assert_int_equal(mkdirat(dir, "sub", 0700), 0);
    write_file(dir, "sub/file");
    assert_int_equal(symlinkat("../secret", dir, "out"), 0);
    assert_int_equal(symlinkat("/", dir, "root"), 0);
    assert_int_equal(symlinkat("file", dir, "in"), 0);
    assert_int_equal(symlinkat("sub", dir, "insub"), 0);
    assert_int_equal(symlinkat("loop", dir, "loop"), 0);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    *state = &dir;
    return 0;
}

static int remove_tree(void **state)
{
    char command[64];

    close(*(int *)*state);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command);
}

static void check(int dir, const char *path, bool opens)
{
    for (int at_once = 0; at_once <= beneath_has_openat2(dir); at_once++) {
        int fd = beneath_open(dir, path, at_once);

        if ((fd >= 0) != opens)
            fail_msg("%s, %s: %s", path, at_once ? "openat2" : "step by step", fd < 0 ? strerror(errno) : "opened");
        if (fd >= 0) {
            assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
            close(fd);
        }
    }
}

static void S10_nothing_outside_is_opened(void **state)
{
    static const char *const outside[] = {
        "../secret", "sub/../../secret", "/etc/passwd", "out", "root/etc/passwd", "in", "insub/file", "loop", "loop/x",
        "root", "file/", "file/x", "file/../file/", "sub/nothing", "nothing/file", "", "..",
    };
    int dir = *(int *)*state;

    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++)
        check(dir, outside[i], false);
    check(dir, "file", true);
    check(dir, "sub/file", true);
    check(dir, "sub", true);
    check(dir, "fifo", true); /* and does not wait for a writer */
}

static void long_names_are_not_there(void **state)
{
    char name[5000];

    memset(name, 'x', sizeof(name));
    for (size_t len = 254; len <= 257; len++) {
        snprintf(name + len, sizeof(name) - len, "/file");
        check(*(int *)*state, name, false);
        memset(name, 'x', sizeof(name));
    }
    name[sizeof(name) - 1] = '\0';
    check(*(int *)*state, name, false);
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void no_descriptor_is_left_behind(void **state)
{
    int dir = *(int *)*state, before = count_descriptors();

    check(dir, "sub/file", true);
    check(dir, "sub/nothing", false);
    check(dir, "sub/file/x", false);
    check(dir, "insub/file", false);
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(S10_nothing_outside_is_opened),
        cmocka_unit_test(long_names_are_not_there),
        cmocka_unit_test(no_descriptor_is_left_behind),
    };

    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
