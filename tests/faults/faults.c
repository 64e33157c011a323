/* SPDX-License-Identifier: MIT */
/*
 * A library to preload, which makes calls of the C library fail, or move a single byte, when it is told to.
 *
 * What fails is said in a small file that is mapped shared (its name is in FAULTS_CONTROL), so a test can
 * arm and disarm it while the server runs. Only the process that the file names is affected. See faults.py
 * for the other side of `struct control`.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum function { NONE, MALLOC, ACCEPT, RECV, SEND, SENDFILE, EPOLL_CTL, EPOLL_WAIT, OPEN, WRITE };

enum { SHORT = 0 }; /* as `error`: the call succeeds, and moves one byte */

/* All in the order of the file: eight numbers of 64 bits. */
struct control {
    _Atomic uint64_t function; /* written last when arming, first when disarming */
    _Atomic uint64_t pid;
    _Atomic uint64_t first;    /* the call that fails first, from 1 */
    _Atomic uint64_t times;    /* how many do */
    _Atomic uint64_t error;
    _Atomic uint64_t seen;     /* calls since armed */
    _Atomic uint64_t failed;
    _Atomic uint64_t unused;
};

static struct control nothing;
static struct control *control = &nothing;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *mapped;

    if (fd < 0)
        abort();
    mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(fd);
    control = mapped;
}

/* Counts a call of `f`; whether it is to go wrong. Sets errno, to SHORT if it is to be short. */
static bool goes_wrong(enum function f)
{
    uint64_t number;

    if (atomic_load(&control->function) != f || atomic_load(&control->pid) != (uint64_t)getpid())
        return false;
    number = atomic_fetch_add(&control->seen, 1) + 1;
    if (number < control->first || number - control->first >= control->times)
        return false;
    atomic_fetch_add(&control->failed, 1);
    errno = (int)control->error;
    return true;
}

/* Whether a call that moves up to *len bytes fails; it may also become short. */
static bool fails_moving(enum function f, size_t *len)
{
    int saved = errno;

    if (!goes_wrong(f))
        return false;
    if (errno != SHORT)
        return true;
    errno = saved;
    *len = *len > 1 ? 1 : *len;
    return false;
}

/* The C library's own function of this name; `cache` keeps it. */
static void *real(const char *name, void **cache)
{
    if (*cache == NULL)
        *cache = dlsym(RTLD_NEXT, name);
    return *cache;
}

#define REAL(name) (__extension__({ static void *cache; (__typeof__(&name))real(#name, &cache); }))

#ifdef FAULTS_MALLOC /* a sanitizer has an allocator of its own */
void *malloc(size_t size)
{
    return goes_wrong(MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return goes_wrong(MALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return goes_wrong(MALLOC) ? NULL : __libc_realloc(block, size);
}
#endif

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return goes_wrong(ACCEPT) ? -1 : REAL(accept4)(fd, address, len, flags);
}

ssize_t recv(int fd, void *room, size_t len, int flags)
{
    return fails_moving(RECV, &len) ? -1 : REAL(recv)(fd, room, len, flags);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    return fails_moving(SEND, &len) ? -1 : REAL(send)(fd, bytes, len, flags);
}

/* How recv and send are called where no sanitizer looks (src/net/stream.c). */
long syscall(long number, ...)
{
    enum function f = number == SYS_recvfrom ? RECV : number == SYS_sendto ? SEND : NONE;
    long with[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        with[i] = va_arg(args, long);
    va_end(args);
    if (f != NONE && fails_moving(f, (size_t *)&with[2]))
        return -1;
    return REAL(syscall)(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t len = SIZE_MAX;

    if (fails_moving(SEND, &len))
        return -1;
    if (len == 1)
        return REAL(send)(fd, message->msg_iov[0].iov_base, 1, flags);
    return REAL(sendmsg)(fd, message, flags);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t len)
{
    return fails_moving(SENDFILE, &len) ? -1 : REAL(sendfile)(out, in, offset, len);
}

int epoll_ctl(int poller, int operation, int fd, struct epoll_event *event)
{
    return goes_wrong(EPOLL_CTL) ? -1 : REAL(epoll_ctl)(poller, operation, fd, event);
}

int epoll_wait(int poller, struct epoll_event *events, int most, int timeout)
{
    return goes_wrong(EPOLL_WAIT) ? -1 : REAL(epoll_wait)(poller, events, most, timeout);
}

static mode_t mode_of(int flags, va_list arguments)
{
    bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;

    return creates ? (mode_t)va_arg(arguments, int) : 0;
}

/* Both spellings of each, since what calls them was compiled with either. */
#define DEFINE_OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list arguments; \
        mode_t mode; \
        va_start(arguments, flags); \
        mode = mode_of(flags, arguments); \
        va_end(arguments); \
        return goes_wrong(OPEN) ? -1 : REAL(name)(path, flags, mode); \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)

/* A file's content; neither a pipe nor what is appended to a log. */
static bool is_content(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (fcntl(fd, F_GETFL) & O_APPEND) == 0;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    bool armed = atomic_load(&control->function) == WRITE && is_content(fd);

    return armed && fails_moving(WRITE, &len) ? -1 : REAL(write)(fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    bool armed = atomic_load(&control->function) == WRITE && is_content(fd);

    return armed && fails_moving(WRITE, &len) ? -1 : REAL(pwrite)(fd, bytes, len, offset);
}
