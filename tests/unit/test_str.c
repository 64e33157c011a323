/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cserve/str.h"
#include "guard.h"

static void equality_looks_at_every_byte(void **state)
{
    (void)state;
    assert_true(str_equal(STR(""), STR("")));
    assert_true(str_equal((struct str){NULL, 0}, STR("")));
    assert_true(str_equal(STR("a\0b"), STR("a\0b")));
    assert_false(str_equal(STR("a\0b"), STR("a\0c")));
    assert_false(str_equal(STR("a"), STR("A")));
    assert_false(str_equal(STR("a"), STR("ab")));
}

static void nocase_is_ascii_only(void **state)
{
    (void)state;
    assert_true(str_equal_nocase(STR("Keep-Alive"), STR("kEEP-aLIVE")));
    assert_true(str_equal_nocase(STR(""), STR("")));
    assert_true(str_equal_nocase(STR("AZaz"), STR("azAZ")));
    assert_true(str_equal_nocase(str_make("aX", 1), str_make("AY", 1)));
    assert_false(str_equal_nocase(STR("\xc4"), STR("\xe4")));
    assert_false(str_equal_nocase(STR("@"), STR("`")));
    assert_false(str_equal_nocase(STR("["), STR("{")));
    assert_false(str_equal_nocase(STR("close"), STR("closed")));
    assert_false(str_equal_nocase(STR("close"), STR("clone")));
}

static void F1_trim_takes_space_and_tab_only(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {" \t ", ""},
        {"a", "a"},
        {" a b\t", "a b"},
        {"\xa0z\xa0", "\xa0z\xa0"},
        {"\x0bz\x0c", "\x0bz\x0c"},
        {"\nz\r", "\nz\r"},
        {"\x85z", "\x85z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str in = str_make(cases[i].in, strlen(cases[i].in));
        struct str out = str_trim(str_make(guard_place(in), in.len));
        assert_int_equal(out.len, strlen(cases[i].out));
        assert_memory_equal(out.ptr, cases[i].out, out.len);
    }
}

static void S1_numbers_are_digits(void **state)
{
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "-1", "0x1", "1_0", "1,1", "1.0", "\xb2", "1e3", "18446744073709551616",
        "99999999999999999999999", "\t1", "1\n", "/", ":",
    };
    uint64_t value = 42;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(str_to_u64(str_make(bad[i], strlen(bad[i])), UINT64_MAX, &value), -1);
        assert_int_equal(value, 42);
    }
    assert_int_equal(str_to_u64(STR("1\0"), UINT64_MAX, &value), -1);
}

