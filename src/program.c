/* SPDX-License-Identifier: MIT */
/*
 * The program: reads the configuration, then hands over to the master. What can be answered without a server
 * (help, version, a wrong option, --print-config) is answered here.
 */
#include "cserve/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/access_format.h"
#include "cserve/options.h"
#include "cserve/static_map.h"
#include "cserve/syslog.h"
#include "cserve/top.h"

#ifndef CSERVE_VERSION
#error "whoever compiles this defines CSERVE_VERSION"
#endif

enum { ERROR_MAX = 2048, LABEL_MAX = 1024 };

static struct options_input input;
static const struct program_start *started;
static const struct config *current; /* what the master runs with */
static struct config reloaded[2];    /* the master still uses the latest one while the next is read */

static int print_and_exit(const struct config *config)
{
    if (config->show_help)
        options_help(stdout);
    else if (config->show_markdown)
        options_markdown(stdout);
    else if (config->show_manual)
        options_manual(stdout, CSERVE_VERSION);
    else if (config->completion != COMPLETION_NONE)
        options_completion(stdout, config->completion);
    else if (config->print_config)
        options_print(config, stdout);
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

/* "cserve: cserve.ini:3: chdir /nowhere: No such file or directory" */
static int complain(const struct config *config, const char *option, const char *value)
{
    char label[LABEL_MAX];
    int reason = errno;

    options_label(config, option, label, sizeof(label));
    fprintf(stderr, "cserve: %s %s: %s\n", label, value, strerror(reason));
    return -1;
}

/* The reason why the format of the access log cannot be, in error. 0, or -1. */
static int check_format(const struct config *config, char *error, size_t cap)
{
    char label[LABEL_MAX], reason[256];

    if (access_format_check(config->process.server.access_logformat, reason, sizeof(reason)) == 0)
        return 0;
    options_label(config, "access-logformat", label, sizeof(label));
    snprintf(error, cap, "%s: %s", label, reason);
    return -1;
}

/* The same of the directories that are served. Relative ones count from --chdir, where we are now. */
static int check_static(const struct config *config, char *error, size_t cap)
{
    const struct server_config *server = &config->process.server;
    char label[LABEL_MAX], reason[1024];

    if (static_maps_check(server->static_maps, server->static_count, reason, sizeof(reason)) == 0)
        return 0;
    options_label(config, "static", label, sizeof(label));
    snprintf(error, cap, "%s %s", label, reason);
    return -1;
}

static int open_syslog(const struct config *config, char *error, size_t cap)
{
    char label[LABEL_MAX], reason[256];

    if (!config->syslog || syslog_open(config->syslog_to, config->syslog_facility, config->syslog_prefix, reason,
                                       sizeof(reason)) == 0)
        return 0;
    options_label(config, "log-syslog-to", label, sizeof(label));
    snprintf(error, cap, "%s %s: %s", label, config->syslog_to, reason);
    return -1;
}

/* Relative paths of all other options count from --chdir, so it comes first. */
static int prepare(const struct config *config)
{
    int umask_bits = config->process.umask_bits;
    const char *dir = config->process.chdir;
    char error[ERROR_MAX];

    if (dir != NULL && chdir(dir) != 0)
        return complain(config, "chdir", dir);
    if (umask_bits != UMASK_INHERITED)
        umask((mode_t)umask_bits);
    if (!config->check && log_open(config->error_log) != 0)
        return complain(config, "error-logfile", config->error_log);
    if (check_format(config, error, sizeof(error)) != 0 || check_static(config, error, sizeof(error)) != 0 ||
        (!config->check && open_syslog(config, error, sizeof(error)) != 0)) {
        fprintf(stderr, "cserve: %s\n", error);
        return -1;
    }
    log_set_level(config->log_level);
    log_set_json(config->log_json);
    return 0;
}

/* What no option says, or what follows from several. */
static void complete(struct config *config)
{
    static char status_label[LABEL_MAX], statsd_label[LABEL_MAX]; /* a reload changes neither */
    struct process_config *process = &config->process;

    options_label(config, "status", status_label, sizeof(status_label));
    options_label(config, "statsd-host", statsd_label, sizeof(statsd_label));
    process->status_label = status_label;
    process->statsd_label = statsd_label;
    process->version = CSERVE_VERSION;
    process->server.timed = process->status != NULL || process->statsd != NULL;
    process->start_dir = input.start_dir;
    process->command = started->command != NULL ? started->command : started->argv;
    process->python.called = started->keywords != NULL;
    process->python.object = started->object;
    if (started->object != NULL)
        process->preload = false; /* it is loaded, and workers are forked from here: nothing is left to do */
}

/* --- reload ------------------------------------------------------------------------------------ */

/* What the master itself does otherwise from now on. 0, or -1 with the reason logged. */
static int change_log(const struct config *config)
{
    char label[LABEL_MAX];

    if (strcmp(config->error_log, current->error_log) != 0 && log_open(config->error_log) != 0) {
        options_label(config, "error-logfile", label, sizeof(label));
        log_error("%s %s: %s", label, config->error_log, strerror(errno));
        return -1;
    }
    log_set_level(config->log_level);
    log_set_json(config->log_json);
    return 0;
}

/* The command line and the environment are what they were; the file may not be. */
static const struct process_config *reread(void)
{
    static unsigned count;
    struct config *config = &reloaded[count % 2];
    char error[ERROR_MAX];

    options_release(config);
    input.environment = environ; /* which moves when it changes */
    input.running = current;
    if (options_parse(config, &input, error, sizeof(error)) != 0 || check_format(config, error, sizeof(error)) != 0 ||
        check_static(config, error, sizeof(error)) != 0) {
        log_error("%s", error);
        return NULL;
    }
    complete(config);
    if (change_log(config) != 0)
        return NULL;
    if (config->kept != NULL)
        log_warning("SIGHUP: only a restart can change %s, which stays as it was", config->kept);
    current = config;
    count++;
    return &config->process;
}

/* --- the start --------------------------------------------------------------------------------- */

static int run(struct config *config)
{
    if (config->print_config && (print_and_exit(config) != EXIT_OK || !config->check))
        return EXIT_OK;
    if (prepare(config) != 0)
        return config->check ? EXIT_FAILED : EXIT_USAGE;
    if (python_choose(&config->process.python, input.start_dir) != 0)
        return config->check ? EXIT_FAILED : EXIT_APP;
    if (config->check)
        return process_check(&config->process);
    current = config;
    return master_run(&config->process, reread);
}

/* A relative path counts from where its option was given: here, or --chdir. */
static int watch(const struct config *config)
{
    char label[LABEL_MAX];

    options_label(config, "status", label, sizeof(label));
    if (config->process.status == NULL) {
        fprintf(stderr, "cserve: top: where to look? Say cserve top ADDRESS, that of --status of the server: "
                        "cserve top 127.0.0.1:9100\n");
        return EXIT_USAGE;
    }
    if (strcmp(label, "--status") != 0 && config->process.chdir != NULL && chdir(config->process.chdir) != 0) {
        complain(config, "chdir", config->process.chdir);
        return EXIT_USAGE;
    }
    return top_run(config->process.status);
}

/* For a configuration that is so wrong that it does not say what it is for. */
static bool is_check(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--check") == 0 || strcmp(argv[i], "--check-config") == 0)
            return true;
    }
    return false;
}

