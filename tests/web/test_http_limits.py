"""Limits: H7, S3 and S13 of the checklist, each at one below, at, and one above."""

import pytest

import harness
from harness import chunked, make_request, outcome

LINE, FIELDS, FIELD, HEAD, BODY = 200, 10, 100, 2000, 1000


@pytest.fixture(scope="module")
def narrow(serve_module):
    """A server with small limits."""
    return serve_module(
        harness.ROOT / "tests" / "web" / "apps" / "echo.py",
        "--limit-request-line",
        LINE,
        "--limit-request-fields",
        FIELDS,
        "--limit-request-field_size",
        FIELD,
        "--limit-request-head",
        HEAD,
        "--limit-request-body",
        BODY,
    )


def status(server, data):
    """The status that answers; what is refused must be readable to the end."""
    with server.connect() as client:
        client.send(data)
        response = client.response()
        if response.status != 200:
            assert "close" in response.connection()
            client.expect_end()
        return response.status


def line_of(size):
    """A request whose request line has so many bytes."""
    return b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"x" * (size - len("GET / HTTP/1.1")))


def field_of(size):
    """A request with a field of so many bytes."""
    return b"GET / HTTP/1.1\r\nHost: h\r\nX-A: %s\r\n\r\n" % (b"x" * (size - len("X-A: ")))


def fields_of(count):
    """A request with so many fields."""
    return b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X-A: b\r\n" * (count - 1) + b"\r\n"


def head_of(size):
    """A head of so many bytes, of whole and nearly whole fields."""
    head = b"GET / HTTP/1.1\r\nHost: h\r\n"
    field = b"X-A: %s\r\n"
    while size - len(head) - 2 > 2 * FIELD:
        head += field % (b"x" * (FIELD - 10))
    rest = size - len(head) - 2
    for part in (rest // 2, rest - rest // 2):
        head += field % (b"x" * (part - len("X-A: \r\n")))
    assert len(head) + 2 == size
    return head + b"\r\n"


@pytest.mark.parametrize("size, expected", [(LINE - 1, 200), (LINE, 200), (LINE + 1, 414), (LINE * 5, 414)])
def test_H7_request_line(narrow, size, expected):
    assert status(narrow, line_of(size)) == expected


@pytest.mark.parametrize(
    "size, expected", [(FIELD - 1, 200), (FIELD, 200), (FIELD + 1, 431), (FIELD * 5, 431)]
)
def test_H7_field_size(narrow, size, expected):
    assert status(narrow, field_of(size)) == expected


@pytest.mark.parametrize("name", [FIELD - 5, FIELD - 4])
def test_H7_the_name_counts_too(narrow, name):
    request = b"GET / HTTP/1.1\r\nHost: h\r\n%s: ab\r\n\r\n" % (b"x" * name)
    assert status(narrow, request) == (200 if name + 4 <= FIELD else 431)


@pytest.mark.parametrize(
    "count, expected", [(FIELDS - 1, 200), (FIELDS, 200), (FIELDS + 1, 431), (FIELDS * 5, 431)]
)
def test_H7_S13_number_of_fields(narrow, count, expected):
    assert status(narrow, fields_of(count)) == expected


def test_H7_head_size(serve):
    server = serve(harness.ROOT / "tests" / "web" / "apps" / "echo.py", "--limit-request-head", HEAD)
    for size, expected in ((HEAD - 1, 200), (HEAD, 200), (HEAD + 1, 431), (HEAD * 5, 431)):
        assert status(server, head_of(size)) == expected, size


@pytest.mark.parametrize("size, expected", [(BODY - 1, 200), (BODY, 200), (BODY + 1, 413), (BODY * 5, 413)])
@pytest.mark.parametrize("framing", ["length", "chunked", "one chunk"])
def test_H7_content(narrow, size, expected, framing):
    body, fields = b"x" * size, {}
    if framing != "length":
        step = size if framing == "one chunk" else 100
        fields, body = (
            {"Transfer-Encoding": "chunked"},
            chunked(*(body[at : at + step] for at in range(0, size, step))),
        )
    assert status(narrow, make_request("POST", "/", fields, body)) == expected


@pytest.mark.parametrize(
    "data, reason",
    [
        (line_of(LINE + 1), "line-too-long"),
        (field_of(FIELD + 1), "field-too-large"),
        (fields_of(FIELDS + 1), "too-many-fields"),
        (make_request("POST", "/", {"Content-Length": str(BODY + 1)}), "body-too-large"),
    ],
)
def test_H7_the_access_log_names_the_limit(narrow, data, reason):
    before = len(narrow.access_lines())
    status(narrow, data)
    lines = harness.eventually(
        lambda: [line for line in narrow.access_lines()[before:] if outcome(line) != "ok"]
    )
    assert [outcome(line) for line in lines] == [reason]


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"GET /" + b"x" * LINE, 414),
        (b"x" * (LINE + 1), 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * FIELD, 431),
        (b"GET / HTTP/1.1\r\n" + b"x" * (FIELD + 1), 431),
    ],
)
def test_H7_a_limit_needs_no_end_in_sight(narrow, data, expected):
    """Refused as soon as too much is there, not when the line ends."""
    assert status(narrow, data) == expected


