"""Applications that return iterables of every kind."""

import itertools
import threading

from apps.common import TEXT, Counted, answer, closed, wait_gate


def as_list(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one list"]


def as_long_list(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"a", b"long", b"", b"list"]


def as_tuple(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"one ", b"tuple")


def as_set(environ, start_response):
    start_response("200 OK", TEXT)
    return {b"one set"}


def as_bytes(environ, start_response):
    """bytes is an iterable of int: no bytestrings."""
    start_response("200 OK", TEXT)
    return b"bytes"


def as_text(environ, start_response):
    start_response("200 OK", TEXT)
    return "text"


def as_none(environ, start_response):
    start_response("200 OK", TEXT)


def as_number(environ, start_response):
    start_response("200 OK", TEXT)
    return 42


def as_empty(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def as_generator(environ, start_response):
    start_response("200 OK", TEXT)
    for word in (b"one ", b"", b"", b"generator"):
        yield word


def as_empty_generator(environ, start_response):
    start_response("200 OK", TEXT)
    return
    yield


def as_map(environ, start_response):
    start_response("200 OK", TEXT)
    return map(str.encode, ["one ", "map"])


class Sized:
    """An iterator with __len__ that is true to the number of items."""

    def __init__(self, items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.items:
            raise StopIteration
        return self.items.pop(0)


def as_sized_one(environ, start_response):
    start_response("200 OK", TEXT)
    return Sized([b"sized one"])


def as_sized_many(environ, start_response):
    start_response("200 OK", TEXT)
    return Sized([b"sized ", b"many"])


class Indexed:
    """Iterable only by the old protocol: __getitem__ from 0 on."""

    def __getitem__(self, index):
        return [b"one ", b"indexed"][index]


def as_indexed(environ, start_response):
    start_response("200 OK", TEXT)
    return Indexed()


class Application:
    """The application as a class: called for the request, iterated for the result."""

    def __init__(self, environ, start_response):
        self.start = start_response

    def __iter__(self):
        self.start("200 OK", TEXT)
        yield b"one class"


class Bytes(bytes):
    pass


def as_bytes_subclass(environ, start_response):
    start_response("200 OK", TEXT)
    return [Bytes(b"sub"), Bytes(b"class")]


def yields_text(environ, start_response):
    start_response("200 OK", TEXT)
    yield "text"


def yields_text_late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"bytes"
    yield "text"


def yields_bytearray(environ, start_response):
    """Neither bytes nor to be taken for it: the buffer could change while it is sent."""
    start_response("200 OK", TEXT)
    return [bytearray(b"bytearray")]


def counted(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted(environ, [b"counted ", b"result"])


def counted_304(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return Counted(environ, [])


def counted_204_with_body(environ, start_response):
    """Breaks a rule: a 204 has no content."""
    start_response("204 No Content", [])
    return Counted(environ, [b"not to be sent"])


def counted_failing(environ, start_response):
    """Fails before the first byte."""

    def items():
        raise ValueError("in iteration")
        yield

    start_response("200 OK", TEXT)
    return Counted(environ, items())


def counted_failing_late(environ, start_response):
    """Fails after the first bytes."""

    def items():
        yield b"first"
        raise ValueError("late in iteration")

    start_response("200 OK", TEXT)
    return Counted(environ, items())


def counted_endless(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted(environ, itertools.repeat(b"endless " * 4096))


def counted_text(environ, start_response):
    """An item that is no bytestring."""
    start_response("200 OK", TEXT)
    return Counted(environ, ["text"])


def counted_not_started(environ, start_response):
    """Without start_response."""
    return Counted(environ, [b"no head"])


def counted_excess(environ, start_response):
    """More than its Content-Length."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return Counted(environ, [b"12345", b"678"])


def counted_short(environ, start_response):
    """Less than its Content-Length."""
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return Counted(environ, [b"12345"])


class Uniterable:
    """close(), but no __iter__."""

    def __init__(self, environ):
        self.key = environ["QUERY_STRING"]

    def close(self):
        closed[self.key] += 1


def counted_uniterable(environ, start_response):
    start_response("200 OK", TEXT)
    return Uniterable(environ)


class FailingClose(Counted):
    def close(self):
        super().close()
        raise ValueError("in close")


def counted_failing_close(environ, start_response):
    start_response("200 OK", TEXT)
    return FailingClose(environ, [b"all is sent"])


def counted_generator(environ, start_response):
    """A generator's own close(): GeneratorExit inside, when it is not exhausted."""
    start_response("200 OK", TEXT)
    try:
        while True:
            yield b"generated " * 4096
    except GeneratorExit:
        closed[environ["QUERY_STRING"]] += 1
        raise


def counted_gated(environ, start_response):
    """Waits before each of its items."""

    def items():
        yield b"one"
        for item in (b"two", b"three"):
            wait_gate(environ)
            yield item

    start_response("200 OK", TEXT)
    return Counted(environ, items())


def gated_length(environ, start_response):
    """As a generator, with a Content-Length."""

    def items():
        yield b"12345"
        wait_gate(environ)
        yield b"67890"

    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return items()


def excess_at_once(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"12345678"]


def head_like_framework(environ, start_response):
    """Answers HEAD as frameworks do: the length of GET, and no content."""
    body = b"five!"
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def status(environ, start_response):
    """The status in the query string, with content and length whatever it is."""
    start_response(f"{environ['QUERY_STRING']} Chosen", [*TEXT, ("Content-Length", "7")])
    return [b"content"]


def status_bare(environ, start_response):
    """The status in the query string, as the rules want it: no content, no Content-Type."""
    start_response(f"{environ['QUERY_STRING']} Chosen", [("X-Bare", "yes")])
    return []


def large(environ, start_response):
    """As many bytes as the query string says, in one item."""
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", TEXT)
    return [(b"0123456789abcdef" * (size // 16 + 1))[:size]]


def large_generator(environ, start_response):
    """As many MiB as the query string says, each an item of its own."""
    block = bytes(range(256)) * 4096
    start_response("200 OK", TEXT)
    return (block for _ in range(int(environ["QUERY_STRING"])))


def threads(environ, start_response):
    """Whether app(), each next() and close() run in one thread."""

    class Result:
        def __init__(self):
            self.idents = [threading.get_ident()]

        def __iter__(self):
            return self

        def __next__(self):
            self.idents.append(threading.get_ident())
            if len(self.idents) > 4:
                raise StopIteration
            return b"x"

        def close(self):
            self.idents.append(threading.get_ident())
            closed["threads"] = len(set(self.idents))

    start_response("200 OK", TEXT)
    return Result()


def report_threads(environ, start_response):
    return answer(start_response, closed["threads"])
