/* SPDX-License-Identifier: MIT */
/*
 * Memory. Running out of it is not an error that callers handle: the process
 * aborts and the master starts another worker. Whatever a client controls is
 * bounded before it gets here, so running out means a bug or a starved machine.
 */
#ifndef CSERVE_MEM_H
#define CSERVE_MEM_H

#include <stddef.h>

/* Return `size` bytes (uninitialised, zeroed, resized); free() gives them back. Never NULL. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *block, size_t size);

/*
 * Has all threads share one heap, unless the environment says how many there are to be. Connections are served by
 * one thread and then by another: with a heap for each, each would grow to what the busiest moment needs.
 */
void mem_share_heap(void);

/* Heap copy of the first `len` bytes of `text`, NUL-terminated; free() gives it back. */
char *mem_strndup(const char *text, size_t len);

/*
 * A LIFO of equally sized blocks, so that steady work neither calls malloc nor
 * leaves the cache. Belongs to one thread (or one loop); has no lock.
 */
struct mem_pool {
    size_t block_size;
    size_t keep; /* at most this many free blocks are kept */
    size_t held; /* free blocks now */
    void *free;  /* linked through the first word of each block */
};

void mem_pool_init(struct mem_pool *pool, size_t block_size, size_t keep);
void mem_pool_release(struct mem_pool *pool); /* frees the free blocks; taken ones stay the taker's */
void *mem_pool_take(struct mem_pool *pool);   /* caller owns; contents undefined */
void mem_pool_give(struct mem_pool *pool, void *block); /* takes ownership */

#endif
