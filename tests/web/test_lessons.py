"""What other servers were once caught at (S of the checklist), where it has no place in another suite."""

import threading
import urllib.parse

import pytest

import harness
from harness import make_request
from observe import Bystander, Spent

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"

COUNT = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % len(environ["wsgi.input"].read())]
"""

PASSING_ON = """
import ast, urllib.parse

def app(environ, start_response):
    status, name, value = ast.literal_eval(urllib.parse.unquote(environ["QUERY_STRING"]))
    try:
        start_response(status, [("Content-Type", "text/plain"), (name, value)])
    except (ValueError, TypeError) as error:
        start_response("400 Refused", [("Content-Type", "text/plain")])
        return [b"refused"]
    return [b"passed"]
"""


# S1: numbers are digits, whatever int(), atoi() and strtoul() make of them.

NO_LENGTHS = [
    "+5",
    "-5",
    "0x5",
    "5_0",
    "5.",
    "5.0",
    "5e0",
    "5 5",
    "5,5",
    "5;",
    "5a",
    "a5",
    "0b101",
    "'5'",
    "\u0665",
    "18446744073709551621",
    "9223372036854775808",
    "-18446744073709551611",
    "5" + "0" * 100,
    "",
    " ",
    "five",
    "5\t5",
    "\uff15",
    "0" * 30 + "x",
]
NO_SIZES = [
    "+5",
    "-5",
    "0x5",
    "5_0",
    "5.",
    " 5",
    "5 ",
    "\t5",
    "5\t",
    "10000000000000005",
    "0" * 16 + "5",
    "",
    ";",
    "g",
    "5h",
    "\u0665",
    "-0",
    "5,",
    "5;5;=",
    "ffffffffffffffff",
]


@pytest.mark.parametrize("length", NO_LENGTHS)
def test_S1_a_content_length_is_digits(echo, length):
    with echo.connect() as client:
        client.send(
            b"POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: " + length.encode() + b"\r\n\r\nhello"
        )
        assert client.response("POST").status == 400
        client.expect_end()
    assert echo.calls() == []


@pytest.mark.parametrize("size", NO_SIZES)
def test_S1_a_chunk_size_is_hexadecimal_digits(echo, size):
    with echo.connect() as client:
        client.send(b"POST /size HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(size.encode() + b"\r\nhello\r\n0\r\n\r\n")
        assert client.response("POST").status == (413 if size == "ffffffffffffffff" else 400)
        client.expect_end()
    assert echo.calls() == []


@pytest.mark.parametrize("port", ["+80", "-80", "0x50", "8 0", "80a", "80:80", "\u0668"])
def test_S1_a_port_is_digits(echo, port):
    with echo.connect() as client:
        client.send(b"GET /port HTTP/1.1\r\nHost: h:" + port.encode() + b"\r\n\r\n")
        assert client.response().status == 400
    assert echo.calls() == []


# S2: time grows as the bytes do, also when they come in small pieces.

GROWING = {
    "target": (b"GET /", b"a", b" HTTP/1.1\r\nHost: h\r\n\r\n"),
    "query": (b"GET /?", b"&=%", b" HTTP/1.1\r\nHost: h\r\n\r\n"),
    "escapes": (b"GET /", b"%41", b" HTTP/1.1\r\nHost: h\r\n\r\n"),
    "blanks in a value": (HEAD + b"X: a", b" ", b"b\r\n\r\n"),
    "blanks before a value": (HEAD + b"X: ", b"\t", b"b\r\n\r\n"),
    "blanks behind a value": (HEAD + b"X: a", b" \t", b"\r\n\r\n"),
    "name": (HEAD, b"n", b": v\r\n\r\n"),
    "cookies": (HEAD + b"Cookie: ", b"a=b; ", b"c=d\r\n\r\n"),
    "colons": (HEAD + b"X", b":", b"\r\n\r\n"),
    "hops": (HEAD + b"X-Forwarded-For: ", b"1.1.1.1,", b"1.1.1.1\r\n\r\n"),
    "quotes in hops": (HEAD + b"Forwarded: ", b'for="\\"', b"\r\n\r\n"),
    "connection tokens": (HEAD + b"Connection: ", b"x,", b"close\r\n\r\n"),
}


def cost(server, begin, unit, end, size):
    """Processor time for a head with `size` bytes of `unit`, sent in pieces of a few hundred bytes."""
    data = begin + unit * (size // len(unit)) + end
    with server.connect() as client, Spent(server.worker) as spent:
        client.send_each(data[at : at + 300] for at in range(0, len(data), 300))
        assert client.response().status in (200, 400)
    return spent.seconds


@pytest.mark.parametrize("begin, unit, end", GROWING.values(), ids=GROWING)
def test_S2_time_is_linear_in_a_head(serve, begin, unit, end):
    size = 1 << 17
    server = serve(
        COUNT, "--limit-request-head", "16M", "--limit-request-field_size", "1M", "--limit-request-line", "1M"
    )
    cost(server, begin, unit, end, size)
    small = min(cost(server, begin, unit, end, size) for _ in range(3))
    large = min(cost(server, begin, unit, end, 7 * size) for _ in range(2))
    assert large < max(20 * small, 0.05), f"{large / small:.1f} times the time for 7 times the bytes"


@pytest.mark.parametrize(
    "unit", [b"X: y\r\n", b"X-Forwarded-For: 1.1.1.1\r\n", b"Cookie: a=b\r\n", b"Accept: a\r\n"]
)
def test_S2_time_is_linear_in_equal_fields(serve, unit):
    """They are joined, which must not copy what is joined already again and again."""
    server = serve(
        COUNT,
        "--limit-request-head",
        "16M",
        "--limit-request-fields",
        "1000",
        "--limit-request-field_size",
        "8K",
    )
    padded = unit[:-2] + b"z" * 5000 + b"\r\n"

    def cost_of(count):
        with server.connect() as client, Spent(server.worker) as spent:
            client.send(HEAD + padded * count + b"\r\n")
            assert client.response().status == 200
        return spent.seconds

    cost_of(900)
    small = min(cost_of(100) for _ in range(5))
    large = min(cost_of(900) for _ in range(3))
    assert large < max(27 * small, 0.05), f"{large / small:.1f} times the time for 9 times the fields"


# S3: tiny chunks.


def chunks_of_one(count):
    return (
        make_request("POST", fields={"Transfer-Encoding": "chunked"}) + b"1\r\nx\r\n" * count + b"0\r\n\r\n"
    )


@pytest.mark.parametrize("spooled", [False, True], ids=["in memory", "in a file"])
def test_S3_tiny_chunks_cost_little_more_than_large_ones(serve, spooled):
    """What a byte on the wire costs must not depend much on the framing, wherever the content is kept."""
    server = serve(COUNT, "--body-buffer", "1K" if spooled else "16M")
    count = 1_000_000
    tiny = chunks_of_one(count)
    plain = make_request("POST", body=b"x" * len(tiny))

    def cost_of(data, expected):
        with server.connect() as client, Spent(server.worker) as spent:
            client.send(data)
            assert client.response("POST").body == b"%d" % expected
        return spent.seconds

    cost_of(plain, len(tiny))
    assert min(cost_of(tiny, count) for _ in range(3)) < 20 * cost_of(plain, len(tiny)) + 0.05


def test_S3_a_flood_of_tiny_chunks_stalls_nobody(serve):
    server = serve(COUNT, "--body-buffer", "1K")
    data = chunks_of_one(1_000_000)
    with server.connect() as client, Bystander(server, patience=2):
        sender = threading.Thread(target=client.socket.sendall, args=(data,), daemon=True)
        sender.start()
        assert client.response("POST").body == b"1000000"
        sender.join()


# S6: what an application lets through from its own users does not split a response.

SPLITTING = [
    "\r\nX: y",
    "a\r\nb",
    "a\rb",
    "a\nb",
    "\n",
    "\r",
    "a\0b",
    "\x0b",
    "a\x7f",
    "\x1b[2J",
    "a\r\n b",
    "\u010a",
    "\u560a",
]


@pytest.fixture(scope="module")
def passing_on(serve_module):
    return serve_module(PASSING_ON)


@pytest.mark.parametrize("evil", SPLITTING)
def test_S6_no_control_gets_into_a_response_head(passing_on, evil):
    for status, name, value in (
        (f"200 {evil}", "X-A", "b"),
        ("200 OK", f"X-A{evil}", "b"),
        ("200 OK", "X-A", f"b{evil}c"),
        ("200 OK", "Location", f"/{evil}"),
        ("200 OK", "Set-Cookie", f"a=b{evil}"),
    ):
        response = passing_on.get("/?" + urllib.parse.quote(repr((status, name, value))))
        assert (response.status, response.body) == (400, b"refused")
        assert not response.all("X") and not response.all("X-A")


# S11: a request chooses nothing but what its application gives it to choose.

MAGIC = [
    "UWSGI_FILE",
    "UWSGI_MODULE",
    "UWSGI_CALLABLE",
    "UWSGI_SCRIPT",
    "UWSGI_SETENV",
    "UWSGI_PYHOME",
    "UWSGI_CHDIR",
    "UWSGI_APPID",
    "SCRIPT_NAME",
    "SCRIPT_FILENAME",
    "DOCUMENT_ROOT",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "REMOTE_USER",
    "mod_wsgi.script_name",
    "wsgi.url_scheme",
    "wsgi.file_wrapper",
    "werkzeug.server.shutdown",
    "PYTHONPATH",
    "HOME",
]


@pytest.mark.parametrize("name", MAGIC)
def test_S11_no_field_sets_a_variable(echo, name):
    plain = echo.server.get("/x").literal()
    told = echo.server.get("/x", [(name, "/etc/passwd"), (name.replace("_", "-"), "/etc/passwd")]).literal()
    changed = {key for key in told if told[key] != plain.get(key)}
    assert changed - {"REMOTE_PORT"} == {"HTTP_" + name.upper()}


@pytest.mark.parametrize(
    "target",
    [
        "/app:other",
        "/../secret.py",
        "/..%2fsecret",
        "//etc/passwd",
        "/app.py",
        "/?-c=import+os",
        "/?--chdir=/",
        "http://h/app:other",
        "/%00",
        "/apps.echo:calls",
    ],
)
def test_S11_no_target_chooses_code_or_files(serve, target):
    """There is one application, and it gets everything."""
    server = serve(
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"app"]

        def other(environ, start_response):
            raise SystemExit("the request chose")
    """.replace("\n        ", "\n")
    )
    assert server.get(target).body == b"app"


