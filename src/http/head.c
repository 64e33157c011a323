/* SPDX-License-Identifier: MIT */
/*
 * The parser of request heads.
 *
 * A head is read from left to right, and every decision depends on the bytes up to the one that decides,
 * never on how they arrived: where the bytes end inside a piece, head->position is left at the first one that
 * was not judged, and the next call goes on there. Runs of a class (a token, a value, the target) are never
 * scanned twice; only the version and a CR without what follows it are looked at again, ten bytes at most.
 *
 * No byte behind the limit of the whole head is ever looked at, and the limits of a line are
 * tried before the byte that ends the run is judged. So what is too long is refused as such as soon as it is,
 * with or without an end in sight.
 */
#include "cserve/head.h"

#include "cserve/memo.h"
#include "cserve/scan.h"

enum head_state { AT_START, IN_METHOD, IN_TARGET, IN_VERSION, AT_FIELD, IN_NAME, IN_VALUE };

enum { EMPTY_LINES_MAX = 8 };

void http_head_init(struct http_head *head, const struct http_limits *limits, struct http_field *fields)
{
    *head = (struct http_head){
        .fields = fields,
        .host = -1,
        .forwarded = -1,
        .content_length = -1,
        .limits = limits,
    };
}

/*
 * The reading functions share a convention: `p` is where to read in [buf, end), and the result is where to go
 * on, or NULL to stop. After a stop, head->error says whether the head is refused, and head->size whether it
 * is complete; if neither, more bytes are needed, and position and state tell where to resume.
 */

static const char *refuse(struct http_head *head, enum http_error error)
{
    head->error = error;
    return NULL;
}

static const char *pause_at(struct http_head *head, const char *buf, const char *p, enum head_state state)
{
    head->position = (uint32_t)(p - buf);
    head->state = (uint8_t)state;
    return NULL;
}

/* To the first byte of the request line. */
static const char *skip_empty_lines(struct http_head *head, const char *buf, const char *p, const char *end)
{
    while (p < end && *p == '\r') {
        if (end - p < 2)
            return pause_at(head, buf, p, AT_START);
        if (p[1] != '\n')
            return refuse(head, HTTP_BAD_LINE_END);
        p += 2;
        if ((p - buf) / 2 > EMPTY_LINES_MAX)
            return refuse(head, HTTP_BAD_LINE);
    }
    if (p == end || (*p == '\x16' && end - p < 2))
        return pause_at(head, buf, p, AT_START);
    if (*p == '\x16' && p[1] == '\x03')
        return refuse(head, HTTP_BAD_TLS);
    head->start = head->method_at = (uint32_t)(p - buf);
    return p;
}

/* Whether the request line up to p is longer than allowed. */
static bool line_too_long(const struct http_head *head, const char *buf, const char *p)
{
    return (size_t)(p - buf) - head->start > head->limits->line;
}

/* Why a method or a target that ends with `byte` is refused; `error` if its end is not to blame. */
static const char *refuse_word(struct http_head *head, const char *buf, const char *p, enum http_error error)
{
    if (line_too_long(head, buf, p))
        return refuse(head, HTTP_LINE_TOO_LONG);
    if (*p == '\n')
        return refuse(head, HTTP_BAD_LINE_END);
    return refuse(head, *p == ' ' || *p == '\r' ? HTTP_BAD_LINE : error);
}

static const char *read_method(struct http_head *head, const char *buf, const char *p, const char *end)
{
    p = scan_token(p, end);
    uint32_t len = (uint32_t)(p - buf) - head->method_at;
    if (p == end && !line_too_long(head, buf, p))
        return pause_at(head, buf, p, IN_METHOD);
    if (p == end || *p != ' ' || len == 0 || line_too_long(head, buf, p))
        return refuse_word(head, buf, p, HTTP_BAD_METHOD);
    head->method_len = len;
    head->target_at = head->method_at + len + 1;
    return p + 1;
}

