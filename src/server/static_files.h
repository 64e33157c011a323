/* SPDX-License-Identifier: MIT */
/*
 * Serves files: --static. What is answered here never reaches the handler, and all of it happens on the loop's thread. A
 * disk that is slow holds that up: the price for no thread and no copy; sendq.c keeps what is read at a time bounded.
 */
#ifndef CSERVE_STATIC_FILES_H
#define CSERVE_STATIC_FILES_H

#include "cserve/handler.h"
#include "cserve/server.h"

struct static_files;
struct static_dir;

/* Opens the directories that config->static_maps names. NULL with the reason logged. */
struct static_files *static_files_new(const struct server_config *config);
void static_files_free(struct static_files *files);

/* The directory that requests for `path` (as the client sent it) are answered from; NULL: the application answers them. */
const struct static_dir *static_files_find(const struct static_files *files, struct str path);

/* Answers the request from there, in place of a handler: exchange_finish has been called. */
void static_files_answer(const struct static_files *files, const struct static_dir *dir, struct exchange *x);

#endif
