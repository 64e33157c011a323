/* SPDX-License-Identifier: MIT */
/*
 * What a client asks of a file: Range, the conditions, Accept-Encoding. The input is field lines of a request head;
 * whatever they say, ranges are within the file, few and apart, a date that was read is written as itself,
 * conditions do not contradict each other, and no coding is chosen that is not there.
 */
#include <stdlib.h>

#include "cserve/buf.h"
#include "cserve/conditional.h"
#include "cserve/media.h"
#include "cserve/range.h"
#include "cserve/response.h"

#include "fuzz.h"

enum { FIELDS_MAX = 100 };

static const uint64_t sizes[] = {0, 1, 10, 1000, (uint64_t)INT64_MAX};

static void check_ranges(const struct http_ranges *ranges, uint64_t size)
{
    uint64_t total = 0;

    EXPECT(ranges->count >= 1 && ranges->count <= HTTP_RANGES_MAX);
    for (size_t i = 0; i < ranges->count; i++) {
        const struct http_range *range = &ranges->at[i];

        EXPECT(range->len >= 1 && range->first < size && range->len <= size - range->first);
        total += range->len;
        for (size_t j = 0; j < i; j++)
            EXPECT(range->first + range->len <= ranges->at[j].first ||
                   ranges->at[j].first + ranges->at[j].len <= range->first);
    }
    EXPECT(total <= size); /* so no answer is longer than the file, but for what stands between its parts */
}

static void check_value(struct str value)
{
    struct http_ranges ranges;
    char text[HTTP_DATE_LEN];
    int64_t when, again;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        if (http_ranges_parse(&ranges, value, sizes[i]) == HTTP_RANGE_PARTIAL)
            check_ranges(&ranges, sizes[i]);
    }
    if (http_date_parse(value, &when) != 0 || when < 0 || when > 253402300799)
        return;
    http_date_format(text, when);
    EXPECT(http_date_parse(str_make(text, sizeof(text)), &again) == 0 && again == when);
}

static bool has_field(const struct http_head *head, enum http_field_id id)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == id)
            return true;
    }
    return false;
}

static void check_conditions(const struct http_head *head, struct str raw)
{
    struct http_validators v = {.tag = STR("\"a\""), .modified = 784111777};
    enum http_precondition strong = http_preconditions(head, raw.ptr, &v), weak;
    struct str of_strong = http_range_wanted(head, raw.ptr, &v), of_weak;

    v.weak = true;
    weak = http_preconditions(head, raw.ptr, &v);
    of_weak = http_range_wanted(head, raw.ptr, &v);
    EXPECT(fuzz_inside(of_strong, raw) && fuzz_inside(of_weak, raw));
    EXPECT(of_weak.len == 0 || of_strong.len > 0); /* a weak tag vouches for less */
    EXPECT(strong != HTTP_PRECONDITION_FAILED || weak == HTTP_PRECONDITION_FAILED);
    if (!has_field(head, HTTP_FIELD_IF_MATCH) && !has_field(head, HTTP_FIELD_IF_UNMODIFIED_SINCE))
        EXPECT(strong == weak && strong != HTTP_PRECONDITION_FAILED);
    if (!has_field(head, HTTP_FIELD_IF_NONE_MATCH) && !has_field(head, HTTP_FIELD_IF_MODIFIED_SINCE))
        EXPECT(strong != HTTP_UNCHANGED);
}

static void check_codings(const struct http_head *head, const char *raw)
{
    for (unsigned available = 0; available < 1u << MEDIA_IDENTITY; available++) {
        enum media_coding coding = media_coding_choose(head, raw, available);

        EXPECT(coding == MEDIA_IDENTITY || (available & 1u << coding) != 0);
        if (!has_field(head, HTTP_FIELD_ACCEPT_ENCODING))
            EXPECT(coding == MEDIA_IDENTITY);
    }
}

/* The field's value as a table of media types, and as the name of a file. */
static void check_types(struct str text)
{
    struct media_types types;
    char out[MEDIA_TYPE_MAX];
    struct str type;

    media_types_init(&types, text);
    type = media_type_of(&types, text, out);
    EXPECT(type.len > 0 && type.len <= MEDIA_TYPE_MAX && fuzz_is_printable(type));
    media_types_release(&types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits limits = {
        .line = 8190, .fields = FIELDS_MAX, .field_size = 8190, .head = 65536, .body = 0};
    struct http_field fields[FIELDS_MAX];
    struct http_head head;
    struct buf text;
    char *exact;

    buf_init(&text);
    buf_append_str(&text, STR("GET / HTTP/1.0\r\n"));
    buf_append(&text, data, size);
    buf_append_str(&text, STR("\r\n\r\n"));
    exact = fuzz_copy(text.data, text.len);
    http_head_init(&head, &limits, fields);
    if (http_head_parse(&head, exact, text.len) == HTTP_DONE) {
        struct str raw = str_make(exact, head.size);

        for (uint32_t i = 0; i < head.field_count; i++)
            check_value(http_field_value(&head.fields[i], exact));
        check_conditions(&head, raw);
        check_codings(&head, exact);
    }
    free(exact);
    exact = fuzz_copy(data, size);
    check_types(str_make(exact, size));
    free(exact);
    buf_release(&text);
    return 0;
}
