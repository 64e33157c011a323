/* SPDX-License-Identifier: MIT */
/*
 * The manual page, cserve(1), in the language of man(7): what the table says of each option, and around that
 * what an operator looks for at night.
 */
#include <stdio.h>
#include <string.h>

#include "option.h"

#define PROSE_OF "2026-11-25" /* when what stands here and not in the table was last written */

static const char before_options[] =
    ".SH NAME\n"
    "cserve \\- web server for Python applications\n"
    ".SH SYNOPSIS\n"
    ".SY cserve\n"
    ".RI [ options ]\n"
    ".IR MODULE [: APP ]\n"
    ".YS\n"
    ".SY cserve\n"
    ".B top\n"
    ".RI [ ADDRESS ]\n"
    ".YS\n"
    ".SH DESCRIPTION\n"
    ".B cserve\n"
    "serves a WSGI application (Flask, Django, Pyramid or any other) over HTTP. The Python interpreter is inside.\n"
    ".PP\n"
    ".I MODULE\n"
    "is a dotted module, as it would be imported from the current directory, or a file.\n"
    ".I APP\n"
    "is what it calls the application, or a call that makes it. Without it that is\n"
    ".BR application ,\n"
    "else\n"
    ".BR app .\n"
    ".PP\n"
    "A master opens the sockets and starts workers, which load the application; it starts another for one that\n"
    "crashes. A worker calls the application in up to\n"
    ".B \\-\\-threads\n"
    "threads at once.\n"
    ".PP\n"
    ".B cserve top\n"
    "shows in the terminal how a server is, live. The address is that of its\n"
    ".BR \\-\\-status ;\n"
    "without one it is looked up in the environment and the file.\n"
    ".SH OPTIONS\n"
    "Options may stand before or behind the application, as\n"
    ".B \\-\\-port 80\n"
    "or\n"
    ".BR \\-\\-port=80 ;\n"
    ".B \\-\\-\n"
    "ends them. Durations are in seconds, decimals allowed. Sizes are in bytes; K, M, G and T multiply by powers\n"
    "of 1024. An option without a value is turned off by\n"
    ".BI \\-\\-no\\- NAME\n"
    "if the environment or a file has turned it on. A name that there is not stops the start.\n";

