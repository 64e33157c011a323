/* SPDX-License-Identifier: MIT */
/*
 * Completion in bash, zsh and fish: a file in the shell's own language that knows every option of the table
 * and what its values are. None of them runs cserve when a key is pressed.
 */
#include <stdio.h>
#include <string.h>

#include "option.h"

enum values {
    VALUES_NONE,
    VALUES_ANY,
    VALUES_WORDS, /* those that the row names */
    VALUES_FILES,
    VALUES_DIRS,
    VALUES_USERS,
    VALUES_GROUPS,
    VALUES_APP,
};

/* What is asked of each shell for values that the system knows. */
static const struct {
    const char *metavar;
    enum values values;
    const char *zsh, *fish;
} kinds[] = {
    {"FILE", VALUES_FILES, "_files", "-rF"},
    {"DIR", VALUES_DIRS, "_files -/", "-xa '(__fish_complete_directories)'"},
    {"DIRS", VALUES_DIRS, "_files -/", "-xa '(__fish_complete_directories)'"},
    {"USER", VALUES_USERS, "_users", "-xa '(__fish_complete_users)'"},
    {"GROUP", VALUES_GROUPS, "_groups", "-xa '(__fish_complete_groups)'"},
    {"MODULE[:APP]", VALUES_APP, "_files -g \"*.py\"", "-rka '(__fish_complete_suffix .py)'"},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static size_t kind_of(const struct option *o)
{
    size_t i = 0;

    while (i < KINDS && (o->metavar == NULL || strcmp(o->metavar, kinds[i].metavar) != 0))
        i++;
    return i;
}

static enum values values_of(const struct option *o)
{
    size_t kind = kind_of(o);

    if (kind < KINDS)
        return kinds[kind].values;
    if (o->kind == OPTION_CHOICE || o->word != NULL)
        return VALUES_WORDS;
    return o->metavar == NULL ? VALUES_NONE : VALUES_ANY;
}

/* "debug info warning" */
static void print_words(FILE *out, const struct option *o)
{
    if (o->word != NULL)
        fputs(o->word, out);
    for (size_t i = 0; o->kind == OPTION_CHOICE && o->choices[i] != NULL; i++)
        fprintf(out, i == 0 ? "%s" : " %s", o->choices[i]);
}

/* The first sentence of the help, with a backslash before those of `special`, between single quotes. */
static void print_summary(FILE *out, const char *help, const char *special)
{
    const char *end = strstr(help, ". ");
    size_t len = end != NULL ? (size_t)(end - help) : strlen(help);

    if (len > 0 && help[len - 1] == '.')
        len--;
    for (size_t i = 0; i < len; i++) {
        if (help[i] == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, strchr(special, help[i]) != NULL ? "\\%c" : "%c", help[i]);
    }
}

static void print_options(FILE *out, void (*print)(FILE *out, const struct option *o))
{
    for (size_t i = 0; option_groups[i].title != NULL; i++) {
        for (const struct option *o = option_groups[i].options; o->name != NULL; o++)
            print(out, o);
    }
}

/* --- bash -------------------------------------------------------------------------------------- */

static void print_bash_name(FILE *out, const struct option *o)
{
    fprintf(out, " --%s", o->name);
    if (option_has_negation(o))
        fprintf(out, " --no-%s", o->name);
}

static void print_bash_case(FILE *out, const struct option *o)
{
    static const char *const commands[] = {
        [VALUES_ANY] = "return",
        [VALUES_FILES] = "_cserve_files -f",
        [VALUES_DIRS] = "_cserve_files -d",
        [VALUES_USERS] = "_cserve_words -u",
        [VALUES_GROUPS] = "_cserve_words -g",
        [VALUES_APP] = "_cserve_app",
    };
    enum values values = values_of(o);

    if (values == VALUES_NONE)
        return;
    fputs("    ", out);
    if (o->letter != 0)
        fprintf(out, "-%c | ", o->letter);
    if (o->alias != NULL)
        fprintf(out, "--%s | ", o->alias);
    fprintf(out, "--%s) ", o->name);
    if (values == VALUES_WORDS) {
        fputs("_cserve_words -W '", out);
        print_words(out, o);
        fputc('\'', out);
    } else {
        fputs(commands[values], out);
    }
    fputs(" ;;\n", out);
}

/* readline makes three words of --port=80, for '=' ends one. */
static void print_bash(FILE *out)
{
    fputs("# bash completion for cserve, made by cserve --completion bash\n\n"
          "_cserve_words() { mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\"); }\n"
          "_cserve_files() { compopt -o filenames && _cserve_words \"$@\"; }\n"
          "_cserve_app()\n{\n"
          "    compopt -o filenames\n"
          "    mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"; compgen -f -X '!*.py' -- \"$cur\")\n"
          "}\n\n"
          "_cserve()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n\n"
          "    if [[ $cur == '=' ]]; then\n"
          "        cur=\n"
          "    elif [[ $option == '=' ]]; then\n"
          "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    case $option in\n",
          out);
    print_options(out, print_bash_case);
    fputs("    *)\n"
          "        if [[ $cur == -* ]]; then\n"
          "            _cserve_words -W '",
          out);
    print_options(out, print_bash_name);
    fputs("'\n"
          "        else\n"
          "            _cserve_app\n"
          "        fi\n"
          "        ;;\n"
          "    esac\n"
          "}\n\n"
          "complete -F _cserve cserve\n",
          out);
}

/* --- zsh --------------------------------------------------------------------------------------- */

static void print_zsh_values(FILE *out, const struct option *o)
{
    enum values values = values_of(o);

    if (values == VALUES_NONE)
        return;
    fputc(':', out);
    print_summary(out, o->metavar, ":[]");
    fputc(':', out);
    if (values == VALUES_WORDS) {
        fputc('(', out);
        print_words(out, o);
        fputc(')', out);
    } else if (values != VALUES_ANY) {
        fputs(kinds[kind_of(o)].zsh, out);
    }
}

/* "'*--bind=[help]:ADDRESS:'": an argument of _arguments; `ending` says that a value may follow at once. */
static void print_zsh_flag(FILE *out, const struct option *o, const char *dashes, const char *name, char ending)
{
    fprintf(out, " \\\n    '%s%s%s", option_is_list(o) ? "*" : o->is_question ? "(- *)" : "", dashes, name);
    if (o->metavar != NULL)
        fputc(ending, out);
    fputc('[', out);
    print_summary(out, o->help, "[]\\");
    fputc(']', out);
    print_zsh_values(out, o);
    fputc('\'', out);
}

static void print_zsh_option(FILE *out, const struct option *o)
{
    if (o->letter != 0)
        print_zsh_flag(out, o, "-", (const char[]){o->letter, '\0'}, '+');
    print_zsh_flag(out, o, "--", o->name, '=');
    if (option_has_negation(o))
        print_zsh_flag(out, o, "--no-", o->name, '=');
}

static void print_zsh(FILE *out)
{
    fputs("#compdef cserve\n"
          "# zsh completion for cserve, made by cserve --completion zsh\n\n"
          "_arguments -S",
          out);
    print_options(out, print_zsh_option);
    fputs(" \\\n    ':application:_files -g \"*.py\"'\n", out);
}

/* --- fish -------------------------------------------------------------------------------------- */

static void print_fish_flag(FILE *out, const struct option *o, const char *prefix)
{
    enum values values = values_of(o);

    fputs("complete -c cserve", out);
    if (o->letter != 0)
        fprintf(out, " -s %c", o->letter);
    fprintf(out, " -l %s%s", prefix, o->name);
    if (values == VALUES_WORDS) {
        fputs(" -xa '", out);
        print_words(out, o);
        fputc('\'', out);
    } else if (values == VALUES_ANY) {
        fputs(" -x", out);
    } else if (values != VALUES_NONE) {
        fprintf(out, " %s", kinds[kind_of(o)].fish);
    }
    fputs(" -d '", out);
    print_summary(out, o->help, "\\");
    fputs("'\n", out);
}

static void print_fish_option(FILE *out, const struct option *o)
{
    print_fish_flag(out, o, "");
    if (option_has_negation(o))
        print_fish_flag(out, o, "no-");
}

static void print_fish(FILE *out)
{
    fputs("# fish completion for cserve, made by cserve --completion fish\n\n"
          "complete -c cserve -fka '(__fish_complete_suffix .py)'\n",
          out);
    print_options(out, print_fish_option);
}

void options_completion(FILE *out, enum completion shell)
{
    static void (*const prints[])(FILE *out) = {
        [COMPLETION_BASH] = print_bash,
        [COMPLETION_ZSH] = print_zsh,
        [COMPLETION_FISH] = print_fish,
    };

    prints[shell](out);
}
