/* SPDX-License-Identifier: MIT */
/*
 * One function for each atom, and the table that names them. Each writes its value and nothing around it; numbers and what is
 * not there are the same in all formats but for the word for nothing.
 */
#include "access_atoms.h"

enum { USER_MAX = 128 };

/* --- how values are written --------------------------------------------------------------------- */

static void add_nothing(const struct access_line *line)
{
    buf_append_str(line->out, line->json ? STR("null") : STR("-"));
}

static void add_text(const struct access_line *line, struct str text)
{
    if (text.len == 0)
        add_nothing(line);
    else if (line->json)
        buf_append_json(line->out, text, false);
    else
        buf_append_escaped(line->out, text);
}

static void add_number(const struct access_line *line, int64_t number)
{
    buf_append_u64(line->out, number > 0 ? (uint64_t)number : 0);
}

/* --- fields of the heads ------------------------------------------------------------------------ */

/* The first one of this id, which is not HTTP_FIELD_OTHER; empty if there is none. */
static struct str known_field(const struct access_entry *entry, enum http_field_id id)
{
    const struct http_field *field = entry->head->fields, *end = field + entry->head->field_count;

    if (entry->raw == NULL)
        return STR("");
    while (field < end && field->id != id)
        field++;
    return field < end ? http_field_value(field, entry->raw) : STR("");
}

/* The first one of this name, which is none of the known ones. */
static struct str other_field(const struct access_entry *entry, struct str name)
{
    const struct http_head *head = entry->head;

    for (uint32_t i = 0; entry->raw != NULL && i < head->field_count; i++) {
        if (str_equal_nocase(http_field_name(&head->fields[i], entry->raw), name))
            return http_field_value(&head->fields[i], entry->raw);
    }
    return STR("");
}

void access_add_request_field(const struct access_line *line, const struct access_piece *piece)
{
    bool known = piece->id != HTTP_FIELD_OTHER;

    add_text(line, known ? known_field(line->entry, piece->id) : other_field(line->entry, piece->name));
}

void access_add_response_field(const struct access_line *line, const struct access_piece *piece)
{
    const struct kept_field *kept = line->entry->kept;

    add_text(line, kept == NULL ? STR("") : str_make(kept[piece->slot].bytes, kept[piece->slot].len));
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

/* Decodes up to the first character that is none of base64, or until `out` is full. Returns the bytes written. */
static size_t base64_decode(char out[USER_MAX], struct str text)
{
    unsigned bits = 0, have = 0;
    size_t written = 0;
    int value;

    for (size_t i = 0; i < text.len && written < USER_MAX && (value = base64_value(text.ptr[i])) >= 0; i++) {
        bits = bits << 6 | (unsigned)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[written++] = (char)(bits >> have & 0xff);
        }
    }
    return written;
}

/* The name in Basic credentials. Nobody has checked them here. */
static void add_user(const struct access_line *line, const struct access_piece *piece)
{
    struct str given = known_field(line->entry, HTTP_FIELD_AUTHORIZATION);
    char decoded[USER_MAX];
    const char *colon;
    size_t len = 0;

    (void)piece;
    if (given.len > 6 && str_equal_nocase(str_make(given.ptr, 6), STR("Basic ")))
        len = base64_decode(decoded, str_trim(str_make(given.ptr + 6, given.len - 6)));
    colon = len > 0 ? memchr(decoded, ':', len) : NULL;
    add_text(line, str_make(decoded, colon != NULL ? (size_t)(colon - decoded) : 0));
}

#define TEXT_ATOM(name, value)                                                                                    \
    static void name(const struct access_line *line, const struct access_piece *piece)                           \
    {                                                                                                             \
        (void)piece;                                                                                              \
        add_text(line, value);                                                                                    \
    }

TEXT_ATOM(add_absent, STR(""))
TEXT_ATOM(add_remote, line->entry->peer->remote_addr)
TEXT_ATOM(add_remote_port, line->entry->peer->remote_port)
TEXT_ATOM(add_server_name, line->entry->peer->server_name)
TEXT_ATOM(add_server_port, line->entry->peer->server_port)
TEXT_ATOM(add_scheme, line->entry->peer->scheme)
TEXT_ATOM(add_request, line->entry->line)
TEXT_ATOM(add_method, line->entry->head->method)
TEXT_ATOM(add_target, line->entry->head->target)
TEXT_ATOM(add_path, line->entry->head->uri.path)
TEXT_ATOM(add_query, line->entry->head->uri.query)
TEXT_ATOM(add_referer, known_field(line->entry, HTTP_FIELD_REFERER))
TEXT_ATOM(add_agent, known_field(line->entry, HTTP_FIELD_USER_AGENT))
TEXT_ATOM(add_content_type, known_field(line->entry, HTTP_FIELD_CONTENT_TYPE))
TEXT_ATOM(add_content_length, known_field(line->entry, HTTP_FIELD_CONTENT_LENGTH))
TEXT_ATOM(add_outcome, str_make(line->entry->outcome, strlen(line->entry->outcome)))

