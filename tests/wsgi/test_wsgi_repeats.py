"""Requests that resemble earlier ones of their connection: what is used again for them must not show.

The environ of each of a few hundred requests over one connection, drawn from so few parts that they often
repeat, is compared with that of the same request over a connection of its own.
"""

import random

import pytest

from harness import make_request

APP = """
kept = []

def app(environ, start_response):
    seen = {key: value if isinstance(value, (str, bool, tuple)) else type(value).__name__
            for key, value in environ.items()}
    what = environ["QUERY_STRING"].rpartition("&")[2]
    if "keep" in what:
        kept.append((environ, dict(environ)))
        del kept[:-3]
    if "input" in what:
        kept.append((environ, environ["wsgi.input"]))
    if "change" in what:
        environ["HTTP_X_MINE"] = environ["PATH_INFO"] = environ["HTTP_COOKIE"] = "changed"
        environ.pop("HTTP_ACCEPT", None)
        del environ["REQUEST_METHOD"]
    if "clear" in what:
        environ.clear()
    for environ, copy in kept:
        if isinstance(copy, dict) and environ != copy:
            seen["a kept environ has changed"] = repr((environ, copy))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(seen).encode()]
"""

METHODS = ["GET"] * 5 + ["HEAD", "POST", "MADE-UP"]
TARGETS = ["/"] * 4 + ["/a", "/b", "/a?x", "/a?y&keep", "/b?change", "/?clear", "/a%20b", "/a?input",
                       "http://other/c", "http://other/c?keep"]
FIELDS = [[("Accept", "text/html")], [("Accept", "text/plain")], [("Cookie", "a=1")], [("Cookie", "a=2")],
          [("Cookie", "a=1"), ("Cookie", "b=2")], [("Authorization", "secret")], [("X-Own", "1")],
          [("X-Own", "2")], [("X-Own", "1"), ("x-own", "2")], [("X_Own", "hidden")], [("Proxy", "hidden")],
          [("User-Agent", "me")], [(f"X-{number}", "v") for number in range(9)], [("Referer", "/a?token")],
          [("Content-Type", "a/b")], [("Host", "a")]]
VALUES = ["", "1", "2", "a/b", "caf\xe9", "a value that is longer than sixteen bytes", "x" * 200]
HOSTS = ["a", "b.test", "b.test:8888"]
PORTS = ("REMOTE_PORT",)


def draw(dice):
    """Method, target and fields of a request; the same ones as often as not."""
    fields = [field for some in dice.sample(FIELDS, dice.choice([0, 0, 1, 2, 5])) for field in some]
    return dice.choice(METHODS), dice.choice(TARGETS), fields


def vary(dice, fields):
    """The same names, with some other values."""
    return [(name, dice.choice(HOSTS if name == "Host" else VALUES) if dice.random() < 0.3 else value)
            for name, value in fields]


def requests(dice, count):
    method, target, fields = draw(dice)
    for _ in range(count):
        if dice.random() < 0.3:
            method, target, fields = draw(dice)
        elif dice.random() < 0.5:
            fields = vary(dice, fields)
        body = b"content" if method == "POST" else b""
        yield make_request(method, target, fields, body), method == "HEAD"


def expect_same(mine, other, raw):
    mine, other = ({key: value for key, value in seen.items() if key not in PORTS} for seen in (mine, other))
    assert mine == other, raw


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("options", [["--threads", "1"], ["--threads", "4"]], ids=["one thread", "four"])
def test_an_environ_does_not_depend_on_the_requests_before(serve, seed, options):
    server = serve(APP, *options)
    with server.connect() as client:
        for raw, is_head in requests(random.Random(seed), 300):
            answer = client.request(raw)
            assert answer.status == 200
            if not is_head:
                with server.connect() as fresh:
                    expect_same(answer.literal(), fresh.request(raw).literal(), raw)


def test_repeated_requests_below_a_mount_point(serve):
    server = serve(APP, env={"SCRIPT_NAME": "/site"})
    with server.connect() as client:
        for target in ["/site/a"] * 3 + ["/other", "/site", "/site/a", "/other", "/other", "/site/b"]:
            with server.connect() as fresh:
                raw = make_request(target=target)
                expect_same(client.request(raw).literal(), fresh.request(raw).literal(), raw)