static const char *read_target(struct http_head *head, const char *buf, const char *p, const char *end)
{
    p = scan_target(p, end);
    uint32_t len = (uint32_t)(p - buf) - head->target_at;
    if (p == end && !line_too_long(head, buf, p))
        return pause_at(head, buf, p, IN_TARGET);
    if (p == end || *p != ' ' || len == 0 || line_too_long(head, buf, p))
        return refuse_word(head, buf, p, HTTP_BAD_TARGET);
    head->target_len = len;
    return p + 1;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

#define VERSION_LEN 8 /* "HTTP/1.1" */

/* Whether a version of any number, CR and LF are there; pauses or refuses otherwise. */
static bool has_version(struct http_head *head, const char *buf, const char *p, const char *end)
{
    static const char form[] = "HTTP/0.0\r\n";

    for (int i = 0; i < VERSION_LEN + 2; i++) {
        if (p + i == end)
            return pause_at(head, buf, p, IN_VERSION);
        char byte = p[i];
        if (form[i] == '0' ? !is_digit(byte) : byte != form[i])
            return refuse(head, byte == '\n' || i > VERSION_LEN ? HTTP_BAD_LINE_END : HTTP_BAD_LINE);
        if (i < VERSION_LEN && line_too_long(head, buf, p + i + 1))
            return refuse(head, HTTP_LINE_TOO_LONG);
    }
    return true;
}

static bool method_is(const struct http_head *head, const char *buf, struct str name)
{
    return str_equal(str_make(buf + head->method_at, head->method_len), name);
}

/* Version, CR and LF. */
static const char *read_version(struct http_head *head, const char *buf, const char *p, const char *end)
{
    bool usual = end - p >= VERSION_LEN + 2 && memcmp(p, "HTTP/1.1\r\n", VERSION_LEN + 2) == 0 &&
                 !line_too_long(head, buf, p + VERSION_LEN);

    if (!usual && !has_version(head, buf, p, end))
        return NULL;
    if (p[5] != '1') {
        bool preface = p[5] == '2' && method_is(head, buf, STR("PRI"));
        return refuse(head, preface ? HTTP_BAD_PREFACE : HTTP_BAD_VERSION);
    }
    head->minor = p[7] != '0';
    return p + VERSION_LEN + 2;
}

/* What a complete request line means; `p` is behind it. */
static const char *judge_line(struct http_head *head, const char *buf, const char *p)
{
    head->method = str_make(buf + head->method_at, head->method_len);
    head->target = str_make(buf + head->target_at, head->target_len);
    if (str_equal(head->method, STR("CONNECT")))
        return refuse(head, HTTP_BAD_CONNECT);
    if (http_uri_split(&head->uri, head->target) < 0)
        return refuse(head, HTTP_BAD_TARGET);
    if (head->uri.form == HTTP_URI_ASTERISK && !str_equal(head->method, STR("OPTIONS")))
        return refuse(head, HTTP_BAD_TARGET);
    return p;
}

static const char *read_line(struct http_head *head, const char *buf, const char *p, const char *end)
{
    enum head_state state = head->state;

    if (state == AT_START)
        p = skip_empty_lines(head, buf, p, end);
    if (p != NULL && state <= IN_METHOD)
        p = read_method(head, buf, p, end);
    if (p != NULL && state <= IN_TARGET)
        p = read_target(head, buf, p, end);
    if (p != NULL)
        p = read_version(head, buf, p, end);
    return p != NULL ? judge_line(head, buf, p) : NULL;
}

/*
 * What a field means to the server. Called with the field complete but not counted yet, so that
 * head->field_count is its index.
 */
typedef enum http_error judge(struct http_head *head, struct http_field *field, const char *buf);

static enum http_error judge_host(struct http_head *head, struct http_field *field, const char *buf)
{
    if (head->host >= 0)
        return HTTP_BAD_HOST_REPEATED;
    head->host = (int32_t)head->field_count;
    return http_authority_valid(http_field_value(field, buf)) ? HTTP_OK : HTTP_BAD_HOST;
}

static enum http_error judge_length(struct http_head *head, struct http_field *field, const char *buf)
{
    struct str value = http_field_value(field, buf);
    uint64_t length;

    if (head->content_length >= 0 || (value.len > 0 && memchr(value.ptr, ',', value.len) != NULL))
        return HTTP_BAD_LENGTH_REPEATED;
    if (str_to_u64(value, INT64_MAX, &length) < 0)
        return HTTP_BAD_LENGTH;
    head->content_length = (int64_t)length;
    return HTTP_OK;
}

static enum http_error judge_coding(struct http_head *head, struct http_field *field, const char *buf)
{
    if (head->minor == 0)
        return HTTP_BAD_CODING_VERSION;
    if (head->chunked || !str_equal_nocase(http_field_value(field, buf), STR("chunked")))
        return HTTP_BAD_CODING;
    head->chunked = true;
    return HTTP_OK;
}

static enum http_error judge_expect(struct http_head *head, struct http_field *field, const char *buf)
{
    if (head->minor == 0)
        return HTTP_OK;
    if (!str_equal_nocase(http_field_value(field, buf), STR("100-continue")))
        return HTTP_BAD_EXPECT;
    head->expect_continue = true;
    return HTTP_OK;
}

/* A comma-separated list of tokens; what is neither of the two that are known does not matter. */
static enum http_error judge_connection(struct http_head *head, struct http_field *field, const char *buf)
{
    struct str list = http_field_value(field, buf);

    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        struct str option = str_trim(str_make(list.ptr, len));
        if (str_equal_nocase(option, STR("close")))
            head->close = true;
        else if (str_equal_nocase(option, STR("keep-alive")))
            head->keep_alive = true;
        len += comma != NULL;
        list = str_make(list.ptr + len, list.len - len);
    }
    return HTTP_OK;
}