/* Known once the head is read. */
TEXT_ATOM(add_protocol, line->entry->raw == NULL ? STR("") : line->entry->head->minor == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1"))

/* As the application sees it; decoded behind where the line then gets it. */
static void add_path_info(const struct access_line *line, const struct access_piece *piece)
{
    struct str path = line->entry->head->uri.path;
    char *decoded = buf_room(line->out, 7 * path.len + 2) + 6 * path.len + 2;

    (void)piece;
    add_text(line, str_make(decoded, http_percent_decode(decoded, path)));
}

/* --- numbers and times -------------------------------------------------------------------------- */

#define NUMBER_ATOM(name, value)                                                                                  \
    static void name(const struct access_line *line, const struct access_piece *piece)                           \
    {                                                                                                             \
        (void)piece;                                                                                              \
        add_number(line, (int64_t)(value));                                                                       \
    }

static int64_t duration_us(const struct access_entry *entry)
{
    return entry->receive_us + entry->queued_us + entry->app_us + entry->send_us;
}

NUMBER_ATOM(add_bytes, line->entry->content)
NUMBER_ATOM(add_bytes_in, line->entry->bytes_in)
NUMBER_ATOM(add_bytes_out, line->entry->bytes_out)
NUMBER_ATOM(add_duration_s, duration_us(line->entry) / 1000000)
NUMBER_ATOM(add_duration_ms, duration_us(line->entry) / 1000)
NUMBER_ATOM(add_duration_us, duration_us(line->entry))
NUMBER_ATOM(add_receive_us, line->entry->receive_us)
NUMBER_ATOM(add_queued_us, line->entry->queued_us)
NUMBER_ATOM(add_app_us, line->entry->app_us)
NUMBER_ATOM(add_send_us, line->entry->send_us)
NUMBER_ATOM(add_worker, line->stamps->pid)

static void add_status(const struct access_line *line, const struct access_piece *piece)
{
    (void)piece;
    if (line->entry->status == 0)
        add_nothing(line);
    else
        add_number(line, line->entry->status);
}

static void add_bytes_or_dash(const struct access_line *line, const struct access_piece *piece)
{
    if (line->entry->status == 0)
        add_nothing(line);
    else
        add_bytes(line, piece);
}

static void add_thread(const struct access_line *line, const struct access_piece *piece)
{
    (void)piece;
    if (line->entry->thread < 0)
        add_nothing(line);
    else
        add_number(line, line->entry->thread);
}

static void add_duration_decimal(const struct access_line *line, const struct access_piece *piece)
{
    long long us = duration_us(line->entry);

    (void)piece;
    buf_printf(line->out, "%lld.%06lld", us / 1000000, us % 1000000);
}

static void add_pid(const struct access_line *line, const struct access_piece *piece)
{
    (void)piece;
    buf_printf(line->out, "<%ld>", line->stamps->pid);
}

static void add_clf_time(const struct access_line *line, const struct access_piece *piece)
{
    (void)piece;
    buf_append(line->out, line->stamps->clf, strlen(line->stamps->clf));
}

TEXT_ATOM(add_iso_time, str_make(line->stamps->iso, strlen(line->stamps->iso)))

/* --- the tables --------------------------------------------------------------------------------- */

#define KEY(name) name, ",\"" name "\":"

const struct access_atom access_atoms[] = {
    /* name, long name and key, how it is written, whether that takes time stamps */
    {NULL, KEY("time"), add_iso_time, false},
    {"h", KEY("remote"), add_remote, false},
    {"u", KEY("user"), add_user, false},
    {"r", KEY("request"), add_request, false},
    {"m", KEY("method"), add_method, false},
    {"U", KEY("path"), add_path, false},
    {"q", KEY("query"), add_query, false},
    {"H", KEY("protocol"), add_protocol, false},
    {"s", KEY("status"), add_status, false},
    {"B", KEY("bytes"), add_bytes, false},
    {"f", KEY("referer"), add_referer, false},
    {"a", KEY("agent"), add_agent, false},
    {"D", KEY("duration_us"), add_duration_us, true},
    {NULL, KEY("receive_us"), add_receive_us, true},
    {NULL, KEY("queued_us"), add_queued_us, true},
    {NULL, KEY("app_us"), add_app_us, true},
    {NULL, KEY("send_us"), add_send_us, true},
    {NULL, KEY("bytes_in"), add_bytes_in, false},
    {NULL, KEY("bytes_out"), add_bytes_out, false},
    {NULL, KEY("worker"), add_worker, false},
    {NULL, KEY("thread"), add_thread, false},
    {NULL, KEY("outcome"), add_outcome, false},
    {"l", NULL, NULL, add_absent, false},
    {"t", NULL, NULL, add_clf_time, false},
    {"b", NULL, NULL, add_bytes_or_dash, false},
    {"T", NULL, NULL, add_duration_s, true},
    {"M", NULL, NULL, add_duration_ms, true},
    {"L", NULL, NULL, add_duration_decimal, true},
    {"p", NULL, NULL, add_pid, false},
    {NULL, NULL, NULL, NULL, false},
};

const struct access_variable access_variables[] = {
    {"REQUEST_METHOD", add_method},
    {"PATH_INFO", add_path_info},
    {"QUERY_STRING", add_query},
    {"REQUEST_URI", add_target},
    {"RAW_URI", add_target},
    {"SERVER_PROTOCOL", add_protocol},
    {"REMOTE_ADDR", add_remote},
    {"REMOTE_PORT", add_remote_port},
    {"SERVER_NAME", add_server_name},
    {"SERVER_PORT", add_server_port},
    {"CONTENT_TYPE", add_content_type},
    {"CONTENT_LENGTH", add_content_length},
    {"wsgi.url_scheme", add_scheme},
    {NULL, NULL},
};
