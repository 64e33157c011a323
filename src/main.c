/* SPDX-License-Identifier: MIT */
/*
 * cserve: reads the command line, then hands over to the master. What can be answered without a
 * server (help, version, a wrong option) is answered here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/access_format.h"
#include "cserve/options.h"
#include "cserve/syslog.h"

#ifndef CSERVE_VERSION
#error "the Makefile defines CSERVE_VERSION"
#endif

static int argument_count;
static char **arguments;
static char *start_dir; /* NULL if it is not known */

static int print_and_exit(const struct config *config)
{
    if (config->show_help)
        options_help(stdout);
    else if (config->show_markdown)
        options_markdown(stdout);
    else
        printf("cserve %s (Python %s, %s)\n", CSERVE_VERSION, python_version(), python_linkage());
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

/* A descriptor that was closed would be taken by a socket, and what is printed would go there. */
static void reserve_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            exit(EXIT_FAILED);
    }
}

/* Relative paths of all other options count from --chdir, so it comes first. */
static int prepare(const struct config *config)
{
    int umask_bits = config->process.umask_bits;
    const char *dir = config->process.chdir;
    char error[256];

    if (dir != NULL && chdir(dir) != 0) {
        fprintf(stderr, "cserve: --chdir %s: %s\n", dir, strerror(errno));
        return -1;
    }
    if (umask_bits != UMASK_INHERITED)
        umask((mode_t)umask_bits);
    if (log_open(config->error_log) != 0) {
        fprintf(stderr, "cserve: --error-logfile %s: %s\n", config->error_log, strerror(errno));
        return -1;
    }
    if (access_format_check(config->process.server.access_logformat, error, sizeof(error)) != 0) {
        fprintf(stderr, "cserve: --access-logformat: %s\n", error);
        return -1;
    }
    if (config->syslog && syslog_open(config->syslog_to, config->syslog_facility, config->syslog_prefix, error,
                                      sizeof(error)) != 0) {
        fprintf(stderr, "cserve: --log-syslog-to %s: %s\n", config->syslog_to, error);
        return -1;
    }
    log_set_level(config->log_level);
    log_set_json(config->log_json);
    return 0;
}

/* For a reload: the command line is what it was. */
static const struct process_config *reread(void)
{
    static struct config configs[2]; /* the master still uses the latest one while the next is read */
    static unsigned count;
    struct config *config = &configs[count % 2];
    char error[512];

    options_release(config);
    if (options_parse(config, argument_count, arguments, error, sizeof(error)) != 0) {
        log_error("%s", error);
        return NULL;
    }
    if (access_format_check(config->process.server.access_logformat, error, sizeof(error)) != 0) {
        log_error("--access-logformat: %s", error);
        return NULL;
    }
    log_set_level(config->log_level);
    log_set_json(config->log_json);
    config->process.start_dir = start_dir;
    count++;
    return &config->process;
}

int main(int argc, char **argv)
{
    struct config config;
    char error[512];
    int status = EXIT_USAGE;

    reserve_stdio();
    argument_count = argc;
    arguments = argv;
    if (options_parse(&config, argc, argv, error, sizeof(error)) != 0)
        fprintf(stderr, "cserve: %s\n", error);
    else if (config.show_help || config.show_version || config.show_markdown)
        status = print_and_exit(&config);
    else {
        config.process.start_dir = start_dir = getcwd(NULL, 0);
        if (prepare(&config) == 0)
            status = master_run(&config.process, reread);
    }
    options_release(&config);
    free(start_dir);
    return status;
}