def test_H7_a_head_of_endless_length_is_refused_while_it_is_sent(narrow):
    with narrow.connect() as client:
        try:
            for _ in range(100):
                client.send(b"GET /" + b"x" * 100_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.response().status == 414


# The defaults.


@pytest.mark.parametrize("size, expected", [(8000, 200), (8190, 200), (8191, 414), (65536, 414)])
def test_H7_request_line_by_default(echo, size, expected):
    assert status(echo.server, line_of(size)) == expected


@pytest.mark.parametrize("size", [255, 256, 257, 8189, 8190, 8191, 65535, 65536])
@pytest.mark.parametrize("part", ["name", "value", "target", "method"])
def test_S13_lengths_around_powers_of_two(echo, size, part):
    """A length that does not fit a small integer is not taken for a smaller one."""
    before = len(echo.calls())
    request = {
        "name": b"GET / HTTP/1.1\r\nHost: h\r\n%s:\r\nX-After: 1\r\n\r\n",
        "value": b"GET / HTTP/1.1\r\nHost: h\r\nX:%s\r\nX-After: 1\r\n\r\n",
        "target": b"GET /%s HTTP/1.1\r\nHost: h\r\nX-After: 1\r\n\r\n",
        "method": b"%s / HTTP/1.1\r\nHost: h\r\nX-After: 1\r\n\r\n",
    }[part] % (b"x" * size)
    with echo.connect() as client:
        response = client.request(request, "GET")
        if response.status == 200:
            told = response.literal()
            assert told["HTTP_X_AFTER"] == "1"
            assert {
                "name": "HTTP_" + "X" * size in told,
                "value": told.get("HTTP_X") == "x" * size,
                "target": told["PATH_INFO"] == "/" + "x" * size,
                "method": told["REQUEST_METHOD"] == "x" * size,
            }[part]
        else:
            assert response.status == (431 if part in ("name", "value") else 414) and size > 8000
            client.expect_end()
    assert len(echo.calls()) - before == (response.status == 200)


@pytest.mark.parametrize(
    "count, expected", [(99, 200), (100, 200), (101, 431), (255, 431), (256, 431), (257, 431), (65536, 431)]
)
def test_S13_number_of_fields_by_default(echo, count, expected):
    assert status(echo.server, fields_of(count)) == expected


def test_S13_all_fields_arrive(echo):
    with echo.connect() as client:
        fields = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(99))
        told = client.request(b"GET / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n").literal()
    assert all(told[f"HTTP_X_{number}"] == str(number) for number in range(99))


# S3: what is little each time is bounded in total.


@pytest.mark.parametrize(
    "name, data, allowed",
    [
        ("tiny chunks with large extensions", b"1;a=" + b"b" * 100 + b"\r\nx\r\n", (413, 431)),
        ("extensions of one chunk", b";" + b"a" * 1000, (400, 413, 431)),
        ("endless extension", b"a" * 1000, (400, 413, 431)),
    ],
)
def test_S3_H7_chunk_extensions_are_bounded_in_total(echo, name, data, allowed):
    start = {
        "tiny chunks with large extensions": b"",
        "extensions of one chunk": b"1",
        "endless extension": b"1;",
    }[name]
    flood(echo, start, data, allowed)


def flood(echo, start, unit, allowed):
    """Send `unit` without end as chunked content; it must be refused before 3 MB of it were read."""
    with echo.connect() as client:
        client.send(make_request("POST", "/", {"Transfer-Encoding": "chunked"}) + start)
        try:
            for _ in range(100):
                client.send(unit * (30_000 // len(unit)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.response().status in allowed
    assert echo.calls() == []


def test_S3_H7_trailers_are_bounded_in_total(echo):
    flood(echo, b"0\r\n", b"X-Trailer: value\r\n", (431,))


def test_S3_H7_one_endless_trailer(echo):
    flood(echo, b"0\r\nX-Trailer: ", b"value", (431,))


def test_S3_H7_empty_lines_before_a_request_are_bounded(echo):
    with echo.connect() as client:
        try:
            for _ in range(100):
                client.send(b"\r\n" * 10_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.response().status == 400


def test_S3_empty_lines_between_requests_are_bounded_too(echo):
    with echo.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" + b"\r\n" * 10_000)
        assert client.response().status == 200
        assert client.response().status == 400


def test_S3_tiny_chunks_without_extensions_are_content(echo):
    with echo.connect() as client:
        body = chunked(*[b"x"] * 20_000)
        assert (
            client.request(make_request("POST", "/", {"Transfer-Encoding": "chunked"}, body)).literal()[
                "body"
            ]
            == b"x" * 20_000
        )