static const char behind_options[] =
    ".SH SIGNALS\n"
    "To the master:\n"
    ".TP\n"
    ".BR SIGTERM \", \" SIGINT\n"
    "Accept no more, finish the requests in flight within\n"
    ".BR \\-\\-graceful\\-timeout ,\n"
    "and exit. A second one stops at once.\n"
    ".TP\n"
    ".B SIGQUIT\n"
    "Stop at once.\n"
    ".TP\n"
    ".B SIGHUP\n"
    "Read the file and the application anew. New workers serve before the old ones leave.\n"
    ".TP\n"
    ".B SIGUSR1\n"
    "Open the log files anew, after they were renamed.\n"
    ".TP\n"
    ".B SIGUSR2\n"
    "Start a new binary on the same sockets, beside this one.\n"
    ".TP\n"
    ".BR SIGTTIN \", \" SIGTTOU\n"
    "One worker more, or less.\n"
    ".TP\n"
    ".B SIGWINCH\n"
    "Stop the workers, not the master: SIGHUP starts them again.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n"
    ".BI CSERVE_ NAME\n"
    "Any option that says so above:\n"
    ".B CSERVE_LOG_LEVEL\n"
    "is\n"
    ".BR \\-\\-log\\-level .\n"
    "The command line wins over the environment, the environment over the file.\n"
    ".TP\n"
    ".B VIRTUAL_ENV\n"
    "Virtual environment of the application, if\n"
    ".B \\-\\-venv\n"
    "names none.\n"
    ".TP\n"
    ".B SCRIPT_NAME\n"
    "Path below which the application is mounted.\n"
    ".TP\n"
    ".B TMPDIR\n"
    "Where request bodies beyond\n"
    ".B \\-\\-body\\-buffer\n"
    "are kept.\n"
    ".TP\n"
    ".B NO_COLOR\n"
    "If set, messages on a terminal have no colours.\n"
    ".SH FILES\n"
    ".TP\n"
    ".I setup.cfg\n"
    "If there is no\n"
    ".BR \\-\\-config ,\n"
    "the section [cserve] of this file of the current directory is read, if it has one. Each option is a key of it:\n"
    ".BR \"log\\-level = debug\" .\n"
    ".SH EXIT STATUS\n"
    ".TP\n"
    ".B 0\n"
    "Stopped, and all requests were finished.\n"
    ".TP\n"
    ".B 1\n"
    "A request was cut off, or an address cannot be listened on, or\n"
    ".B \\-\\-check\n"
    "found something wrong.\n"
    ".TP\n"
    ".B 2\n"
    "An option is wrong. Nothing was started.\n"
    ".TP\n"
    ".B 3\n"
    "The application does not load.\n"
    ".SH EXAMPLES\n"
    "Serve the application of a file on http://127.0.0.1:8888/:\n"
    ".PP\n"
    ".in +4n\n"
    ".EX\n"
    "cserve mysite.py\n"
    ".EE\n"
    ".in\n"
    ".PP\n"
    "Django, to everybody, by a worker for each processor:\n"
    ".PP\n"
    ".in +4n\n"
    ".EX\n"
    "cserve \\-\\-venv .venv \\-\\-workers auto \\-\\-bind 0.0.0.0:8000 myproject.wsgi\n"
    ".EE\n"
    ".in\n"
    ".PP\n"
    "Look at a configuration before a reload:\n"
    ".PP\n"
    ".in +4n\n"
    ".EX\n"
    "cserve \\-\\-config mysite.ini \\-\\-check && kill \\-HUP \"$(cat mysite.pid)\"\n"
    ".EE\n"
    ".in\n"
    ".SH SEE ALSO\n"
    ".BR curl (1),\n"
    ".BR kill (1),\n"
    ".BR systemd.service (5),\n"
    ".BR epoll (7)\n"
    ".PP\n"
    "The pages in\n"
    ".I share/doc/cserve\n"
    "beside the directory of the binary say more of configuration and logs. PEP 3333 is the contract between\n"
    "server and application.\n";

/* Text as it is: what troff would take for its own is escaped. */
static void print_text(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else if ((text[i] == '.' || text[i] == '\'') && i == 0)
            fprintf(out, "\\&%c", text[i]);
        else
            fputc(text[i], out);
    }
}

static void print_flags(FILE *out, const struct option *o)
{
    if (o->letter != 0)
        fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", out);
    print_text(out, o->name, strlen(o->name));
    fputs("\\fR", out);
    if (o->metavar != NULL)
        fprintf(out, " \\fI%s\\fR", o->metavar);
    fputc('\n', out);
}

/* "Default 30, from 0 to 86400. CSERVE_TIMEOUT." */
static void print_facts(FILE *out, const struct option *o)
{
    struct buf initial, range;
    char variable[OPTION_VARIABLE_MAX];

    buf_init(&initial);
    buf_init(&range);
    value_describe_default(&initial, o);
    value_describe_range(&range, o);
    if (initial.len > 0) {
        fputs("\nDefault: ", out);
        print_text(out, initial.data, initial.len);
        fputc('.', out);
    }
    if (range.len > 0)
        fprintf(out, "\nRange: %.*s.", (int)range.len, range.data);
    if (o->at_start)
        fputs("\nA reload does not change it.", out);
    option_variable(variable, sizeof(variable), o->name);
    if (option_may_be_in(o, SOURCE_ENVIRONMENT))
        fprintf(out, "\nVariable: %s.", variable);
    fputc('\n', out);
    buf_release(&initial);
    buf_release(&range);
}

void options_manual(FILE *out, const char *version)
{
    fprintf(out, ".TH CSERVE 1 " PROSE_OF " \"cserve %s\" \"User Commands\"\n", version);
    fputs(before_options, out);
    for (size_t i = 0; option_groups[i].title != NULL; i++) {
        fprintf(out, ".SS %s\n", option_groups[i].title);
        for (const struct option *o = option_groups[i].options; o->name != NULL; o++) {
            fputs(".TP\n", out);
            print_flags(out, o);
            print_text(out, o->help, strlen(o->help));
            print_facts(out, o);
        }
    }
    fputs(behind_options, out);
}
