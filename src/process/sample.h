/* SPDX-License-Identifier: MIT */
/*
 * What the master tells those who watch: the status listener (status.c) with its pages (metrics.c, overview.c, page.c),
 * and statsd.c. All of it is made from a sample (sample.c).
 */
#ifndef PROCESS_SAMPLE_H
#define PROCESS_SAMPLE_H

#include "cserve/buf.h"

#include "process_internal.h"

enum { CHILD_STATES = CHILD_LEAVING + 1, CLASSES = 5, MODES = 2, THREAD_STATES = 2 };

/* One worker as it is now. */
struct worker_sample {
    const struct child *child;
    uint64_t requests, rss_bytes, cpu_ms;
    uint64_t threads[THREAD_STATES]; /* busy, idle */
    uint64_t connections[STATS_STATES];
    bool pool;
};

/* All that is known at one moment, of all workers that there are and have been. */
struct sample {
    struct stats sum;                  /* counters of all, gauges of those that are */
    uint64_t classes[CLASSES];         /* answers by class: none, 2xx to 5xx */
    uint64_t bytes_out, gil_waits, gil_wait_us, expired, lost;
    uint64_t restarts[RESTARTS];
    uint64_t threads[THREAD_STATES], modes[MODES], workers[CHILD_STATES], connections[STATS_STATES];
    uint64_t in_flight, queued, rss_bytes, ready, wanted;
    uint64_t uptime_ms, started_ms;    /* the latter on the wall's clock */
    uint64_t rss[WORKERS_MAX], cpu_ms[WORKERS_MAX]; /* of the worker that serves in each slot */
    int slot_count;
    struct worker_sample *each;        /* owned */
    int each_count;
};

/* sample.c */
struct sample *sample_new(const struct master *m);
void sample_free(struct sample *sample);
/* "starting", "serving", "leaving" */
const char *child_state_name(int state);
/* "none", "2xx" */
const char *class_name(int status_class);
const char *restart_name(int restart);
const char *timeout_name(int timeout);
/* "serving", or why it is not: "starting", "draining", "stopping", "resting" */
const char *master_state(const struct master *m);

/* metrics.c: the text format of Prometheus 0.0.4, or OpenMetrics 1.0. */
void metrics_write(struct buf *out, const struct master *m, bool open_metrics);

/* overview.c: /status.json */
void overview_write(struct buf *out, const struct master *m);

/* page.c: the page that shows it, and the Content-Security-Policy that goes with it. */
void page_write(struct buf *out);
extern const char page_policy[];

#endif