/* `cserve top`; who has an application of that name says `cserve -- top`. */
static bool is_top(const struct program_start *start)
{
    return start->argc > 1 && strcmp(start->argv[1], "top") == 0;
}

static void begin(const struct program_start *start)
{
    bool for_top = start->keywords == NULL && is_top(start);

    started = start;
    input = (struct options_input){.argc = start->argc - for_top,
                                   .argv = start->argv + for_top,
                                   .for_top = for_top,
                                   .keywords = start->keywords,
                                   .keyword_count = start->keyword_count,
                                   .environment = environ,
                                   .start_dir = getcwd(NULL, 0)};
}

static void end(struct config *config)
{
    current = NULL;
    options_release(&reloaded[0]);
    options_release(&reloaded[1]);
    options_release(config);
    free((char *)input.start_dir);
    input = (struct options_input){0};
}

int program_main(const struct program_start *start)
{
    struct config config;
    char error[ERROR_MAX];
    int status;

    reserve_stdio();
    begin(start);
    if (options_parse(&config, &input, error, sizeof(error)) != 0) {
        fprintf(stderr, "cserve: %s\n", error);
        status = is_check(start->argc, start->argv) ? EXIT_FAILED : EXIT_USAGE;
    } else if (options_are_question(&config)) {
        status = print_and_exit(&config);
    } else if (input.for_top && !config.print_config) {
        status = watch(&config);
    } else {
        complete(&config);
        status = run(&config);
    }
    end(&config);
    return status;
}

/* --- serve() ----------------------------------------------------------------------------------- */

/* What prepare() and the master have changed. */
static void restore(mode_t umask_bits)
{
    umask(umask_bits);
    if (current->process.chdir != NULL && chdir(input.start_dir) != 0)
        log_warning("cannot change back to %s: %s", input.start_dir, strerror(errno));
    log_open(NULL);
    log_set_level(LOG_LEVEL_INFO);
    log_set_json(false);
    syslog_close();
}

/* An object cannot be loaded anew. 0, or -1 with the reason in error. */
static int check_reload(const struct config *config, char *error, size_t cap)
{
    char label[LABEL_MAX];

    if (started->object == NULL || !config->process.reload)
        return 0;
    options_label(config, "reload", label, sizeof(label));
    snprintf(error, cap, "%s: what is served must be given by its name, as in serve(\"mysite:app\", reload=True): an "
                         "object stays what it is", label);
    return -1;
}

int program_serve(const struct program_start *start, char *error, size_t cap)
{
    struct config config;
    mode_t umask_bits = umask(0);
    int status;

    umask(umask_bits);
    begin(start);
    if (options_parse(&config, &input, error, cap) != 0) {
        status = config.bad_name ? PROGRAM_BAD_NAME : PROGRAM_BAD_VALUE;
    } else if (check_reload(&config, error, cap) != 0) {
        status = PROGRAM_BAD_VALUE;
    } else {
        complete(&config);
        current = &config;
        status = run(&config);
        restore(umask_bits);
    }
    end(&config);
    return status;
}
