/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target on files: each argument is one, or a directory of them. It stands in for libFuzzer's
 * own main, so that the corpora are a regression test with any compiler.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cserve/buf.h"

#include "fuzz.h"

static _Noreturn void give_up(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(2);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct buf input;
    size_t count;
    char *exact;

    if (file == NULL)
        give_up(path);
    buf_init(&input);
    while ((count = fread(buf_room(&input, 4096), 1, 4096, file)) > 0)
        input.len += count;
    fclose(file);
    exact = fuzz_copy(input.data, input.len);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, input.len);
    free(exact);
    buf_release(&input);
}

/* Returns how many files it ran. */
static int run_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (directory == NULL)
        give_up(path);
    while ((entry = readdir(directory)) != NULL) {
        struct buf name;

        if (entry->d_name[0] == '.')
            continue;
        buf_init(&name);
        buf_printf(&name, "%s/%s", path, entry->d_name);
        buf_append(&name, "", 1);
        run_file(name.data);
        buf_release(&name);
        count++;
    }
    closedir(directory);
    return count;
}

static int run_path(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        give_up(path);
    if (S_ISDIR(info.st_mode))
        return run_directory(path);
    run_file(path);
    return 1;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++)
        count += run_path(argv[i]);
    printf("%s: %d inputs replayed\n", argv[0], count);
    return count > 0 ? 0 : 1;
}
