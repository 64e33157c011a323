/* SPDX-License-Identifier: MIT */
/*
 * One worker takes over from another: because there is new code (a reload), or because the old one has served
 * long enough, grown too large, or hangs (recycling). The successor imports the application and serves before
 * the old one is told to leave, so nobody finds the door closed. One slot at a time, so that there is room
 * for all, and so that workers of the same age are not all new at once.
 *
 * When new code does not start, the old workers go on as if they were current. When it has started in one slot, so
 * that it is known to be good, and then does not in another, that is tried again until it does.
 *
 * --reload is another thing: nobody wants an answer of the old code then. All workers leave at once, and who comes waits
 * at the sockets for the new ones, which answer with a traceback if the code does not load.
 */
#include <stdio.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "preload.h"
#include "process_internal.h"

enum {
    NEXT_MS = 2000, /* after which the next slot does not wait any longer for who is leaving */
    LOOK_MS = 500,  /* between two looks at how large workers are */
};

static bool is_replaceable(const struct slot *slot)
{
    return slot->child != NULL && slot->child->is == CHILD_SERVING && slot->successor == NULL;
}

/* Why the worker of a slot is to be replaced; NULL: it is not. */
static const char *reason_for(const struct master *m, const struct slot *slot)
{
    if (!is_replaceable(slot))
        return NULL;
    return slot->child->generation != m->generation ? "reload" : slot->child->worn;
}

/* The first slot whose worker is to be replaced; -1: none. */
static int next_slot(const struct master *m)
{
    for (int i = 0; i < m->slot_count; i++) {
        if (reason_for(m, &m->slots[i]) != NULL)
            return i;
    }
    return -1;
}

static bool is_under_way(const struct master *m)
{
    for (int i = 0; i < m->slot_count; i++) {
        if (m->slots[i].successor != NULL)
            return true;
    }
    return false;
}

/* --- reload ------------------------------------------------------------------------------------ */

void handover_reload(struct master *m)
{
    const struct process_config *config = m->reread();

    if (config == NULL) {
        log_error("SIGHUP: the options cannot be read again, so all stays as it is");
        return;
    }
    log_info("SIGHUP: reloading");
    notify_reloading();
    m->config = config;
    privileges_grant_log(config, config->server.access_log);
    m->generation++;
    m->reloading = true;
    m->resting = false;
    m->next_handover_ms = 0;
    for (int i = 0; i < m->slot_count; i++) {
        struct slot *slot = &m->slots[i];

        slot->start_at_ms = 0;
        if (slot->successor == NULL)
            continue;
        slot->successor->slot = -1; /* it starts the code that was current before, if it starts at all */
        child_dismiss(m, slot->successor, ORDER_STOP);
        slot->successor = NULL;
    }
}

void handover_renew(struct master *m)
{
    m->generation++;
    if (m->resting)
        return;
    for (struct child *c = m->children; c != NULL; c = c->next) {
        if (c->slot < 0)
            continue;
        c->slot = -1;
        child_dismiss(m, c, ORDER_YIELD);
    }
    for (int i = 0; i < m->slot_count; i++) {
        struct slot *slot = &m->slots[i];

        slot->child = slot->successor = NULL;
        slot->start_at_ms = 0;
        slot->pause_ms = FIRST_PAUSE_MS;
    }
    m->template_at_ms = 0;
}

/* All workers are new, and the last of the old ones has left or takes its time. */
static bool is_reloaded(const struct master *m)
{
    if (m->now_ms < m->next_handover_ms)
        return false;
    for (int i = 0; i < m->slot_count; i++) {
        const struct child *c = m->slots[i].child;
        if (c == NULL || c->is != CHILD_SERVING || c->generation != m->generation)
            return false;
    }
    return true;
}

static void end_reload(struct master *m)
{
    m->reloading = false;
    notify_ready();
}

/* --- recycling --------------------------------------------------------------------------------- */

static int64_t resident_mb(pid_t pid)
{
    char path[64];
    long total, resident = 0;

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (int64_t)resident * sysconf(_SC_PAGESIZE) / (1024 * 1024);
}