# S14: what clients chose is forgotten.

CHOSEN = {
    "field names": lambda n: b"".join(b"X-%x-%x: v\r\n" % (n, i) for i in range(90)),
    "known names, own values": lambda n: (
        b"User-Agent: %x%s\r\nAccept: %x%s\r\n" % (n, b"a" * 4000, n, b"b" * 4000)
    ),
    "cookies": lambda n: b"Cookie: c%x=%s\r\n" % (n, b"d" * 7000),
}


@pytest.mark.parametrize("fields", CHOSEN.values(), ids=CHOSEN)
def test_S14_nothing_of_a_request_is_kept(serve, fields):
    server = serve(COUNT)

    def ask(begin, end):
        with server.connect() as client:
            for number in range(begin, end):
                head = b"M%x /t%x?q%x HTTP/1.1\r\nHost: h%x\r\n" % (number, number, number, number)
                assert client.request(head + fields(number) + b"\r\n").status == 200

    ask(0, 3000)
    before = server.rss_kb()
    ask(3000, 6000)
    assert server.rss_kb() - before < (16_000 if server.sanitized else 1000)


# S15: names that collide.


COLLIDING = {
    "numbered": [b"X-%03d-X" % number for number in range(90)],
    "as long as Accept, with its first and its last letters": [b"a%03dpt" % number for number in range(90)],
    "prefixes of each other": [b"X-" + b"A" * (number + 1) for number in range(90)],
    "short": [b"%c%c" % (65 + number // 26, 65 + number % 26) for number in range(90)],
}


@pytest.mark.parametrize("names", COLLIDING.values(), ids=COLLIDING)
def test_S15_many_names_cost_no_more_than_others(serve, names):
    """Others: as long, with letters all over the alphabet."""
    server = serve(COUNT)

    def cost_of(names):
        request = HEAD + b"".join(name + b": v\r\n" for name in names) + b"\r\n"
        with server.connect() as client:
            client.request(request)
            with Spent(server.worker) as spent:
                for _ in range(20):
                    client.send(request * 20)
                    for _ in range(20):
                        assert client.response().status == 200
        return spent.seconds

    ordinary = [
        bytes(65 + (number * 7 + at * at * 3 + number // (at + 1)) % 26 for at in range(len(name) - 2))
        + b"%02d" % number
        for number, name in enumerate(names)
    ]
    assert len(set(ordinary)) == len(set(names)) == 90
    assert min(cost_of(names) for _ in range(2)) < 3 * min(cost_of(ordinary) for _ in range(2))


# H2, F11: what the server says is its own.


@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.2", b"1.9"])
def test_H2_the_version_of_an_answer_is_the_servers_own(echo, version):
    with echo.connect() as client:
        client.send(b"GET / HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        assert client.receive_until(b"\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "promised, given, whole, log",
    [
        ("5", "[b'12345']", True, None),
        ("5", "[b'123', b'45', b'67']", True, "Content-Length"),
        ("5", "[b'1234567']", True, "Content-Length"),
        ("0", "[b'1']", True, "Content-Length"),
        ("5", "[b'123']", False, "Content-Length"),
        ("5", "(b for b in [b'1', b'2'])", False, "Content-Length"),
        (None, "failing()", False, "in the middle"),
    ],
)
def test_F11_a_length_is_kept_to_the_byte_and_what_is_cut_shows(serve, promised, given, whole, log):
    server = serve(f"""
def failing():
    yield b"1"
    yield b"2"
    raise ValueError("in the middle")

def app(environ, start_response):
    fields = [("Content-Type", "text/plain")]
    if {promised!r}:
        fields.append(("Content-Length", {promised!r}))
    start_response("200 OK", fields)
    return {given}
""")
    if log:
        server.expect_log(log)
    with server.connect() as client:
        client.send(make_request())
        if whole:
            assert client.response().body == b"12345"[: int(promised)]
        else:
            with pytest.raises(harness.Truncated):
                client.response()
            client.expect_end(reset=True)
