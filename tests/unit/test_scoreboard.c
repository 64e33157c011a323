/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/scoreboard.h"

#include "guard.h"

/* As many rows as fill pages: what is read behind the last one is not there. */
enum { ROWS = 64, PATIENCE_MS = 3000 };

static int open_board(struct scoreboard *b)
{
    int fd = scoreboard_open(b, ROWS);

    assert_true(fd >= 0);
    return fd;
}

static void begin(struct score *row, const char *line)
{
    score_begin(row, line, strlen(line), 1);
}

static void assert_describes(const struct scoreboard *b, int most, int count, const char *expected)
{
    struct buf out;

    buf_init(&out);
    assert_int_equal(scoreboard_describe(b, &out, most), count);
    buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    buf_release(&out);
}

static void a_new_board_says_nothing(void **state)
{
    struct scoreboard b;
    struct stat info;
    int fd = open_board(&b);

    (void)state;
    assert_int_equal(b.count, ROWS);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, (char *)&b.rows[ROWS] - (char *)b.stats);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_describes(&b, ROWS, 0, "");
    close(fd);
    scoreboard_close(&b);
}

static void rows_lie_in_cache_lines_of_their_own(void **state)
{
    struct scoreboard b;

    (void)state;
    close(open_board(&b));
    assert_int_equal(sizeof(struct score) % 64, 0);
    assert_int_equal((uintptr_t)b.rows % 64, 0);
    assert_true((char *)b.rows - (char *)b.stats >= (ptrdiff_t)sizeof(struct stats));
    scoreboard_close(&b);
}

static void lines_are_quoted_and_idle_threads_left_out(void **state)
{
    struct scoreboard b;

    (void)state;
    close(open_board(&b));
    begin(&b.rows[3], "GET /a HTTP/1.1");
    assert_describes(&b, ROWS, 1, "\"GET /a HTTP/1.1\"");
    begin(&b.rows[0], "POST /b HTTP/1.1");
    begin(&b.rows[ROWS - 1], "GET /c HTTP/1.0");
    assert_describes(&b, ROWS, 3, "\"POST /b HTTP/1.1\", \"GET /a HTTP/1.1\", \"GET /c HTTP/1.0\"");
    scoreboard_close(&b);
}

static void as_many_as_wanted_are_shown_and_all_are_counted(void **state)
{
    struct scoreboard b;

    (void)state;
    close(open_board(&b));
    for (int i = 0; i < 5; i++)
        score_begin(&b.rows[2 * i], &"abcde"[i], 1, 1);
    assert_describes(&b, 0, 5, "");
    assert_describes(&b, 1, 5, "\"a\"");
    assert_describes(&b, 3, 5, "\"a\", \"b\", \"c\"");
    assert_describes(&b, 5, 5, "\"a\", \"b\", \"c\", \"d\", \"e\"");
    scoreboard_close(&b);
}

static void lines_are_put_behind_what_is_there(void **state)
{
    struct scoreboard b;
    struct buf out;

    (void)state;
    close(open_board(&b));
    begin(&b.rows[0], "GET / HTTP/1.1");
    buf_init(&out);
    buf_append_str(&out, STR("it was at "));
    assert_int_equal(scoreboard_describe(&b, &out, 1), 1);
    assert_true(str_equal(str_make(out.data, out.len), STR("it was at \"GET / HTTP/1.1\"")));
    buf_release(&out);
    scoreboard_close(&b);
}

static void a_thread_goes_on_with_another_line_and_ends(void **state)
{
    struct scoreboard b;

    (void)state;
    close(open_board(&b));
    begin(&b.rows[0], "GET /something/long HTTP/1.1");
    begin(&b.rows[1], "GET /other HTTP/1.1");
    begin(&b.rows[0], "GET / HTTP/1.1");
    assert_describes(&b, ROWS, 2, "\"GET / HTTP/1.1\", \"GET /other HTTP/1.1\"");
    score_end(&b.rows[0]);
    assert_describes(&b, ROWS, 1, "\"GET /other HTTP/1.1\"");
    score_end(&b.rows[1]);
    assert_describes(&b, ROWS, 0, "");
    scoreboard_close(&b);
}

static void a_line_is_cut_to_the_room_of_its_row(void **state)
{
    static const size_t sizes[] = {1, SCORE_LINE_MAX - 1, SCORE_LINE_MAX, SCORE_LINE_MAX + 1, 100000};
    static const struct score idle;
    struct scoreboard b;
    char expected[SCORE_LINE_MAX + 3];
    char *line = malloc(100000);

    (void)state;
    assert_non_null(line);
    for (int i = 0; i < 100000; i++)
        line[i] = (char)('a' + i % 26);
    close(open_board(&b));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        int shown = sizes[i] < SCORE_LINE_MAX ? (int)sizes[i] : SCORE_LINE_MAX;
        score_begin(&b.rows[1], guard_place(str_make(line, sizes[i])), sizes[i], 1);
        snprintf(expected, sizeof(expected), "\"%.*s\"", shown, line);
        assert_describes(&b, ROWS, 1, expected);
        assert_int_equal(b.rows[1].since_ms, 1);
        assert_memory_equal(&b.rows[0], &idle, sizeof(idle));
        assert_memory_equal(&b.rows[2], &idle, sizeof(idle));
        score_end(&b.rows[1]);
    }
    free(line);
    scoreboard_close(&b);
}

