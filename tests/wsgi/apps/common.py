"""What several of the tiny applications share."""

import os
from collections import Counter

closed = Counter()  # how often close() was called, by QUERY_STRING
seen = []  # what applications leave for a later request to report

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def answer(start_response, value):
    """Answer with the repr of `value`, for ast.literal_eval on the other side."""
    start_response("200 OK", TEXT)
    return [repr(value).encode()]


def wait_gate(environ):
    """Block until the test opens the gate whose path is in the field `Gate`."""
    gate = os.open(environ["HTTP_GATE"], os.O_RDONLY)
    os.read(gate, 1)
    os.close(gate)


def report_closed(environ, start_response):
    """How often close() was called for the result with this query string."""
    return answer(start_response, closed[environ["QUERY_STRING"]])


def report_seen(environ, start_response):
    """What was left in `seen`, which is emptied."""
    things = list(seen)
    seen.clear()
    return answer(start_response, things)


class Counted:
    """An iterable over `items` that counts the calls of its close()."""

    def __init__(self, environ, items):
        self.key = environ["QUERY_STRING"]
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def close(self):
        closed[self.key] += 1
