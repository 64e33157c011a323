"""Applications that tell what the worker holds on to."""

import contextvars
import gc
import os
import sys

from apps.common import TEXT, answer


variable = contextvars.ContextVar("variable")


def report(environ, start_response):
    """Blocks of memory that Python objects have, all references (debug builds only), and open descriptors."""
    gc.collect()
    references = getattr(sys, "gettotalrefcount", int)()
    return answer(start_response, (sys.getallocatedblocks(), references, len(os.listdir("/proc/self/fd"))))


def contexts(environ, start_response):
    """Sets a context variable to something of the request, in and outside of its iteration."""
    variable.set(environ)
    start_response("200 OK", TEXT)
    yield b"one"
    variable.set([environ])
    yield b"two"


def half_written(environ, start_response):
    """write() and a result, with a wrong exc_info and a wrong second call on the way."""
    write = start_response("200 OK", [*TEXT, ("X-Latin", "caf\u00e9"), ("CONNECTION", "keep-alive")])
    for arguments in ((), ("200 OK",), ("200 OK", [], "no tuple"), ("200 OK", [("Bad\n", "")], None),
                      (b"200 OK", [], (None, None, None)), ("200 OK", [("X", "\u20ac")], (None, None, None))):
        try:
            start_response(*arguments)
        except (TypeError, ValueError, AssertionError):
            pass
    start_response("200 OK", TEXT, (None, None, None))
    write(b"x" * 20000)
    return [b"y" * 20000]


def reads(environ, start_response):
    """Every way to read wsgi.input, also wrong ones."""
    stream = environ["wsgi.input"]
    stream.read(1), stream.readline(2), stream.readlines(3), stream.readinto(bytearray(4)), next(stream, None)
    for wrong in (lambda: stream.read("1"), lambda: stream.read(1, 2), lambda: stream.readinto(b"")):
        try:
            wrong()
        except (TypeError, BufferError):
            pass
    return answer(start_response, len(list(stream)))


def cycle(environ, start_response):
    """Leaves everything that it was given in a cycle, for the collector."""
    start_response("200 OK", TEXT)
    environ["test.cycle"] = (environ, start_response, environ["wsgi.file_wrapper"](environ["wsgi.input"]))
    return [b"cycle"]
