/* SPDX-License-Identifier: MIT */
/*
 * Media types and content codings.
 *
 * The system's table of types is read once, at the start; looking one up is a binary search. Weights of codings are
 * thousandths, read digit by digit; what is malformed counts for nothing.
 */
#include "cserve/media.h"

#include <stdlib.h>

#include "cserve/mem.h"
#include "cserve/scan.h"

enum { EXTENSION_MAX = 32, WEIGHT_MAX = 1000, WEIGHT_NONE = -1 };

struct media_row {
    struct str extension; /* lower case */
    struct str type;
};

#define ROW(extension, type) {{extension, sizeof(extension) - 1}, {type, sizeof(type) - 1}}

/* What the web is made of, in order; for systems that have no table, and for what theirs is too old to know. */
static const struct media_row own_rows[] = {
    ROW("avif", "image/avif"),
    ROW("css", "text/css"),
    ROW("csv", "text/csv"),
    ROW("gif", "image/gif"),
    ROW("gz", "application/gzip"),
    ROW("htm", "text/html"),
    ROW("html", "text/html"),
    ROW("ico", "image/vnd.microsoft.icon"),
    ROW("jpeg", "image/jpeg"),
    ROW("jpg", "image/jpeg"),
    ROW("js", "text/javascript"),
    ROW("json", "application/json"),
    ROW("map", "application/json"),
    ROW("md", "text/markdown"),
    ROW("mjs", "text/javascript"),
    ROW("mp3", "audio/mpeg"),
    ROW("mp4", "video/mp4"),
    ROW("otf", "font/otf"),
    ROW("pdf", "application/pdf"),
    ROW("png", "image/png"),
    ROW("svg", "image/svg+xml"),
    ROW("tar", "application/x-tar"),
    ROW("ttf", "font/ttf"),
    ROW("txt", "text/plain"),
    ROW("wasm", "application/wasm"),
    ROW("webm", "video/webm"),
    ROW("webmanifest", "application/manifest+json"),
    ROW("webp", "image/webp"),
    ROW("woff", "font/woff"),
    ROW("woff2", "font/woff2"),
    ROW("xml", "text/xml"),
    ROW("zip", "application/zip"),
};

const struct media_coding_info media_coding_table[MEDIA_CODINGS] = {
    [MEDIA_BROTLI] = {STR("br"), ".br"},
    [MEDIA_GZIP] = {STR("gzip"), ".gz"},
    [MEDIA_IDENTITY] = {STR(""), ""},
};

/* --- the table of types ------------------------------------------------------------------------ */

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

static int compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Of one extension, the row that stands first in the text comes first. */
static int compare_rows(const void *a, const void *b)
{
    const struct media_row *left = a, *right = b;
    int order = compare(left->extension, right->extension);

    return order != 0 ? order : (left->extension.ptr > right->extension.ptr) - (left->extension.ptr < right->extension.ptr);
}

/* The next word of *line, which is what is left behind it; empty at the end. */
static struct str next_word(struct str *line)
{
    struct str word;
    size_t len = 0;

    *line = str_trim(*line);
    while (len < line->len && !str_is_blank(line->ptr[len]))
        len++;
    word = str_make(line->ptr, len);
    *line = str_make(line->ptr + len, line->len - len);
    return word;
}

