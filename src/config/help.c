/* SPDX-License-Identifier: MIT */
/* What the table tells people: --help, the reference manual, and --print-config. */
#include <stdio.h>
#include <string.h>

#include "cserve/str.h"

#include "option.h"

#define HELP_WIDTH 80
#define HELP_INDENT 28
#define NAME_WIDTH 26
#define VALUE_WIDTH 24

/* "-b, --bind ADDRESS" */
static void describe_flags(struct buf *out, const struct option *o)
{
    if (o->letter != 0)
        buf_printf(out, "-%c, ", o->letter);
    buf_printf(out, "--%s", o->name);
    if (o->metavar != NULL)
        buf_printf(out, " %s", o->metavar);
}

/* Prints words from column `column` on, each further line indented. */
static void print_wrapped(FILE *out, struct str words, int column)
{
    while (words.len > 0) {
        const char *space = memchr(words.ptr, ' ', words.len);
        int len = (int)(space == NULL ? words.len : (size_t)(space - words.ptr));
        if (column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += fprintf(out, column == HELP_INDENT ? "%.*s" : " %.*s", len, words.ptr);
        size_t used = (size_t)len + (space != NULL);
        words = str_make(words.ptr + used, words.len - used);
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct option *o)
{
    struct buf flags, text;

    buf_init(&flags);
    buf_init(&text);
    describe_flags(&flags, o);
    fprintf(out, "  %.*s", (int)flags.len, flags.data);
    if ((int)flags.len + 4 > HELP_INDENT)
        fprintf(out, "\n%*s", HELP_INDENT, "");
    else
        fprintf(out, "%*s", HELP_INDENT - 2 - (int)flags.len, "");
    buf_printf(&text, "%s", o->help);
    size_t sentence_end = text.len;
    buf_printf(&text, " (default ");
    size_t before = text.len;
    value_describe_default(&text, o);
    if (text.len == before)
        text.len = sentence_end;
    else
        buf_append(&text, ")", 1);
    print_wrapped(out, str_make(text.data, text.len), HELP_INDENT);
    buf_release(&flags);
    buf_release(&text);
}

void options_help(FILE *out)
{
    fputs("Usage: cserve [options] MODULE[:APP]\n"
          "       cserve top [ADDRESS]      Shows how a server with --status is, live.\n\n"
          "Serves a WSGI application over HTTP.\n\n"
          "  MODULE                    A dotted module (mysite.wsgi) or a file\n"
          "                            (apps/hello.py).\n"
          "  APP                       What it calls the application (app, site.app), or a\n"
          "                            call that makes it: \"create_app('prod')\". If not\n"
          "                            given: application, else app.\n\n"
          "Seconds may have decimals; K, M, G and T multiply bytes by powers of 1024.\n\n"
          "Every option is also an environment variable (--log-level: CSERVE_LOG_LEVEL)\n"
          "and a key in the section [cserve] of a file (log-level = info). The command\n"
          "line wins over the environment, that over the file. --no-preload and the like\n"
          "turn off what one of these has turned on.\n",
          out);
    for (size_t i = 0; option_groups[i].title != NULL; i++) {
        fprintf(out, "\n%s:\n", option_groups[i].title);
        for (const struct option *o = option_groups[i].options; o->name != NULL; o++)
            print_option(out, o);
    }
    fputs("\nSignals: INT and TERM stop after the requests in flight; a second one, or QUIT,\n"
          "stops at once. HUP reloads, USR1 opens the logs anew, USR2 starts a new binary\n"
          "beside this one, TTIN and TTOU add and remove a worker, WINCH stops workers.\n"
          "Exit status: 0 all finished, 1 failed, 2 usage, 3 the application\n"
          "does not load.\n",
          out);
}

/* "`CSERVE_PORT`, `port`" */
static void describe_places(struct buf *out, const struct option *o)
{
    char variable[OPTION_VARIABLE_MAX];

    option_variable(variable, sizeof(variable), o->name);
    if (option_may_be_in(o, SOURCE_ENVIRONMENT))
        buf_printf(out, "`%s`", variable);
    if (option_may_be_in(o, SOURCE_FILE))
        buf_printf(out, ", `%s`", o->name);
}

static void print_markdown_row(FILE *out, const struct option *o)
{
    struct buf row;

    buf_init(&row);
    buf_printf(&row, "| `");
    describe_flags(&row, o);
    buf_printf(&row, "` | ");
    describe_places(&row, o);
    buf_printf(&row, " | ");
    value_describe_default(&row, o);
    buf_printf(&row, " | ");
    value_describe_range(&row, o);
    buf_printf(&row, " | %s%s |\n", o->help, o->at_start ? " A reload does not change it." : "");
    fwrite(row.data, 1, row.len, out);
    buf_release(&row);
}

void options_markdown(FILE *out)
{
    fputs("# Options of cserve\n\n"
          "    cserve [options] MODULE[:APP]\n"
          "    cserve top [ADDRESS]\n\n"
          "Made from the option table in `src/config/options.c` by `make docs`. Options may stand before\n"
          "or behind the application, as `--port 80` or `--port=80`; `--` ends them. Durations are in\n"
          "seconds, decimals allowed; sizes are in bytes, and K, M, G and T multiply by powers of 1024.\n"
          "How the environment and files give them is in [configuration.md](configuration.md).\n",
          out);
    for (size_t i = 0; option_groups[i].title != NULL; i++) {
        fprintf(out, "\n## %s\n\n| Option | Variable, key | Default | Range | What it does |\n"
                     "| --- | --- | --- | --- | --- |\n",
                option_groups[i].title);
        for (const struct option *o = option_groups[i].options; o->name != NULL; o++)
            print_markdown_row(out, o);
    }
}

static void print_line(FILE *out, const struct config *config, const struct option *o,
                       const struct setting *s)
{
    struct buf value, source;

    buf_init(&value);
    buf_init(&source);
    if (s != NULL)
        buf_printf(&value, *s->value != '\0' ? "%s" : "\"\"", s->value);
    else if (o->kind == OPTION_FLAG)
        buf_printf(&value, "false");
    else
        value_describe_default(&value, o);
    if (value.len == 0)
        buf_printf(&value, "(not set)");
    setting_describe_source(&source, config, s);
    fprintf(out, "%-*s %-*.*s %.*s\n", NAME_WIDTH, o->name, VALUE_WIDTH, (int)value.len, value.data,
            (int)source.len, source.data);
    buf_release(&value);
    buf_release(&source);
}

void options_print(const struct config *config, FILE *out)
{
    const struct option *o;

    for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
        const struct setting *s = setting_first(config, o);
        if (!option_may_be_in(o, SOURCE_ENVIRONMENT))
            continue;
        do {
            print_line(out, config, o, s);
            s = s == NULL ? NULL : setting_next(config, s);
        } while (s != NULL);
    }
}
