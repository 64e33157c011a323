/* SPDX-License-Identifier: MIT */
/*
 * `cserve top`: looks once a second and draws what it sees on the terminal's second screen, so that the first is there
 * again when it leaves.
 *
 * However it ends, by a key or a signal, the terminal gets back the settings that it had: signals are read from a
 * descriptor, so none comes between.
 */
#include "cserve/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/process.h"

#include "top.h"

enum { EVERY_MS = 1000, CTRL_C = 3, WIDTH = 80, HEIGHT = 24 };

#define ENTER "\x1b[?1049h\x1b[?25l\x1b[2J" /* the second screen, without a cursor, empty */
#define LEAVE "\x1b[m\x1b[?25h\x1b[?1049l"

struct top {
    const char *address;
    struct look looks[2];
    int at;              /* the latest look that knows something; the other one is before it */
    char trouble[LOOK_ERROR_MAX]; /* why there is nothing newer; "": there is */
    bool left;
    int signals;         /* descriptor */
    struct termios was;
    sigset_t was_blocked;
};

/* --- the terminal ------------------------------------------------------------------------------ */

/* What cannot be written has nobody who could see it. */
static void say(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

/* 0, or -1 with errno. */
static int enter(struct top *top)
{
    struct termios raw;
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGWINCH);
    if (tcgetattr(STDIN_FILENO, &top->was) != 0)
        return -1;
    if ((top->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return -1;
    sigprocmask(SIG_BLOCK, &signals, &top->was_blocked);
    raw = top->was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    say(ENTER, sizeof(ENTER) - 1);
    return 0;
}

static void leave(const struct top *top)
{
    say(LEAVE, sizeof(LEAVE) - 1);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &top->was); /* what was typed behind q is the shell's */
    close(top->signals);
    sigprocmask(SIG_SETMASK, &top->was_blocked, NULL);
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return no == NULL || no[0] == '\0';
}

static void measure(struct screen *screen)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

    screen->width = known ? size.ws_col : WIDTH;
    screen->height = known ? size.ws_row : HEIGHT;
}

/* --- looking and drawing ----------------------------------------------------------------------- */

/* What is known stays if nothing newer comes. */
static int look(struct top *top)
{
    struct look *next = &top->looks[1 - top->at];
    struct look fresh;

    look_init(&fresh);
    if (look_take(&fresh, top->address, top->trouble, sizeof(top->trouble)) != 0) {
        look_release(&fresh);
        return -1;
    }
    look_release(next);
    *next = fresh;
    top->at = 1 - top->at;
    top->trouble[0] = '\0';
    return 0;
}

static void draw(const struct top *top)
{
    struct screen screen = {.live = true, .colour = wants_colour()};
    struct buf out;

    if (top->trouble[0] != '\0')
        screen.trouble = top->trouble;
    measure(&screen);
    buf_init(&out);
    screen_draw(&out, &screen, &top->looks[top->at], &top->looks[1 - top->at]);
    say(out.data, out.len);
    buf_release(&out);
}

/* --- what comes -------------------------------------------------------------------------------- */

static void take_keys(struct top *top)
{
    char keys[64];
    ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));

    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        top->left = true; /* the terminal is gone */
    for (ssize_t i = 0; i < got; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == CTRL_C)
            top->left = true;
    }
}

static void take_signals(struct top *top)
{
    struct signalfd_siginfo info;

    while (read(top->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGWINCH)
            top->left = true;
    }
}

/* Until it is time to look again. */
static void await(struct top *top, int64_t until_ms)
{
    struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = top->signals, .events = POLLIN}};
    int64_t now_ms;

    while (!top->left && (now_ms = clock_ms()) < until_ms) {
        if (poll(polled, 2, (int)(until_ms - now_ms)) <= 0)
            continue;
        if (polled[0].revents != 0)
            take_keys(top);
        if (polled[1].revents != 0)
            take_signals(top);
        if (!top->left)
            draw(top);
    }
}

static int show(struct top *top)
{
    if (enter(top) != 0) {
        fprintf(stderr, "cserve: top: the terminal: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    for (int64_t due_ms = clock_ms() + EVERY_MS; !top->left; due_ms = clock_ms() + EVERY_MS) {
        draw(top);
        await(top, due_ms);
        if (!top->left)
            look(top);
    }
    leave(top);
    return EXIT_OK;
}

/* --- where there is no terminal ---------------------------------------------------------------- */

static int print(struct top *top)
{
    struct screen screen = {0};
    struct buf out;

    poll(NULL, 0, EVERY_MS);
    if (look(top) != 0) {
        fprintf(stderr, "cserve: top: %s\n", top->trouble);
        return EXIT_FAILED;
    }
    buf_init(&out);
    screen_draw(&out, &screen, &top->looks[top->at], &top->looks[1 - top->at]);
    fwrite(out.data, 1, out.len, stdout);
    buf_release(&out);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static bool has_terminal(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
}

int top_run(const char *address)
{
    struct top top = {.address = address};
    int status = EXIT_FAILED;

    if (look(&top) != 0)
        fprintf(stderr, "cserve: top: %s\n", top.trouble);
    else
        status = has_terminal() ? show(&top) : print(&top);
    look_release(&top.looks[0]);
    look_release(&top.looks[1]);
    return status;
}
