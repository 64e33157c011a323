/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cserve/conditional.h"

#include "guard.h"

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACT "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct http_limits limits = {.line = 8190, .fields = 100, .field_size = 8190, .head = 65536, .body = 1};
static const struct http_validators strong = {.tag = STR("\"a\""), .modified = 784111777};
static const struct http_validators weak = {.tag = STR("\"a\""), .modified = 784111777, .weak = true};

struct request {
    struct http_head head;
    struct http_field fields[100];
    const char *raw;
};

static void parse(struct request *r, const char *fields)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s\r\n", fields);

    r->raw = guard_place(str_make(text, (size_t)len));
    http_head_init(&r->head, &limits, r->fields);
    assert_int_equal(http_head_parse(&r->head, r->raw, (size_t)len), HTTP_DONE);
}

static const struct {
    const char *fields;
    enum http_precondition strong, weak;
} conditions[] = {
    {"", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: \"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: W/\"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: \"b\", \"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: \"b,\",W/\"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: *\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-None-Match: \"b\"\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: \"A\"\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: a\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: \"a\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: w/\"a\"\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match:\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: W/\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Modified-Since: " EXACT "\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-Modified-Since: " AFTER "\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-Modified-Since: " BEFORE "\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Modified-Since: yesterday\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Modified-Since: " AFTER "\r\nIf-Modified-Since: " AFTER "\r\n", HTTP_PROCEED, HTTP_PROCEED},
    /* A tag that does not match is the last word, whatever the date says. */
    {"If-None-Match: \"b\"\r\nIf-Modified-Since: " AFTER "\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-None-Match: \"a\"\r\nIf-Modified-Since: " BEFORE "\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
    {"If-Match: \"a\"\r\n", HTTP_PROCEED, HTTP_PRECONDITION_FAILED},
    {"If-Match: W/\"a\"\r\n", HTTP_PRECONDITION_FAILED, HTTP_PRECONDITION_FAILED},
    {"If-Match: \"b\"\r\n", HTTP_PRECONDITION_FAILED, HTTP_PRECONDITION_FAILED},
    {"If-Match: *\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Match: nonsense\r\n", HTTP_PRECONDITION_FAILED, HTTP_PRECONDITION_FAILED},
    {"If-Unmodified-Since: " BEFORE "\r\n", HTTP_PRECONDITION_FAILED, HTTP_PRECONDITION_FAILED},
    {"If-Unmodified-Since: " EXACT "\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Unmodified-Since: nonsense\r\n", HTTP_PROCEED, HTTP_PROCEED},
    /* If-Match goes before If-Unmodified-Since, and both before the others. */
    {"If-Match: *\r\nIf-Unmodified-Since: " BEFORE "\r\n", HTTP_PROCEED, HTTP_PROCEED},
    {"If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", HTTP_PRECONDITION_FAILED, HTTP_PRECONDITION_FAILED},
    {"If-Match: *\r\nIf-None-Match: \"a\"\r\n", HTTP_UNCHANGED, HTTP_UNCHANGED},
};

static void conditions_are_judged_in_their_order(void **state)
{
    struct request r;

    (void)state;
    for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
        parse(&r, conditions[i].fields);
        if (http_preconditions(&r.head, r.raw, &strong) != conditions[i].strong)
            fail_msg("%s of a strong tag", conditions[i].fields);
        if (http_preconditions(&r.head, r.raw, &weak) != conditions[i].weak)
            fail_msg("%s of a weak tag", conditions[i].fields);
    }
}

static const struct {
    const char *fields;
    bool strong, weak;
} parts[] = {
    {"Range: bytes=0-\r\n", true, true},
    {"Range: bytes=0-\r\nIf-Range: \"a\"\r\n", true, false},
    {"Range: bytes=0-\r\nIf-Range: W/\"a\"\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range: \"b\"\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range: \"a\", \"b\"\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range: " EXACT "\r\n", true, false},
    {"Range: bytes=0-\r\nIf-Range: " BEFORE "\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range: " AFTER "\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range:\r\n", false, false},
    {"Range: bytes=0-\r\nIf-Range: \"a\"\r\nIf-Range: \"a\"\r\n", false, false},
    {"Range: bytes=0-\r\nRange: bytes=0-\r\n", false, false},
    {"If-Range: \"a\"\r\n", false, false},
};

static void a_range_is_wanted_of_the_very_same_representation(void **state)
{
    struct request r;

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        parse(&r, parts[i].fields);
        if ((http_range_wanted(&r.head, r.raw, &strong).len > 0) != parts[i].strong)
            fail_msg("%s of a strong tag", parts[i].fields);
        if ((http_range_wanted(&r.head, r.raw, &weak).len > 0) != parts[i].weak)
            fail_msg("%s of a weak tag", parts[i].fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_judged_in_their_order),
        cmocka_unit_test(a_range_is_wanted_of_the_very_same_representation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
