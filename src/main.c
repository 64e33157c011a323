/* SPDX-License-Identifier: MIT */
/* cserve, the command with the interpreter inside. */
#include "cserve/program.h"

int main(int argc, char **argv)
{
    const struct program_start start = {.argc = argc, .argv = argv};

    return program_main(&start);
}
