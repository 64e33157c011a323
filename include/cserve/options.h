/* SPDX-License-Identifier: MIT */
/*
 * The options: one table, one row an option, from which the command line is read and the help and
 * the documentation are written.
 */
#ifndef CSERVE_OPTIONS_H
#define CSERVE_OPTIONS_H

#include <stdio.h>

#include "cserve/log.h"
#include "cserve/process.h"

/* Everything that can be configured, filled with the defaults of the table. */
struct config {
    struct process_config process;
    const char *error_log;     /* path, "-" for stderr */
    enum log_level log_level;
    bool log_json;
    bool syslog;
    const char *syslog_to;     /* as syslog_open takes them */
    unsigned syslog_facility;
    const char *syslog_prefix;
    const char *host;          /* --host and --port: the address when no --bind is given */
    int port;
    bool show_help;
    bool show_version;
    bool show_markdown;        /* --help-markdown, which make docs uses */
    const char **binds;        /* owned: --bind, or the one made of host and port */
    const char **paths;        /* owned: --pythonpath, split at ':' */
};

/*
 * Reads the command line into *config. 0; or -1 with a message in error[0..cap) that names the
 * argument, what is wrong with it, and the nearest valid option. Texts are borrowed from argv.
 */
int options_parse(struct config *config, int argc, char **argv, char *error, size_t cap);
void options_release(struct config *config);

/* The text of --help, and the option reference in Markdown for docs/options.md. */
void options_help(FILE *out);
void options_markdown(FILE *out);

#endif
