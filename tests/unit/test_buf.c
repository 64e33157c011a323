/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "cserve/buf.h"

static void assert_buf(const struct buf *b, const char *expected)
{
    assert_int_equal(b->len, strlen(expected));
    if (b->len > 0)
        assert_memory_equal(b->data, expected, b->len);
}

static void bytes_are_appended_in_order(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_append(&b, "", 0);
    buf_append(&b, NULL, 0);
    assert_ptr_equal(b.data, NULL);
    buf_append(&b, "ab", 2);
    buf_append_str(&b, STR("cd"));
    buf_append_str(&b, STR(""));
    assert_buf(&b, "abcd");
    buf_release(&b);
    assert_ptr_equal(b.data, NULL);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
}

static void growing_keeps_what_is_there(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    for (size_t i = 0; i < 100000; i++) {
        char byte = (char)(i * 7);
        buf_append(&b, &byte, 1);
        assert_true(b.len <= b.cap);
    }
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char)(i * 7));
    assert_true(b.cap < 3 * 100000);
    buf_release(&b);
}

static void room_is_what_was_asked_for(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    for (size_t more = 1; more < 5000; more += 97) {
        char *room = buf_room(&b, more);
        memset(room, 'x', more);
        b.len += more;
    }
    size_t cap = b.cap;
    char *room = buf_room(&b, b.cap - b.len);
    assert_ptr_equal(room, b.data + b.len);
    assert_int_equal(b.cap, cap);
    buf_release(&b);
}

static void numbers_of_every_length(void **state)
{
    struct buf b;
    uint64_t value = 0;

    (void)state;
    buf_init(&b);
    for (int digits = 0; digits <= 20; digits++) {
        char expected[24];
        snprintf(expected, sizeof expected, "%" PRIu64, value);
        b.len = 0;
        buf_append_u64(&b, value);
        assert_buf(&b, expected);
        value = digits == 19 ? UINT64_MAX : 10 * value + 9;
    }
    buf_release(&b);
}

static void printf_of_any_size(void **state)
{
    struct buf b;
    char text[2000];

    (void)state;
    buf_init(&b);
    buf_printf(&b, "%s", "");
    assert_buf(&b, "");
    for (size_t len = 0; len < sizeof text; len++) {
        memset(text, 'a' + (int)(len % 26), len);
        text[len] = '\0';
        b.len = 0;
        buf_printf(&b, "%s%d", text, 7);
        assert_int_equal(b.len, len + 1);
        assert_memory_equal(b.data, text, len);
        assert_int_equal(b.data[len], '7');
    }
    buf_release(&b);
}

static void S7_escaped_text_is_appended(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_append_escaped(&b, STR(""));
    assert_buf(&b, "");
    buf_append_escaped(&b, STR("a\r\nb"));
    buf_append_escaped(&b, STR("\xff"));
    assert_buf(&b, "a\\r\\nb\\xff");
    buf_release(&b);
}

static void consuming_moves_the_rest(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_consume(&b, 0);
    buf_append_str(&b, STR("abcdef"));
    buf_consume(&b, 0);
    assert_buf(&b, "abcdef");
    buf_consume(&b, 2);
    assert_buf(&b, "cdef");
    buf_consume(&b, 4);
    assert_buf(&b, "");
    buf_append_str(&b, STR("x"));
    buf_consume(&b, 5);
    assert_buf(&b, "");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_appended_in_order), cmocka_unit_test(growing_keeps_what_is_there),
        cmocka_unit_test(room_is_what_was_asked_for),  cmocka_unit_test(numbers_of_every_length),
        cmocka_unit_test(printf_of_any_size),          cmocka_unit_test(S7_escaped_text_is_appended),
        cmocka_unit_test(consuming_moves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
