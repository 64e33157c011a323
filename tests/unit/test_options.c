/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/options.h"

enum { WORDS = 12 };

static char directory[] = "/tmp/cserve-options-XXXXXX";
static char error[1024];

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/setup.cfg", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/c.ini", directory);
    unlink(path);
    return rmdir(directory);
}

/* A command line and an environment, of words between blanks. */
static int parse(struct config *config, const char *line, const char *variables, const struct config *running)
{
    static char words[2][512];
    static char *argv[WORDS], *environment[WORDS];
    struct options_input input = {
        .argc = 1, .argv = argv, .environment = environment, .start_dir = directory, .running = running};
    int count = 0;

    snprintf(words[0], sizeof(words[0]), "%s", line);
    snprintf(words[1], sizeof(words[1]), "%s", variables);
    argv[0] = "cserve";
    for (char *word = strtok(words[0], " "); word != NULL; word = strtok(NULL, " "))
        argv[input.argc++] = word;
    for (char *word = strtok(words[1], "|"); word != NULL; word = strtok(NULL, "|"))
        environment[count++] = word;
    environment[count] = NULL;
    return options_parse(config, &input, error, sizeof(error));
}

/* --- the strongest source wins ----------------------------------------------------------------- */

static const struct {
    const char *line, *environment, *file;
    int threads;
    const char *source; /* as --print-config says it */
} wins[] = {
    {"", "", "", 4, "default"},
    {"", "", "threads = 2", 2, "setup.cfg:3"},
    {"", "CSERVE_THREADS=3", "", 3, "environment variable CSERVE_THREADS"},
    {"--threads 5", "", "", 5, "command line"},
    {"", "CSERVE_THREADS=3", "threads = 2", 3, "environment variable CSERVE_THREADS"},
    {"--threads 5", "", "threads = 2", 5, "command line"},
    {"--threads 5", "CSERVE_THREADS=3", "", 5, "command line"},
    {"--threads 5", "CSERVE_THREADS=3", "threads = 2", 5, "command line"},
    {"--threads 5 --threads 6", "", "", 6, "command line"},
};

static void expect_printed(const struct config *config, const char *name, const char *source)
{
    char *text = NULL, *line;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);

    options_print(config, stream);
    fclose(stream);
    line = strstr(text, name);
    assert_non_null(line);
    line++;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line + strlen(line) - strlen(source), source) != 0)
        fail_msg("'%s' does not end with '%s'", line, source);
    free(text);
}

static void the_strongest_source_wins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wins) / sizeof(*wins); i++) {
        struct config config;
        char text[128], line[128];

        snprintf(text, sizeof(text), "[cserve]\napp = site\n%s\n", wins[i].file);
        snprintf(line, sizeof(line), "%s app", wins[i].line);
        write_file("setup.cfg", text);
        assert_int_equal(parse(&config, line, wins[i].environment, NULL), 0);
        if (config.process.server.threads != wins[i].threads)
            fail_msg("row %zu: %d threads", i, config.process.server.threads);
        assert_string_equal(config.process.python.app, "app");
        expect_printed(&config, "\nthreads ", wins[i].source);
        options_release(&config);
    }
}

/* --- lists and flags --------------------------------------------------------------------------- */

