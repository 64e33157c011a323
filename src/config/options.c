/* SPDX-License-Identifier: MIT */
/*
 * The option table and what reads it: the command line's parser, the help and the reference manual.
 *
 * A row holds all that is known of an option; adding an option is adding a row. Values are checked
 * strictly: digits are digits, a range is a range, and a typing error is answered with the nearest
 * option there is. An option that is given twice has the value that was given last, unless it is
 * one that may be repeated.
 */
#include "cserve/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/buf.h"
#include "cserve/mem.h"
#include "cserve/str.h"
#include "cserve/syslog.h"

enum option_kind {
    OPTION_FLAG,     /* bool; takes no value */
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
    const char *help;
};

struct option_group {
    const char *title;
    const struct option *options; /* the last has no name */
};

#define FIELD(path) .at = offsetof(struct config, path), .size = sizeof(((struct config *)0)->path)
#define COUNT_FIELD(path) .count_at = offsetof(struct config, path)
#define SERVER(field) FIELD(process.server.field)
#define LIMIT(field) FIELD(process.server.limits.field)

#define KIB UINT64_C(1024)
#define DAY_MS (UINT64_C(86400) * 1000)

/* In the order of the enums. */
static const char *const levels[] = {"debug", "info", "warning", "error", "critical", NULL};
static const char *const forwarded_kinds[] = {"x-forwarded", "forwarded", NULL};

static const struct option listening[] = {
    {.name = "host", .metavar = "HOST", .kind = OPTION_TEXT, FIELD(host), .text = "127.0.0.1",
     .help = "Address to listen on when there is no --bind; 0.0.0.0 is every IPv4 address of this machine, "
             ":: every address."},
    {.name = "port", .metavar = "PORT", .kind = OPTION_COUNT, FIELD(port), .initial = 8888, .max = 65535,
     .help = "Port to listen on when there is no --bind; 0 takes a free one."},
    {.letter = 'b', .name = "bind", .metavar = "ADDRESS", .kind = OPTION_LIST, FIELD(binds),
     COUNT_FIELD(process.bind_count),
     .help = "Address to listen on, instead of --host and --port: HOST:PORT, [::1]:PORT or unix:/path. "
             "May be repeated."},
    {.name = "backlog", .metavar = "COUNT", .kind = OPTION_COUNT, FIELD(process.backlog), .initial = 2048,
     .min = 1, .max = 65535,
     .help = "Connections that the system keeps waiting for each address, up to net.core.somaxconn."},
    {0},
};

static const struct option application[] = {
    {.name = "venv", .metavar = "DIR", .kind = OPTION_TEXT, FIELD(process.python.venv),
     .help = "Virtual environment of the application. Without it: VIRTUAL_ENV, else a pyvenv.cfg beside or "
             "above the cserve executable, else none."},
    {.name = "chdir", .metavar = "DIR", .kind = OPTION_TEXT, FIELD(process.chdir),
     .help = "Change to this directory first: all other paths, and the application, count from there."},
    {.name = "pythonpath", .metavar = "DIRS", .kind = OPTION_PATHS, FIELD(paths),
     COUNT_FIELD(process.python.path_count),
     .help = "Directories for sys.path, behind the current one and before all others; separated by colons. "
             "May be repeated."},
    {0},
};

