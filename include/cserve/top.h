/* SPDX-License-Identifier: MIT */
/* `cserve top`: how another cserve is, live on a terminal; what its status listener says. */
#ifndef CSERVE_TOP_H
#define CSERVE_TOP_H

/*
 * Shows it until q or Ctrl-C, and leaves the terminal as it was; if stdin or stdout is none, prints one second of it.
 * The address is as of --status. Exit status, with a message on stderr if nothing answers there.
 */
int top_run(const char *address);

#endif