static enum http_error judge_forwarded(struct http_head *head, struct http_field *field, const char *buf)
{
    (void)field;
    (void)buf;
    if (head->forwarded < 0)
        head->forwarded = (int32_t)head->field_count;
    return HTTP_OK;
}

/* A name that has no row in the table. */
static enum http_error judge_other(struct http_head *head, struct http_field *field, const char *buf)
{
    static const struct str prefix = {"x-forwarded-", 12};
    struct str name = http_field_name(field, buf);

    field->underscore = memchr(name.ptr, '_', name.len) != NULL;
    if (name.len > prefix.len && str_equal_nocase(str_make(name.ptr, prefix.len), prefix))
        return judge_forwarded(head, field, buf);
    return HTTP_OK;
}

/* By enum http_field_id; NULL where a field means nothing here. */
static judge *const judges[HTTP_FIELD_COUNT] = {
    [HTTP_FIELD_OTHER] = judge_other,
    [HTTP_FIELD_CONNECTION] = judge_connection,
    [HTTP_FIELD_CONTENT_LENGTH] = judge_length,
    [HTTP_FIELD_EXPECT] = judge_expect,
    [HTTP_FIELD_FORWARDED] = judge_forwarded,
    [HTTP_FIELD_HOST] = judge_host,
    [HTTP_FIELD_TRANSFER_ENCODING] = judge_coding,
    [HTTP_FIELD_X_FORWARDED_FOR] = judge_forwarded,
    [HTTP_FIELD_X_FORWARDED_HOST] = judge_forwarded,
    [HTTP_FIELD_X_FORWARDED_PORT] = judge_forwarded,
    [HTTP_FIELD_X_FORWARDED_PROTO] = judge_forwarded,
    [HTTP_FIELD_X_REAL_IP] = judge_forwarded,
};

/* The field that is being read. */
static struct http_field *current(struct http_head *head)
{
    return &head->fields[head->field_count];
}

/* Whether the field up to p is larger than allowed. */
static bool field_too_large(const struct http_head *head, const struct http_field *field, const char *buf,
                            const char *p)
{
    return (size_t)(p - buf) - field->name > head->limits->field_size;
}

