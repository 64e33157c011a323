/* SPDX-License-Identifier: MIT */
/*
 * --check: all that a start would do with the configuration and the application, short of listening and
 * serving.
 */
#include <stdio.h>

#include "cserve/address.h"
#include "cserve/log.h"

#include "process_internal.h"
#include "worker.h"

static int check_addresses(const struct process_config *config)
{
    struct address address;
    char error[512];

    for (size_t i = 0; i < config->bind_count; i++) {
        if (address_parse(&address, config->binds[i], error, sizeof(error)) != 0) {
            sockets_complain(config, i, error);
            return -1;
        }
    }
    return 0;
}

static int load_application(const struct process_config *config)
{
    struct handler *handler = worker_load(config, -1);
    int result = handler != NULL ? 0 : -1;

    python_stop(handler);
    return result;
}

int process_check(const struct process_config *config)
{
    if (check_addresses(config) != 0 || status_check(config) != 0 || privileges_check(config) != 0 ||
        privileges_drop(config) != 0 || load_application(config) != 0)
        return EXIT_FAILED;
    printf("cserve: the configuration and the application %s are in order\n", config->python.app);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