static const struct option logging[] = {
    {.name = "access-logfile", .metavar = "FILE", .kind = OPTION_TEXT, SERVER(access_log),
     .help = "Append a line for each request to this file; - is stdout. Without it there is no access log."},
    {.name = "access-logformat", .metavar = "FORMAT", .kind = OPTION_TEXT, SERVER(access_logformat), .text = "combined",
     .help = "What these lines say: combined, common, json, or a text with atoms such as %(h)s; docs/logs.md lists "
             "them."},
    {.name = "error-logfile", .metavar = "FILE", .kind = OPTION_TEXT, FIELD(error_log), .text = "-",
     .help = "Append messages, tracebacks and what the application writes to wsgi.errors to this file; - is "
             "stderr."},
    {.name = "log-level", .metavar = "LEVEL", .kind = OPTION_CHOICE, FIELD(log_level), .choices = levels,
     .initial = LOG_LEVEL_INFO,
     .help = "Least important messages to log: debug, info, warning, error or critical."},
    {.name = "log-json", .kind = OPTION_FLAG, FIELD(log_json),
     .help = "Write each message of the error log as a JSON object of one line. For the access log: "
             "--access-logformat json."},
    {.name = "log-syslog", .kind = OPTION_FLAG, FIELD(syslog),
     .help = "Send the error log and the access log to syslog, too."},
    {.name = "log-syslog-to", .metavar = "ADDRESS", .kind = OPTION_TEXT, FIELD(syslog_to), .text = "unix:///dev/log",
     .help = "Where that listens: unix:///PATH or udp://HOST:PORT."},
    {.name = "log-syslog-facility", .metavar = "NAME", .kind = OPTION_CHOICE, FIELD(syslog_facility),
     .choices = syslog_facilities, .initial = 1, .help = "The facility of what is sent there: user, daemon, local0 and so on."},
    {.name = "log-syslog-prefix", .metavar = "TEXT", .kind = OPTION_TEXT, FIELD(syslog_prefix),
     .help = "Lines there are from cserve.TEXT.error and cserve.TEXT.access, instead of cserve.error and cserve.access."},
    {.name = "disable-redirect-access-to-syslog", .kind = OPTION_FLAG, SERVER(access_not_to_syslog),
     .help = "Send only the error log to syslog."},
    {.name = "slow-request", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(slow_request_ms), .max = DAY_MS,
     .help = "Say in the error log where the application is when a request has kept it so long, while it goes on; 0: never."},
    {.name = "show-requests", .kind = OPTION_FLAG, SERVER(show_requests),
     .help = "Print each request as it came over the wire, and the response head that answered it."},
    {0},
};

static const struct option timeouts[] = {
    {.name = "timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(timeout_ms), .initial = 30000,
     .max = DAY_MS,
     .help = "Time that the application has for one request. Then the error log says where it is, the client gets 504, "
             "and cserve.RequestTimeout is raised in it. 0 lets it take as long as it likes."},
    {.name = "graceful-timeout", .metavar = "SECONDS", .kind = OPTION_DURATION,
     FIELD(process.graceful_timeout_ms), .initial = 30000, .max = DAY_MS,
     .help = "Time that requests in flight have to finish once the server was told to stop."},
    {.name = "keep-alive", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(keep_alive_ms),
     .initial = 15000, .max = DAY_MS,
     .help = "Time that a connection may idle between two requests; 0 closes it behind each."},
    {.name = "header-timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(header_timeout_ms),
     .initial = 20000, .max = DAY_MS,
     .help = "Time for a whole request head to arrive, from its first byte; 0 waits for ever."},
    {.name = "body-timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(body_timeout_ms),
     .initial = 30000, .max = DAY_MS,
     .help = "Period in which a request body must keep up --min-body-rate; 0 waits for ever."},
    {.name = "min-body-rate", .metavar = "RATE", .kind = OPTION_COUNT, SERVER(body_rate), .initial = 240,
     .max = 1000000000,
     .help = "Bytes a second that a request body must bring on average over --body-timeout; with 0 any "
             "progress will do."},
    {.name = "write-timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(write_timeout_ms),
     .initial = 30000, .max = DAY_MS,
     .help = "Time that a client may take none of a response; 0 waits for ever."},
    {0},
};

