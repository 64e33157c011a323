/* SPDX-License-Identifier: MIT */
/*
 * The option table, and finding rows in it: by name, or by what is nearly one.
 *
 * A row holds all that is known of an option; adding an option is adding a row. It is then a flag of the
 * command line (--log-level), a variable of the environment (CSERVE_LOG_LEVEL), a key of the configuration
 * file (log-level), and has its place in the help and the reference manual.
 */
#include "cserve/options.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cserve/syslog.h"

#include "option.h"

#define FIELD(path) .at = offsetof(struct config, path), .size = sizeof(((struct config *)0)->path)
#define COUNT_FIELD(path) .count_at = offsetof(struct config, path)
#define SERVER(field) FIELD(process.server.field)
#define LIMIT(field) FIELD(process.server.limits.field)

#define KIB UINT64_C(1024)
#define DAY_MS (UINT64_C(86400) * 1000)

/* In the order of the enums. */
static const char *const levels[] = {"debug", "info", "warning", "error", "critical", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const forwarded_kinds[] = {"x-forwarded", "forwarded", NULL};

static const struct option listening[] = {
    {.name = "host", .metavar = "HOST", .kind = OPTION_TEXT, FIELD(host), .text = "127.0.0.1",
     .at_start = true,
     .help = "Address to listen on when there is no --bind; 0.0.0.0 is every IPv4 address of this machine, "
             ":: every address."},
    {.name = "port", .metavar = "PORT", .kind = OPTION_COUNT, FIELD(port), .initial = 8888, .max = 65535,
     .at_start = true,
     .help = "Port to listen on when there is no --bind; 0 takes a free one."},
    {.letter = 'b', .name = "bind", .metavar = "ADDRESS", .kind = OPTION_LIST, FIELD(binds),
     COUNT_FIELD(process.bind_count),
     .at_start = true,
     .help = "Address to listen on, instead of --host and --port: HOST:PORT, [::1]:PORT or unix:/path. "
             "May be repeated."},
    {.name = "backlog", .metavar = "COUNT", .kind = OPTION_COUNT, FIELD(process.backlog), .initial = 2048,
     .min = 1, .max = 65535,
     .at_start = true,
     .help = "Connections that the system keeps waiting for each address, up to net.core.somaxconn."},
    {0},
};

static const struct option application[] = {
    {.name = "app", .alias = "wsgi-app", .metavar = "MODULE[:APP]", .kind = OPTION_TEXT,
     FIELD(process.python.app),
     .help = "The application, as it may also be given without a name: a dotted module (mysite.wsgi) or a "
             "file (apps/hello.py), and what that calls the application."},
    {.name = "venv", .metavar = "DIR", .kind = OPTION_TEXT, FIELD(process.python.venv),
     .help = "Virtual environment of the application. Without it: VIRTUAL_ENV, else a pyvenv.cfg beside or "
             "above the cserve executable, else none."},
    {.name = "chdir", .metavar = "DIR", .kind = OPTION_TEXT, FIELD(process.chdir),
     .at_start = true,
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
    {.name = "access-logformat", .metavar = "FORMAT", .kind = OPTION_TEXT, SERVER(access_logformat),
     .text = "combined",
     .help = "What these lines say: combined, common, json, or a text with atoms such as %(h)s; docs/logs.md "
             "lists them."},
    {.name = "error-logfile", .alias = "log-file", .metavar = "FILE", .kind = OPTION_TEXT,
     FIELD(error_log), .text = "-",
     .help = "Append messages, tracebacks and what the application writes to wsgi.errors to this file; - is "
             "stderr."},
    {.name = "log-level", .metavar = "LEVEL", .kind = OPTION_CHOICE, FIELD(log_level), .choices = levels,
     .initial = LOG_LEVEL_INFO,
     .help = "Least important messages to log: debug, info, warning, error or critical."},
    {.name = "log-json", .kind = OPTION_FLAG, FIELD(log_json),
     .help = "Write each message of the error log as a JSON object of one line. For the access log: "
             "--access-logformat json."},
    {.name = "log-syslog", .kind = OPTION_FLAG, FIELD(syslog),
     .at_start = true,
     .help = "Send the error log and the access log to syslog, too."},
    {.name = "log-syslog-to", .metavar = "ADDRESS", .kind = OPTION_TEXT, FIELD(syslog_to),
     .text = "unix:///dev/log",
     .at_start = true,
     .help = "Where that listens: unix:///PATH or udp://HOST:PORT."},
    {.name = "log-syslog-facility", .metavar = "NAME", .kind = OPTION_CHOICE, FIELD(syslog_facility),
     .choices = syslog_facilities, .initial = 1,
     .at_start = true,
     .help = "The facility of what is sent there: user, daemon, local0 and so on."},
    {.name = "log-syslog-prefix", .metavar = "TEXT", .kind = OPTION_TEXT, FIELD(syslog_prefix),
     .at_start = true,
     .help = "Lines there are from cserve.TEXT.error and cserve.TEXT.access, instead of cserve.error and "
             "cserve.access."},
    {.name = "disable-redirect-access-to-syslog", .kind = OPTION_FLAG, SERVER(access_not_to_syslog),
     .help = "Send only the error log to syslog."},
    {.name = "slow-request", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(slow_request_ms),
     .max = DAY_MS,
     .help = "Say in the error log where the application is when a request has kept it so long, while it goes "
             "on; 0: never."},
    {0},
};

static const struct option timeouts[] = {
    {.letter = 't', .name = "timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, SERVER(timeout_ms),
     .initial = 30000, .max = DAY_MS,
     .help = "Time that the application has for one request. Then the error log says where it is, the client gets 504, "
             "and cserve.RequestTimeout is raised in it. 0 lets it take as long as it likes."},
    {.name = "start-timeout", .metavar = "SECONDS", .kind = OPTION_DURATION, FIELD(process.start_timeout_ms),
     .initial = 60000, .max = DAY_MS,
     .help = "Time that a worker which replaces another has to load the application. Then the error log says where it "
             "is, and the old one goes on. The first start may take as long as it likes, as all may with 0."},
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
     .at_start = true,
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
    {.letter = 'p', .name = "pid", .metavar = "FILE", .kind = OPTION_TEXT, FIELD(process.pid_file),
     .at_start = true,
     .help = "Write the master's pid to this file, and remove that at the end."},
    {.letter = 'u', .name = "user", .metavar = "USER", .kind = OPTION_TEXT, FIELD(process.user),
     .at_start = true,
     .help = "Run the application as this user, a name or a number; only root can. The master stays root, so "
             "that it can open ports and log files."},
    {.letter = 'g', .name = "group", .metavar = "GROUP", .kind = OPTION_TEXT, FIELD(process.group),
     .at_start = true,
     .help = "Run the application as this group. Without it: the group of --user."},
    {.letter = 'm', .name = "umask", .metavar = "MODE", .kind = OPTION_MODE, FIELD(process.umask_bits),
     .initial = UMASK_INHERITED, .max = 0777,
     .at_start = true,
     .help = "Permissions that files created here do not get, octal. Without it: those of the shell."},
    {0},
};

static const struct option development[] = {
    {.name = "reload", .kind = OPTION_FLAG, FIELD(process.reload),
     .at_start = true,
     .help = "Replace the workers when a file is saved whose code they run, or a template that they have read. "
             "Code that does not load is answered with its traceback until the next save."},
    {.name = "reload-extra-file", .metavar = "FILE", .kind = OPTION_LIST, FIELD(reload_files),
     COUNT_FIELD(process.reload_file_count),
     .at_start = true,
     .help = "With --reload, another file to watch; of a directory, all that are in it. May be repeated."},
    {.name = "show-requests", .kind = OPTION_FLAG, SERVER(show_requests),
     .help = "Print each request as it came over the wire, and the response head that answered it; in colour on a "
             "terminal."},
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
     .help = "Every connection must begin with a PROXY protocol header, version 1 or 2. One of version 2 may tell that the "
             "client came by TLS (send-proxy-v2-ssl): then the scheme is https."},
    {.name = "proxy-allow-from", .metavar = "LIST", .kind = OPTION_NETWORKS, SERVER(proxy_allow),
     .text = "127.0.0.1,::1", .may_be_empty = true,
     .help = "Who may send PROXY protocol headers, as a list like that of --forwarded-allow-ips; all others are "
             "refused."},
    {0},
};

static const struct option watching[] = {
    {.name = "status", .metavar = "ADDRESS", .kind = OPTION_TEXT, FIELD(process.status),
     .at_start = true,
     .help = "Say how the server is at this address: 127.0.0.1:PORT or unix:/path, with a live page at /, /metrics "
             "for Prometheus, /healthz, /readyz and /status.json."},
    {.name = "drain-delay", .metavar = "SECONDS", .kind = OPTION_DURATION, FIELD(process.drain_delay_ms),
     .max = DAY_MS,
     .help = "Time from SIGTERM until the server begins to stop. Meanwhile /readyz answers 503, so that who balances "
             "load sends nobody any more."},
    {.name = "statsd-host", .metavar = "HOST:PORT", .kind = OPTION_TEXT, FIELD(process.statsd),
     .at_start = true,
     .help = "Send metrics to this statsd server every second, over UDP; or unix:///PATH."},
    {.name = "statsd-prefix", .metavar = "PREFIX", .kind = OPTION_TEXT, FIELD(process.statsd_prefix), .text = "",
     .may_be_empty = true, .at_start = true,
     .help = "What the names of these metrics begin with; a dot follows it."},
    {.name = "dogstatsd-tags", .metavar = "TAGS", .kind = OPTION_TEXT, FIELD(process.statsd_tags), .text = "",
     .may_be_empty = true, .at_start = true,
     .help = "Tags for each of these metrics, as DogStatsD has them, separated by commas."},
    {0},
};

static const struct option static_files[] = {
    {.name = "static", .metavar = "/PREFIX=DIR", .kind = OPTION_LIST, FIELD(statics),
     COUNT_FIELD(process.server.static_count),
     .help = "Answer requests below /PREFIX with the files of this directory, without the application; docs/static.md "
             "says how. May be repeated."},
    {.name = "static-max-age", .metavar = "SECONDS", .kind = OPTION_COUNT, SERVER(static_max_age), .max = 31536000,
     .help = "Time that clients may use such a file without asking again; 0 leaves that to them."},
    {0},
};

static const struct option configuration[] = {
    {.letter = 'c', .name = "config", .metavar = "FILE", .kind = OPTION_TEXT, FIELD(config_file),
     .not_in_file = true,
     .help = "Read options from the section [cserve] of this file, whose name counts from where cserve was "
             "started. Without it: setup.cfg of the current directory (--chdir), if that has such a section."},
    {.name = "print-config", .kind = OPTION_FLAG, FIELD(print_config), .is_order = true,
     .help = "Print every option's value and where it came from, and exit."},
    {.name = "check", .alias = "check-config", .kind = OPTION_FLAG, FIELD(check), .is_order = true,
     .help = "Load the configuration and the application, serve nothing, and exit with status 0, or 1 if one "
             "of them is not in order."},
    {0},
};

static const struct option other[] = {
    {.name = "server-header", .metavar = "TEXT", .kind = OPTION_TEXT, SERVER(server_name), .text = "cserve",
     .may_be_empty = true,
     .help = "Value of the Server field of responses; with an empty one there is no such field."},
    {.name = "version", .kind = OPTION_FLAG, FIELD(show_version), .is_question = true,
     .help = "Print the version, the Python it runs and how that is linked, and exit."},
    {.letter = 'h', .name = "help", .kind = OPTION_FLAG, FIELD(show_help), .is_question = true,
     .help = "Print this help and exit."},
    {0},
};

/* Options that --help does not show: `make docs` and `make install` use them. */
static const struct option hidden[] = {
    {.name = "help-markdown", .kind = OPTION_FLAG, FIELD(show_markdown), .is_question = true},
    {.name = "help-man", .kind = OPTION_FLAG, FIELD(show_manual), .is_question = true},
    {.name = "completion", .metavar = "SHELL", .kind = OPTION_CHOICE, FIELD(completion), .choices = shells,
     .initial = COMPLETION_NONE, .is_question = true},
    {0},
};

const struct option_group option_groups[] = {
    {"Listening", listening}, {"Application", application}, {"Configuration", configuration},
    {"Concurrency", concurrency}, {"Watching", watching},
    {"Processes", processes},     {"Development", development},
    {"Logging", logging},     {"Timeouts", timeouts},
    {"Limits", limits},       {"Proxies", proxies},         {"Static files", static_files},
    {"Other", other},         {NULL, hidden},
    {NULL, NULL},
};

/* --- finding rows ------------------------------------------------------------------------------ */

static const struct option *option_in_group(size_t index, size_t *group)
{
    for (*group = 0; option_groups[*group].options != NULL; *group += 1) {
        for (const struct option *o = option_groups[*group].options; o->name != NULL; o++) {
            if (index-- == 0)
                return o;
        }
    }
    return NULL;
}

const struct option *option_at(size_t index)
{
    size_t group;

    return option_in_group(index, &group);
}

static bool is_name(const char *known, struct str name, bool loosely)
{
    if (known == NULL || strlen(known) != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        bool same = known[i] == name.ptr[i];
        bool dashes = (known[i] == '-' || known[i] == '_') && (name.ptr[i] == '-' || name.ptr[i] == '_');
        if (!same && !(loosely && dashes))
            return false;
    }
    return true;
}

const struct option *option_find(struct str name, bool loosely)
{
    const struct option *o;

    for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
        if (is_name(o->name, name, loosely) || is_name(o->alias, name, loosely))
            return o;
    }
    return NULL;
}

