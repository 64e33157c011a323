"""Applications that fail in every way that Python offers."""

import ctypes
import os
import signal

from apps.common import TEXT

RAISED = {
    error.__name__: error
    for error in (
        ValueError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        MemoryError,
        RecursionError,
        StopIteration,
        BaseException,
        OSError,
        BrokenPipeError,
    )
}


def at_once(environ, start_response):
    """Raises what the query string names before start_response."""
    raise RAISED[environ["QUERY_STRING"]]("at once")


def started(environ, start_response):
    """Raises after start_response, before any content."""
    start_response("200 OK", TEXT)
    raise RAISED[environ["QUERY_STRING"]]("started")


class Failing:
    """Raises in a chosen method."""

    def __init__(self, method, error):
        self.method, self.error = method, error
        self.count = 0

    def fail(self, method):
        if method == self.method:
            raise self.error(f"in {method}")

    def __iter__(self):
        self.fail("iter")
        return self

    def __next__(self):
        self.count += 1
        self.fail(f"next{self.count}")
        if self.count > 3:
            raise StopIteration
        return b"item"

    def close(self):
        self.fail("close")


def in_method(environ, start_response):
    """The query string is `method,error`: iter, next1, next2 or close."""
    method, _, error = environ["QUERY_STRING"].partition(",")
    start_response("200 OK", TEXT)
    return Failing(method, RAISED[error])


def secret(environ, start_response):
    """The message of its exception is nobody's business but the log's."""
    raise ValueError("the secret is 4711")


def odd_exception(environ, start_response):
    """An exception that cannot even be printed."""

    class Odd(Exception):
        def __str__(self):
            raise ValueError("no text either")

    raise Odd


def recursion(environ, start_response):
    """Recurses without end."""
    return recursion(environ, start_response)


def memory(environ, start_response):
    """Asks for more memory than there is."""
    return [b"x" * (1 << 62)]


def exit_process(environ, start_response):
    os._exit(3)


def kill_process(environ, start_response):
    os.kill(os.getpid(), signal.SIGKILL)


def crash(environ, start_response):
    """Reads the page that is never there."""
    ctypes.string_at(0)


def abort(environ, start_response):
    os.abort()


def hello(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"hello"]


def pid(environ, start_response):
    start_response("200 OK", TEXT)
    return [str(os.getpid()).encode()]