def test_another_client_never_gets_what_one_sent(serve):
    """More connections than there is room for, all with the same fields but one."""
    server = serve(APP, "--threads", "1")
    clients = [server.connect() for _ in range(300)]
    for _ in range(4):
        for number, client in enumerate(clients):
            fields = [("Cookie", f"me={number}"), ("Accept", f"a/{number}")]
            raw = make_request(target=f"/{number}", fields=fields)
            seen = client.request(raw).literal()
            assert seen["HTTP_COOKIE"] == f"me={number}" and seen["HTTP_ACCEPT"] == f"a/{number}"
            assert seen["PATH_INFO"] == seen["REQUEST_URI"] == seen["RAW_URI"] == f"/{number}"
    for client in clients:
        client.close()


def test_a_head_that_an_application_gives_again_and_again(serve):
    """The objects of its source are the same each time; what it makes may have the same addresses."""
    server = serve("""
CONSTANT = ("X-Constant", "1")

def app(environ, start_response):
    number = environ["QUERY_STRING"]
    if environ["PATH_INFO"] == "/constant":
        start_response("200 OK", [("Content-Type", "text/plain"), CONSTANT])
    elif environ["PATH_INFO"] == "/mixed":
        start_response("200 OK", [CONSTANT, ("X-Number", number)])
    elif environ["PATH_INFO"] == "/kept":
        pair = ("X-Number", number)
        start_response("200 OK", [pair, CONSTANT])
    elif environ["PATH_INFO"] == "/close":
        start_response("200 OK", [("Content-Length", "2"), CONSTANT])
    else:
        start_response(f"200 Number {number}", [CONSTANT])
    return [b"ok"]
""")
    with server.connect() as client:
        for number in range(12):
            for path in ("/constant", "/mixed", "/kept", "/close", "/status"):
                answer = client.request(make_request(target=f"{path}?{number}"))
                assert answer.text == "ok" and answer.status == 200
                assert answer["X-Constant"] == "1"
                assert answer["Content-Length"] == "2"
                if path in ("/mixed", "/kept"):
                    assert answer["X-Number"] == str(number)
                assert answer.reason == (f"Number {number}" if path == "/status" else "OK")


def test_a_head_is_not_taken_for_the_one_that_a_list_became(serve):
    """The code of a str of the application's own must not run while its headers are read."""
    server = serve("""
GOOD, OTHER = ("Content-Type", "text/plain"), ("Vary", "a")

class Name(str):
    def __hash__(self):
        headers[:] = [GOOD, OTHER]
        return str.__hash__(self)

headers = []

def app(environ, start_response):
    if environ["PATH_INFO"] == "/evil":
        headers[:] = [GOOD, ("Set-Cookie", "session=evil"), (Name("Keep-Alive"), "1")]
        start_response("200 OK", headers)
    else:
        start_response("200 OK", [GOOD, OTHER])
    return [b"ok"]
""")
    with server.connect() as client:
        for _ in range(4):
            assert client.request(make_request(target="/evil"))["Set-Cookie"] == "session=evil"
            answer = client.request(make_request(target="/good"))
            assert not answer.all("Set-Cookie") and answer["Vary"] == "a"


def test_a_secret_in_a_head_is_not_kept(serve):
    """The pairs of a framework's own list have more than one reference, as a literal has."""
    server = serve("""
import sys

tokens = []

def app(environ, start_response):
    if environ["PATH_INFO"] == "/references":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr([sys.getrefcount(token) for token in tokens]).encode()]
    tokens.append("sid=%d" % (10**30 + len(tokens)))
    kept = [("Set-Cookie", tokens[-1])]
    start_response("200 OK", list(kept))
    return [b"ok"]
""", "--threads", "1")
    with server.connect() as client:
        for _ in range(30):
            client.request(make_request(target="/login"))
        counts = client.request(make_request(target="/references")).literal()
    assert len(counts) == 30 and len(set(counts)) == 1