static void S1_numbers_up_to_their_limit(void **state)
{
    uint64_t value = 42;

    (void)state;
    assert_int_equal(str_to_u64(STR("0"), 0, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(str_to_u64(STR("00000000000000000000000000007"), 7, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(str_to_u64(STR("9223372036854775807"), INT64_MAX, &value), 0);
    assert_true(value == INT64_MAX);
    assert_int_equal(str_to_u64(STR("9223372036854775808"), INT64_MAX, &value), -1);
    assert_int_equal(str_to_u64(STR("8"), 7, &value), -1);
    assert_true(value == INT64_MAX);
}

static void S7_escaping_leaves_printable_ascii(void **state)
{
    char all[256], out[4 * 256];

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    size_t len = str_escape(out, sizeof out, str_make(all, sizeof all));
    for (size_t i = 0; i < len; i++)
        assert_in_range((unsigned char)out[i], 0x20, 0x7e);

    len = str_escape(out, sizeof out, STR(" ~a\"b\\c\n\r\t\x1b[0m\x7f\xe9\0z"));
    static const char expected[] = " ~a\\\"b\\\\c\\n\\r\\t\\x1b[0m\\x7f\\xe9\\x00z";
    assert_int_equal(len, sizeof expected - 1);
    assert_memory_equal(out, expected, len);
}

static void escaping_stops_before_what_does_not_fit(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(str_escape(out, 3, STR("\x01z")), 0);
    assert_int_equal(str_escape(out, 4, STR("\x01z")), 4);
    assert_int_equal(str_escape(out, 5, STR("\x01z")), 5);
    assert_memory_equal(out, "\\x01z", 5);
    assert_int_equal(str_escape(out, 1, STR("a\nb")), 1);
    assert_int_equal(str_escape(out, 0, STR("a")), 0);
}

/* Every byte at every place of a word: none is missed by looking at many at once. */
static void S7_escaping_sees_every_byte(void **state)
{
    char text[24], expected[64], out[24 * 6];

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < sizeof(text); at++) {
            char one[6];
            size_t len = str_escape(one, sizeof(one), str_make((char[]){(char)byte}, 1));

            memset(text, 'a', sizeof(text));
            memset(expected, 'a', sizeof(expected));
            text[at] = (char)byte;
            memcpy(expected + at, one, len);
            assert_int_equal(str_escape(out, sizeof(out), str_make(text, sizeof(text))), sizeof(text) - 1 + len);
            assert_memory_equal(out, expected, sizeof(text) - 1 + len);
            len = str_escape_json(one, str_make((char[]){(char)byte}, 1), false);
            memcpy(expected + at, one, len);
            memset(expected + at + len, 'a', sizeof(expected) - at - len);
            assert_int_equal(str_escape_json(out, str_make(text, sizeof(text)), false), sizeof(text) - 1 + len);
            assert_memory_equal(out, expected, sizeof(text) - 1 + len);
        }
    }
}

static void assert_json(struct str text, bool utf8, const char *expected)
{
    char out[256];
    size_t len = str_escape_json(out, text, utf8);

    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void S7_json_of_bytes_is_ascii(void **state)
{
    (void)state;
    assert_json(STR(""), false, "");
    assert_json(STR("a/b 'c' {}~"), false, "a/b 'c' {}~");
    assert_json(STR("\"\\\n\r\t"), false, "\\\"\\\\\\n\\r\\t");
    assert_json(STR("\0\x1f\x7f\x80\xff"), false, "\\u0000\\u001f\\u007f\\u0080\\u00ff");
    assert_json(STR("\xc3\xa9"), false, "\\u00c3\\u00a9");
}

static void S7_json_of_text_keeps_utf8_alone(void **state)
{
    (void)state;
    assert_json(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8d"), true, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8d");
    assert_json(STR("a\x1b\xc3\xa9"), true, "a\\u001b\xc3\xa9");
    assert_json(STR("\xe9 \xc3"), true, "\\u00e9 \\u00c3");
    assert_json(STR("\xc0\xaf"), true, "\\u00c0\\u00af");                         /* overlong */
    assert_json(STR("\xe0\x80\xaf"), true, "\\u00e0\\u0080\\u00af");               /* overlong */
    assert_json(STR("\xed\xa0\x80"), true, "\\u00ed\\u00a0\\u0080");               /* a surrogate */
    assert_json(STR("\xf4\x90\x80\x80"), true, "\\u00f4\\u0090\\u0080\\u0080");     /* above U+10FFFF */
    assert_json(STR("\xf5\x80\x80\x80"), true, "\\u00f5\\u0080\\u0080\\u0080");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_looks_at_every_byte),
        cmocka_unit_test(nocase_is_ascii_only),
        cmocka_unit_test(F1_trim_takes_space_and_tab_only),
        cmocka_unit_test(S1_numbers_are_digits),
        cmocka_unit_test(S1_numbers_up_to_their_limit),
        cmocka_unit_test(S7_escaping_leaves_printable_ascii),
        cmocka_unit_test(escaping_stops_before_what_does_not_fit),
        cmocka_unit_test(S7_escaping_sees_every_byte),
        cmocka_unit_test(S7_json_of_bytes_is_ascii),
        cmocka_unit_test(S7_json_of_text_keeps_utf8_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