static void S7_lines_are_escaped(void **state)
{
    struct scoreboard b;
    static const char line[] = "GET /\"\\\r\n\x1b\0\xff HTTP/1.1";

    (void)state;
    close(open_board(&b));
    score_begin(&b.rows[0], line, sizeof(line) - 1, 1);
    assert_describes(&b, ROWS, 1, "\"GET /\\\"\\\\\\r\\n\\x1b\\x00\\xff HTTP/1.1\"");
    scoreboard_close(&b);
}

static void a_length_that_a_crash_left_behind_is_not_trusted(void **state)
{
    static const uint32_t lengths[] = {SCORE_LINE_MAX + 1, 1u << 31, UINT32_MAX};
    struct scoreboard b;
    char expected[4 * SCORE_LINE_MAX + 3] = "\"";

    (void)state;
    close(open_board(&b));
    memset(b.rows[ROWS - 1].line, 0xff, SCORE_LINE_MAX);
    for (int i = 0; i < SCORE_LINE_MAX; i++)
        strcat(expected, "\\xff");
    strcat(expected, "\"");
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        b.rows[ROWS - 1].len = lengths[i];
        assert_describes(&b, ROWS, 1, expected);
    }
    scoreboard_close(&b);
}

static void what_a_killed_process_was_at_can_be_read(void **state)
{
    struct scoreboard mine, its;
    int fd = open_board(&mine), status;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        scoreboard_close(&mine);
        if (scoreboard_map(&its, fd, ROWS) != 0)
            _exit(1);
        begin(&its.rows[0], "GET /ended HTTP/1.1");
        begin(&its.rows[1], "GET /crash HTTP/1.1");
        score_end(&its.rows[0]);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_describes(&mine, ROWS, 1, "\"GET /crash HTTP/1.1\"");
    close(fd);
    scoreboard_close(&mine);
}

static void the_descriptor_stays_the_callers_and_the_rows_outlive_it(void **state)
{
    struct scoreboard b, other;
    int fd = open_board(&b);

    (void)state;
    assert_int_equal(scoreboard_map(&other, fd, ROWS), 0);
    assert_int_equal(other.count, ROWS);
    assert_int_equal(close(fd), 0);
    begin(&b.rows[7], "GET / HTTP/1.1");
    scoreboard_close(&b);
    assert_describes(&other, ROWS, 1, "\"GET / HTTP/1.1\"");
    scoreboard_close(&other);
}

static void rows_beyond_the_count_are_not_read(void **state)
{
    struct scoreboard b, fewer;
    int fd = open_board(&b);

    (void)state;
    assert_int_equal(scoreboard_map(&fewer, fd, 2), 0);
    assert_int_equal(fewer.count, 2);
    begin(&b.rows[2], "GET /beyond HTTP/1.1");
    assert_describes(&fewer, ROWS, 0, "");
    begin(&b.rows[1], "GET /within HTTP/1.1");
    assert_describes(&fewer, ROWS, 1, "\"GET /within HTTP/1.1\"");
    close(fd);
    scoreboard_close(&fewer);
    scoreboard_close(&b);
}

static void a_closed_board_is_empty_and_can_be_closed_again(void **state)
{
    struct scoreboard b;

    (void)state;
    close(open_board(&b));
    begin(&b.rows[0], "GET / HTTP/1.1");
    scoreboard_close(&b);
    assert_null(b.rows);
    assert_int_equal(b.count, 0);
    assert_describes(&b, ROWS, 0, "");
    scoreboard_close(&b);
}

/* Where a worker has no board, nothing is read: a crash tells less then. */
static void assert_is_none(struct scoreboard *b)
{
    assert_null(b->rows);
    assert_int_equal(b->count, 0);
    assert_describes(b, ROWS, 0, "");
    scoreboard_close(b);
}

static void a_descriptor_that_cannot_be_mapped_is_an_error(void **state)
{
    struct scoreboard b;
    int ends[2];

    (void)state;
    memset(&b, 0x55, sizeof(b));
    assert_int_equal(scoreboard_map(&b, -1, ROWS), -1);
    assert_int_equal(errno, EBADF);
    assert_is_none(&b);
    assert_int_equal(pipe(ends), 0);
    memset(&b, 0x55, sizeof(b));
    assert_int_equal(scoreboard_map(&b, ends[0], ROWS), -1);
    assert_is_none(&b);
    assert_int_equal(close(ends[0]), 0);
    close(ends[1]);
}

