/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/mem.h"

static void blocks_are_never_null(void **state)
{
    (void)state;
    void *empty = mem_alloc(0);
    assert_non_null(empty);
    empty = mem_realloc(empty, 0);
    assert_non_null(empty);
    free(empty);

    char *zeroed = mem_zalloc(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    zeroed[99] = 'x';
    zeroed = mem_realloc(zeroed, 100000);
    assert_int_equal(zeroed[99], 'x');
    free(zeroed);
}

static void strings_are_copied_up_to_a_length(void **state)
{
    (void)state;
    char *copy = mem_strndup("abc", 2);
    assert_string_equal(copy, "ab");
    free(copy);
    copy = mem_strndup(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    copy = mem_strndup("a\0b", 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
}

static void running_out_of_memory_aborts(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        volatile size_t huge = (size_t)1 << 62;
        free(mem_alloc(huge));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    /* A sanitizer reports and exits by itself. */
    assert_true(WIFSIGNALED(status) ||
                (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 2));
}

static void a_pool_gives_back_the_last_block_first(void **state)
{
    struct mem_pool pool;

    (void)state;
    mem_pool_init(&pool, 64, 2);
    void *a = mem_pool_take(&pool), *b = mem_pool_take(&pool), *c = mem_pool_take(&pool);
    memset(a, 1, 64);
    memset(b, 2, 64);
    memset(c, 3, 64);
    mem_pool_give(&pool, a);
    mem_pool_give(&pool, b);
    assert_int_equal(pool.held, 2);
    mem_pool_give(&pool, c);
    assert_int_equal(pool.held, 2);
    assert_ptr_equal(mem_pool_take(&pool), b);
    assert_ptr_equal(mem_pool_take(&pool), a);
    assert_int_equal(pool.held, 0);
    mem_pool_give(&pool, a);
    mem_pool_give(&pool, b);
    mem_pool_release(&pool);
    assert_int_equal(pool.held, 0);
    assert_ptr_equal(pool.free, NULL);
}

static void a_pool_of_tiny_blocks_holds_its_links(void **state)
{
    struct mem_pool pool;

    (void)state;
    mem_pool_init(&pool, 1, 8);
    void *a = mem_pool_take(&pool), *b = mem_pool_take(&pool);
    mem_pool_give(&pool, a);
    mem_pool_give(&pool, b);
    assert_ptr_equal(mem_pool_take(&pool), b);
    assert_ptr_equal(mem_pool_take(&pool), a);
    free(a);
    free(b);
    mem_pool_release(&pool);
}

static void a_pool_that_keeps_nothing(void **state)
{
    struct mem_pool pool;

    (void)state;
    mem_pool_init(&pool, 32, 0);
    mem_pool_give(&pool, mem_pool_take(&pool));
    assert_int_equal(pool.held, 0);
    mem_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_never_null),
        cmocka_unit_test(strings_are_copied_up_to_a_length),
        cmocka_unit_test(running_out_of_memory_aborts),
        cmocka_unit_test(a_pool_gives_back_the_last_block_first),
        cmocka_unit_test(a_pool_of_tiny_blocks_holds_its_links),
        cmocka_unit_test(a_pool_that_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