bool option_may_be_in(const struct option *o, enum source source)
{
    if (o->is_order || o->is_question)
        return source == SOURCE_COMMAND_LINE;
    return !o->not_in_file || source != SOURCE_FILE;
}

bool option_has_negation(const struct option *o)
{
    return o->kind == OPTION_FLAG && !o->is_order && !o->is_question;
}

bool option_is_list(const struct option *o)
{
    return o->kind == OPTION_LIST || o->kind == OPTION_PATHS;
}

bool option_is_number(const struct option *o)
{
    return o->kind == OPTION_COUNT || o->kind == OPTION_MODE || o->kind == OPTION_SIZE ||
           o->kind == OPTION_DURATION;
}

void option_variable(char *text, size_t cap, const char *name)
{
    size_t len = (size_t)snprintf(text, cap, "CSERVE_%s", name);

    for (size_t i = 0; i < len && i + 1 < cap; i++) {
        if (text[i] == '-')
            text[i] = '_';
        else if (text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - 'a' + 'A');
    }
}

void option_keyword(char *text, size_t cap, const char *name)
{
    snprintf(text, cap, "%s", name);
    for (char *dash = strchr(text, '-'); dash != NULL; dash = strchr(dash, '-'))
        *dash = '_';
}

/* --- the nearest option to a mistyped one ------------------------------------------------------ */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t option_distance(const char *a, const char *b)
{
    size_t rows[3][OPTION_NAME_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > OPTION_NAME_MAX || b_len > OPTION_NAME_MAX)
        return OPTION_NAME_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], higher[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

/* "log_level" as "loglevel": what people forget in a name, or have otherwise from elsewhere. */
static void squash(char *out, const char *name)
{
    size_t len = 0;

    for (; *name != '\0' && len < OPTION_NAME_MAX; name++) {
        if (*name != '-' && *name != '_')
            out[len++] = *name;
    }
    out[len] = '\0';
}

static void lower(char *out, const char *name)
{
    size_t len = 0;

    for (; *name != '\0' && len < OPTION_NAME_MAX; name++)
        out[len++] = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
    out[len] = '\0';
}

size_t option_distance_to(const char *typed, const char *name)
{
    char low[OPTION_NAME_MAX + 1] = "", a[OPTION_NAME_MAX + 1] = "", b[OPTION_NAME_MAX + 1] = "";

    lower(low, typed);
    size_t distance = option_distance(low, name);
    squash(a, low);
    squash(b, name);
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len >= 3 && strncmp(a, b, a_len) == 0)
        return least(distance / 2, 1);
    if (strlen(low) == strlen(name) + 1 && strncmp(low, name, strlen(name)) == 0) /* "slow-requests" */
        return 0;
    if (distance > 3 && b_len >= 3 && strncmp(a, b, b_len) == 0)
        return 3;
    return distance;
}