/* Where a name ends at p without a colon behind it. */
static const char *name_stopped(struct http_head *head, const char *buf, const char *p, const char *end)
{
    if (field_too_large(head, current(head), buf, p))
        return refuse(head, HTTP_FIELD_TOO_LARGE);
    if (p == end)
        return pause_at(head, buf, p, IN_NAME);
    if (*p == '\n')
        return refuse(head, HTTP_BAD_LINE_END);
    bool empty = (size_t)(p - buf) == current(head)->name;
    return refuse(head, empty && str_is_blank(*p) ? HTTP_BAD_FOLD : HTTP_BAD_FIELD_NAME);
}

/* Name and colon. */
static const char *read_name(struct http_head *head, const char *buf, const char *p, const char *end)
{
    struct http_field *field = current(head);

    p = scan_token(p, end);
    uint32_t len = (uint32_t)(p - buf) - field->name;
    if (p == end || *p != ':' || len == 0)
        return name_stopped(head, buf, p, end);
    field->name_len = len;
    field->id = (uint16_t)http_field_lookup(str_make(p - len, len));
    field->underscore = false;
    return p + 1;
}

/* Where a value ends at p without CR LF behind it, or too late. */
static const char *value_stopped(struct http_head *head, const char *buf, const char *p, const char *end)
{
    if (field_too_large(head, current(head), buf, p))
        return refuse(head, HTTP_FIELD_TOO_LARGE);
    if (p == end || (*p == '\r' && p + 1 == end))
        return pause_at(head, buf, p, IN_VALUE);
    return refuse(head, *p == '\r' || *p == '\n' ? HTTP_BAD_LINE_END : HTTP_BAD_FIELD_VALUE);
}

/* As str_trim, made for the usual value: behind one space, with a visible byte at each end. */
static struct str trim(const char *value, const char *end)
{
    if (value < end && *value == ' ')
        value++;
    struct str s = str_make(value, (size_t)(end - value));
    bool usual = value < end && (unsigned char)*value > ' ' && (unsigned char)end[-1] > ' ';
    return usual ? s : str_trim(s);
}

/* The field is complete; its line ends before p. */
static const char *end_field(struct http_head *head, struct http_field *field, const char *buf, const char *p)
{
    enum http_error error = judges[field->id] ? judges[field->id](head, field, buf) : HTTP_OK;

    head->field_count++;
    return error == HTTP_OK ? p : refuse(head, error);
}

/* Value, CR and LF. */
static const char *read_value(struct http_head *head, const char *buf, const char *p, const char *end)
{
    struct http_field *field = current(head);

    p = scan_value(p, end);
    if (end - p < 2 || memcmp(p, "\r\n", 2) != 0 || field_too_large(head, field, buf, p))
        return value_stopped(head, buf, p, end);

    struct str value = trim(buf + field->name + field->name_len + 1, p);
    field->value = (uint32_t)(value.ptr - buf);
    field->value_len = (uint32_t)value.len;
    return end_field(head, field, buf, p + 2);
}

/* The empty line, and what only the whole head can tell. */
static const char *read_end(struct http_head *head, const char *buf, const char *p, const char *end)
{
    if (end - p < 2)
        return pause_at(head, buf, p, AT_FIELD);
    if (p[1] != '\n')
        return refuse(head, HTTP_BAD_LINE_END);
    if (head->host < 0 && head->minor > 0)
        return refuse(head, HTTP_BAD_HOST_MISSING);
    if (head->chunked && head->content_length >= 0)
        return refuse(head, HTTP_BAD_FRAMING);
    if (head->minor == 0 && !head->keep_alive)
        head->close = true;
    if (head->alike && head->field_count == head->memo->field_count)
        head->fields_id = head->memo->id;
    head->position = head->size = (uint32_t)(p - buf) + 2;
    return NULL;
}