static void look_at(const struct master *m, struct child *c, bool at_memory, int64_t now_ms)
{
    const struct process_config *config = m->config;

    if (c->is != CHILD_SERVING || c->worn != NULL)
        return;
    if (config->max_lifetime_ms > 0 && now_ms - c->started_ms >= config->max_lifetime_ms)
        c->worn = "it has lived for --max-worker-lifetime";
    else if (at_memory && resident_mb(c->pid) >= config->max_memory_mb)
        c->worn = "it has grown to --max-worker-memory";
}

static void look_at_all(struct master *m, int64_t now_ms)
{
    bool at_memory = m->config->max_memory_mb > 0 && now_ms >= m->look_at_ms;

    for (struct child *c = m->children; c != NULL; c = c->next)
        look_at(m, c, at_memory, now_ms);
    if (at_memory)
        m->look_at_ms = now_ms + LOOK_MS;
}

/* --- both -------------------------------------------------------------------------------------- */

void handover_done(struct master *m, struct slot *slot)
{
    struct child *old = slot->child;

    slot->child = slot->successor;
    slot->successor = NULL;
    slot->pause_ms = m->handover_pause_ms = FIRST_PAUSE_MS;
    past_note_handover(&m->past, old->generation != m->generation ? "reload" : old->worn);
    child_dismiss(m, old, ORDER_DRAIN);
    m->handed_over = old->pid;
    m->next_handover_ms = clock_ms() + NEXT_MS;
}

static void keep_old(struct master *m)
{
    log_error("the reload has failed: the old workers go on");
    for (struct child *c = m->children; c != NULL; c = c->next)
        c->generation = m->generation;
    end_reload(m);
}

/* Slots whose worker runs the current code. */
static int count_renewed(const struct master *m)
{
    int count = 0;

    for (int i = 0; i < m->slot_count; i++) {
        const struct child *c = m->slots[i].child;
        count += c != NULL && c->is == CHILD_SERVING && c->generation == m->generation;
    }
    return count;
}

void handover_failed(struct master *m)
{
    int renewed = count_renewed(m);

    if (m->stopped_ms != 0 || m->resting)
        return;
    if (m->reloading && renewed == 0) {
        keep_old(m);
        return;
    }
    if (m->reloading)
        log_error("the reload is half done: %d of %d workers run the new code, the others go on until the next attempt, "
                  "in %g s", renewed, m->slot_count, m->handover_pause_ms / 1000.0);
    else
        log_error("the worker that was to be replaced goes on; the next attempt is in %g s",
                  m->handover_pause_ms / 1000.0);
    m->next_handover_ms = clock_ms() + m->handover_pause_ms;
    if (m->handover_pause_ms < LAST_PAUSE_MS)
        m->handover_pause_ms *= 2;
}

void handover_tend(struct master *m)
{
    int i;

    if (!m->announced)
        return;
    look_at_all(m, m->now_ms);
    if (m->reloading && is_reloaded(m)) {
        log_info("reloaded");
        end_reload(m);
        if (m->config->workers != m->configured) /* else what signals have made of it stays */
            master_resize(m);
    }
    i = next_slot(m);
    if (i < 0 || m->now_ms < m->next_handover_ms || is_under_way(m) || !preload_may_fork(m))
        return;
    log_info("worker %ld is to be replaced: %s", (long)m->slots[i].child->pid, reason_for(m, &m->slots[i]));
    child_start(m, i);
}

int64_t handover_due(const struct master *m)
{
    int64_t due_ms = 0;

    if (!m->announced)
        return 0;
    if (m->config->max_memory_mb > 0)
        due_ms = m->look_at_ms;
    if ((m->reloading || next_slot(m) >= 0) && !is_under_way(m) && m->now_ms < m->next_handover_ms)
        due_ms = earlier(due_ms, m->next_handover_ms);
    for (const struct child *c = m->children; m->config->max_lifetime_ms > 0 && c != NULL; c = c->next) {
        if (c->is == CHILD_SERVING && c->worn == NULL)
            due_ms = earlier(due_ms, c->started_ms + m->config->max_lifetime_ms);
    }
    return due_ms;
}
