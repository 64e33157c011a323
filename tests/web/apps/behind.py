"""What a proxy's tests ask for: what arrived, answers of any size and pace, and what must happen once."""

import hashlib
import os

PLACE = os.environ["PLACE"]  # a directory of the test's


def app(environ, start_response):
    answer = ROUTES.get(environ["PATH_INFO"], tell)(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return answer if hasattr(answer, "__next__") else [answer]


def tell(environ):
    """All strings of environ."""
    return repr({key: value for key, value in environ.items() if isinstance(value, str)}).encode()


def post(environ):
    """Notes the content, which must happen at most once for each."""
    line = environ["wsgi.input"].read()
    with open(f"{PLACE}/posted", "ab", 0) as file:
        file.write(line + b"\n")
    return line


def held(environ):
    """Notes that it was called, and waits at the gate that the query string names."""
    with open(f"{PLACE}/posted", "ab", 0) as file:
        file.write(b"held\n")
    wait_at(environ["QUERY_STRING"])
    return b"passed"


def wait_at(path):
    gate = os.open(path, os.O_RDONLY)
    os.read(gate, 1)
    os.close(gate)


def digest(environ):
    """How much came, and what it was."""
    content = environ["wsgi.input"].read()
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}".encode()


def blocks(environ):
    """As many blocks of 64 KiB as the query string says, each of another letter."""
    for number in range(int(environ["QUERY_STRING"])):
        yield b"%c" % (97 + number % 26) * 65536


def paced(environ):
    """A line, the gate that the query string names, a line, and the gate again, for ever."""
    try:
        while True:
            yield b"tick\n"
            wait_at(environ["QUERY_STRING"])
    finally:
        open(f"{PLACE}/closed", "w").close()


ROUTES = {"/post": post, "/held": held, "/digest": digest, "/blocks": blocks, "/paced": paced}