static const struct option concurrency[] = {
    {.letter = 'w', .name = "workers", .metavar = "COUNT", .kind = OPTION_COUNT, FIELD(process.workers),
     .initial = 1, .min = 1, .max = WORKERS_MAX, .word = "auto",
     .help = "Worker processes; auto is as many as there are processors. SIGTTIN and SIGTTOU make them one "
             "more or less."},
    {.name = "threads", .metavar = "COUNT", .kind = OPTION_COUNT, SERVER(threads), .initial = 4, .min = 1,
     .max = 1024,
     .help = "Requests that the application works on at once, in each worker. Threads cost nothing until an answer is slow; "
             "with 1 the application never runs in two threads."},
    {0},
};

static const struct option processes[] = {
    {.name = "preload", .kind = OPTION_FLAG, FIELD(process.preload),
     .help = "Load the application once and fork the workers from there: they start at once and share "
             "memory."},
    {.name = "max-requests", .metavar = "COUNT", .kind = OPTION_COUNT, FIELD(process.max_requests),
     .max = UINT32_MAX,
     .help = "Requests after which a worker is replaced by a new one, which serves before the old one leaves; "
             "0: never."},
    {.name = "max-requests-jitter", .metavar = "COUNT", .kind = OPTION_COUNT,
     FIELD(process.max_requests_jitter), .max = UINT32_MAX,
     .help = "Up to so many requests more, by chance, so that workers are not worn out together."},
    {.name = "max-worker-lifetime", .metavar = "SECONDS", .kind = OPTION_DURATION,
     FIELD(process.max_lifetime_ms), .max = 14 * DAY_MS, .help = "Age at which a worker is replaced; 0: never."},
    {.name = "max-worker-memory", .metavar = "MEGABYTES", .kind = OPTION_COUNT, FIELD(process.max_memory_mb),
     .max = 1024 * 1024, .help = "Resident memory from which on a worker is replaced; 0: never."},
    {.name = "pid", .metavar = "FILE", .kind = OPTION_TEXT, FIELD(process.pid_file),
     .help = "Write the master's pid to this file, and remove that at the end."},
    {.letter = 'u', .name = "user", .metavar = "USER", .kind = OPTION_TEXT, FIELD(process.user),
     .help = "Run the application as this user, a name or a number; only root can. The master stays root, so "
             "that it can open ports and log files."},
    {.letter = 'g', .name = "group", .metavar = "GROUP", .kind = OPTION_TEXT, FIELD(process.group),
     .help = "Run the application as this group. Without it: the group of --user."},
    {.letter = 'm', .name = "umask", .metavar = "MODE", .kind = OPTION_MODE, FIELD(process.umask_bits),
     .initial = UMASK_INHERITED, .max = 0777,
     .help = "Permissions that files created here do not get, octal. Without it: those of the shell."},
    {0},
};

static const struct option limits[] = {
    {.name = "worker-connections", .metavar = "COUNT", .kind = OPTION_COUNT, SERVER(worker_connections),
     .initial = 16384, .min = 1, .max = 1000000, .help = "Connections that are open at once."},
    {.name = "limit-request-line", .metavar = "BYTES", .kind = OPTION_SIZE, LIMIT(line), .initial = 8190,
     .min = 64, .max = KIB * KIB, .help = "Longest request line; a longer one is answered with 414."},
    {.name = "limit-request-fields", .metavar = "COUNT", .kind = OPTION_COUNT, LIMIT(fields), .initial = 100,
     .min = 1, .max = 1000, .help = "Most header fields of a request; more are answered with 431."},
    {.name = "limit-request-field_size", .alias = "limit-request-field-size", .metavar = "BYTES",
     .kind = OPTION_SIZE, LIMIT(field_size), .initial = 8190, .min = 64, .max = KIB * KIB,
     .help = "Longest header field; a longer one is answered with 431."},
    {.name = "limit-request-head", .metavar = "BYTES", .kind = OPTION_SIZE, LIMIT(head), .initial = 64 * KIB,
     .min = KIB, .max = 16 * KIB * KIB, .help = "Longest request head; a longer one is answered with 431."},
    {.name = "limit-request-body", .metavar = "BYTES", .kind = OPTION_SIZE, LIMIT(body),
     .initial = KIB * KIB * KIB, .max = KIB * KIB * KIB * KIB * KIB,
     .help = "Longest request body; a longer one is answered with 413."},
    {.name = "body-buffer", .metavar = "BYTES", .kind = OPTION_SIZE, SERVER(body_buffer),
     .initial = 256 * KIB, .max = KIB * KIB * KIB,
     .help = "Request bodies up to this size are kept in memory, longer ones in an unlinked file in TMPDIR."},
    {0},
};

