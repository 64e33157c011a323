/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cserve/json.h"
#include "guard.h"

static struct str placed(const char *text)
{
    struct str s = str_make(text, strlen(text));

    return str_make(guard_place(s), s.len);
}

static void what_is_json_is_taken(void **state)
{
    static const char *const good[] = {
        "0", "-0", "10", "1.5", "-1.25e+3", "2E-1", "0e1", "true", "false", "null", "\"\"", "\"a\\\"b\\\\\\u00fF\\n\"", "{}", "[]",
        " [ 1 , [ ] , { } ] ", "{\"a\":1,\"a\":[2]}", "\t{ \"a\" : { \"b\" : null } }\r\n", "\"\xc3\xa9\"",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
    };
    struct str value;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (json_check(placed(good[i]), &value) != 0)
            fail_msg("refused: %s", good[i]);
        assert_true(value.len > 0 && !str_is_blank(value.ptr[0]) && !str_is_blank(value.ptr[value.len - 1]));
    }
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "", " ", "-", "01", "1.", ".5", "1e", "1e+", "+1", "tru", "nul", "True", "\"", "\"\\", "\"\\x\"", "\"\\u12g4\"", "\"\\u12",
        "\"a\nb\"", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}",
        "{a:1}", "{\"a\" 1}", "{1:2}", "1 2", "{} x", "[}", "{]", "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
    };
    struct str value;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (json_check(placed(bad[i]), &value) == 0)
            fail_msg("taken: %s", bad[i]);
    }
}

/* Whatever it is cut off at: nothing behind the end is looked at, and no beginning of an object is one. */
static void every_cut_is_refused(void **state)
{
    static const struct str whole = STR("{\"a\":[1,-2.5e3,\"x\\u0041\\n\"],\"b\":{\"c\":true,\"d\":null}}");
    struct str value;

    (void)state;
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(json_check(str_make(guard_place(str_make(whole.ptr, len)), len), &value), -1);
    assert_int_equal(json_check(str_make(guard_place(whole), whole.len), &value), 0);
}

static void members_are_found_by_their_names(void **state)
{
    struct str root;

    (void)state;
    assert_int_equal(json_check(placed(" { \"ab\" : 1 , \"b\":{\"a\":5},\"c\":[{\"a\":6}], \"a\":2,\"a\":3 } "), &root), 0);
    assert_int_equal(json_u64(json_member(root, "a")), 2);
    assert_int_equal(json_u64(json_member(root, "ab")), 1);
    assert_int_equal(json_u64(json_member(json_member(root, "b"), "a")), 5);
    assert_int_equal(json_member(root, "abc").len, 0);
    assert_int_equal(json_member(json_member(root, "c"), "a").len, 0);
    assert_int_equal(json_member(json_member(root, "none"), "a").len, 0);
}

static void elements_come_in_order(void **state)
{
    static const struct {
        const char *text;
        int count;
    } cases[] = {{"[]", 0}, {" [ ] ", 0}, {"[1]", 1}, {"[ 1 , 2,3 ]", 3}, {"{\"a\":[1]}", 0}, {"1", 0}, {"\"[1]\"", 0}};
    struct str rest, value;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int count = 0;
        assert_int_equal(json_check(placed(cases[i].text), &rest), 0);
        while (json_next(&rest, &value))
            assert_int_equal(json_u64(value), ++count);
        assert_int_equal(count, cases[i].count);
    }
}

static void numbers_are_whole_and_saturate(void **state)
{
    (void)state;
    assert_true(json_u64(STR("18446744073709551615")) == UINT64_MAX);
    assert_true(json_u64(STR("18446744073709551616")) == UINT64_MAX);
    assert_true(json_u64(STR("99999999999999999999999")) == UINT64_MAX);
    assert_int_equal(json_u64(STR("12.75")), 12);
    assert_int_equal(json_u64(STR("-1")), 0);
    assert_int_equal(json_u64(STR("1e3")), 0);
    assert_int_equal(json_u64(STR("\"5\"")), 0);
    assert_int_equal(json_u64(STR("")), 0);
    assert_true(json_is_true(STR("true")));
    assert_false(json_is_true(STR("false")));
    assert_false(json_is_true(STR("")));
}

static void texts_are_bytes(void **state)
{
    static const char expected[] = "a\"\\/\b\f\n\r\t\0\xe9?\x1b\xc3\xa9";
    struct str value;
    char out[64];

    (void)state;
    assert_int_equal(json_check(placed("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00E9\\u20ac\\u001b\xc3\xa9\""), &value), 0);
    assert_int_equal(json_text(value, out, sizeof(out)), sizeof(expected) - 1);
    assert_memory_equal(out, expected, sizeof(expected) - 1);
    assert_int_equal(json_text(value, out, 3), 3);
    assert_int_equal(json_text(STR("5"), out, sizeof(out)), 0);
    assert_int_equal(json_text(STR(""), out, sizeof(out)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_taken),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(members_are_found_by_their_names),
        cmocka_unit_test(elements_come_in_order),
        cmocka_unit_test(numbers_are_whole_and_saturate),
        cmocka_unit_test(texts_are_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
