/* SPDX-License-Identifier: MIT */
/*
 * The page at / of the status listener: page.html, which the assembler puts among the constants as it stands (its path
 * is relative to where the compiler runs, the top of the project).
 *
 * Its policy lets the browser run the style and the script that are in it, by their hashes, and ask this listener for
 * data; nothing else, wherever what the page shows comes from. tests/web/test_page.py says what the hashes must be.
 */
#include "sample.h"

__asm__(".pushsection .rodata\n"
        ".globl page_html, page_html_len\n"
        ".hidden page_html, page_html_len\n"
        "page_html:\n"
        ".incbin \"src/process/page.html\"\n"
        ".Lpage_html_end:\n"
        ".balign 8\n"
        "page_html_len:\n"
        ".quad .Lpage_html_end - page_html\n"
        ".popsection\n");
extern const char page_html[];
extern const int64_t page_html_len;

const char page_policy[] =
    "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'sha256-ltiWLpFpkHDG0ad5lbjg8U9V6iaMH7UzihKHiaKIJPo='; "
    "script-src 'sha256-qlW67vIsQIFZVve0dSotsJOBvjf8nWTkTYGIQqgmqk4='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void page_write(struct buf *out)
{
    buf_append(out, page_html, (size_t)page_html_len);
}