static const struct {
    const char *line, *environment, *file;
    const char *binds; /* with commas between */
    bool preload;
} shapes[] = {
    {"", "", "", "127.0.0.1:8888", false},
    {"-b a:1 -b b:2", "CSERVE_BIND=c:3", "bind = d:4", "a:1,b:2", false},
    {"", "CSERVE_BIND= c:3  d:4 ", "bind = e:5", "c:3,d:4", false},
    {"", "", "bind = a:1\nbind: b:2", "a:1,b:2", false},
    {"", "", "bind =\n\n  a:1\n# no\n\tb:2\r\n", "a:1,b:2", false},
    {"", "", "bind = a:1\n  [::1]:2", "a:1,[::1]:2", false},
    {"--port 9", "CSERVE_BIND=c:3", "bind = d:4", "127.0.0.1:9", false},
    {"", "CSERVE_HOST=::1", "bind = d:4\nport = 7", "[::1]:7", false},
    {"--bind a:1 --port 9", "", "", "a:1", false},
    {"", "", "preload = yes", "127.0.0.1:8888", true},
    {"--no-preload", "CSERVE_PRELOAD=1", "preload = on", "127.0.0.1:8888", false},
    {"--preload", "CSERVE_PRELOAD=false", "", "127.0.0.1:8888", true},
    {"", "CSERVE_PRELOAD=true", "preload = off", "127.0.0.1:8888", true},
    {"", "CSERVE_SERVICE_HOST=h|CSERVE_SERVICE_PORT_HTTP=1|CSERVE_PORT=tcp://h:1|CSERVE_PORT_1_TCP=tcp://h:1", "",
     "127.0.0.1:8888", false},
    {"", "CSERVE_SOCKETS=1 2|CSERVE_PYTHON_LINK=shared|CSERVED=1|CSERVE=x", "", "127.0.0.1:8888", false},
};

static void join(char *out, size_t cap, const struct config *config)
{
    *out = '\0';
    for (size_t i = 0; i < config->process.bind_count; i++)
        snprintf(out + strlen(out), cap - strlen(out), "%s%s", i > 0 ? "," : "", config->binds[i]);
}

static void lists_and_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        struct config config;
        char text[128], line[128];

        snprintf(text, sizeof(text), "\xef\xbb\xbf[other]\nx\n[cserve]\n%s\n[more]\n  y\n", shapes[i].file);
        snprintf(line, sizeof(line), "%s app", shapes[i].line);
        write_file("setup.cfg", text);
        if (parse(&config, line, shapes[i].environment, NULL) != 0)
            fail_msg("row %zu: %s", i, error);
        join(text, sizeof(text), &config);
        if (strcmp(text, shapes[i].binds) != 0 || config.process.preload != shapes[i].preload)
            fail_msg("row %zu: %s, %d", i, text, config.process.preload);
        options_release(&config);
    }
}

/* --- mistakes ---------------------------------------------------------------------------------- */

