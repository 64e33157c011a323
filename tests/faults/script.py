"""An application, and a script of requests to it that goes through most of what a server does."""

import harness

APP = '''
class Closing:
    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)

    def close(self):
        self.parts = None


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError(environ["QUERY_STRING"])
    body = environ["wsgi.input"].read(10) + b"".join(environ["wsgi.input"])
    write = start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-Path", path)])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open("content", "rb"))
    if path == "/stream":
        return (b"%d " % i * 100 for i in range(20))
    if path == "/write":
        write(body)
        return []
    return Closing([b"%s %d " % (path.encode(), len(body)), body])
'''

CONTENT = bytes(range(256)) * 20000  # more than sockets hold
SMALL = b"small " * 10
LARGE = b"large " * 5000
STREAM = b"".join(b"%d " % i * 100 for i in range(20))
OPTIONS = ("--body-buffer", "4096", "--header-timeout", "2", "--body-timeout", "2", "--write-timeout", "2",
           "--keep-alive", "2")


def echo(path, body=b""):
    return b"%b %d %b" % (path.encode(), len(body), body)


def step(path, expected, body=b"", pieces=None, fields=()):
    """A request, in the pieces that are sent one after another, and its right answer (None: an error)."""
    request = harness.make_request("POST" if body else "GET", path, fields, body)
    return pieces or [request], [expected]


CHUNKED = harness.make_request("POST", "/chunked", (("Transfer-Encoding", "chunked"),), b"")
SCRIPT = [
    step("/", echo("/")),
    step("/again", echo("/again")),
    step("/small", echo("/small", SMALL), SMALL, fields=[("Connection", "close")]),
    step("/large", echo("/large", LARGE), LARGE),
    step("/chunked", echo("/chunked", SMALL + LARGE),
         pieces=[CHUNKED, harness.chunked(SMALL, LARGE)[:99], harness.chunked(SMALL, LARGE)[99:]]),
    ([b"".join(harness.make_request("GET", f"/{i}") for i in range(4))], [echo(f"/{i}") for i in range(4)]),
    step("/file", CONTENT),
    step("/stream", STREAM),
    step("/write", LARGE, LARGE),
    step("/raise?why", None),
    step("/last", echo("/last")),
]


def answers(client, pieces, expected):
    """Run one step. Whether it was answered rightly, and whether the connection is still good."""
    try:
        client.send_each(pieces)
        for content in expected:
            response = client.response()
            if response.status != 200:
                assert 400 <= response.status < 600, response
                return content is None, False
            assert response.body == content, f"wrong answer: {response.body[:200]!r} for {content[:200]!r}"
    except (harness.Truncated, ConnectionError):
        return False, False
    return True, "close" not in response.connection()


def run_script(server):
    """How many steps got their answer. A connection that fails is followed by another."""
    client, count = None, 0
    try:
        for pieces, expected in SCRIPT:
            client = client or server.connect()
            good, usable = answers(client, pieces, expected)
            count += good
            if not usable:
                client.close()
                client = None
    finally:
        if client:
            client.close()
    return count
