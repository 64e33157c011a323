"""An application that is watched: it answers, waits, and gets stuck."""

import ctypes
import os

CALLING_WITH_GIL = ctypes.PyDLL(None)


def gate(path):
    """Waits as Python does, without the GIL."""
    with open(path, "rb", buffering=0) as file:
        file.read(1)


def stuck(path):
    """Waits in C, with the GIL: no other thread can run."""
    descriptor = os.open(path, os.O_RDONLY)
    CALLING_WITH_GIL.read(descriptor, ctypes.create_string_buffer(1), 1)
    os.close(descriptor)


def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    status = f"{query} Text" if path == "/status" else "200 OK"
    if path in ("/gate", "/stuck"):
        globals()[path[1:]](query)
    body = b"%d" % os.getpid() if path == "/pid" else environ["wsgi.input"].read()[:1] or b"here"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
