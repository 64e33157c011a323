/* SPDX-License-Identifier: MIT */
/*
 * Values: read from text, checked, stored where the table says, and written as a user would give them.
 *
 * Values are checked strictly: digits are digits, a range is a range. Every message begins with what the user
 * called the option and where, and says what would be right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/mem.h"
#include "cserve/str.h"

#include "option.h"

/* What each kind of number asks of its text, for messages. */
static const char *const number_words[] = {
    [OPTION_COUNT] = "a whole number",
    [OPTION_MODE] = "an octal number",
    [OPTION_SIZE] = "a number of bytes (K, M, G or T may follow)",
    [OPTION_DURATION] = "a number of seconds (such as 30 or 0.5)",
};

/* --- numbers, read and written ----------------------------------------------------------------- */

static int parse_size(struct str text, uint64_t *value)
{
    static const char suffixes[] = "KkMmGgTt";
    unsigned shift = 0;

    if (text.len > 0) {
        char last = text.ptr[text.len - 1];
        const char *found = last != '\0' ? strchr(suffixes, last) : NULL;
        shift = found == NULL ? 0 : 10 * ((unsigned)(found - suffixes) / 2 + 1);
        text.len -= found != NULL;
    }
    if (str_to_u64(text, UINT64_MAX >> shift, value) != 0)
        return -1;
    *value <<= shift;
    return 0;
}

/* "30", "0.5", ".25": seconds to milliseconds; digits beyond the third decimal must be zeros. */
static int parse_seconds(struct str text, uint64_t *ms)
{
    const char *dot = memchr(text.ptr, '.', text.len);
    struct str whole = dot == NULL ? text : str_make(text.ptr, (size_t)(dot - text.ptr));
    struct str part = dot == NULL ? STR("0") : str_make(dot + 1, text.len - whole.len - 1);
    uint64_t seconds = 0, fraction = 0;

    while (part.len > 3 && part.ptr[part.len - 1] == '0')
        part.len--;
    if (part.len == 0 || part.len > 3 || str_to_u64(part, 999, &fraction) != 0)
        return -1;
    if ((whole.len > 0 || dot == NULL) && str_to_u64(whole, UINT64_MAX / 2000, &seconds) != 0)
        return -1;
    for (size_t digits = part.len; digits < 3; digits++)
        fraction *= 10;
    *ms = seconds * 1000 + fraction;
    return 0;
}

static int parse_octal(struct str text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7' || i == 8)
            return -1;
        *value = *value * 8 + (uint64_t)(text.ptr[i] - '0');
    }
    return text.len > 0 ? 0 : -1;
}

static int parse_number(enum option_kind kind, struct str text, uint64_t *value)
{
    if (kind == OPTION_MODE)
        return parse_octal(text, value);
    if (kind == OPTION_SIZE)
        return parse_size(text, value);
    if (kind == OPTION_DURATION)
        return parse_seconds(text, value);
    return str_to_u64(text, UINT64_MAX, value);
}

/* As the user would give it: "30", "0.5", "64K". */
static void format_number(char *text, size_t cap, enum option_kind kind, uint64_t value)
{
    unsigned power = 0;

    if (kind == OPTION_DURATION) {
        unsigned long long seconds = value / 1000;
        int len = snprintf(text, cap, "%llu.%03u", seconds, (unsigned)(value % 1000));
        while (text[len - 1] == '0')
            text[--len] = '\0';
        if (text[len - 1] == '.')
            text[len - 1] = '\0';
        return;
    }
    if (kind == OPTION_MODE) {
        snprintf(text, cap, "%llo", (unsigned long long)value);
        return;
    }
    while (kind == OPTION_SIZE && power < 4 && value > 0 && value % 1024 == 0) {
        value /= 1024;
        power++;
    }
    snprintf(text, cap, "%llu%.*s", (unsigned long long)value, power > 0, &"-KMGT"[power]);
}
/* --- fields ------------------------------------------------------------------------------------ */

static void *field_of(struct config *config, const struct option *o)
{
    return (char *)config + o->at;
}

static void store_number(struct config *config, const struct option *o, uint64_t value)
{
    uint32_t narrow = (uint32_t)value; /* no field is signed and holds a negative number */

    if (o->size == sizeof(narrow))
        memcpy(field_of(config, o), &narrow, sizeof(narrow));
    else
        memcpy(field_of(config, o), &value, sizeof(value));
}

void value_append(const char ***values, size_t *count, const char *value, size_t len)
{
    *values = mem_realloc(*values, (*count + 1) * sizeof(**values));
    (*values)[(*count)++] = mem_strndup(value, len);
}

static void append_value(struct config *config, const struct option *o, const char *value, size_t len)
{
    value_append(field_of(config, o), (size_t *)((char *)config + o->count_at), value, len);
}

static void append_paths(struct config *config, const struct option *o, const char *value)
{
    while (*value != '\0') {
        size_t len = strcspn(value, ":");
        if (len > 0)
            append_value(config, o, value, len);
        value += len + (value[len] == ':');
    }
}

/* --- one value --------------------------------------------------------------------------------- */

/* What a value is read for, and where to say what is wrong with it. */
struct reading {
    struct config *config;
    const struct option *option;
    const char *label;
    char *error;
    size_t cap;
};

#define FAIL(reading, ...) (snprintf((reading)->error, (reading)->cap, __VA_ARGS__), -1)

