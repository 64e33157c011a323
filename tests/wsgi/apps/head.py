"""Applications that try what start_response and write are for, and what they forbid."""

import ast
import gc
import sys
import weakref
from urllib.parse import unquote

from apps.common import TEXT, answer, seen, wait_gate


def plain(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"plain"]


def given(environ, start_response):
    """Starts with the status and headers that the query string spells as Python literals."""
    status, headers = ast.literal_eval(unquote(environ["QUERY_STRING"]))
    start_response(status, headers)
    return [b"given"]


def caught(environ, start_response):
    """As `given`, but catches what start_response raises, and tells."""
    status, headers = ast.literal_eval(unquote(environ["QUERY_STRING"]))
    try:
        start_response(status, headers)
    except Exception as error:
        return answer(start_response, (type(error).__name__, str(error)))
    return [b"not raised"]


def by_keyword(environ, start_response):
    """exc_info is the only argument that may be given by name."""
    try:
        raise KeyError
    except KeyError:
        start_response("200 OK", TEXT, exc_info=sys.exc_info())
    return [b"by keyword"]


def none_info(environ, start_response):
    """exc_info=None is as good as none."""
    start_response("200 OK", TEXT, None)
    return [b"none"]


def twice(environ, start_response):
    """A second call without exc_info."""
    start_response("200 OK", TEXT)
    try:
        start_response("404 Not Found", TEXT)
    except Exception as error:
        return [f"raised {type(error).__name__}".encode()]
    return [b"not raised"]


def twice_uncaught(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("404 Not Found", TEXT)
    return [b"never seen"]


def replaced(environ, start_response):
    """With exc_info before anything was sent: replaces status and all headers."""
    start_response("200 OK", [*TEXT, ("X-First", "1"), ("Content-Length", "3"), ("Set-Cookie", "a=b")])
    try:
        raise ValueError("early")
    except ValueError:
        start_response("503 Replaced", [*TEXT, ("X-Second", "2")], sys.exc_info())
    return [b"replaced body"]


def replaced_in_iteration(environ, start_response):
    """As `replaced`, when the result has already yielded nothing but empty strings."""
    start_response("200 OK", [*TEXT, ("X-First", "1")])
    yield b""
    yield b""
    try:
        raise ValueError("early")
    except ValueError:
        start_response("503 Replaced", [*TEXT, ("X-Second", "2")], sys.exc_info())
    yield b"replaced late"


def too_late(environ, start_response):
    """With exc_info after bytes were sent: start_response raises exc_info's exception."""
    start_response("200 OK", TEXT)
    yield b"first part"
    wait_gate(environ)
    try:
        raise ValueError("after the head")
    except ValueError:
        info = sys.exc_info()
        try:
            start_response("500 Too Late", TEXT, info)
        except ValueError as error:
            frames = []
            traceback = error.__traceback__
            while traceback:
                frames.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
            seen.append((error is info[1], frames))
            raise
    yield b"never seen"


class Marked(Exception):
    pass


references = []


def leak_info(environ, start_response):
    """Replaces the head with an exception whose life is watched."""
    start_response("200 OK", TEXT)
    try:
        raise Marked
    except Marked as error:
        references.append(weakref.ref(error))
        start_response("500 Watched", TEXT, sys.exc_info())
    return [b"watched"]


def alive(environ, start_response):
    """How many of the watched exceptions are still alive."""
    gc.collect()
    return answer(start_response, sum(reference() is not None for reference in references))


def late(environ, start_response):
    """Calls start_response as late as it may: inside the first iteration."""
    start_response("201 Late", TEXT)
    yield b"late body"


def late_empty(environ, start_response):
    """Only empty strings, then start_response just before the first byte."""
    start_response("202 Later", TEXT)
    yield b""
    yield b""
    yield b"later body"


def mutated(environ, start_response):
    """Changes its list after the call."""
    headers = [*TEXT, ("X-Kept", "yes")]
    start_response("200 OK", headers)
    headers[:] = [("X-Changed", "yes")]
    headers.append(("Content-Length", "1"))
    yield b"kept body"


def by_write(environ, start_response):
    """All content by write()."""
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"")
    write(b"two")
    return []


def write_and_return(environ, start_response):
    """Some by write(), some by the result."""
    write = start_response("200 OK", TEXT)
    write(b"written ")
    return [b"and ", b"returned"]


def write_length(environ, start_response):
    """By write(), with a Content-Length."""
    write = start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    write(b"01234")
    write(b"56789")
    return []


def write_gated(environ, start_response):
    """write() before a wait, so that a test can see what was sent at once."""
    write = start_response("200 OK", TEXT)
    write(b"at once")
    wait_gate(environ)
    write(b"afterwards")
    return []


def write_text(environ, start_response):
    """write(str)."""
    write = start_response("200 OK", TEXT)
    write("text")
    return []


def write_large(environ, start_response):
    """32 MiB by write(), more than any socket buffer holds."""
    write = start_response("200 OK", TEXT)
    for index in range(512):
        write(bytes([index % 251]) * 65536)
    return []


kept = []


def keep(environ, start_response):
    """Keeps start_response and write beyond the request."""
    kept[:] = [start_response, start_response("200 OK", TEXT)]
    return [b"kept"]


def use_kept(environ, start_response):
    """Calls what was kept, before the head of this request is started."""
    results = []
    for call in (lambda: kept[0]("200 OK", [("X-Stale", "1")]), lambda: kept[1](b"stale")):
        try:
            call()
            results.append("no error")
        except Exception as error:
            results.append(type(error).__name__)
    return answer(start_response, results)


def hop_by_hop(environ, start_response):
    """Sends the field that the query string names, which is the server's business."""
    start_response("200 OK", [*TEXT, (environ["QUERY_STRING"], "chunked"), ("X-Other", "kept")])
    return [b"hop"]


def closing(environ, start_response):
    """Asks for the connection to be closed."""
    start_response("200 OK", [*TEXT, ("Connection", "close")])
    return [b"closing"]


def many(environ, start_response):
    """Two hundred fields, some repeated, some long."""
    headers = [(f"X-Field-{index}", "v" * index) for index in range(200)]
    start_response("200 OK", [*TEXT, *headers, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", "")])
    return [b"many"]


def not_called(environ, start_response):
    """Forgets start_response."""
    return [b"body without head"]


def not_called_empty(environ, start_response):
    """Forgets start_response, and has nothing to say."""
    return []