static const struct {
    const char *line, *environment, *file;
    const char *message; /* all of it, or its beginning up to "..." */
} mistakes[] = {
    {"--wrokers 2 app", "", "", "there is no option --wrokers; did you mean --workers?"},
    {"--no-prelaod app", "", "", "there is no option --no-prelaod; did you mean --no-preload?"},
    {"--no-workers app", "", "", "there is no option --no-workers; did you mean --workers?"},
    {"--no-preload=1 app", "", "", "--no-preload takes no value, so \"=1\" is too much"},
    {"-port 80 app", "", "", "there is no option -port; did you mean --port?"},
    {"app", "CSERVE_WROKERS=2", "", "environment variable CSERVE_WROKERS: ... did you mean CSERVE_WORKERS?"},
    {"app", "CSERVE_workers=2", "", "environment variable CSERVE_workers: ... did you mean CSERVE_WORKERS?"},
    {"app", "CSERVE_XYZZYX=2", "", "environment variable CSERVE_XYZZYX: ... --help lists them all..."},
    {"app", "CSERVE_PORT_X=2", "", "environment variable CSERVE_PORT_X: ... did you mean CSERVE_PORT?"},
    {"app", "CSERVE_PORT=http://h:1", "", "CSERVE_PORT must be ..."},
    {"app", "CSERVE_=2", "", "environment variable CSERVE_: ..."},
    {"app", "CSERVE_WORKERS=", "", "CSERVE_WORKERS must be auto or a whole number from 1 to 256, not \"\""},
    {"app", "CSERVE_PRELOAD=2", "", "CSERVE_PRELOAD must be true or false, not \"2\""},
    {"app", "CSERVE_BIND= ", "", "CSERVE_BIND needs a value, not an empty one"},
    {"app", "CSERVE_HELP=1", "", "environment variable CSERVE_HELP: ... command line, as --help"},
    {"app", "CSERVE_APP=a|CSERVE_WSGI_APP=b", "", "environment variable CSERVE_WSGI_APP: ..."},
    {"app", "", "[cserve]\nwrokers = 2", "setup.cfg:2: there is no option \"wrokers\"; did you mean workers?"},
    {"app", "", "[cserve]\nloglevel = info", "setup.cfg:2: ... did you mean log-level?"},
    {"app", "", "[cserve]\naccesslog = -", "setup.cfg:2: ... did you mean access-logfile?"},
    {"app", "", "[cserve]\npidfile = p", "setup.cfg:2: ... did you mean pid?"},
    {"app", "", "[cserve]\nxyzzyx = 2", "setup.cfg:2: there is no option \"xyzzyx\"; --help lists them all"},
    {"app", "", "[cserve]\nno-preload = 1", "setup.cfg:2: ... did you mean preload?"},
    {"app", "", "[cserve]\nversion = 1", "setup.cfg:2: version cannot be given in a file, only as --version"},
    {"app", "", "[cserve]\nconfig = c", "setup.cfg:2: config cannot be given in a file, only as --config"},
    {"app", "", "[cserve]\n\nthreads = 0", "setup.cfg:3: threads must be a whole number from 1 to 1024, not \"0\""},
    {"app", "", "[cserve]\nthreads = 2 # two", "setup.cfg:2: a comment needs a line of its own..."},
    {"app", "", "[cserve]\nhost = \"::1\"", "setup.cfg:2: values stand without quotes..."},
    {"app", "", "[cserve]\nthreads = 2\nthreads = 2", "setup.cfg:3: threads is given twice; line 2 has it too"},
    {"app", "", "[cserve]\nthreads = 2\n  3", "setup.cfg:3: threads takes one value..."},
    {"app", "", "[cserve]\nthreads =", "setup.cfg:2: threads must be..."},
    {"app", "", "[cserve]\npreload", "setup.cfg:2: \"preload\" is neither an option (key = value) nor a comment"},
    {"app", "", "[cserve]\n= 2", "setup.cfg:2: \"= 2\" is neither..."},
    {"app", "", "[cserve\nthreads = 2", "setup.cfg:1: the name of a section ends with ]..."},
    {"app", "", "[cserve] threads = 2", "setup.cfg:1: \"threads = 2\" behind [cserve] needs a line of its own"},
    {"app", "", "[cserv]\nthreads = 2", "setup.cfg:1: there is no section [cserv]; did you mean [cserve]?"},
    {"app", "", "[tool:cserve]\nthreads = 2", "setup.cfg:1: there is no section [tool:cserve]; did you mean [cserve]?"},
    {"app", "", "[cserve]\nbind = a\x01:1", "setup.cfg:2: bind must not hold control characters..."},
    {"--threads 3 app", "CSERVE_THREADS=4", "[cserve]\nthreads = x", "setup.cfg:2: threads must be..."},
    {"-c c.ini app", "", "", "--config c.ini: No such file or directory"},
    {"app", "CSERVE_CONFIG=c.ini", "", "CSERVE_CONFIG c.ini: No such file or directory"},
    {"-c setup.cfg app", "", "[other]\nx = 1", "setup.cfg has no section [cserve]..."},
    {"-c setup.cfg app", "", "threads = 1\n", "setup.cfg:1: options stand in a section: put a line [cserve] above"},
    {"-c . app", "", "", "--config .: Is a directory"},
    {"--config= app", "", "", "--config needs a value, not an empty one"},
    {"--chdir /nowhere/at/all", "", "", "no application given..."},
};

