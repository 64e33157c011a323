/* SPDX-License-Identifier: MIT */
/*
 * Datagrams to syslog. The socket keeps its number and is connected anew when whoever listened there has been started
 * again, so that nothing here needs a lock. A message is its header and a view of the caller's line: nothing is copied.
 */
#include "cserve/syslog.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cserve/clock.h"

enum { LINE_MAX_BYTES = 8 * 1024, HEADER_MAX = 400, HOST_MAX = 128, PREFIX_MAX = 128 };

const char *const syslog_facilities[] = {"kern",   "user",   "mail",   "daemon", "auth",   "syslog", "lpr",
                                         "news",   "uucp",   "cron",   "authpriv", "ftp",  "local0", "local1",
                                         "local2", "local3", "local4", "local5", "local6", "local7", NULL};

enum { LOCAL0_AT = 12, LOCAL0_CODE = 16 };

static struct {
    int fd; /* 0: not open */
    unsigned facility; /* its code */
    struct sockaddr_storage address;
    socklen_t address_len;
    char prefix[PREFIX_MAX]; /* "cserve", or "cserve.PREFIX" */
    char host[HOST_MAX];     /* "NAME ", which another machine wants to be told; "" on this one */
} target;

static const int severities[] = {
    [LOG_LEVEL_DEBUG] = 7, [LOG_LEVEL_INFO] = 6, [LOG_LEVEL_WARNING] = 4, [LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_CRITICAL] = 2,
};

static int set_unix(const char *path, char *error, size_t cap)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&target.address;

    if (strlen(path) >= sizeof(address->sun_path)) {
        snprintf(error, cap, "the path is too long");
        return -1;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    target.address_len = sizeof(*address);
    return 0;
}

/* "HOST:PORT" in two; brackets around the host are taken off. False if it is not that. */
static bool split(const char *text, char host[HOST_MAX], const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';

    if (len == 0 || len >= HOST_MAX || colon[1] == '\0')
        return false;
    snprintf(host, HOST_MAX, "%.*s", (int)(bracketed ? len - 2 : len), bracketed ? text + 1 : text);
    *port = colon + 1;
    return true;
}

static int set_udp(const char *text, char *error, size_t cap)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    char host[HOST_MAX];
    const char *port;
    int result;

    if (!split(text, host, &port)) {
        snprintf(error, cap, "udp:// must be followed by HOST:PORT");
        return -1;
    }
    result = getaddrinfo(host, port, &hints, &found);
    if (result != 0) {
        snprintf(error, cap, "%s", gai_strerror(result));
        return -1;
    }
    memcpy(&target.address, found->ai_addr, found->ai_addrlen);
    target.address_len = found->ai_addrlen;
    freeaddrinfo(found);
    if (gethostname(host, sizeof(host)) == 0) /* the other one is not needed any more */
        snprintf(target.host, sizeof(target.host), "%.*s ", HOST_MAX - 2, host);
    return 0;
}

static int connect_target(int fd)
{
    return connect(fd, (struct sockaddr *)&target.address, target.address_len);
}

/* The address is known. */
static int open_target(char *error, size_t cap)
{
    int fd = socket(target.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect_target(fd) == 0) {
        target.fd = fd;
        return 0;
    }
    snprintf(error, cap, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int syslog_open(const char *to, unsigned facility, const char *prefix, char *error, size_t cap)
{
    int result = -1;

    syslog_close();
    target.host[0] = '\0';
    target.facility = facility < LOCAL0_AT ? facility : facility - LOCAL0_AT + LOCAL0_CODE;
    snprintf(target.prefix, sizeof(target.prefix), "cserve%s%s", prefix != NULL ? "." : "", prefix != NULL ? prefix : "");
    if (strncmp(to, "unix:///", 8) == 0)
        result = set_unix(to + 7, error, cap);
    else if (strncmp(to, "udp://", 6) == 0)
        result = set_udp(to + 6, error, cap);
    else
        snprintf(error, cap, "it must be unix:///PATH or udp://HOST:PORT");
    return result == 0 ? open_target(error, cap) : -1;
}

bool syslog_is_open(void)
{
    return target.fd > 0;
}

void syslog_close(void)
{
    if (target.fd > 0)
        close(target.fd);
    target.fd = 0;
}

/* "<14>Nov 24 22:48:14 host cserve.error[4711]: ". Returns its length. */
static size_t make_header(char header[HEADER_MAX], enum log_level level, const char *name)
{
    time_t now = clock_wall();
    struct tm local;

    localtime_r(&now, &local);
    return (size_t)snprintf(header, HEADER_MAX, "<%u>%s %2d %02d:%02d:%02d %s%s.%s[%ld]: ",
                            target.facility * 8 + (unsigned)severities[level], clock_month(&local), local.tm_mday,
                            local.tm_hour, local.tm_min, local.tm_sec, target.host, target.prefix, name, (long)getpid());
}

/* What cannot be sent now, or to nobody, is lost. */
static void send_line(const char *header, size_t header_len, struct str line)
{
    size_t len = line.len < LINE_MAX_BYTES ? line.len : LINE_MAX_BYTES;
    struct iovec parts[] = {{(char *)header, header_len}, {(char *)line.ptr, len}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (sendmsg(target.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN || errno == EWOULDBLOCK)
        return;
    if (connect_target(target.fd) == 0 && sendmsg(target.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

void syslog_send(enum log_level level, const char *name, struct str text)
{
    char header[HEADER_MAX];
    size_t header_len = make_header(header, level, name);
    int saved = errno;

    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;

        if (len > 0)
            send_line(header, header_len, str_make(text.ptr, len));
        len += newline != NULL;
        text = str_make(text.ptr + len, text.len - len);
    }
    errno = saved;
}
