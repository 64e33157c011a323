/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "cserve/static_map.h"

static const struct {
    const char *text, *prefix, *dir; /* prefix NULL: refused */
} rows[] = {
    {"/static=DIR", "/static", "DIR"},
    {"/static/=DIR", "/static", "DIR"},
    {"/a/b-c_d.e~f=/x/y=z", "/a/b-c_d.e~f", "/x/y=z"},
    {"/.well-known=w", "/.well-known", "w"},
    {"/=DIR", NULL, NULL},
    {"//=DIR", NULL, NULL},
    {"//host=DIR", NULL, NULL},
    {"/a//b=DIR", NULL, NULL},
    {"/a//=DIR", NULL, NULL},
    {"/../a=DIR", NULL, NULL},
    {"/a/.=DIR", NULL, NULL},
    {"/a b=DIR", NULL, NULL},
    {"/%61=DIR", NULL, NULL},
    {"/a?b=DIR", NULL, NULL},
    {"/\xc3\xa9=DIR", NULL, NULL},
    {"static=DIR", NULL, NULL},
    {"/static", NULL, NULL},
    {"/static=", NULL, NULL},
    {"=DIR", NULL, NULL},
    {"", NULL, NULL},
};

static void a_prefix_is_one_that_no_client_encodes(void **state)
{
    struct static_map map;
    char error[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int result = static_map_parse(&map, rows[i].text, error, sizeof(error));
        if ((result == 0) != (rows[i].prefix != NULL))
            fail_msg("%s", rows[i].text);
        if (result != 0)
            continue;
        assert_true(str_equal(map.prefix, str_make(rows[i].prefix, strlen(rows[i].prefix))));
        assert_string_equal(map.dir, rows[i].dir);
    }
}

static void check(const char *const *texts, size_t count, const char *expected)
{
    char error[512] = "";

    assert_int_equal(static_maps_check(texts, count, error, sizeof(error)), expected == NULL ? 0 : -1);
    assert_string_equal(error, expected == NULL ? "" : expected);
}

static void directories_are_there_and_prefixes_differ(void **state)
{
    (void)state;
    check((const char *[]){"/a=/", "/a/b=/tmp"}, 2, NULL);
    check(NULL, 0, NULL);
    check((const char *[]){"/a=/", "/a/=/tmp"}, 2, "/a/=/tmp: /a is given twice");
    check((const char *[]){"/a=/nowhere"}, 1, "/a=/nowhere: No such file or directory");
    check((const char *[]){"/a=/dev/null"}, 1, "/a=/dev/null: Not a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_is_one_that_no_client_encodes),
        cmocka_unit_test(directories_are_there_and_prefixes_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
