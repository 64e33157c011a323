/* SPDX-License-Identifier: MIT */
/*
 * The picture of `cserve top`. It is written row by row, each cut off where the screen ends, and the rows are counted.
 *
 * Whatever comes from the server (its application's name, what clients ask for) goes through put_text, which writes
 * printable ASCII alone: a request line cannot move the cursor, nor leave the terminal in another state.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cserve/stats.h"

#include "top.h"

enum { TEXT_MAX = 512, ROW_MAX = 1024, SLOW_MS = 1000, VERY_SLOW_MS = 10000 };

enum style { PLAIN, BOLD, DIM, GOOD, WARN, BAD, HEADING };

static const char *const styles[] = {
    [BOLD] = "\x1b[1m", [DIM] = "\x1b[2m", [GOOD] = "\x1b[32m", [WARN] = "\x1b[33m", [BAD] = "\x1b[1;31m",
    [HEADING] = "\x1b[7m",
};

struct drawing {
    struct buf *out;
    const struct screen *screen;
    const struct look *now, *before;
    bool compared;    /* there is a `before` to compare with */
    double seconds;   /* since then; 1 if there is none */
    int edge;         /* no character of a row is there or behind; 0: there is none */
    int rows, column; /* rows that are complete; the next character's place in this one */
};

/* --- rows -------------------------------------------------------------------------------------- */

static int rows_left(const struct drawing *d)
{
    return d->screen->height > 0 ? d->screen->height - d->rows : ROW_MAX;
}

static void put_bytes(struct drawing *d, enum style style, const char *text, int len)
{
    int room = d->edge > 0 ? d->edge - d->column : len;
    bool styled = style != PLAIN && d->screen->colour;

    if (len > room)
        len = room;
    if (len <= 0 || rows_left(d) <= 0)
        return;
    if (styled)
        buf_printf(d->out, "%s", styles[style]);
    buf_append(d->out, text, (size_t)len);
    if (styled)
        buf_printf(d->out, "\x1b[m");
    d->column += len;
}

__attribute__((format(printf, 3, 4)))
static void put(struct drawing *d, enum style style, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_bytes(d, style, text, len < TEXT_MAX ? len : TEXT_MAX - 1);
}

static void put_printable(struct drawing *d, enum style style, struct str bytes)
{
    char text[4 * TEXT_MAX];
    size_t len = str_escape(text, sizeof(text), bytes);

    put_bytes(d, style, text, (int)len);
}

/* What a string of the server's says. */
static void put_text(struct drawing *d, enum style style, struct str value)
{
    char bytes[TEXT_MAX];

    put_printable(d, style, str_make(bytes, json_text(value, bytes, sizeof(bytes))));
}

static void put_spaces(struct drawing *d, enum style style, int until)
{
    put(d, style, "%*s", until > d->column ? until - d->column : 0, "");
}

static void end_row(struct drawing *d)
{
    if (rows_left(d) <= 0)
        return;
    if (d->screen->live)
        buf_printf(d->out, "\x1b[K%s", rows_left(d) > 1 ? "\r\n" : "");
    else
        buf_printf(d->out, "\n");
    d->rows++;
    d->column = 0;
}

__attribute__((format(printf, 2, 3)))
static void heading(struct drawing *d, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(d, HEADING, "%s", text);
    if (d->screen->colour)
        put_spaces(d, HEADING, d->screen->width);
    end_row(d);
}

/* --- numbers ----------------------------------------------------------------------------------- */

/* "850 us", "2.3 ms", "41 s", "7 min" */
static const char *duration(char text[32], uint64_t us)
{
    double value = (double)us;

    if (us < 1000)
        snprintf(text, 32, "%d us", (int)us);
    else if (us < 1000000)
        snprintf(text, 32, value < 9950 ? "%.1f ms" : "%.0f ms", value / 1e3);
    else if (us < 60000000)
        snprintf(text, 32, "%.1f s", value / 1e6);
    else if (us < 3600000000)
        snprintf(text, 32, "%.0f min", value / 6e7);
    else
        snprintf(text, 32, value < 48 * 3.6e9 ? "%.1f h" : "%.0f days", value / (value < 48 * 3.6e9 ? 3.6e9 : 8.64e10));
    return text;
}