static const struct option proxies[] = {
    {.name = "forwarded-allow-ips", .metavar = "LIST", .kind = OPTION_NETWORKS, SERVER(forwarded_allow),
     .text = "127.0.0.1,::1", .may_be_empty = true,
     .help = "Proxies whose forwarded fields are believed: addresses, networks (10.0.0.0/8), unix (whoever comes "
             "over a unix socket), or * for everybody; separated by commas."},
    {.name = "forwarded-headers", .metavar = "KIND", .kind = OPTION_CHOICE, SERVER(forwarded_kind),
     .choices = forwarded_kinds, .initial = FORWARDED_X,
     .help = "Which fields these proxies set: x-forwarded (X-Forwarded-For and X-Forwarded-Proto) or forwarded "
             "(RFC 7239). The other kind is ignored."},
    {.name = "proxy-protocol", .kind = OPTION_FLAG, SERVER(proxy_protocol),
     .help = "Every connection must begin with a PROXY protocol header, version 1 or 2."},
    {.name = "proxy-allow-from", .metavar = "LIST", .kind = OPTION_NETWORKS, SERVER(proxy_allow),
     .text = "127.0.0.1,::1", .may_be_empty = true,
     .help = "Who may send PROXY protocol headers, as a list like that of --forwarded-allow-ips; all others are "
             "refused."},
    {0},
};

static const struct option other[] = {
    {.name = "server-header", .metavar = "TEXT", .kind = OPTION_TEXT, SERVER(server_name), .text = "cserve",
     .may_be_empty = true,
     .help = "Value of the Server field of responses; with an empty one there is no such field."},
    {.name = "version", .kind = OPTION_FLAG, FIELD(show_version),
     .help = "Print the version, the Python it runs and how that is linked, and exit."},
    {.letter = 'h', .name = "help", .kind = OPTION_FLAG, FIELD(show_help),
     .help = "Print this help and exit."},
    {0},
};

/* Options that --help does not show: for the project's own use. */
static const struct option hidden[] = {
    {.name = "help-markdown", .kind = OPTION_FLAG, FIELD(show_markdown)},
    {0},
};

static const struct option_group groups[] = {
    {"Listening", listening}, {"Application", application}, {"Concurrency", concurrency},
    {"Processes", processes},
    {"Logging", logging},     {"Timeouts", timeouts},
    {"Limits", limits},       {"Proxies", proxies},         {"Other", other},     {NULL, hidden},
};

#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

/* What each kind of number asks of its text, for messages. */
static const char *const number_words[] = {
    [OPTION_COUNT] = "a whole number",
    [OPTION_MODE] = "an octal number",
    [OPTION_SIZE] = "a number of bytes (K, M, G or T may follow)",
    [OPTION_DURATION] = "a number of seconds (such as 30 or 0.5)",
};

static bool is_number(enum option_kind kind)
{
    return kind == OPTION_COUNT || kind == OPTION_MODE || kind == OPTION_SIZE || kind == OPTION_DURATION;
}

/* Walks over all rows: the one behind `o`, or the first; NULL behind the last. */
static const struct option *next_option(const struct option *o, size_t *group)
{
    if (o == NULL) {
        *group = 0;
        return groups[0].options;
    }
    if (o[1].name != NULL)
        return o + 1;
    *group += 1;
    return *group < GROUP_COUNT ? groups[*group].options : NULL;
}

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
    while (kind == OPTION_SIZE && power < 4 && value > 0 && value % KIB == 0) {
        value /= KIB;
        power++;
    }
    snprintf(text, cap, "%llu%.*s", (unsigned long long)value, power > 0, &"-KMGT"[power]);
}