/* Whether a pattern, in which "..." is anything, is all of a text. */
static bool matches(const char *pattern, const char *text)
{
    const char *gap = strstr(pattern, "...");

    if (gap == NULL)
        return strcmp(pattern, text) == 0;
    if (strncmp(pattern, text, (size_t)(gap - pattern)) != 0)
        return false;
    for (text += gap - pattern;; text++) {
        if (matches(gap + 3, text))
            return true;
        if (*text == '\0')
            return false;
    }
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        struct config config;

        write_file("setup.cfg", mistakes[i].file);
        if (parse(&config, mistakes[i].line, mistakes[i].environment, NULL) == 0)
            fail_msg("row %zu is taken: %s", i, mistakes[i].message);
        if (!matches(mistakes[i].message, error))
            fail_msg("row %zu: '%s' is not '%s'", i, error, mistakes[i].message);
        options_release(&config);
    }
}

/* --- reading again ----------------------------------------------------------------------------- */

static void what_only_a_start_can_change_stays(void **state)
{
    struct config running, config;

    (void)state;
    write_file("setup.cfg", "[cserve]\nport = 1\nuser = me\nthreads = 2\n");
    assert_int_equal(parse(&running, "app", "", NULL), 0);
    write_file("setup.cfg", "[cserve]\nthreads = 3\nport = 2\nbind = a:1\ngroup = us\nuser = me\npid = p\n");
    assert_int_equal(parse(&config, "app", "", &running), 0);
    assert_string_equal(config.kept, "--port, --bind, --pid, --group");
    assert_int_equal(config.process.server.threads, 3);
    assert_int_equal(config.process.bind_count, 1);
    assert_string_equal(config.process.binds[0], "127.0.0.1:1");
    assert_string_equal(config.process.user, "me");
    assert_null(config.process.group);
    options_release(&running);
    assert_string_equal(config.process.binds[0], "127.0.0.1:1");
    options_release(&config);
}

static void the_same_from_elsewhere_is_no_change(void **state)
{
    struct config running, config;

    (void)state;
    write_file("setup.cfg", "[cserve]\nbind = a:1\n  b:2\nport = 3");
    assert_int_equal(parse(&running, "app", "", NULL), 0);
    write_file("setup.cfg", "[cserve]\nport: 3\nbind = a:1\nbind = b:2");
    assert_int_equal(parse(&config, "app", "", &running), 0);
    assert_null(config.kept);
    options_release(&running);
    options_release(&config);
}

static void an_overridden_bind_is_no_change(void **state)
{
    struct config running, config;

    (void)state;
    write_file("setup.cfg", "[cserve]\nbind = a:1");
    assert_int_equal(parse(&running, "--port 7 app", "", NULL), 0);
    assert_int_equal(parse(&config, "--port 7 app", "", &running), 0);
    assert_null(config.kept);
    assert_string_equal(config.process.binds[0], "127.0.0.1:7");
    options_release(&running);
    options_release(&config);
}

/* --- keywords of serve() ----------------------------------------------------------------------- */

static const struct {
    struct program_keyword keywords[2];
    const char *error; /* NULL: none */
    bool bad_name;
} calls[] = {
    {{{"port", "80", KEYWORD_NUMBER}}, NULL, false},
    {{{"log-level", "debug", KEYWORD_TEXT}, {"log_json", "true", KEYWORD_TEXT}}, NULL, false},
    {{{"bind", "a:1", KEYWORD_TEXT}, {"bind", "a:2", KEYWORD_TEXT}}, NULL, false},
    {{{"wsgi_app", "x", KEYWORD_TEXT}, {"app", "y", KEYWORD_TEXT}},
     "app: one value is enough, for this is no option that may be repeated", false},
    {{{"prot", "80", KEYWORD_NUMBER}}, "serve() has no option prot; did you mean port?", true},
    {{{"log_levle", "debug", KEYWORD_TEXT}}, "serve() has no option log_levle; did you mean log_level?", true},
    {{{"xyzzyxyzzy", "1", KEYWORD_TEXT}}, "serve() has no option xyzzyxyzzy; cserve --help lists them all", true},
    {{{"", "1", KEYWORD_TEXT}}, "serve() has no option ; cserve --help lists them all", true},
    {{{"check", "true", KEYWORD_TEXT}}, "check: this can only be given on the command line, as --check", true},
    {{{"port", "x", KEYWORD_TEXT}}, "port must be a whole number from 0 to 65535, not \"x\"", false},
    {{{"log_json", "maybe", KEYWORD_TEXT}}, "log_json must be true or false, not \"maybe\"", false},
    {{{"port", "1", KEYWORD_TEXT}, {"port", "2", KEYWORD_TEXT}},
     "port: one value is enough, for this is no option that may be repeated", false},
    {{{"bind", "", KEYWORD_WORDS}}, "bind needs a value, not an empty one", false},
};

