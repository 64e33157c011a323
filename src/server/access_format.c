/* SPDX-License-Identifier: MIT */
/*
 * The compiler of access log formats. A format becomes a list of pieces, each a literal and a function that appends an atom of
 * the table in access_atoms.c. What a format asks for and nobody can give is refused here, at the
 * start, rather than logged as a dash for ever.
 */
#include "cserve/access_format.h"

#include <stdio.h>
#include <stdlib.h>

#include "cserve/mem.h"

#include "access_atoms.h"

/* Formats that have a name. */
static const struct {
    const char *name, *text;
} presets[] = {
    {"combined", "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(B)s \"%(f)s\" \"%(a)s\" %(outcome)s"},
    {"common", "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(B)s"},
};

struct compiler {
    struct access_format *format;
    struct str before; /* the literal that the next piece begins with */
    char *error;
    size_t cap;
};

#define FAIL(compiler, ...) (snprintf((compiler)->error, (compiler)->cap, __VA_ARGS__), -1)

/* A piece of the literal so far and `add`, which may be NULL. */
static struct access_piece *add_piece(struct compiler *c, access_add *add)
{
    struct access_format *format = c->format;
    struct access_piece *piece;

    format->pieces = mem_realloc(format->pieces, (format->count + 1) * sizeof(*format->pieces));
    piece = &format->pieces[format->count++];
    *piece = (struct access_piece){.before = c->before, .add = add};
    c->before = STR("");
    return piece;
}

/* With a name of its own, `dashes` for its underscores if asked for. */
static struct access_piece *add_named(struct compiler *c, access_add *add, struct str name, bool dashes)
{
    struct access_piece *piece = add_piece(c, add);

    piece->owned = mem_strndup(name.ptr, name.len);
    for (size_t i = 0; dashes && i < name.len; i++) {
        if (piece->owned[i] == '_')
            piece->owned[i] = '-';
    }
    piece->name = str_make(piece->owned, name.len);
    return piece;
}

/* `text` goes behind what was added. */
static void add_literal(struct compiler *c, struct str text)
{
    if (c->before.len > 0)
        add_piece(c, NULL);
    c->before = text;
}

static bool is_text(const char *text, struct str s)
{
    return text != NULL && str_equal(str_make(text, strlen(text)), s);
}

/* --- %({Name}i)s, %({Name}o)s, %({Name}e)s ------------------------------------------------------ */

static int take_request_field(struct compiler *c, struct str name, bool is_variable)
{
    struct access_piece *piece = add_named(c, access_add_request_field, name, is_variable);

    piece->id = http_field_lookup(piece->name);
    return 0;
}

static int take_response_field(struct compiler *c, struct str name)
{
    struct access_format *format = c->format;
    struct access_piece *piece;

    if (format->kept_count == KEPT_FIELDS_MAX)
        return FAIL(c, "more than %d response fields are too many", KEPT_FIELDS_MAX);
    piece = add_named(c, access_add_response_field, name, false);
    piece->slot = format->kept_count;
    format->kept[format->kept_count++] = piece->owned;
    return 0;
}

/* environ is made in Python: only what the server gives to it is known here. */
static int take_variable(struct compiler *c, struct str name)
{
    for (const struct access_variable *v = access_variables; v->name != NULL; v++) {
        if (is_text(v->name, name)) {
            add_piece(c, v->add);
            return 0;
        }
    }
    if (name.len > 5 && memcmp(name.ptr, "HTTP_", 5) == 0)
        return take_request_field(c, str_make(name.ptr + 5, name.len - 5), true);
    return FAIL(c, "of environ only what a request says can be logged (HTTP_..., REQUEST_METHOD, PATH_INFO, REMOTE_ADDR "
                   "and so on), not %.*s", (int)name.len, name.ptr);
}

/* `atom` begins with '{'. */
static int take_named(struct compiler *c, struct str atom)
{
    struct str name = str_make(atom.ptr + 1, atom.len - (atom.len < 3 ? atom.len : 3));
    char kind = atom.ptr[atom.len - 1];

    if (name.len == 0 || atom.ptr[atom.len - 2] != '}')
        return FAIL(c, "%%(%.*s)s must be a name in braces and then i, o or e", (int)atom.len, atom.ptr);
    if (kind == 'i')
        return take_request_field(c, name, false);
    if (kind == 'o')
        return take_response_field(c, name);
    if (kind == 'e')
        return take_variable(c, name);
    return FAIL(c, "%%(%.*s)s: behind the brace stands i (a request field), o (a response field) or e (environ)",
                (int)atom.len, atom.ptr);
}

/* --- formats ------------------------------------------------------------------------------------ */