/* --- the nearest option to a mistyped one ------------------------------------------------------ */

#define NAME_MAX_LEN 64

/* Levenshtein distance; what is longer than NAME_MAX_LEN is far from everything. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t drop = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < drop ? change : drop;
        }
    }
    return row[b_len];
}

/* The option that was probably meant: one that the name begins, else one a few changes away; or NULL. */
static const char *nearest_option(const char *name)
{
    const char *nearest = NULL;
    size_t group, len = strlen(name), best = len / 3 + 2;

    for (const struct option *o = next_option(NULL, &group); o != NULL; o = next_option(o, &group)) {
        size_t distance = edit_distance(name, o->name);
        if (groups[group].title == NULL)
            continue;
        if (len >= 3 && strncmp(name, o->name, len) == 0)
            distance = 1;
        if (distance < best) {
            best = distance;
            nearest = o->name;
        }
    }
    return nearest;
}

/* --- the command line -------------------------------------------------------------------------- */

struct parser {
    struct config *config;
    int argc;
    char **argv;
    int at; /* the next argument */
    char *error;
    size_t cap;
};

#define FAIL(parser, ...) (snprintf((parser)->error, (parser)->cap, __VA_ARGS__), -1)

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

static void append(const char ***values, size_t *count, const char *value, size_t len)
{
    *values = mem_realloc(*values, (*count + 1) * sizeof(**values));
    (*values)[(*count)++] = mem_strndup(value, len);
}

