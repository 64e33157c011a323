/* SPDX-License-Identifier: MIT */
/*
 * /metrics: the table of what there is, and how it is written for Prometheus (text format 0.0.4) or as
 * OpenMetrics 1.0. A metric is a row: its name, type and help, its label with the values that has, and where
 * in the sample the number for each of them stands. docs/watching.md lists the rows; a test compares.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cserve/python.h"

#include "sample.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM, INFO };

struct metric {
    const char *name; /* of a counter without _total */
    enum metric_type type;
    const char *help;
    size_t at;                       /* in struct sample: a uint64_t for each value of the label */
    const char *label;               /* NULL: one number */
    const char *(*value)(int index); /* of the label; NULL behind the last. Without it: of each slot */
    double scale;                    /* 0: a whole number */
};

#define AT(field) .at = offsetof(struct sample, field)
#define MICROSECONDS 1e-6
#define MILLISECONDS 1e-3

static const char *thread_state_name(int state)
{
    static const char *const names[THREAD_STATES] = {"busy", "idle"};

    return state < THREAD_STATES ? names[state] : NULL;
}

static const char *mode_name(int mode)
{
    static const char *const names[MODES] = {"inline", "pool"};

    return mode < MODES ? names[mode] : NULL;
}

static const struct metric metrics[] = {
    {"cserve_build_info", INFO, "Version of cserve, and of the Python that it runs.", 0, NULL, NULL, 0},
    {"cserve_start_time_seconds", GAUGE, "When the master started, in seconds since 1970.", AT(started_ms),
     .scale = MILLISECONDS},
    {"cserve_ready", GAUGE, "1 while /readyz answers 200.", AT(ready)},
    {"cserve_requests", COUNTER, "Answers by class of status; none: the connection ended without one.", AT(classes),
     .label = "code", .value = class_name},
    {"cserve_requests_lost", COUNTER, "Requests that a worker was at when it died.", AT(lost)},
    {"cserve_requests_rejected", COUNTER, "Requests that cserve refused by itself, by reason.", AT(sum.rejected),
     .label = "reason", .value = server_rejection_name},
    {"cserve_requests_expired", COUNTER, "Requests that had --timeout seconds in the application, and were ended.",
     AT(expired)},
    {"cserve_requests_in_flight", GAUGE, "Requests that the application has, or that wait for a thread to call it.",
     AT(in_flight)},
    {"cserve_requests_queued", GAUGE, "Of these, those that wait for a thread.", AT(queued)},
    {"cserve_request_duration_seconds", HISTOGRAM,
     "From the first byte of a request until its answer was made, without sending it.", AT(sum.times[STATS_TOTAL])},
    {"cserve_request_app_seconds", HISTOGRAM, "Of that, in the application.", AT(sum.times[STATS_APP])},
    {"cserve_request_queue_seconds", HISTOGRAM, "Of that, complete and waiting for the application to be called.",
     AT(sum.times[STATS_QUEUED])},
    {"cserve_gil_wait_seconds", COUNTER,
     "Time that threads have waited for the GIL before they called the application.",
     AT(gil_wait_us), .scale = MICROSECONDS},
    {"cserve_gil_waits", COUNTER, "How often the GIL was taken for that.", AT(gil_waits)},
    {"cserve_takeovers", COUNTER, "How often a thread took the event loop over from one in a slow call.",
     AT(sum.takeovers)},
    {"cserve_threads", GAUGE, "Threads of all workers that may call the application: in a call (busy) or not (idle).",
     AT(threads), .label = "state", .value = thread_state_name},
    {"cserve_workers_mode", GAUGE,
     "Workers whose loop calls the application (inline), or leaves that to others (pool).",
     AT(modes), .label = "mode", .value = mode_name},
    {"cserve_workers", GAUGE, "Worker processes by what they are doing.", AT(workers), .label = "state",
     .value = child_state_name},
    {"cserve_workers_wanted", GAUGE, "Worker processes that there should be.", AT(wanted)},
    {"cserve_worker_restarts", COUNTER, "Workers that were replaced, by reason.", AT(restarts), .label = "reason",
     .value = restart_name},
    {"cserve_worker_resident_memory_bytes", GAUGE, "Resident memory of the worker that serves in each place.", AT(rss),
     .label = "worker"},
    {"cserve_worker_cpu_seconds", GAUGE,
     "Processor time of the worker that serves in each place: of the present process.",
     AT(cpu_ms), .label = "worker", .scale = MILLISECONDS},
    {"cserve_connections", GAUGE, "Open connections by what they are doing.", AT(connections), .label = "state",
     .value = server_state_name},
    {"cserve_connections_accepted", COUNTER, "Connections that were accepted.", AT(sum.accepted)},
    {"cserve_timeouts", COUNTER, "Connections that a timeout has ended, by which.", AT(sum.timeouts),
     .label = "timeout", .value = timeout_name},
    {"cserve_received_bytes", COUNTER, "Bytes that clients have sent.", AT(sum.bytes_in)},
    {"cserve_sent_bytes", COUNTER, "Bytes that were sent to clients.", AT(bytes_out)},
    {"cserve_spooled_bodies", COUNTER, "Request bodies that went to a temporary file.", AT(sum.spooled)},
    {"cserve_spool_files", GAUGE, "Temporary files of request bodies that there are.", AT(sum.spool_files)},
    {"cserve_spool_bytes", GAUGE, "Bytes in them.", AT(sum.spool_bytes)},
};