size_t option_far(const char *typed)
{
    return strlen(typed) / 3 + 2;
}

struct search {
    const char *typed;
    size_t best;
    const char *name;   /* NULL: none is near */
    const char *prefix; /* "no-", or "" */
};

static void consider(struct search *search, const char *prefix, const char *name)
{
    char whole[OPTION_NAME_MAX + 1];

    if (name == NULL)
        return;
    snprintf(whole, sizeof(whole), "%s%s", prefix, name);
    size_t distance = option_distance_to(search->typed, whole);
    if (distance < search->best) {
        search->best = distance;
        search->name = name;
        search->prefix = prefix;
    }
}

bool option_nearest(char *nearest, size_t cap, const char *name, enum source source)
{
    struct search search = {.typed = name, .best = option_far(name)};
    const struct option *o;
    size_t group;

    for (size_t i = 0; (o = option_in_group(i, &group)) != NULL; i++) {
        if (option_groups[group].title == NULL || !option_may_be_in(o, source))
            continue;
        consider(&search, "", o->name);
        consider(&search, "", o->alias);
        if (source == SOURCE_COMMAND_LINE && option_has_negation(o))
            consider(&search, "no-", o->name);
    }
    if (search.name == NULL)
        return false;
    snprintf(nearest, cap, "%s%s", search.prefix, search.name);
    return true;
}
