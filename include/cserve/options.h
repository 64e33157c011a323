/* SPDX-License-Identifier: MIT */
/*
 * The options: one table, one row an option, from which the command line, the environment and the
 * configuration file are read, and the help and the documentation are written.
 */
#ifndef CSERVE_OPTIONS_H
#define CSERVE_OPTIONS_H

#include <stdio.h>

#include "cserve/log.h"
#include "cserve/process.h"
#include "cserve/program.h"

struct setting;

/* The shells whose commands are completed, in the order of their names in the table. */
enum completion { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH, COMPLETION_NONE };

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
    bool show_manual;          /* --help-man, which make install uses, as it does the next */
    enum completion completion;
    bool check;
    bool print_config;
    const char *config_file;   /* --config, or the one that was found; NULL: none */
    const char **binds;        /* owned: --bind, or the one made of host and port */
    const char **paths;        /* owned: --pythonpath, split at ':' */
    const char **reload_files; /* owned: --reload-extra-file */
    const char **statics;      /* owned: --static */
    const char **bind_labels;  /* owned */
    char *user_label, *group_label; /* owned */
    struct setting *settings;  /* owned: what was given, by whom; texts above are views of it */
    size_t setting_count;
    char *file;                /* owned: the file that was read, as messages call it; NULL: none */
    char *kept;                /* owned: "--bind, --user", which changed but stay; NULL: none */
    bool bad_name;             /* what is wrong is the name of a keyword */
};

/* Where a configuration is read from. */
struct options_input {
    int argc;
    char **argv;                  /* the first is the program */
    const struct program_keyword *keywords; /* of serve(), instead of a command line; NULL: argv counts */
    size_t keyword_count;
    char *const *environment;     /* NULL at its end; or NULL: not read */
    const char *start_dir;        /* where cserve was started, and the file's name counts from; NULL: here */
    bool for_top;                 /* `cserve top` asks: the argument is a status listener's address, no application */
    const struct config *running; /* a master's that reads anew: what only a start can change stays; or NULL */
};

/*
 * Reads command line (or keywords), environment and file into *config. 0; or -1 with a message in error[0..cap) that says
 * what is wrong, where (the argument, the variable, the keyword, FILE:LINE), and the nearest valid name. The config
 * borrows argv, nothing else of the input. Release it in both cases.
 */
int options_parse(struct config *config, const struct options_input *input, char *error, size_t cap);
void options_release(struct config *config);
/* Whether it asks only what holds whatever is configured: for help, the version and such. */
bool options_are_question(const struct config *config);

/*
 * What the user called an option, and where: "--chdir", "CSERVE_CHDIR", "cserve.ini:3: chdir". For messages.
 */
void options_label(const struct config *config, const char *name, char *label, size_t cap);

/* The text of --help, and the option reference in Markdown for docs/options.md. */
void options_help(FILE *out);
void options_markdown(FILE *out);
/* The manual page, for man, of this version; and the file that lets a shell complete options and values. */
void options_manual(FILE *out, const char *version);
void options_completion(FILE *out, enum completion shell);
/* A line for each option: its name, its value, and where that came from. */
void options_print(const struct config *config, FILE *out);

#endif