/* "9.8M" */
static const char *size_text(char text[32], uint64_t bytes)
{
    static const char units[] = "BKMGT";
    double value = (double)bytes;
    int unit = 0;

    while (value >= 1000 && units[unit + 1] != '\0') {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, value < 9.95 && unit > 0 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return text;
}

/* How much a counter has grown, in a second. */
static double rate(const struct drawing *d, uint64_t now, uint64_t before)
{
    return d->compared && now > before ? (double)(now - before) / d->seconds : 0;
}

static double total_rate(const struct drawing *d, const char *name)
{
    return rate(d, look_u64(d->now, "totals", name), look_u64(d->before, "totals", name));
}

static double class_rate(const struct drawing *d, const char *name)
{
    return rate(d, json_u64(json_member(look_value(d->now, "totals", "requests"), name)),
                json_u64(json_member(look_value(d->before, "totals", "requests"), name)));
}

/* Adds what a look says of the time of requests; or takes it away. */
static void count(struct histogram *h, const struct look *look, bool away)
{
    struct str rest = json_member(look_value(look, "latency", "total"), "buckets"), each, from, to, number;

    while (json_next(&rest, &each)) {
        if (!json_next(&each, &from) || !json_next(&each, &to) || !json_next(&each, &number))
            continue;
        stat_t *bucket = &h->counts[histogram_bucket(json_u64(from))];
        if (away)
            stat_sub(bucket, json_u64(number));
        else
            stat_add(bucket, json_u64(number));
    }
}

/* --- what the server does ---------------------------------------------------------------------- */

/* "app.py" for "/srv/site/app.py": which of several it is, the address beside it tells. */
static void put_app(struct drawing *d)
{
    char bytes[TEXT_MAX];
    size_t len = json_text(look_value(d->now, "server", "app"), bytes, sizeof(bytes));
    const char *slash = memrchr(bytes, '/', len), *name = slash != NULL ? slash + 1 : bytes;

    put_printable(d, BOLD, str_make(name, len - (size_t)(name - bytes)));
}

static void draw_title(struct drawing *d)
{
    static const char leave[] = "q quits";
    struct str state = look_value(d->now, "server", "state"), rest = look_value(d->now, "server", "addresses"), url;
    bool serves = json_is_true(look_value(d->now, "server", "ready"));
    int end = d->screen->width - (int)sizeof(leave) + 1;
    char text[32];

    if (d->screen->live && end > 0)
        d->edge = end - 1;
    put_app(d);
    put(d, PLAIN, "  ");
    put_text(d, serves ? GOOD : WARN, state);
    put(d, PLAIN, "  up %s", duration(text, look_u64(d->now, "server", "uptime_ms") * 1000));
    while (json_next(&rest, &url)) {
        put(d, PLAIN, "  ");
        put_text(d, PLAIN, url);
    }
    d->edge = d->screen->width;
    if (d->screen->live && end > 0) {
        put_spaces(d, PLAIN, end);
        put(d, DIM, "%s", leave);
    }
    end_row(d);
}

static void draw_requests(struct drawing *d)
{
    static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx", "none"};
    struct str requests = look_value(d->now, "totals", "requests");
    double all = 0;

    for (int i = 0; i < 5; i++)
        all += class_rate(d, classes[i]);
    put(d, PLAIN, "requests  ");
    put(d, BOLD, "%8.0f/s", all);
    put(d, PLAIN, "   ");
    for (int i = 0; i < 5; i++) {
        double each = class_rate(d, classes[i]);
        put(d, i >= 3 && each > 0 ? BAD : PLAIN, " %s %.0f ", classes[i], each);
    }
    put(d, DIM, "  total %llu", (unsigned long long)look_sum(requests));
    end_row(d);
}

static void draw_latency(struct drawing *d)
{
    static const struct {
        const char *name;
        unsigned per_mille;
    } columns[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p99.9", 999}};
    struct histogram fresh = {0};
    char text[32];

    if (d->compared) {
        count(&fresh, d->now, false);
        count(&fresh, d->before, true);
    }
    put(d, PLAIN, "latency   ");
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        bool known = histogram_count(&fresh) > 0;
        put(d, PLAIN, "%s%s ", i > 0 ? "   " : "", columns[i].name);
        put(d, BOLD, "%s", known ? duration(text, histogram_quantile_us(&fresh, columns[i].per_mille)) : "-");
    }
    end_row(d);
}

static void draw_threads(struct drawing *d)
{
    uint64_t busy = look_u64(d->now, "now", "threads_busy"), idle = look_u64(d->now, "now", "threads_idle");
    uint64_t queued = look_u64(d->now, "now", "queued"), lost = look_u64(d->now, "totals", "lost");
    char text[32];

    put(d, PLAIN, "threads   ");
    put(d, busy > 0 && idle == 0 ? WARN : BOLD, "%llu busy", (unsigned long long)busy);
    put(d, PLAIN, ", %llu idle   in flight %llu   ", (unsigned long long)idle,
        (unsigned long long)look_u64(d->now, "now", "in_flight"));
    put(d, queued > 0 ? WARN : PLAIN, "queued %llu", (unsigned long long)queued);
    put(d, PLAIN, "   memory %s   ", size_text(text, look_u64(d->now, "now", "rss_bytes")));
    put(d, lost > 0 ? BAD : PLAIN, "lost %llu", (unsigned long long)lost);
    end_row(d);
}

static void draw_connections(struct drawing *d)
{
    struct str rest = look_value(d->now, "now", "connections"), name, value;
    char sent[32], received[32];

    put(d, PLAIN, "clients   ");
    put(d, BOLD, "%llu", (unsigned long long)look_sum(rest));
    while (json_next_member(&rest, &name, &value)) {
        if (json_u64(value) == 0)
            continue;
        put(d, PLAIN, "  ");
        put_text(d, PLAIN, name);
        put(d, PLAIN, " %llu", (unsigned long long)json_u64(value));
    }
    put(d, PLAIN, "   sent %s/s, received %s/s", size_text(sent, (uint64_t)total_rate(d, "sent_bytes")),
        size_text(received, (uint64_t)total_rate(d, "received_bytes")));
    end_row(d);
}

/* --- workers ----------------------------------------------------------------------------------- */

static uint64_t of(struct str object, const char *name)
{
    return json_u64(json_member(object, name));
}

static void draw_worker(struct drawing *d, struct str worker)
{
    struct str before = d->compared ? look_worker(d->before, of(worker, "pid")) : STR("");
    uint64_t busy = of(worker, "threads_busy"), threads = busy + of(worker, "threads_idle");
    bool serves = str_equal(json_member(worker, "state"), STR("\"serving\""));
    double cpu = before.len > 0 ? rate(d, of(worker, "cpu_ms"), of(before, "cpu_ms")) / 10 : 0;
    double requests = before.len > 0 ? rate(d, of(worker, "requests"), of(before, "requests")) : 0;
    char text[32];

    put(d, PLAIN, "%8llu  ", (unsigned long long)of(worker, "pid"));
    put_text(d, serves ? GOOD : WARN, json_member(worker, "state"));
    put_spaces(d, PLAIN, 20);
    put_text(d, PLAIN, json_member(worker, "mode"));
    put_spaces(d, PLAIN, 27);
    put(d, PLAIN, " %5s", size_text(text, of(worker, "rss_bytes")));
    put(d, PLAIN, " %6.1f %8.0f  ", cpu, requests);
    put(d, busy > 0 && busy == threads ? WARN : PLAIN, "%4llu of %-4llu", (unsigned long long)busy,
        (unsigned long long)threads);
    put(d, PLAIN, " %11llu", (unsigned long long)look_sum(json_member(worker, "connections")));
    end_row(d);
}

/* `most`: how many rows they may have. */
static void draw_workers(struct drawing *d, int most)
{
    struct str rest = json_member(d->now->root, "workers"), each;
    int shown = 0, hidden = 0;

    heading(d, "%8s  %-9s %-6s %5s %6s %8s  %-12s %11s", "PID", "STATE", "MODE", "RSS", "CPU %", "REQ/S",
            "THREADS BUSY", "CONNECTIONS");
    while (json_next(&rest, &each)) {
        bool is_last_of_all = hidden == 0 && *rest.ptr == ']';
        if (shown + 1 < most || (shown < most && is_last_of_all)) {
            draw_worker(d, each);
            shown++;
        } else {
            hidden++;
        }
    }
    if (hidden > 0) {
        put(d, DIM, "          and %d more", hidden);
        end_row(d);
    }
    end_row(d);
}

/* --- requests in flight ------------------------------------------------------------------------ */

static void draw_in_flight(struct drawing *d)
{
    struct str rest = json_member(d->now->root, "in_flight"), each;
    char text[32];

    heading(d, "%8s  %-9s %s", "AGE", "WORKER", "REQUEST IN FLIGHT");
    while (rows_left(d) > 0 && json_next(&rest, &each)) {
        uint64_t age_ms = of(each, "age_ms");
        put(d, age_ms >= VERY_SLOW_MS ? BAD : age_ms >= SLOW_MS ? WARN : PLAIN, "%8s",
            duration(text, (age_ms > 0 ? age_ms : 1) * 1000));
        put(d, PLAIN, "  %-9llu ", (unsigned long long)of(each, "worker"));
        put_text(d, PLAIN, json_member(each, "line"));
        end_row(d);
    }
}

void screen_draw(struct buf *out, const struct screen *screen, const struct look *now, const struct look *before)
{
    struct drawing d = {
        .out = out, .screen = screen, .now = now, .before = before, .seconds = 1, .edge = screen->width};
    int most = screen->height > 0 ? screen->height / 3 : ROW_MAX;

    d.compared = look_follows(now, before);
    if (d.compared)
        d.seconds = (double)(look_ms(now) - look_ms(before)) / 1000;
    if (screen->live)
        buf_printf(out, "\x1b[H");
    draw_title(&d);
    if (screen->trouble != NULL) {
        put(&d, BAD, "%s", screen->trouble);
        end_row(&d);
    }
    draw_requests(&d);
    draw_latency(&d);
    draw_threads(&d);
    draw_connections(&d);
    end_row(&d);
    draw_workers(&d, most < 2 ? 2 : most);
    draw_in_flight(&d);
    if (screen->live)
        buf_printf(out, "\x1b[J");
}
