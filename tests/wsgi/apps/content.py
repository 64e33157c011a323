"""Applications that read wsgi.input."""

import hashlib
from urllib.parse import unquote

from apps.common import TEXT, answer, seen


def run(stream, step):
    """One step of a script: a method with its argument, or `iterate`."""
    method, _, argument = step.partition(" ")
    if method == "iterate":
        return list(stream)
    if method == "next":
        return next(iter(stream), None)
    arguments = [] if not argument else [None if argument == "None" else int(argument)]
    return getattr(stream, method)(*arguments)


def script(environ, start_response):
    """The results of the calls in the query string, such as `read 5;readline;readlines 20`."""
    stream = environ["wsgi.input"]
    return answer(start_response, [run(stream, step) for step in unquote(environ["QUERY_STRING"]).split(";")])


def digest(environ, start_response):
    """CONTENT_LENGTH, and size and SHA-256 of what read(65536) gives in turn."""
    size, state = 0, hashlib.sha256()
    while data := environ["wsgi.input"].read(65536):
        size += len(data)
        state.update(data)
    return answer(start_response, (environ.get("CONTENT_LENGTH"), size, state.hexdigest()))


def lines(environ, start_response):
    """The SHA-256 of the lines, by iteration, and how many there are."""
    state, count = hashlib.sha256(), 0
    for line in environ["wsgi.input"]:
        state.update(b"%d:" % len(line) + line)
        count += 1
    return answer(start_response, (count, state.hexdigest()))


def echo(environ, start_response):
    """The content, back."""
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


def ignore(environ, start_response):
    """Never looks at the content."""
    start_response("200 OK", TEXT)
    return [environ["PATH_INFO"].encode("latin-1")]


def some(environ, start_response):
    """Reads three bytes of the content, whatever its length."""
    return answer(start_response, environ["wsgi.input"].read(3))


def inside_result(environ, start_response):
    """Reads while its result is iterated, when app() has returned already."""
    start_response("200 OK", TEXT)
    while data := environ["wsgi.input"].read(4):
        yield data


def misuse(environ, start_response):
    """What wrong arguments give."""
    stream, results = environ["wsgi.input"], []
    for call in (
        lambda: stream.read("1"),
        lambda: stream.read(1, 2),
        lambda: stream.readline([]),
        lambda: stream.readlines("x"),
        lambda: stream.read(1.5),
    ):
        try:
            results.append(call())
        except TypeError:
            results.append("TypeError")
    return answer(start_response, results)


kept = []


def keep(environ, start_response):
    """Keeps its input unread, beyond its request."""
    kept.append(environ["wsgi.input"])
    return answer(start_response, True)


def use_kept(environ, start_response):
    """Reads an input that was kept: only b'' or an exception can be right."""
    results = []
    for method in ("read", "readline", "readlines"):
        try:
            results.append(getattr(kept[-1], method)())
        except (OSError, ValueError, RuntimeError) as error:
            results.append(type(error).__name__)
    return answer(start_response, results)


def called(environ, start_response):
    """Leaves behind that it was called, and what it read."""
    seen.append(environ["wsgi.input"].read())
    return answer(start_response, True)
