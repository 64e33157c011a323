"""Tells what arrived: the answer is the repr of a dict. `/calls` tells which requests got here."""

import os
import time

calls = []


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/calls":
        answer = repr(calls).encode()
        calls.clear()
    elif path == "/written":
        return written(environ, start_response)
    else:
        calls.append((environ["REQUEST_METHOD"], environ["REQUEST_URI"]))
        answer = globals().get(f"answer_{path[1:]}", tell)(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return answer if hasattr(answer, "__next__") else [answer]


def written(environ, start_response):
    """As many blocks of 64 KiB as the query string says, by write()."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(int(environ["QUERY_STRING"])):
        write(b"x" * 65536)
    return []


def tell(environ):
    """All strings of environ, and the content as `body`."""
    told = {key: value for key, value in environ.items() if isinstance(value, str)}
    told["body"] = environ["wsgi.input"].read()
    return repr(told).encode()


def answer_large(environ):
    """As many bytes as the query string says."""
    return b"x" * int(environ["QUERY_STRING"])


def answer_blocks(environ):
    """As many blocks of 64 KiB as the query string says."""
    return (b"x" * 65536 for _ in range(int(environ["QUERY_STRING"])))


def answer_gate(environ):
    """Waits until something is written to the FIFO that the query string names."""
    gate = os.open(environ["QUERY_STRING"], os.O_RDONLY)
    os.read(gate, 1)
    os.close(gate)
    return b"passed"


def answer_gated_blocks(environ):
    """An item, then the gate, then another."""
    yield b"before"
    yield answer_gate(environ)


def answer_spin(environ):
    """Works for as many seconds as the query string says."""
    end = time.monotonic() + float(environ["QUERY_STRING"])
    while time.monotonic() < end:
        pass
    return b"spun"
