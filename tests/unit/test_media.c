/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cserve/media.h"

#include "guard.h"

static const char table[] = "# a comment\n"
                            "text/x-first\tODD  odd2\n"
                            "text/x-second odd\r\n"
                            "image/x-own png # not this: gif\n"
                            "no-slash bad\n"
                            "text/x\x01 control\n"
                            "application/x-nothing\n"
                            "\n"
                            "text/x-last last";

static const struct {
    const char *name, *type;
} names[] = {
    {"a.odd", "text/x-first; charset=utf-8"},
    {"a.odd2", "text/x-first; charset=utf-8"},
    {"a.ODD", "text/x-first; charset=utf-8"},
    {"a.last", "text/x-last; charset=utf-8"},
    {"a.png", "image/x-own"},
    {"a.gif", "image/gif"},
    {"dir.png/a.css", "text/css; charset=utf-8"},
    {"a.min.JS", "text/javascript; charset=utf-8"},
    {"a.avif", "image/avif"},
    {"a.zip", "application/zip"},
    {"a.svg", "image/svg+xml"},
    {"a.json", "application/json"},
    {"a.bad", "application/octet-stream"},
    {"a.control", "application/octet-stream"},
    {"a", "application/octet-stream"},
    {"", "application/octet-stream"},
    {"png", "application/octet-stream"},
    {"dir.png/a", "application/octet-stream"},
    {"a.", "application/octet-stream"},
    {"a.0123456789012345678901234567890123456789", "application/octet-stream"},
};

static void check_name(const struct media_types *types, const char *name, const char *expected)
{
    struct str text = str_make(name, strlen(name));
    char out[MEDIA_TYPE_MAX];
    struct str type;

    text.ptr = guard_place(text);
    type = media_type_of(types, text, out);
    if (!str_equal(type, str_make(expected, strlen(expected))))
        fail_msg("%s: '%.*s' is not '%s'", name, (int)type.len, type.ptr, expected);
}

static void the_table_that_is_given_goes_before_our_own(void **state)
{
    struct media_types types;
    struct str text = str_make(table, strlen(table));

    (void)state;
    text.ptr = guard_place(text);
    media_types_init(&types, text);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        check_name(&types, names[i].name, names[i].type);
    media_types_release(&types);
}

static void without_a_table_there_is_our_own(void **state)
{
    static const char *const ours[] = {"avif", "css", "csv", "gif", "gz", "htm", "html", "ico", "jpeg", "jpg", "js",
                                       "json", "map", "md", "mjs", "mp3", "mp4", "otf", "pdf", "png", "svg", "tar",
                                       "ttf", "txt", "wasm", "webm", "webmanifest", "webp", "woff", "woff2", "xml", "zip"};
    struct media_types types;
    char name[32], out[MEDIA_TYPE_MAX];

    (void)state;
    media_types_init(&types, STR(""));
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        int len = snprintf(name, sizeof(name), "a.%s", ours[i]);
        if (str_equal(media_type_of(&types, str_make(name, (size_t)len), out), STR("application/octet-stream")))
            fail_msg("%s is not found: the table is not in order", name);
    }
    check_name(&types, "a.odd", "application/octet-stream");
    media_types_release(&types);
}

enum { BR = 1 << MEDIA_BROTLI, GZ = 1 << MEDIA_GZIP };

static const struct {
    const char *fields;
    unsigned available;
    enum media_coding coding;
} wishes[] = {
    {"", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding:\r\n", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: GZIP\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: x-gzip\r\n", GZ, MEDIA_GZIP},
    {"Accept-Encoding: gzip, deflate, br\r\n", BR | GZ, MEDIA_BROTLI},
    {"Accept-Encoding: gzip, deflate, br\r\n", GZ, MEDIA_GZIP},
    {"Accept-Encoding: gzip, deflate, br\r\n", 0, MEDIA_IDENTITY},
    {"Accept-Encoding: deflate, zstd\r\n", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", BR | GZ, MEDIA_BROTLI},
    {"Accept-Encoding: br;q=0.5, gzip;q=0.8\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: br;q=0.801, gzip;q=0.8\r\n", BR | GZ, MEDIA_BROTLI},
    {"Accept-Encoding: br ; Q=1.000 , gzip\r\n", BR | GZ, MEDIA_BROTLI},
    {"Accept-Encoding: br;q=0, gzip;q=0.001\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: br;q=0, gzip;q=0.000\r\n", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;q=0.5, identity\r\n", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip, identity\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: gzip;q=0.5, identity;q=0\r\n", GZ, MEDIA_GZIP},
    {"Accept-Encoding: identity;q=0\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: *\r\n", BR | GZ, MEDIA_BROTLI},
    {"Accept-Encoding: *, br;q=0\r\n", BR | GZ, MEDIA_GZIP},
    {"Accept-Encoding: *;q=0\r\n", BR | GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip, *;q=0\r\n", BR | GZ, MEDIA_GZIP},
    /* What is malformed counts for nothing. */
    {"Accept-Encoding: gzip;q=2\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;q=1.001\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;q=\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;q=0.0001\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;q=-1\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: gzip;level=9\r\n", GZ, MEDIA_IDENTITY},
    {"Accept-Encoding: ,;,gzipped, gzi\r\n", GZ, MEDIA_IDENTITY},
};

static void the_client_s_favourite_coding_is_chosen(void **state)
{
    static const struct http_limits limits = {.line = 8190, .fields = 9, .field_size = 8190, .head = 65536, .body = 1};
    struct http_field fields[9];
    struct http_head head;
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
        int len = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s\r\n", wishes[i].fields);
        const char *raw = guard_place(str_make(text, (size_t)len));

        http_head_init(&head, &limits, fields);
        assert_int_equal(http_head_parse(&head, raw, (size_t)len), HTTP_DONE);
        if (media_coding_choose(&head, raw, wishes[i].available) != wishes[i].coding)
            fail_msg("%s of %u", wishes[i].fields, wishes[i].available);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_that_is_given_goes_before_our_own),
        cmocka_unit_test(without_a_table_there_is_our_own),
        cmocka_unit_test(the_client_s_favourite_coding_is_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
