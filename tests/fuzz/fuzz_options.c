/* SPDX-License-Identifier: MIT */
/*
 * What an operator writes: a command line (the input's lines are its arguments), an environment, a configuration
 * file, lists of networks, addresses. Names are never looked up: the linker puts __wrap_getaddrinfo before the C library's
 * (-Wl,--wrap=getaddrinfo).
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/options.h"

#include "fuzz.h"

enum { ARGUMENTS_MAX = 16, CAP = 64 };

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    struct addrinfo numeric = *hints;

    numeric.ai_flags |= AI_NUMERICHOST;
    return __real_getaddrinfo(node, service, &numeric, found);
}

/* A message is a text that fits; `cap` bytes of `error` are there. */
static void check_message(const char *error, size_t cap)
{
    size_t len = strnlen(error, cap);

    EXPECT(len > 0 && len < cap);
}

static void check_config(const struct config *config)
{
    const struct http_limits *limits = &config->process.server.limits;

    if (config->show_help || config->show_version || config->show_markdown)
        return;
    EXPECT(config->process.python.app != NULL || config->print_config);
    EXPECT(config->process.bind_count > 0 && config->process.binds == config->binds);
    EXPECT(config->port >= 0 && config->port <= 65535);
    EXPECT(limits->line >= 64 && limits->fields >= 1 && limits->field_size >= 64 && limits->head >= 1024);
    EXPECT(limits->fields <= 1000 && limits->head <= 16 << 20);
    EXPECT(config->process.server.worker_connections >= 1);
    EXPECT(config->process.server.write_timeout_ms >= 0 && config->process.server.keep_alive_ms >= 0);
    for (size_t i = 0; i < config->process.bind_count; i++)
        EXPECT(config->binds[i] != NULL);
}

static void check_input(const struct options_input *input)
{
    char *error = malloc(CAP);
    struct config config;

    if (options_parse(&config, input, error, CAP) == 0)
        check_config(&config);
    else
        check_message(error, CAP);
    options_release(&config);
    free(error);
}

/* The text is all of a file's section; it is in memory. */
static void check_file(const char *text)
{
    static int fd = -1;
    char path[64];
    char *argv[] = {"cserve", "app", "--config", path, NULL};
    const struct options_input input = {.argc = 4, .argv = argv};

    if (fd < 0)
        fd = memfd_create("options", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    EXPECT(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    EXPECT(dprintf(fd, "[cserve]\n%s", text) > 0);
    check_input(&input);
}

/* The lines are arguments, and then variables. */
static void check_lines(char *text)
{
    char *argv[ARGUMENTS_MAX + 2] = {"cserve"}, *line = text, *end;
    char *app[] = {"cserve", "app", NULL};
    struct options_input input = {.argc = 1, .argv = argv, .start_dir = "/nowhere"};
    const struct options_input variables = {.argc = 2, .argv = app, .environment = argv, .start_dir = "/nowhere"};

    while (input.argc <= ARGUMENTS_MAX && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        argv[input.argc++] = line;
        line = end + 1;
    }
    check_input(&input);
    check_input(&variables);
}

static void check_networks(const char *text)
{
    char *error = malloc(CAP);
    struct cidr_list list;

    if (cidr_list_parse(&list, text, error, CAP) != 0)
        check_message(error, CAP);
    for (size_t i = 0; i < list.count; i++)
        EXPECT(list.nets[i].bits <= 128);
    cidr_list_has_text(&list, str_make(text, strcspn(text, ",/")));
    cidr_list_release(&list);
    free(error);
}

/* What is written of an address is read again as the same one. */
static void check_address(const char *text)
{
    char *error = malloc(CAP);
    struct address a, again;
    char written[256];

    if (address_parse(&a, text, error, CAP) != 0) {
        check_message(error, CAP);
        free(error);
        return;
    }
    EXPECT(address_text(&a, written, sizeof(written)) < sizeof(written));
    EXPECT(address_parse(&again, written, error, CAP) == 0);
    EXPECT(address_port(&a) == address_port(&again));
    EXPECT(address_is_unix(&a) == address_is_unix(&again));
    free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    char *exact;

    if (size > 0 && memchr(data, '\0', size) != NULL)
        return 0; /* no argument holds one */
    buf_init(&text);
    buf_append(&text, data, size);
    buf_append(&text, "", 1);
    exact = fuzz_copy(text.data, text.len);
    check_networks(exact);
    check_address(exact);
    check_file(exact);
    free(exact);
    text.len--;
    buf_append(&text, "\n", 2);
    exact = fuzz_copy(text.data, text.len);
    check_lines(exact);
    free(exact);
    buf_release(&text);
    return 0;
}