/* The first byte of a line: a field begins, or the head ends. */
static const char *begin_field(struct http_head *head, const char *buf, const char *p, const char *end)
{
    if (p == end)
        return pause_at(head, buf, p, AT_FIELD);
    if (*p == '\r')
        return read_end(head, buf, p, end);
    if (head->field_count == head->limits->fields)
        return refuse(head, HTTP_TOO_MANY_FIELDS);
    current(head)->name = (uint32_t)(p - buf);
    return p;
}

/* Of a field that begins at p, what is as the memo has it. *state: what is to be read next. */
static const char *recall_field(struct http_head *head, const char *buf, const char *p, const char *end,
                                enum head_state *state)
{
    struct http_field *field = current(head);
    uint32_t index = head->field_count;

    switch (http_memo_compare(head->memo, index, p, (size_t)(end - p), field)) {
    case HTTP_MEMO_LINE:
        *state = AT_FIELD;
        return end_field(head, field, buf, p + http_memo_line_len(head->memo, index));
    case HTTP_MEMO_NAME:
        head->changed |= UINT64_C(1) << index;
        *state = IN_VALUE;
        return p + field->name_len + 1;
    case HTTP_MEMO_NOTHING:
        break;
    }
    head->alike = false;
    *state = IN_NAME;
    return p;
}

static void read_fields(struct http_head *head, const char *buf, const char *p, const char *end)
{
    enum head_state state = head->state <= AT_FIELD ? AT_FIELD : head->state;

    while (p != NULL) {
        if (state == AT_FIELD) {
            p = begin_field(head, buf, p, end);
            state = IN_NAME;
            if (p != NULL && head->alike)
                p = recall_field(head, buf, p, end, &state);
        }
        if (p != NULL && state == IN_NAME) {
            p = read_name(head, buf, p, end);
            state = IN_VALUE;
        }
        if (p != NULL && state == IN_VALUE) {
            p = read_value(head, buf, p, end);
            state = AT_FIELD;
        }
    }
}

/* Whether the fields, which begin at p, are those of the memo; the head is complete then. */
static bool is_known(struct http_head *head, const char *buf, const char *p, const char *end)
{
    head->alike = head->memo != NULL && head->minor == head->memo->minor;
    return head->alike && http_memo_recall(head->memo, head, p, (size_t)(end - p), (uint32_t)(p - buf));
}

enum http_result http_head_parse(struct http_head *head, const char *buf, size_t len)
{
    size_t most = head->limits->head;
    const char *end = buf + (len < most ? len : most);
    const char *p = buf + head->position;

    if (head->state < AT_FIELD) {
        p = read_line(head, buf, p, end);
        if (p != NULL && is_known(head, buf, p, end))
            p = NULL;
    }
    read_fields(head, buf, p, end);

    bool more = head->error == HTTP_OK && head->size == 0;
    if (more && len <= most)
        return HTTP_MORE;
    if (more)
        head->error = HTTP_HEAD_TOO_LARGE;
    http_head_rebase(head, buf);
    return head->error == HTTP_OK ? HTTP_DONE : HTTP_BAD;
}

/* `view`, if it lies in `old`, at the same place in `now`. Compares addresses: `old` may be gone. */
static struct str moved(struct str view, struct str old, const char *now)
{
    uintptr_t at = (uintptr_t)view.ptr - (uintptr_t)old.ptr;
    return at <= old.len ? str_make(now + at, view.len) : view;
}

void http_head_rebase(struct http_head *head, const char *buf)
{
    struct str old = head->target;

    head->method = str_make(buf + head->method_at, head->method_len);
    head->target = str_make(buf + head->target_at, head->target_len);
    if (old.ptr == head->target.ptr)
        return;
    head->uri.scheme = moved(head->uri.scheme, old, head->target.ptr);
    head->uri.authority = moved(head->uri.authority, old, head->target.ptr);
    head->uri.path = moved(head->uri.path, old, head->target.ptr);
    head->uri.query = moved(head->uri.query, old, head->target.ptr);
}
