"""What the applications answer, and what the harness therefore expects. Imported by both."""

import functools
import json

HELLO = b"Hello, World!\n"

STREAMED = [b"%05d " % number + b"x" * 93 + b"\n" for number in range(200)]  # 200 pieces of 100 bytes

# Names that a template must escape, as long as those of a real list.
ROWS = [{"number": number, "name": f"Entry <{number}> & Co.", "price": f"{number * 1.25:.2f}"}
        for number in range(1, 21)]

# Of no length that divides a buffer's, so that a piece which is missing or in the wrong place shows.
_BLOCK = b"".join(b"%015d\n" % number for number in range(4096))[:65521]


@functools.cache
def pattern(size):
    """So many bytes."""
    return (_BLOCK * (size // len(_BLOCK) + 1))[:size]


def document():
    """What /json encodes anew for each request."""
    return {"message": "Hello, World!", "entries": [{"id": number, "name": f"entry {number}", "done": False}
                                                    for number in range(10)]}


def page(end=b""):
    """What the template makes of ROWS; some engines keep the line end at the file's end."""
    rows = "".join(f"<tr><td>{row['number']}</td><td>Entry &lt;{row['number']}&gt; &amp; Co.</td>"
                   f"<td>{row['price']}</td></tr>\n" for row in ROWS)
    return (f"<!doctype html>\n<title>Price list</title>\n<h1>Price list</h1>\n<table>\n{rows}</table>\n"
            f"<p>{len(ROWS)} entries</p>").encode() + end


def as_json():
    return json.dumps(document()).encode()
