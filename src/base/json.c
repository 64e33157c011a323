/* SPDX-License-Identifier: MIT */
/*
 * A reader of JSON (RFC 8259) for `cserve top`, which shows what another process said.
 *
 * All reading is done by end_of: it finds where a value ends, or that it is none, and never looks past the text.
 * Members and elements are found by stepping over those before them, which is fast enough for who looks once a second.
 */
#include "cserve/json.h"

static const char *end_of(const char *at, const char *end, int depth);

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static bool is_at(const char *at, const char *end, char byte)
{
    return at < end && *at == byte;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char byte)
{
    if (is_digit(byte))
        return byte - '0';
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The number that "u00e9" begins with, or -1. */
static int hex_number(const char *at, const char *end)
{
    int number = 0;

    if (end - at < 5)
        return -1;
    for (int i = 1; i < 5; i++) {
        if (hex_value(at[i]) < 0)
            return -1;
        number = number * 16 + hex_value(at[i]);
    }
    return number;
}

/* --- where a value ends, or NULL --------------------------------------------------------------- */

static const char *end_of_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\')
            continue;
        if (++at == end || strchr("\"\\/bfnrtu", *at) == NULL || *at == '\0')
            return NULL;
        if (*at == 'u' && hex_number(at, end) < 0)
            return NULL;
    }
    return at < end ? at + 1 : NULL;
}

/* At least one digit. */
static const char *end_of_digits(const char *at, const char *end)
{
    const char *begin = at;

    while (at < end && is_digit(*at))
        at++;
    return at > begin ? at : NULL;
}

static const char *end_of_number(const char *at, const char *end)
{
    if (is_at(at, end, '-'))
        at++;
    at = is_at(at, end, '0') ? at + 1 : end_of_digits(at, end);
    if (at != NULL && is_at(at, end, '.'))
        at = end_of_digits(at + 1, end);
    if (at != NULL && at < end && (*at | 0x20) == 'e') {
        at++;
        at = end_of_digits(at + (is_at(at, end, '-') || is_at(at, end, '+')), end);
    }
    return at;
}

static const char *end_of_word(const char *at, const char *end)
{
    static const struct str words[] = {STR("true"), STR("false"), STR("null")};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if ((size_t)(end - at) >= words[i].len && memcmp(at, words[i].ptr, words[i].len) == 0)
            return at + words[i].len;
    }
    return NULL;
}

/* "name" : */
static const char *end_of_name(const char *at, const char *end)
{
    if (!is_at(at, end, '"') || (at = end_of_string(at, end)) == NULL)
        return NULL;
    at = skip_blanks(at, end);
    return is_at(at, end, ':') ? skip_blanks(at + 1, end) : NULL;
}

/* Of an object or an array, which closes with `close`. */
static const char *end_of_many(const char *at, const char *end, int depth, char close)
{
    if (depth == JSON_DEPTH_MAX)
        return NULL;
    at = skip_blanks(at + 1, end);
    if (is_at(at, end, close))
        return at + 1;
    for (;;) {
        if (close == '}' && (at = end_of_name(at, end)) == NULL)
            return NULL;
        if ((at = end_of(at, end, depth + 1)) == NULL)
            return NULL;
        at = skip_blanks(at, end);
        if (is_at(at, end, close))
            return at + 1;
        if (!is_at(at, end, ','))
            return NULL;
        at = skip_blanks(at + 1, end);
    }
}

static const char *end_of(const char *at, const char *end, int depth)
{
    if (at == end)
        return NULL;
    if (*at == '{' || *at == '[')
        return end_of_many(at, end, depth, *at == '{' ? '}' : ']');
    if (*at == '"')
        return end_of_string(at, end);
    return is_digit(*at) || *at == '-' ? end_of_number(at, end) : end_of_word(at, end);
}

int json_check(struct str text, struct str *value)
{
    const char *end = text.ptr + text.len, *begin = skip_blanks(text.ptr, end), *close = end_of(begin, end, 0);

    if (close == NULL || skip_blanks(close, end) != end)
        return -1;
    *value = str_make(begin, (size_t)(close - begin));
    return 0;
}

/* --- what is in a value that was checked ------------------------------------------------------- */

/* Where the next of many begins, of which `rest` is the whole at first (from `open` on); NULL: there is none. */
static const char *begin_next(struct str rest, char open, char close)
{
    const char *at;

    if (rest.len == 0 || (*rest.ptr != open && *rest.ptr != ','))
        return NULL;
    at = skip_blanks(rest.ptr + 1, rest.ptr + rest.len);
    return *at == close ? NULL : at;
}

/* The value at `at`; *rest becomes what is behind it. */
static struct str take(struct str *rest, const char *at)
{
    const char *end = rest->ptr + rest->len, *close = end_of(at, end, 0), *behind = skip_blanks(close, end);

    *rest = str_make(behind, (size_t)(end - behind));
    return str_make(at, (size_t)(close - at));
}

bool json_next(struct str *rest, struct str *value)
{
    const char *at = begin_next(*rest, '[', ']');

    if (at != NULL)
        *value = take(rest, at);
    return at != NULL;
}

bool json_next_member(struct str *rest, struct str *name, struct str *value)
{
    const char *at = begin_next(*rest, '{', '}');

    if (at == NULL)
        return false;
    *name = take(rest, at);
    *value = take(rest, skip_blanks(rest->ptr + 1, rest->ptr + rest->len)); /* behind the colon */
    return true;
}

struct str json_member(struct str object, const char *name)
{
    struct str each, value;
    size_t len = strlen(name);

    while (json_next_member(&object, &each, &value)) {
        if (each.len == len + 2 && memcmp(each.ptr + 1, name, len) == 0)
            return value;
    }
    return STR("");
}

uint64_t json_u64(struct str value)
{
    uint64_t number = 0;

    for (size_t i = 0; i < value.len && value.ptr[i] != '.'; i++) {
        if (!is_digit(value.ptr[i]))
            return 0;
        uint64_t digit = (uint64_t)(value.ptr[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return UINT64_MAX;
        number = number * 10 + digit;
    }
    return number;
}

bool json_is_true(struct str value)
{
    return str_equal(value, STR("true"));
}

/* The byte that an escape at *i means; *i moves to the escape's end. */
static char unescape(struct str value, size_t *i)
{
    static const char named[256] = {['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    char letter = value.ptr[++*i];
    int number;

    if (letter != 'u') {
        if (named[(unsigned char)letter] != 0)
            letter = named[(unsigned char)letter];
        return letter;
    }
    number = hex_number(value.ptr + *i, value.ptr + value.len);
    *i += 4;
    return (char)(number > 0xff ? '?' : number);
}

size_t json_text(struct str value, char *dst, size_t cap)
{
    size_t written = 0;

    if (value.len == 0 || value.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i + 1 < value.len && written < cap; i++) {
        dst[written] = value.ptr[i];
        if (value.ptr[i] == '\\')
            dst[written] = unescape(value, &i);
        written++;
    }
    return written;
}