static void who_looks_sees_what_threads_are_at(void **state)
{
    struct scoreboard b;
    struct score_seen seen;

    (void)state;
    close(open_board(&b));
    assert_false(scoreboard_see(&b, 0, &seen));
    score_begin(&b.rows[0], "GET / HTTP/1.1", 14, 4711);
    assert_true(scoreboard_see(&b, 0, &seen));
    assert_int_equal(seen.since_ms, 4711);
    assert_int_equal(seen.len, 14);
    assert_memory_equal(seen.line, "GET / HTTP/1.1", 14);
    b.rows[0].len = UINT32_MAX; /* a crash left that behind */
    assert_true(scoreboard_see(&b, 0, &seen));
    assert_int_equal(seen.len, SCORE_LINE_MAX);
    score_end(&b.rows[0]);
    assert_false(scoreboard_see(&b, 0, &seen));
    scoreboard_close(&b);
}

static void a_board_that_cannot_be_made_leaves_no_descriptor(void **state)
{
    static const int counts[] = {0, -1};
    int next = dup(STDERR_FILENO);

    (void)state;
    assert_true(next >= 0);
    close(next);
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        struct scoreboard b;
        int now;
        memset(&b, 0x55, sizeof(b));
        assert_int_equal(scoreboard_open(&b, counts[i]), -1);
        assert_int_equal(errno, EINVAL);
        assert_is_none(&b);
        now = dup(STDERR_FILENO);
        assert_int_equal(now, next);
        close(now);
    }
}

/* What the other process writes all the time: lines of every length, and lengths that no line has. */
static _Noreturn void scribble(struct score *row)
{
    char text[256 + SCORE_LINE_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    for (uint32_t i = 0;; i++) {
        score_begin(row, text + i % 256, i % (SCORE_LINE_MAX + 1), 1);
        atomic_signal_fence(memory_order_seq_cst); /* or the compiler leaves out what it overwrites */
        row->len = UINT32_MAX - i;
        atomic_signal_fence(memory_order_seq_cst);
    }
}

/* Printable, between quotes, and no longer than a line whose bytes are all escaped. */
static void assert_is_sound(const struct buf *out)
{
    assert_in_range(out->len, 3, 4 * SCORE_LINE_MAX + 2);
    assert_int_equal(out->data[0], '"');
    assert_int_equal(out->data[out->len - 1], '"');
    for (size_t i = 0; i < out->len; i++)
        assert_in_range(out->data[i], ' ', '~');
}

static void a_row_that_changes_while_it_is_read_gives_no_more_than_a_line(void **state)
{
    enum { ENOUGH = 20000 };
    struct scoreboard b;
    struct buf out;
    size_t previous = 0;
    int changes = 0, status;
    int64_t until = clock_ms() + PATIENCE_MS;
    pid_t child;

    (void)state;
    close(open_board(&b));
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        scribble(&b.rows[ROWS - 1]);
    buf_init(&out);
    while (changes < ENOUGH && clock_ms() < until) {
        int count;
        out.len = 0;
        count = scoreboard_describe(&b, &out, 1);
        if (count == 0) {
            assert_int_equal(out.len, 0);
            continue;
        }
        assert_int_equal(count, 1);
        assert_is_sound(&out);
        changes += out.len != previous;
        previous = out.len;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_not_equal(changes, 0);
    buf_release(&out);
    scoreboard_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_board_says_nothing),
        cmocka_unit_test(rows_lie_in_cache_lines_of_their_own),
        cmocka_unit_test(lines_are_quoted_and_idle_threads_left_out),
        cmocka_unit_test(as_many_as_wanted_are_shown_and_all_are_counted),
        cmocka_unit_test(lines_are_put_behind_what_is_there),
        cmocka_unit_test(a_thread_goes_on_with_another_line_and_ends),
        cmocka_unit_test(a_line_is_cut_to_the_room_of_its_row),
        cmocka_unit_test(S7_lines_are_escaped),
        cmocka_unit_test(a_length_that_a_crash_left_behind_is_not_trusted),
        cmocka_unit_test(what_a_killed_process_was_at_can_be_read),
        cmocka_unit_test(the_descriptor_stays_the_callers_and_the_rows_outlive_it),
        cmocka_unit_test(rows_beyond_the_count_are_not_read),
        cmocka_unit_test(a_closed_board_is_empty_and_can_be_closed_again),
        cmocka_unit_test(a_descriptor_that_cannot_be_mapped_is_an_error),
        cmocka_unit_test(who_looks_sees_what_threads_are_at),
        cmocka_unit_test(a_board_that_cannot_be_made_leaves_no_descriptor),
        cmocka_unit_test(a_row_that_changes_while_it_is_read_gives_no_more_than_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
