/* SPDX-License-Identifier: MIT */
/*
 * What an operator writes: a command line (the input's lines are its arguments), lists of networks,
 * addresses. Names are never looked up: the linker puts __wrap_getaddrinfo before the C library's
 * (-Wl,--wrap=getaddrinfo).
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

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
    EXPECT(config->process.python.app != NULL);
    EXPECT(config->process.bind_count > 0 && config->process.binds == config->binds);
    EXPECT(config->port >= 0 && config->port <= 65535);
    EXPECT(limits->line >= 64 && limits->fields >= 1 && limits->field_size >= 64 && limits->head >= 1024);
    EXPECT(limits->fields <= 1000 && limits->head <= 16 << 20);
    EXPECT(config->process.server.worker_connections >= 1);
    EXPECT(config->process.server.write_timeout_ms >= 0 && config->process.server.keep_alive_ms >= 0);
    for (size_t i = 0; i < config->process.bind_count; i++)
        EXPECT(config->binds[i] != NULL);
}

static void check_command_line(char *text)
{
    char *argv[ARGUMENTS_MAX + 2] = {"cserve"}, *line = text, *end;
    char *error = malloc(CAP);
    struct options_input input = {.argc = 1, .argv = argv, .start_dir = "/nowhere"};
    struct config config;

    while (input.argc <= ARGUMENTS_MAX && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        argv[input.argc++] = line;
        line = end + 1;
    }
    if (options_parse(&config, &input, error, CAP) == 0)
        check_config(&config);
    else
        check_message(error, CAP);
    options_release(&config);
    free(error);
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
    free(exact);
    text.len--;
    buf_append(&text, "\n", 2);
    exact = fuzz_copy(text.data, text.len);
    check_command_line(exact);
    free(exact);
    buf_release(&text);
    return 0;
}
