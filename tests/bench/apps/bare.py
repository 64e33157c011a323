"""Bare WSGI: an answer for each scenario that needs no framework. Lengths are declared, as frameworks do."""

import json
import os
import time
from pathlib import Path
from wsgiref.util import FileWrapper

import content

FILES = Path(os.environ.get("BENCH_FILES", "."))  # where /file finds them
BLOCK = 65536


def hello(environ):
    return content.HELLO


def sized(environ):
    return content.pattern(int(environ["QUERY_STRING"]))


def as_json(environ):
    return json.dumps(content.document()).encode()


def echo(environ):
    """Reads as frameworks do: as much as was announced, or to the end if nothing was (a chunked upload)."""
    source, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    return source.read(int(length)) if length else source.read()


def count(environ):
    """Reads the content in blocks, as an application does that stores an upload."""
    size, source = 0, environ["wsgi.input"]
    while block := source.read(BLOCK):
        size += len(block)
    return b"%d bytes\n" % size


def sleep(environ):
    time.sleep(int(environ["QUERY_STRING"]) / 1000)
    return content.HELLO


def in_one(make):
    """The application that answers with what `make` returns."""
    def app(environ, start_response):
        body = make(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    return app


def stream(environ, start_response):
    """A generator: of unknown length, and a piece at a time."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from content.STREAMED


def file(environ, start_response):
    """By the server's wsgi.file_wrapper; some have none, which PEP 3333 allows."""
    path = FILES / environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "application/octet-stream"),
                              ("Content-Length", str(path.stat().st_size))])
    return environ.get("wsgi.file_wrapper", FileWrapper)(open(path, "rb"), BLOCK)


APPS = {
    "/hello": in_one(hello),
    "/bytes": in_one(sized),
    "/json": in_one(as_json),
    "/echo": in_one(echo),
    "/count": in_one(count),
    "/sleep": in_one(sleep),
    "/stream": stream,
    "/file": file,
}


def app(environ, start_response):
    return APPS[environ["PATH_INFO"]](environ, start_response)