static struct str next_line(struct str *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    struct str line = str_make(text->ptr, len);

    len += end != NULL;
    *text = str_make(text->ptr + len, text->len - len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* Whether it may stand in a head: no byte of it ends a field, and it fits with its charset. */
static bool is_type(struct str word)
{
    return word.len > 0 && word.len < MEDIA_TYPE_MAX / 2 && memchr(word.ptr, '/', word.len) != NULL &&
           scan_value(word.ptr, word.ptr + word.len) == word.ptr + word.len;
}

static void add_line(struct media_types *types, struct str line, size_t *room)
{
    const char *comment = line.len > 0 ? memchr(line.ptr, '#', line.len) : NULL;
    struct str type, extension;

    if (comment != NULL)
        line.len = (size_t)(comment - line.ptr);
    type = next_word(&line);
    if (!is_type(type))
        return;
    while ((extension = next_word(&line)).len > 0) {
        if (types->count == *room) {
            *room = *room * 2 + 64;
            types->rows = mem_realloc(types->rows, *room * sizeof(*types->rows));
        }
        for (size_t i = 0; i < extension.len; i++)
            types->text[extension.ptr - types->text + (ptrdiff_t)i] = lower(extension.ptr[i]);
        types->rows[types->count++] = (struct media_row){extension, type};
    }
}

void media_types_init(struct media_types *types, struct str text)
{
    size_t room = 0;

    *types = (struct media_types){.text = mem_strndup(text.ptr, text.len)};
    text.ptr = types->text;
    while (text.len > 0)
        add_line(types, next_line(&text), &room);
    if (types->count > 0)
        qsort(types->rows, types->count, sizeof(*types->rows), compare_rows);
}

void media_types_release(struct media_types *types)
{
    free(types->rows);
    free(types->text);
    *types = (struct media_types){0};
}

/* --- looking a type up ------------------------------------------------------------------------- */

/* The first row of this extension; NULL: none. */
static const struct media_row *find_row(const struct media_row *rows, size_t count, struct str extension)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(rows[middle].extension, extension) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && str_equal(rows[low].extension, extension) ? &rows[low] : NULL;
}

/* What is behind the last dot of a file's name, in lower case; empty: nothing that a table could have. */
static struct str extension_of(struct str name, char out[EXTENSION_MAX])
{
    size_t at = name.len;

    while (at > 0 && name.ptr[at - 1] != '.' && name.ptr[at - 1] != '/')
        at--;
    if (at == 0 || name.ptr[at - 1] != '.' || name.len - at > EXTENSION_MAX)
        return STR("");
    for (size_t i = at; i < name.len; i++)
        out[i - at] = lower(name.ptr[i]);
    return str_make(out, name.len - at);
}

static bool is_text(struct str type)
{
    return (type.len > 5 && memcmp(type.ptr, "text/", 5) == 0) || str_equal(type, STR("application/javascript"));
}

struct str media_type_of(const struct media_types *types, struct str name, char out[MEDIA_TYPE_MAX])
{
    static const struct str charset = STR("; charset=utf-8");
    char lowered[EXTENSION_MAX];
    struct str extension = extension_of(name, lowered);
    const struct media_row *row = find_row(types->rows, types->count, extension);
    struct str type = STR("application/octet-stream");

    if (row == NULL)
        row = find_row(own_rows, sizeof(own_rows) / sizeof(*own_rows), extension);
    if (row != NULL)
        type = row->type;
    memcpy(out, type.ptr, type.len);
    if (!is_text(type))
        return str_make(out, type.len);
    memcpy(out + type.len, charset.ptr, charset.len);
    return str_make(out, type.len + charset.len);
}

/* --- codings ----------------------------------------------------------------------------------- */

/* "1", "0.25": thousandths, at most three decimals; WEIGHT_NONE: neither. */
static int read_weight(struct str text)
{
    int weight, unit = WEIGHT_MAX;

    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return WEIGHT_NONE;
    weight = (text.ptr[0] - '0') * unit;
    if (text.len > 1 && text.ptr[1] != '.')
        return WEIGHT_NONE;
    for (size_t i = 2; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return WEIGHT_NONE;
        unit /= 10;
        weight += (text.ptr[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : WEIGHT_NONE;
}

/* What a client says of each coding; WEIGHT_NONE: nothing. */
struct wishes {
    int weights[MEDIA_CODINGS];
    int others; /* "*" */
};

static int *wish_of(struct wishes *w, struct str name)
{
    if (str_equal_nocase(name, STR("br")))
        return &w->weights[MEDIA_BROTLI];
    if (str_equal_nocase(name, STR("gzip")) || str_equal_nocase(name, STR("x-gzip")))
        return &w->weights[MEDIA_GZIP];
    if (str_equal_nocase(name, STR("identity")))
        return &w->weights[MEDIA_IDENTITY];
    return str_equal(name, STR("*")) ? &w->others : NULL;
}

/* "gzip", "br;q=0.5" */
static void take_wish(struct wishes *w, struct str member)
{
    const char *semicolon = member.len > 0 ? memchr(member.ptr, ';', member.len) : NULL;
    size_t len = semicolon != NULL ? (size_t)(semicolon - member.ptr) : member.len;
    int *wish = wish_of(w, str_trim(str_make(member.ptr, len)));
    int weight = WEIGHT_MAX;
    struct str rest;

    if (semicolon != NULL) {
        rest = str_trim(str_make(semicolon + 1, member.len - len - 1));
        weight = rest.len < 2 || (rest.ptr[0] | 0x20) != 'q' || rest.ptr[1] != '='
                     ? WEIGHT_NONE
                     : read_weight(str_make(rest.ptr + 2, rest.len - 2));
    }
    if (wish != NULL && weight != WEIGHT_NONE)
        *wish = weight;
}

static void take_wishes(struct wishes *w, struct str list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;

        take_wish(w, str_make(list.ptr, len));
        len += comma != NULL;
        list = str_make(list.ptr + len, list.len - len);
    }
}

enum media_coding media_coding_choose(const struct http_head *head, const char *raw, unsigned available)
{
    struct wishes w = {{WEIGHT_NONE, WEIGHT_NONE, WEIGHT_NONE}, WEIGHT_NONE};
    enum media_coding best = MEDIA_IDENTITY;
    int best_weight, identity;

    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_FIELD_ACCEPT_ENCODING)
            take_wishes(&w, http_field_value(&head->fields[i], raw));
    }
    identity = w.weights[MEDIA_IDENTITY];
    best_weight = identity != WEIGHT_NONE ? identity - 1 : 0; /* who says the same of both prefers the smaller one */
    for (int coding = MEDIA_IDENTITY - 1; coding >= 0; coding--) {
        int weight = w.weights[coding] != WEIGHT_NONE ? w.weights[coding] : w.others;
        if ((available & 1u << coding) != 0 && weight > 0 && weight >= best_weight) {
            best = (enum media_coding)coding;
            best_weight = weight;
        }
    }
    return best;
}