static void append_value(struct config *config, const struct option *o, const char *value, size_t len)
{
    append(field_of(config, o), (size_t *)((char *)config + o->count_at), value, len);
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

static int take_number(struct parser *p, const struct option *o, const char *value)
{
    char min[24], max[24];
    uint64_t number;
    int parsed = parse_number(o->kind, str_make(value, strlen(value)), &number);

    if (o->word != NULL && strcmp(value, o->word) == 0) {
        store_number(p->config, o, 0);
        return 0;
    }
    if (parsed == 0 && number >= o->min && number <= o->max) {
        store_number(p->config, o, number);
        return 0;
    }
    format_number(min, sizeof(min), o->kind, o->min);
    format_number(max, sizeof(max), o->kind, o->max);
    return FAIL(p, "--%s must be %s%s%s from %s to %s, not \"%s\"", o->name, o->word != NULL ? o->word : "",
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

static int take_choice(struct parser *p, const struct option *o, const char *value)
{
    size_t nearest = 0;
    char all[256];

    for (size_t i = 0; o->choices[i] != NULL; i++) {
        if (strcmp(value, o->choices[i]) == 0) {
            store_number(p->config, o, i);
            return 0;
        }
        if (edit_distance(value, o->choices[i]) < edit_distance(value, o->choices[nearest]))
            nearest = i;
    }
    describe_choices(all, sizeof(all), o->choices);
    return FAIL(p, "--%s must be %s, not \"%s\"; did you mean %s?", o->name, all, value, o->choices[nearest]);
}

static int take_networks(struct parser *p, const struct option *o, const char *value)
{
    struct cidr_list *list = field_of(p->config, o);
    char reason[256];

    cidr_list_release(list);
    if (cidr_list_parse(list, value, reason, sizeof(reason)) != 0)
        return FAIL(p, "--%s: %s", o->name, reason);
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

static int take_value(struct parser *p, const struct option *o, const char *value)
{
    if (is_number(o->kind))
        return take_number(p, o, value);
    if (o->kind == OPTION_CHOICE)
        return take_choice(p, o, value);
    if (*value == '\0' && !o->may_be_empty)
        return FAIL(p, "--%s needs a value, not an empty one", o->name);
    if (has_control(value)) /* in --server-header it would end the field */
        return FAIL(p, "--%s must not hold control characters, such as a line end", o->name);
    if (o->kind == OPTION_NETWORKS)
        return take_networks(p, o, value);
    if (o->kind == OPTION_LIST)
        append_value(p->config, o, value, strlen(value));
    else if (o->kind == OPTION_PATHS)
        append_paths(p->config, o, value);
    else
        memcpy(field_of(p->config, o), &value, sizeof(value));
    return 0;
}

/* `value`: what stands behind the '=' (or the letter), or NULL: then it is the next argument. */
static int take_option(struct parser *p, const struct option *o, const char *value)
{
    if (o->kind == OPTION_FLAG) {
        if (value != NULL)
            return FAIL(p, "--%s takes no value, so \"=%s\" is too much", o->name, value);
        memcpy(field_of(p->config, o), &(bool){true}, sizeof(bool));
        return 0;
    }
    if (value == NULL) {
        /* "--venv --port 80" is a forgotten value; who means it can write --venv=--port. */
        bool missing = p->at >= p->argc || (strncmp(p->argv[p->at], "--", 2) == 0);
        if (missing)
            return FAIL(p, "--%s needs a value: --%s %s", o->name, o->name, o->metavar);
        value = p->argv[p->at++];
    }
    return take_value(p, o, value);
}

static bool has_name(const struct option *o, const char *name, size_t len)
{
    return (strlen(o->name) == len && memcmp(o->name, name, len) == 0) ||
           (o->alias != NULL && strlen(o->alias) == len && memcmp(o->alias, name, len) == 0);
}

/* An argument that begins with "--"; `name` is what follows. */
static int take_long(struct parser *p, const char *name)
{
    char typed[NAME_MAX_LEN + 1];
    size_t group, len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;

    for (const struct option *o = next_option(NULL, &group); o != NULL; o = next_option(o, &group)) {
        if (has_name(o, name, len))
            return take_option(p, o, value);
    }
    snprintf(typed, sizeof(typed), "%.*s", (int)(len < NAME_MAX_LEN ? len : NAME_MAX_LEN), name);
    const char *nearest = nearest_option(typed);
    if (nearest == NULL)
        return FAIL(p, "there is no option --%s; --help lists them all", typed);
    return FAIL(p, "there is no option --%s; did you mean --%s?", typed, nearest);
}

/* An argument that begins with one dash: a letter, and its value maybe in the same argument. */
static int take_short(struct parser *p, const char *argument)
{
    size_t group;
    const char *value = argument[2] != '\0' ? argument + 2 : NULL;

    for (const struct option *o = next_option(NULL, &group); o != NULL; o = next_option(o, &group)) {
        if (o->letter == argument[1] && (o->kind != OPTION_FLAG || value == NULL))
            return take_option(p, o, value);
    }
    const char *nearest = nearest_option(argument + 1);
    if (nearest == NULL)
        return FAIL(p, "there is no option %s; --help lists them all", argument);
    return FAIL(p, "there is no option %s; did you mean --%s?", argument, nearest);
}

static int take_application(struct parser *p, const char *argument)
{
    const char **app = &p->config->process.python.app;

    if (*app != NULL)
        return FAIL(p, "one application is enough: \"%s\" stands behind \"%s\"", argument, *app);
    if (*argument == '\0')
        return FAIL(p, "the application's name is empty");
    *app = argument;
    return 0;
}

static int take_arguments(struct parser *p)
{
    bool options_ended = false;

    while (p->at < p->argc) {
        const char *argument = p->argv[p->at++];
        int taken = 0;
        if (!options_ended && strcmp(argument, "--") == 0)
            options_ended = true;
        else if (!options_ended && strncmp(argument, "--", 2) == 0)
            taken = take_long(p, argument + 2);
        else if (!options_ended && argument[0] == '-' && argument[1] != '\0')
            taken = take_short(p, argument);
        else
            taken = take_application(p, argument);
        if (taken != 0)
            return -1;
    }
    return 0;
}

static void set_defaults(struct config *config)
{
    size_t group;

    *config = (struct config){0};
    for (const struct option *o = next_option(NULL, &group); o != NULL; o = next_option(o, &group)) {
        if (is_number(o->kind) || o->kind == OPTION_CHOICE)
            store_number(config, o, o->initial);
        else if (o->kind == OPTION_TEXT)
            memcpy(field_of(config, o), &o->text, sizeof(o->text));
        else if (o->kind == OPTION_NETWORKS)
            cidr_list_parse(field_of(config, o), o->text, NULL, 0); /* a default is valid */
    }
}

/* Without --bind, --host and --port make one; an IPv6 address gets its brackets. */
static void bind_default(struct config *config)
{
    struct buf bind;
    const char *host = config->host;
    bool bare_ip6 = strchr(host, ':') != NULL && host[0] != '[';

    buf_init(&bind);
    buf_printf(&bind, bare_ip6 ? "[%s]:%d" : "%s:%d", host, config->port);
    append(&config->binds, &config->process.bind_count, bind.data, bind.len);
    buf_release(&bind);
}

int options_parse(struct config *config, int argc, char **argv, char *error, size_t cap)
{
    struct parser p = {.config = config, .argc = argc, .argv = argv, .at = 1, .error = error, .cap = cap};

    set_defaults(config);
    if (take_arguments(&p) != 0)
        return -1;
    if (config->show_help || config->show_version || config->show_markdown)
        return 0;
    if (config->process.python.app == NULL)
        return FAIL(&p, "no application given: cserve MODULE:APP, for example cserve apps/hello.py");
    if (config->process.bind_count == 0)
        bind_default(config);
    config->process.binds = config->binds;
    config->process.python.paths = config->paths;
    config->process.python.multithread = config->process.server.threads > 1;
    config->process.python.argc = argc;
    config->process.python.argv = argv;
    return 0;
}

static void release_list(const char **values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)values[i]);
    free(values);
}

void options_release(struct config *config)
{
    release_list(config->binds, config->process.bind_count);
    release_list(config->paths, config->process.python.path_count);
    cidr_list_release(&config->process.server.forwarded_allow);
    cidr_list_release(&config->process.server.proxy_allow);
    *config = (struct config){0};
}

/* --- help and reference ------------------------------------------------------------------------ */

#define HELP_WIDTH 80
#define HELP_INDENT 28

/* "-b, --bind ADDRESS" */
static void describe_flags(struct buf *out, const struct option *o)
{
    if (o->letter != 0)
        buf_printf(out, "-%c, ", o->letter);
    buf_printf(out, "--%s", o->name);
    if (o->metavar != NULL)
        buf_printf(out, " %s", o->metavar);
}

/* "8888"; nothing for an option without default. */
static void describe_default(struct buf *out, const struct option *o)
{
    char text[24] = "";

    if (is_number(o->kind) && o->initial <= o->max)
        format_number(text, sizeof(text), o->kind, o->initial);
    else if (is_number(o->kind))
        text[0] = '\0';
    else if (o->kind == OPTION_CHOICE)
        snprintf(text, sizeof(text), "%s", o->choices[o->initial]);
    else if (o->text != NULL)
        snprintf(text, sizeof(text), "%s", o->text);
    buf_append(out, text, strlen(text));
}

/* "0 to 65535"; nothing for what is not a number. */
static void describe_range(struct buf *out, const struct option *o)
{
    char min[24], max[24];

    if (!is_number(o->kind))
        return;
    format_number(min, sizeof(min), o->kind, o->min);
    format_number(max, sizeof(max), o->kind, o->max);
    buf_printf(out, "%s to %s%s%s", min, max, o->word != NULL ? ", " : "", o->word != NULL ? o->word : "");
}

/* Prints words from column `column` on, each further line indented. */
static void print_wrapped(FILE *out, struct str words, int column)
{
    while (words.len > 0) {
        const char *space = memchr(words.ptr, ' ', words.len);
        int len = (int)(space == NULL ? words.len : (size_t)(space - words.ptr));
        if (column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += fprintf(out, column == HELP_INDENT ? "%.*s" : " %.*s", len, words.ptr);
        size_t used = (size_t)len + (space != NULL);
        words = str_make(words.ptr + used, words.len - used);
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct option *o)
{
    struct buf flags, text;

    buf_init(&flags);
    buf_init(&text);
    describe_flags(&flags, o);
    fprintf(out, "  %.*s", (int)flags.len, flags.data);
    if ((int)flags.len + 4 > HELP_INDENT)
        fprintf(out, "\n%*s", HELP_INDENT, "");
    else
        fprintf(out, "%*s", HELP_INDENT - 2 - (int)flags.len, "");
    buf_printf(&text, "%s", o->help);
    size_t sentence_end = text.len;
    buf_printf(&text, " (default ");
    size_t before = text.len;
    describe_default(&text, o);
    if (text.len == before)
        text.len = sentence_end;
    else
        buf_append(&text, ")", 1);
    print_wrapped(out, str_make(text.data, text.len), HELP_INDENT);
    buf_release(&flags);
    buf_release(&text);
}

void options_help(FILE *out)
{
    fputs("Usage: cserve [options] MODULE[:APP]\n\n"
          "Serves a WSGI application over HTTP.\n\n"
          "  MODULE                    A dotted module (mysite.wsgi) or a file\n"
          "                            (apps/hello.py).\n"
          "  APP                       What it calls the application (app, site.app), or a\n"
          "                            call that makes it: \"create_app('prod')\". If not\n"
          "                            given: application, else app.\n\n"
          "Seconds may have decimals; K, M, G and T multiply bytes by powers of 1024.\n",
          out);
    for (size_t i = 0; i < GROUP_COUNT && groups[i].title != NULL; i++) {
        fprintf(out, "\n%s:\n", groups[i].title);
        for (const struct option *o = groups[i].options; o->name != NULL; o++)
            print_option(out, o);
    }
    fputs("\nSignals: INT and TERM stop after the requests in flight; a second one, or QUIT,\n"
          "stops at once. HUP reloads, USR1 opens the logs anew, USR2 starts a new binary\n"
          "beside this one, TTIN and TTOU add and remove a worker, WINCH stops workers.\n"
          "Exit status: 0 all finished, 1 failed, 2 usage, 3 the application\n"
          "does not load.\n",
          out);
}

static void print_markdown_row(FILE *out, const struct option *o)
{
    struct buf row;

    buf_init(&row);
    buf_printf(&row, "| `");
    describe_flags(&row, o);
    buf_printf(&row, "` | ");
    describe_default(&row, o);
    buf_printf(&row, " | ");
    describe_range(&row, o);
    buf_printf(&row, " | %s |\n", o->help);
    fwrite(row.data, 1, row.len, out);
    buf_release(&row);
}

void options_markdown(FILE *out)
{
    fputs("# Options of cserve\n\n"
          "    cserve [options] MODULE[:APP]\n\n"
          "Made from the option table in `src/config/options.c` by `make docs`. Options may stand before\n"
          "or behind the application, as `--port 80` or `--port=80`; `--` ends them. Durations are in\n"
          "seconds, decimals allowed; sizes are in bytes, and K, M, G and T multiply by powers of 1024.\n",
          out);
    for (size_t i = 0; i < GROUP_COUNT && groups[i].title != NULL; i++) {
        fprintf(out, "\n## %s\n\n| Option | Default | Range | What it does |\n| --- | --- | --- | --- |\n",
                groups[i].title);
        for (const struct option *o = groups[i].options; o->name != NULL; o++)
            print_markdown_row(out, o);
    }
}