/* Upper bounds of the histograms are powers of two, in microseconds: there buckets begin, so the counts are exact. */
enum { FIRST_POWER = 7, LAST_POWER = 26 };

struct page {
    struct buf *out;
    const struct master *master;
    const struct sample *sample;
    bool open_metrics;
};

static uint64_t number_at(const struct sample *sample, const struct metric *metric, int index)
{
    uint64_t value;

    memcpy(&value, (const char *)sample + metric->at + (size_t)index * sizeof(value), sizeof(value));
    return value;
}

static void write_number(struct buf *out, const struct metric *metric, uint64_t value)
{
    if (metric->scale == 0)
        buf_append_u64(out, value);
    else
        buf_printf(out, metric->scale == MILLISECONDS ? "%.3f" : "%.6f", (double)value * metric->scale);
    buf_append(out, "\n", 1);
}

static void write_header(const struct page *page, const struct metric *metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "gauge"};
    const char *suffix = metric->type == COUNTER && !page->open_metrics ? "_total" : "";
    size_t len = strlen(metric->name);
    const char *type = types[metric->type];

    if (metric->type == INFO && page->open_metrics) { /* its name there is without _info */
        type = "info";
        len -= strlen("_info");
    }
    buf_printf(page->out, "# HELP %.*s%s %s\n", (int)len, metric->name, suffix, metric->help);
    buf_printf(page->out, "# TYPE %.*s%s %s\n", (int)len, metric->name, suffix, type);
}

static void write_histogram(const struct page *page, const struct metric *metric)
{
    const struct histogram *h = (const struct histogram *)((const char *)page->sample + metric->at);
    uint64_t count = histogram_count(h);

    for (int power = FIRST_POWER; power <= LAST_POWER; power++) {
        uint64_t bound_us = UINT64_C(1) << power;
        buf_printf(page->out, "%s_bucket{le=\"%llu.%06llu\"} %llu\n", metric->name,
                   (unsigned long long)(bound_us / 1000000), (unsigned long long)(bound_us % 1000000),
                   (unsigned long long)histogram_below(h, bound_us));
    }
    buf_printf(page->out, "%s_bucket{le=\"+Inf\"} %llu\n", metric->name, (unsigned long long)count);
    buf_printf(page->out, "%s_sum %.6f\n", metric->name, (double)stat_get(&h->sum_us) * MICROSECONDS);
    buf_printf(page->out, "%s_count %llu\n", metric->name, (unsigned long long)count);
}

static void write_info(const struct page *page, const struct metric *metric)
{
    buf_printf(page->out, "%s{version=\"%s\",python=\"%s\",linkage=\"%s\"} 1\n", metric->name,
               page->master->config->version, python_version(), python_linkage());
}

static void write_numbers(const struct page *page, const struct metric *metric)
{
    const char *suffix = metric->type == COUNTER ? "_total" : "";
    char slot[16];

    for (int i = 0;; i++) {
        const char *value = metric->value != NULL ? metric->value(i) : i < page->sample->slot_count ? slot : NULL;

        if (metric->label == NULL ? i > 0 : value == NULL)
            return;
        snprintf(slot, sizeof(slot), "%d", i);
        buf_printf(page->out, "%s%s", metric->name, suffix);
        if (metric->label != NULL)
            buf_printf(page->out, "{%s=\"%s\"}", metric->label, value);
        buf_append(page->out, " ", 1);
        write_number(page->out, metric, number_at(page->sample, metric, i));
    }
}

void metrics_write(struct buf *out, const struct master *m, bool open_metrics)
{
    struct sample *sample = sample_new(m);
    const struct page page = {out, m, sample, open_metrics};

    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const struct metric *metric = &metrics[i];

        write_header(&page, metric);
        if (metric->type == HISTOGRAM)
            write_histogram(&page, metric);
        else if (metric->type == INFO)
            write_info(&page, metric);
        else
            write_numbers(&page, metric);
    }
    if (open_metrics)
        buf_printf(out, "# EOF\n");
    sample_free(sample);
}