/* A call of serve("app", ...); the environment and the file have something to say, too. */
static int parse_call(struct config *config, const struct program_keyword *keywords, size_t count)
{
    static char variable[] = "CSERVE_THREADS=3", program[] = "program";
    static char *environment[] = {variable, NULL}, *argv[] = {program, NULL};
    struct program_keyword all[4] = {{"app", "app", KEYWORD_TEXT}};
    bool names_app = count > 0 && strstr(keywords[0].name, "app") != NULL;
    struct options_input input = {
        .argv = argv, .keywords = all, .keyword_count = count + 1, .environment = environment, .start_dir = directory};

    memcpy(all + 1, keywords, count * sizeof(*keywords));
    if (names_app) {
        input.keywords++;
        input.keyword_count--;
    }
    return options_parse(config, &input, error, sizeof(error));
}

static void keywords_are_options(void **state)
{
    struct config config;

    (void)state;
    write_file("setup.cfg", "");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        size_t count = calls[i].keywords[1].name != NULL ? 2 : 1;
        int result = parse_call(&config, calls[i].keywords, count);
        assert_int_equal(result, calls[i].error != NULL ? -1 : 0);
        assert_true(config.bad_name == calls[i].bad_name);
        if (calls[i].error != NULL)
            assert_string_equal(error, calls[i].error);
        options_release(&config);
    }
}

static void keywords_win(void **state)
{
    static const struct program_keyword keywords[] = {{"threads", "5", KEYWORD_NUMBER}, {"umask", "18", KEYWORD_NUMBER}};
    struct config config;

    (void)state;
    write_file("setup.cfg", "[cserve]\nthreads = 2\nkeep-alive = 7");
    assert_int_equal(parse_call(&config, keywords, 2), 0);
    assert_int_equal(config.process.server.threads, 5);
    assert_int_equal(config.process.umask_bits, 022);
    assert_string_equal(config.process.python.app, "app");
    options_release(&config);
    assert_int_equal(parse_call(&config, keywords, 0), 0);
    assert_int_equal(config.process.server.threads, 3);
    options_release(&config);
}

static void words_are_several_values(void **state)
{
    static const struct program_keyword keywords[] = {{"bind", " a:1\n b:2 ", KEYWORD_WORDS},
                                                      {"server_header", "a b", KEYWORD_WORDS}};
    struct config config;

    (void)state;
    write_file("setup.cfg", "");
    assert_int_equal(parse_call(&config, keywords, 2), 0);
    assert_int_equal(config.process.bind_count, 2);
    assert_string_equal(config.process.binds[1], "b:2");
    options_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_strongest_source_wins),
        cmocka_unit_test(lists_and_flags),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(what_only_a_start_can_change_stays),
        cmocka_unit_test(the_same_from_elsewhere_is_no_change),
        cmocka_unit_test(an_overridden_bind_is_no_change),
        cmocka_unit_test(keywords_are_options),
        cmocka_unit_test(keywords_win),
        cmocka_unit_test(words_are_several_values),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
