/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share: a row of the option table, and where a value came from.
 *
 * Reading order: options.c (the table), load.c (all that was given becomes a struct config), setting.c (what
 * was given, by whom), arguments.c, keywords.c, environment.c, file.c with ini.c (who gives), value.c (one value:
 * read, checked, stored), help.c, manual.c (what the table tells people), completion.c (what it tells shells).
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cserve/buf.h"
#include "cserve/options.h"

#define OPTION_NAME_MAX 64
#define OPTION_VARIABLE_MAX (OPTION_NAME_MAX + sizeof("CSERVE_"))

enum option_kind {
    OPTION_FLAG,     /* bool; takes no value on the command line */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* const char **, owned, and a size_t that counts; may be repeated */
    OPTION_PATHS,    /* as OPTION_LIST, each value split at ':' */
    OPTION_COUNT,    /* a whole number */
    OPTION_MODE,     /* permission bits, octal */
    OPTION_SIZE,     /* a whole number of bytes; K, M, G or T may follow */
    OPTION_DURATION, /* int, in milliseconds; given in seconds, decimals allowed */
    OPTION_CHOICE,   /* an enum, by the names of its values */
    OPTION_NETWORKS, /* struct cidr_list, owned */
};

struct option {
    char letter;         /* -b; 0 if none */
    const char *name;    /* without the two dashes */
    const char *alias;   /* another spelling, or NULL */
    const char *metavar;
    enum option_kind kind;
    size_t at, size;     /* the field of struct config */
    size_t count_at;     /* OPTION_LIST, OPTION_PATHS: where the number of values is */
    uint64_t initial;    /* default of a number, in what is stored */
    const char *text;    /* default of a text, or of networks */
    uint64_t min, max;
    const char *const *choices; /* OPTION_CHOICE: the names, then NULL */
    const char *word;    /* a number: what may be said instead, for 0; or NULL */
    bool may_be_empty;   /* OPTION_TEXT, OPTION_NETWORKS */
    bool is_order;       /* what to do with a configuration instead of serving: on the command line only */
    bool is_question;    /* as is_order, and no configuration is needed */
    bool not_in_file;
    bool at_start;       /* a reload cannot change it */
    const char *help;
};

struct option_group {
    const char *title;            /* NULL: --help does not show it */
    const struct option *options; /* the last has no name */
};

/* The last has no options. */
extern const struct option_group option_groups[];

/* Where values come from; the higher ones win. */
enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_COMMAND_LINE, SOURCE_KEYWORD, SOURCE_COUNT };

/* A value that somebody gave to an option. */
struct setting {
    const struct option *option;
    char *value; /* owned */
    enum source source;
    int line;    /* SOURCE_FILE: of config->file */
};

/* options.c */
/* The row with this index, over all groups; NULL behind the last. */
const struct option *option_at(size_t index);
/* The row of this name or alias, in which '-' and '_' are the same if `loosely`; NULL if there is none. */
const struct option *option_find(struct str name, bool loosely);
/* Whether it may be given there. */
bool option_may_be_in(const struct option *o, enum source source);
/* Whether there is --no-NAME, too. */
bool option_has_negation(const struct option *o);
/* Whether it may be given several times, all of which count. */
bool option_is_list(const struct option *o);
bool option_is_number(const struct option *o);
/* "CSERVE_LOG_LEVEL" */
void option_variable(char *text, size_t cap, const char *name);
/* "log_level" */
void option_keyword(char *text, size_t cap, const char *name);
/*
 * The name that was probably meant by one that there is not, among those that may be given there: one that it
 * begins, else one a few changes away. False: there is none.
 */
bool option_nearest(char *nearest, size_t cap, const char *name, enum source source);
/* How many letters are changed, dropped, added or swapped with the next; what is longer than OPTION_NAME_MAX is far from everything. */
size_t option_distance(const char *a, const char *b);
/* How far a name is from what was typed, in either case: less if one begins with the other. */
size_t option_distance_to(const char *typed, const char *name);
/* From which distance on a name was not meant. */
size_t option_far(const char *typed);

/* value.c */
void value_set_default(struct config *config, const struct option *o);
/*
 * Reads a text, which must stay valid as long as the config, into the option's field; lists grow. 0, or -1
 * with the reason in error[0..cap), which begins with `label`: what the user called the option, and where.
 */
int value_take(struct config *config, const struct option *o, const char *label, const char *value,
               char *error, size_t cap);
/* Empties a list; nothing for other options. */
void value_clear(struct config *config, const struct option *o);
void value_append(const char ***values, size_t *count, const char *value, size_t len);
void value_release_list(const char **values, size_t count);
/* Its default and the range of a number, for people: "64K", "0 to 65535"; "" if there is none. */
void value_describe_default(struct buf *out, const struct option *o);
void value_describe_range(struct buf *out, const struct option *o);

/* setting.c */
void setting_add(struct config *config, const struct option *o, struct str value, enum source source,
                 int line);
void setting_add_text(struct config *config, const struct option *o, const char *value, enum source source);
/* For an option that may be repeated: its values stand between blanks. */
void setting_add_words(struct config *config, const struct option *o, const char *value, enum source source);
/* Forgets all settings of an option. */
void setting_drop(struct config *config, const struct option *o);
/* The first that this source gave, or NULL. */
struct setting *setting_from(const struct config *config, const struct option *o, enum source source);
/*
 * The settings of an option that count begin with this one; the others follow, from the same source. NULL:
 * none.
 */
const struct setting *setting_first(const struct config *config, const struct option *o);
const struct setting *setting_next(const struct config *config, const struct setting *s);
/* The strongest source that gave any. */
enum source setting_source(const struct config *config, const struct option *o);
/* What the user called it, and where: "--port", "CSERVE_PORT", "cserve.ini:3: port". */
void setting_label(char *label, size_t cap, const struct config *config, const struct setting *s);
/* "command line", "environment variable CSERVE_BIND", "cserve.ini:3", "default" */
void setting_describe_source(struct buf *out, const struct config *config, const struct setting *s);

#endif