static int take_number(const struct reading *r, const char *value)
{
    const struct option *o = r->option;
    char min[24], max[24];
    uint64_t number;
    int parsed = parse_number(o->kind, str_make(value, strlen(value)), &number);

    if (o->word != NULL && strcmp(value, o->word) == 0) {
        store_number(r->config, o, 0);
        return 0;
    }
    if (parsed == 0 && number >= o->min && number <= o->max) {
        store_number(r->config, o, number);
        return 0;
    }
    format_number(min, sizeof(min), o->kind, o->min);
    format_number(max, sizeof(max), o->kind, o->max);
    return FAIL(r, "%s must be %s%s%s from %s to %s, not \"%s\"", r->label, o->word != NULL ? o->word : "",
                o->word != NULL ? " or " : "", number_words[o->kind], min, max, value);
}

/* "debug, info, warning, error or critical" */
static void describe_choices(char *text, size_t cap, const char *const *choices)
{
    size_t len = 0;

    for (size_t i = 0; choices[i] != NULL && len < cap; i++) {
        const char *separator = i == 0 ? "" : choices[i + 1] == NULL ? " or " : ", ";
        len += (size_t)snprintf(text + len, cap - len, "%s%s", separator, choices[i]);
    }
}

static int take_choice(const struct reading *r, const char *value)
{
    const char *const *choices = r->option->choices;
    const char *nearest = NULL;
    size_t best = option_far(value);
    char all[256];

    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(value, choices[i]) == 0) {
            store_number(r->config, r->option, i);
            return 0;
        }
        if (option_distance_to(value, choices[i]) < best) {
            best = option_distance_to(value, choices[i]);
            nearest = choices[i];
        }
    }
    describe_choices(all, sizeof(all), choices);
    if (nearest == NULL)
        return FAIL(r, "%s must be %s, not \"%s\"", r->label, all, value);
    return FAIL(r, "%s must be %s, not \"%s\"; did you mean %s?", r->label, all, value, nearest);
}

static int take_flag(const struct reading *r, const char *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i]) == 0) {
            memcpy(field_of(r->config, r->option), &(bool){i % 2 == 1}, sizeof(bool));
            return 0;
        }
    }
    return FAIL(r, "%s must be true or false, not \"%s\"", r->label, value);
}

static int take_networks(const struct reading *r, const char *value)
{
    struct cidr_list *list = field_of(r->config, r->option);
    char reason[256];

    cidr_list_release(list);
    if (cidr_list_parse(list, value, reason, sizeof(reason)) != 0)
        return FAIL(r, "%s: %s", r->label, reason);
    return 0;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

/* What is not read as a number or a word. */
static int take_text(const struct reading *r, const char *value)
{
    const struct option *o = r->option;

    if (*value == '\0' && !o->may_be_empty)
        return FAIL(r, "%s needs a value, not an empty one", r->label);
    if (has_control(value)) /* in --server-header it would end the field */
        return FAIL(r, "%s must not hold control characters, such as a line end", r->label);
    if (o->kind == OPTION_NETWORKS)
        return take_networks(r, value);
    if (o->kind == OPTION_LIST)
        append_value(r->config, o, value, strlen(value));
    else if (o->kind == OPTION_PATHS)
        append_paths(r->config, o, value);
    else
        memcpy(field_of(r->config, o), &value, sizeof(value));
    return 0;
}

int value_take(struct config *config, const struct option *o, const char *label, const char *value,
               char *error, size_t cap)
{
    const struct reading reading = {config, o, label, error, cap};

    if (option_is_number(o))
        return take_number(&reading, value);
    if (o->kind == OPTION_CHOICE)
        return take_choice(&reading, value);
    if (o->kind == OPTION_FLAG)
        return take_flag(&reading, value);
    return take_text(&reading, value);
}

/* --- defaults ---------------------------------------------------------------------------------- */

void value_set_default(struct config *config, const struct option *o)
{
    if (option_is_number(o) || o->kind == OPTION_CHOICE)
        store_number(config, o, o->initial);
    else if (o->kind == OPTION_TEXT)
        memcpy(field_of(config, o), &o->text, sizeof(o->text));
    else if (o->kind == OPTION_NETWORKS)
        cidr_list_parse(field_of(config, o), o->text, NULL, 0); /* a default is valid */
}

void value_release_list(const char **values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)values[i]);
    free(values);
}

void value_clear(struct config *config, const struct option *o)
{
    if (!option_is_list(o))
        return;
    const char ***values = field_of(config, o);
    size_t *count = (size_t *)((char *)config + o->count_at);
    value_release_list(*values, *count);
    *values = NULL;
    *count = 0;
}

void value_describe_default(struct buf *out, const struct option *o)
{
    char text[24] = "";

    if (option_is_number(o) && o->initial <= o->max)
        format_number(text, sizeof(text), o->kind, o->initial);
    else if (option_is_number(o))
        text[0] = '\0';
    else if (o->kind == OPTION_CHOICE)
        snprintf(text, sizeof(text), "%s", o->choices[o->initial]);
    else if (o->text != NULL)
        snprintf(text, sizeof(text), "%s", o->text);
    buf_append(out, text, strlen(text));
}

void value_describe_range(struct buf *out, const struct option *o)
{
    char min[24], max[24];

    if (!option_is_number(o))
        return;
    format_number(min, sizeof(min), o->kind, o->min);
    format_number(max, sizeof(max), o->kind, o->max);
    buf_printf(out, "%s to %s%s%s", min, max, o->word != NULL ? ", " : "", o->word != NULL ? o->word : "");
}
