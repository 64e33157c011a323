/* SPDX-License-Identifier: MIT */
/*
 * Allocation that does not fail, and a pool of equal blocks.
 *
 * A failed allocation ends the process with one line on stderr and a core dump where those are
 * allowed: unwinding from it would need memory and paths that no test reaches. Nothing here is
 * sized by a client; the callers' limits come first.
 */
#include "cserve/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "cserve: out of memory (%zu bytes wanted)\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *block = malloc(size ? size : 1);
    if (block == NULL)
        out_of_memory(size);
    return block;
}

void *mem_zalloc(size_t size)
{
    void *block = calloc(1, size ? size : 1);
    if (block == NULL)
        out_of_memory(size);
    return block;
}

void *mem_realloc(void *block, size_t size)
{
    void *moved = realloc(block, size ? size : 1);
    if (moved == NULL)
        out_of_memory(size);
    return moved;
}

void mem_share_heap(void)
{
#ifdef M_ARENA_MAX
    const char *tunables = getenv("GLIBC_TUNABLES");

    if (getenv("MALLOC_ARENA_MAX") == NULL && (tunables == NULL || strstr(tunables, "arena_max") == NULL))
        mallopt(M_ARENA_MAX, 1);
#endif
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_pool_init(struct mem_pool *pool, size_t block_size, size_t keep)
{
    /* A free block holds the link to the next one. */
    size_t least = sizeof(void *);
    *pool = (struct mem_pool){.block_size = block_size < least ? least : block_size, .keep = keep};
}

void mem_pool_release(struct mem_pool *pool)
{
    while (pool->free != NULL) {
        void *block = pool->free;
        memcpy(&pool->free, block, sizeof pool->free);
        free(block);
    }
    pool->held = 0;
}

void *mem_pool_take(struct mem_pool *pool)
{
    void *block = pool->free;
    if (block == NULL)
        return mem_alloc(pool->block_size);
    memcpy(&pool->free, block, sizeof pool->free);
    pool->held--;
    return block;
}

void mem_pool_give(struct mem_pool *pool, void *block)
{
    if (pool->held >= pool->keep) {
        free(block);
        return;
    }
    memcpy(block, &pool->free, sizeof pool->free);
    pool->free = block;
    pool->held++;
}
