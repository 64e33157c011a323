/* SPDX-License-Identifier: MIT */
/*
 * Which listening sockets there are: one for each slot and address, all opened and kept by the master. They
 * come from the options, or from an old master that this one takes over from, or from the service manager.
 *
 * New connections are spread over the sockets of a port by chance. Before those of a slot are closed, and
 * while its worker does not come up, they are steered to the others, so that nobody waits at a door that goes
 * away or stays shut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/mem.h"

#include "process_internal.h"

enum { FIRST_PASSED = 3 }; /* descriptor, by the protocol of LISTEN_FDS */

static struct slot *new_slot(struct master *m)
{
    struct slot *slot = &m->slots[m->slot_count++];

    *slot = (struct slot){.pause_ms = FIRST_PAUSE_MS};
    slot->listeners = mem_zalloc(m->address_count * sizeof(*slot->listeners));
    for (size_t i = 0; i < m->address_count; i++)
        slot->listeners[i].fd = -1;
    return slot;
}

void sockets_complain(const struct process_config *config, size_t i, const char *error)
{
    if (config->bind_labels != NULL)
        log_critical("%s: %s", config->bind_labels[i], error);
    else
        log_critical("%s", error);
}

static int bind_first(struct master *m)
{
    const struct process_config *config = m->config;
    char error[512];

    m->address_count = config->bind_count;
    struct slot *slot = new_slot(m);
    for (size_t i = 0; i < m->address_count; i++) {
        struct listener *l = &slot->listeners[i];
        if (listener_open(l, config->binds[i], config->backlog, error, sizeof(error)) != 0) {
            sockets_complain(config, i, error);
            return -1;
        }
    }
    return 0;
}

/* Takes over what was passed, `count` descriptors, in the order of slots and in each of addresses. */
static int adopt(struct master *m, const int *fds, size_t count, size_t per_slot)
{
    m->address_count = per_slot;
    for (size_t i = 0; i < count; i++) {
        if (i % per_slot == 0)
            new_slot(m);
        struct slot *slot = &m->slots[m->slot_count - 1];
        if (listener_adopt(&slot->listeners[i % per_slot], fds[i]) != 0) {
            log_critical("descriptor %d that was passed is no listening socket: %s", fds[i], strerror(errno));
            return -1;
        }
        if (count > per_slot)
            slot->listeners[i % per_slot].shared = true;
    }
    return 0;
}

/* A decimal number in the environment; 0 if there is none. The variable is not for the application. */
static long take_number(const char *name)
{
    const char *text = getenv(name);
    long value = text == NULL ? 0 : strtol(text, NULL, 10);

    unsetenv(name);
    return value;
}

/* Sockets of the service manager. 1 if there are some, 0 if not, -1 with the reason logged. */
static int adopt_activated(struct master *m)
{
    long pid = take_number("LISTEN_PID"), count = take_number("LISTEN_FDS");
    int fds[64];

    unsetenv("LISTEN_FDNAMES");
    if (pid != (long)getpid() || count <= 0)
        return 0;
    if (count > (long)(sizeof(fds) / sizeof(fds[0]))) {
        log_critical("%ld sockets were passed: that is too many", count);
        return -1;
    }
    for (int i = 0; i < (int)count; i++)
        fds[i] = FIRST_PASSED + i;
    m->activated = true;
    return adopt(m, fds, (size_t)count, (size_t)count) == 0 ? 1 : -1;
}

/* 1, 0 or -1, as above. */
static int adopt_from_old(struct master *m)
{
    struct passed passed;
    int result = 0;

    upgrade_inherited(m, &passed);
    m->activated = passed.activated;
    if (passed.fds != NULL)
        result = adopt(m, passed.fds, passed.count, passed.per_slot) == 0 ? 1 : -1;
    free(passed.fds);
    return result;
}

int sockets_open(struct master *m)
{
    int got = adopt_from_old(m);

    if (got == 0)
        got = adopt_activated(m);
    if (got == 0)
        got = bind_first(m);
    return got < 0 ? -1 : 0;
}

int sockets_add(struct master *m)
{
    int index = m->slot_count;
    struct slot *slot = new_slot(m);

    for (size_t i = 0; i < m->address_count; i++) {
        if (listener_clone(&slot->listeners[i], &m->slots[0].listeners[i], m->config->backlog) == 0)
            continue;
        log_error("cannot open a socket for worker number %d: %s", index + 1, strerror(errno));
        sockets_drop(m);
        return -1;
    }
    return 0;
}

/* Whether new connections may wait there: for a worker that serves, or that will soon. */
static bool is_open(const struct master *m, int i)
{
    const struct slot *slot = &m->slots[i];

    bool soon = slot->start_at_ms == 0 || slot->pause_ms <= 2 * FIRST_PAUSE_MS;

    return i < m->wanted && (slot->child != NULL || soon);
}

void sockets_steer(struct master *m)
{
    unsigned numbers[WORKERS_MAX], count = 0;

    for (int i = 0; i < m->slot_count; i++) {
        if (is_open(m, i))
            numbers[count++] = (unsigned)i;
    }
    size_t size = count * sizeof(*numbers);
    if (count == 0 || (count == m->steered_count && memcmp(numbers, m->steered, size) == 0))
        return;
    memcpy(m->steered, numbers, size);
    m->steered_count = count;
    for (size_t i = 0; i < m->address_count; i++) {
        const struct listener *l = &m->slots[0].listeners[i];
        if (!l->shared && listener_steer(l, numbers, count) != 0)
            m->steered_count = 0; /* there is no other socket yet, or the system cannot do it: try again */
    }
}

static void close_slot(const struct master *m, struct slot *slot, bool unlink_paths)
{
    for (size_t i = 0; i < m->address_count; i++)
        listener_close(&slot->listeners[i], unlink_paths);
    free(slot->listeners);
    slot->listeners = NULL;
}

void sockets_drop(struct master *m)
{
    close_slot(m, &m->slots[--m->slot_count], false);
}

void sockets_close(struct master *m)
{
    bool others = m->heir != 0 || m->old_master >= 0 || m->activated;

    while (m->slot_count > 1)
        sockets_drop(m);
    if (m->slot_count == 1)
        close_slot(m, &m->slots[0], !others);
    m->slot_count = 0;
}
