/* SPDX-License-Identifier: MIT */
/*
 * Conditional requests.
 *
 * A condition that is malformed is judged so that nothing is lost by it: a list of tags ends there, and a date that
 * is none, or is given twice, is ignored as RFC 9110 asks. Each field is read once, in linear time.
 */
#include "cserve/conditional.h"

#include "cserve/response.h"

/* How many fields of this name there are; *value is the last one's. */
static size_t find_field(const struct http_head *head, const char *raw, enum http_field_id id, struct str *value)
{
    size_t count = 0;

    *value = STR("");
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == id) {
            *value = http_field_value(&head->fields[i], raw);
            count++;
        }
    }
    return count;
}

/* --- entity tags ------------------------------------------------------------------------------- */

struct tag {
    struct str opaque; /* with its quotes */
    bool weak;
};

/* Takes a tag off the front of *list. False: there is none, or it is malformed. */
static bool take_tag(struct str *list, struct tag *tag)
{
    struct str rest = *list;
    const char *end;

    while (rest.len > 0 && (str_is_blank(rest.ptr[0]) || rest.ptr[0] == ','))
        rest = str_make(rest.ptr + 1, rest.len - 1);
    tag->weak = rest.len >= 2 && rest.ptr[0] == 'W' && rest.ptr[1] == '/';
    if (tag->weak)
        rest = str_make(rest.ptr + 2, rest.len - 2);
    if (rest.len < 2 || rest.ptr[0] != '"')
        return false;
    end = memchr(rest.ptr + 1, '"', rest.len - 1);
    if (end == NULL)
        return false;
    tag->opaque = str_make(rest.ptr, (size_t)(end + 1 - rest.ptr));
    *list = str_make(end + 1, rest.len - tag->opaque.len);
    return true;
}

static bool is_same_tag(const struct tag *tag, const struct http_validators *v, bool strongly)
{
    return str_equal(tag->opaque, v->tag) && !(strongly && (tag->weak || v->weak));
}

/* Whether a list names this representation; "*" is any, and there is one. */
static bool list_names(struct str list, const struct http_validators *v, bool strongly)
{
    struct tag tag;

    if (str_equal(list, STR("*")))
        return true;
    while (take_tag(&list, &tag)) {
        if (is_same_tag(&tag, v, strongly))
            return true;
    }
    return false;
}

/* Whether any of the fields of this name does. */
static bool field_names(const struct http_head *head, const char *raw, enum http_field_id id,
                        const struct http_validators *v, bool strongly)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        if (f->id == id && list_names(http_field_value(f, raw), v, strongly))
            return true;
    }
    return false;
}

/* --- dates ------------------------------------------------------------------------------------- */

/* The date of the only field of this name. */
static bool find_date(const struct http_head *head, const char *raw, enum http_field_id id, int64_t *when)
{
    struct str value;

    return find_field(head, raw, id, &value) == 1 && http_date_parse(value, when) == 0;
}

/* --- the conditions ---------------------------------------------------------------------------- */

enum http_precondition http_preconditions(const struct http_head *head, const char *raw,
                                          const struct http_validators *v)
{
    struct str value;
    int64_t when;

    if (find_field(head, raw, HTTP_FIELD_IF_MATCH, &value) > 0) {
        if (!field_names(head, raw, HTTP_FIELD_IF_MATCH, v, true))
            return HTTP_PRECONDITION_FAILED;
    } else if (find_date(head, raw, HTTP_FIELD_IF_UNMODIFIED_SINCE, &when) && v->modified > when) {
        return HTTP_PRECONDITION_FAILED;
    }
    if (find_field(head, raw, HTTP_FIELD_IF_NONE_MATCH, &value) > 0)
        return field_names(head, raw, HTTP_FIELD_IF_NONE_MATCH, v, false) ? HTTP_UNCHANGED : HTTP_PROCEED;
    if (find_date(head, raw, HTTP_FIELD_IF_MODIFIED_SINCE, &when) && v->modified <= when)
        return HTTP_UNCHANGED;
    return HTTP_PROCEED;
}

/* Whether If-Range vouches that the client's part is of this very representation: by a tag, or by the exact date. */
static bool is_same_part(struct str value, const struct http_validators *v)
{
    struct str rest = value;
    struct tag tag;
    int64_t when;

    if (take_tag(&rest, &tag))
        return rest.len == 0 && is_same_tag(&tag, v, true);
    return http_date_parse(value, &when) == 0 && when == v->modified && !v->weak;
}

struct str http_range_wanted(const struct http_head *head, const char *raw, const struct http_validators *v)
{
    struct str range, condition;
    size_t conditions = find_field(head, raw, HTTP_FIELD_IF_RANGE, &condition);

    if (find_field(head, raw, HTTP_FIELD_RANGE, &range) != 1 || conditions > 1)
        return STR("");
    return conditions == 0 || is_same_part(condition, v) ? range : STR("");
}