static int take_atom(struct compiler *c, struct str name)
{
    if (name.len > 0 && name.ptr[0] == '{')
        return take_named(c, name);
    for (const struct access_atom *atom = access_atoms; atom->add != NULL; atom++) {
        if (!is_text(atom->name, name) && !is_text(atom->long_name, name))
            continue;
        add_piece(c, atom->add);
        c->format->needs_times |= atom->needs_times;
        return 0;
    }
    return FAIL(c, "there is no atom %%(%.*s)s; docs/logs.md lists what there is", (int)name.len, name.ptr);
}

/* What begins with '%' at *text, which then is behind it. */
static int take_percent(struct compiler *c, const char **text)
{
    const char *begin = *text, *end = begin[1] == '(' ? strstr(begin, ")s") : NULL;

    if (begin[1] == '%') {
        add_literal(c, str_make(begin, 1));
        *text = begin + 2;
        return 0;
    }
    if (end == NULL)
        return FAIL(c, "\"%.12s\" is not an atom: these are %%(name)s, and %%%% is a percent sign", begin);
    *text = end + 2;
    return take_atom(c, str_make(begin + 2, (size_t)(end - begin) - 2));
}

static int take_text(struct compiler *c, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "%");

        if (len > 0)
            add_literal(c, str_make(text, len));
        text += len;
        if (*text == '%' && take_percent(c, &text) != 0)
            return -1;
    }
    return 0;
}

static void make_json(struct compiler *c)
{
    c->format->json = c->format->needs_times = true;
    add_literal(c, STR("{"));
    for (const struct access_atom *atom = access_atoms; atom->add != NULL; atom++) {
        size_t comma = atom == access_atoms;

        if (atom->long_name == NULL)
            continue;
        add_literal(c, str_make(atom->key + comma, strlen(atom->key) - comma));
        add_piece(c, atom->add);
    }
    add_literal(c, STR("}"));
}

int access_format_compile(struct access_format *format, const char *text, char *error, size_t cap)
{
    struct compiler c = {.format = format, .error = error, .cap = cap};
    int result = 0;

    *format = (struct access_format){0};
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(text, presets[i].name) == 0)
            text = presets[i].text;
    }
    if (strcmp(text, "json") == 0)
        make_json(&c);
    else
        result = take_text(&c, text);
    if (c.before.len > 0)
        add_piece(&c, NULL);
    if (result != 0)
        access_format_release(format);
    return result;
}

void access_format_release(struct access_format *format)
{
    for (size_t i = 0; i < format->count; i++)
        free(format->pieces[i].owned);
    free(format->pieces);
    *format = (struct access_format){0};
}

int access_format_check(const char *text, char *error, size_t cap)
{
    struct access_format format;
    int result = access_format_compile(&format, text, error, cap);

    if (result == 0)
        access_format_release(&format);
    return result;
}

/* --- lines -------------------------------------------------------------------------------------- */

/* The value of the first field of this name in a response head; empty if there is none. */
static struct str find_field(struct str head, struct str name)
{
    const char *at = head.ptr, *end = head.ptr + head.len, *newline;

    for (; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1) {
        size_t len = (size_t)(newline - at);

        if (len > name.len && at[name.len] == ':' && str_equal_nocase(str_make(at, name.len), name))
            return str_trim(str_make(at + name.len + 1, len - name.len - 2));
    }
    return STR("");
}

void access_format_keep(const struct access_format *format, struct str head, struct kept_field *kept)
{
    for (unsigned i = 0; i < format->kept_count; i++) {
        const char *name = format->kept[i];
        struct str value = find_field(head, str_make(name, strlen(name)));

        kept[i].len = (uint16_t)(value.len < sizeof(kept[i].bytes) ? value.len : sizeof(kept[i].bytes));
        memcpy(kept[i].bytes, value.ptr, kept[i].len);
    }
}

static void update_stamps(struct access_stamps *stamps)
{
    time_t now = clock_wall();
    struct tm local;
    char rest[24];

    if (now == stamps->at)
        return;
    stamps->at = now;
    localtime_r(&now, &local);
    strftime(rest, sizeof(rest), "%Y:%H:%M:%S %z", &local);
    snprintf(stamps->clf, sizeof(stamps->clf), "[%02d/%s/%s]", local.tm_mday % 100, clock_month(&local), rest);
    clock_format(stamps->iso, now);
}

void access_format_append(const struct access_format *format, struct buf *out, const struct access_entry *entry,
                          struct access_stamps *stamps)
{
    const struct access_line line = {out, entry, stamps, format->json};

    update_stamps(stamps);
    for (const struct access_piece *piece = format->pieces; piece < format->pieces + format->count; piece++) {
        buf_append_str(out, piece->before);
        if (piece->add != NULL)
            piece->add(&line, piece);
    }
    buf_append_str(out, STR("\n"));
}
