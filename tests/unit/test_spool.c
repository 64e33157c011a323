/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/server/spool.h"

static void content_up_to_the_threshold_stays_in_memory(void **state)
{
    struct spool s;

    (void)state;
    spool_init(&s, 10);
    assert_int_equal(spool_append(&s, "01234", 5), 0);
    assert_int_equal(spool_append(&s, "56789", 5), 0);
    assert_int_equal(s.fd, -1);
    assert_int_equal(s.len, 10);
    assert_memory_equal(s.memory.data, "0123456789", 10);
    spool_release(&s);
}

static void one_byte_more_moves_it_to_a_file_without_a_name(void **state)
{
    struct spool s;
    struct stat info;
    char text[16] = "";

    (void)state;
    spool_init(&s, 10);
    assert_int_equal(spool_append(&s, "0123456789", 10), 0);
    assert_int_equal(spool_append(&s, "a", 1), 0);
    assert_true(s.fd >= 0);
    assert_int_equal(s.memory.cap, 0);
    assert_int_equal(spool_append(&s, "bc", 2), 0);
    assert_int_equal(s.len, 13);
    assert_int_equal(pread(s.fd, text, sizeof(text), 0), 13);
    assert_string_equal(text, "0123456789abc");
    assert_int_equal(fstat(s.fd, &info), 0);
    assert_int_equal(info.st_nlink, 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    spool_release(&s);
    assert_int_equal(s.fd, -1);
}

static void a_missing_directory_is_an_error_not_a_crash(void **state)
{
    struct spool s;

    (void)state;
    setenv("TMPDIR", "/nonexistent/directory", 1);
    spool_init(&s, 0);
    assert_int_equal(spool_append(&s, "x", 1), -1);
    assert_int_equal(errno, ENOENT);
    spool_release(&s);
    unsetenv("TMPDIR");
}

static void a_full_disk_is_an_error(void **state)
{
    struct spool s;

    (void)state;
    if (access("/dev/full", W_OK) != 0)
        fail_msg("/dev/full is needed");
    spool_init(&s, 0);
    s.fd = open("/dev/full", O_RDWR);
    assert_int_equal(spool_append(&s, "x", 1), -1);
    assert_int_equal(errno, ENOSPC);
    spool_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_up_to_the_threshold_stays_in_memory),
        cmocka_unit_test(one_byte_more_moves_it_to_a_file_without_a_name),
        cmocka_unit_test(a_missing_directory_is_an_error_not_a_crash),
        cmocka_unit_test(a_full_disk_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
