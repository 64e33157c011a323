"""wsgi.input: W14 and W16 to W19 of the checklist, against io.BytesIO as the reference."""

import hashlib
import io
import random
import resource
from urllib.parse import quote

import pytest

import harness
from harness import chunked
from apps.content import run

BODIES = {
    "empty": b"",
    "byte": b"x",
    "newline": b"\n",
    "newlines": b"\n\n\n",
    "line": b"one line\n",
    "unended": b"one line\nand a half",
    "crlf": b"a\r\nb\r\n\r\nc",
    "zeros": b"\0\n\0\0",
    "mixed": b"short\n" + b"x" * 300 + b"\n\n" + b"y" * 20 + b"\nend",
    "long": b"z" * 10000,
}

# Steps that are legal under wsgiref.validate too: read always has a size.
LEGAL = [
    "read 0",
    "read 1",
    "read 5;read 5;read 5",
    "read 100000;read 1",
    "readline;readline;readline",
    "readline 0;readline 3;readline 3;readline",
    "readline 1;readline 10000;readline",
    "readlines",
    "readlines 1",
    "readlines 12;readlines 12",
    "iterate",
    "read 3;iterate",
    "readline;readlines",
    "readline 2;read 4;readline;iterate",
    "iterate;read 1;readline;readlines",
    "readlines 0",
    "read 2;readlines 5;read 100",
]

# Steps of BytesIO that PEP 3333 leaves open.
WIDE = [
    "read",
    "read;read;readline",
    "read -1",
    "read None",
    "readline -1;readline None",
    "readlines -1",
    "next;next;next",
    "readlines None",
    "read 2;read",
]


def reference(body, script):
    stream = io.BytesIO(body)
    return [run(stream, step) for step in script.split(";")]


def both_framings(body):
    """The same content with Content-Length and chunked."""
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return [({}, body), ({"Transfer-Encoding": "chunked"}, chunked(*pieces))]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_W16_every_method_reads_as_bytesio_does(wsgi, body):
    for script in LEGAL:
        for fields, content in both_framings(body):
            value = wsgi.value("content.script", "POST", f"/?{quote(script)}", fields, content)
            assert value == reference(body, script), (script, fields)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_W16_arguments_beyond_the_pep(host, body):
    for script in WIDE:
        value = host.value("content.script", "POST", f"/?{quote(script)}", {}, body)
        assert value == reference(body, script), script


def test_W16_readline_with_size(wsgi):
    body = b"0123456789\nabc\n"
    script = "readline 4;readline 7;readline 1;readline 100;readline 1"
    value = wsgi.value("content.script", "POST", f"/?{quote(script)}", {}, body)
    assert value == [b"0123", b"456789\n", b"a", b"bc\n", b""]


def test_W16_read_past_the_end_never_blocks(wsgi):
    with wsgi.connect() as client:
        answer = client.request(
            wsgi.raw("content.script", "POST", "/?read%2010;read%2010;readline;readlines", {}, b"12345")
        )
        assert answer.literal() == [b"12345", b"", b"", []]


def test_W16_input_without_content_is_empty(wsgi):
    for method in ("GET", "POST", "HEAD" if not wsgi.validated else "PUT"):
        if method != "HEAD":
            assert wsgi.value("content.script", method, "/?read%2010;readline;iterate") == [b"", b"", []]


def test_W16_wrong_arguments_raise_type_error(host):
    assert host.value("content.misuse", "POST", body=b"12345") == ["TypeError"] * 5


def test_W16_input_can_be_read_while_the_result_is_iterated(wsgi):
    assert wsgi.request("content.inside_result", "POST", body=b"0123456789").body == b"0123456789"


@pytest.fixture(scope="module")
def small_buffer(serve_module):
    """A server that keeps no more than 1000 bytes of content in memory."""
    return harness.start_host(serve_module, "--body-buffer", "1000")


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        2,
        998,
        999,
        1000,
        1001,
        1002,
        1999,
        2000,
        2001,
        16383,
        16384,
        16385,
        65535,
        65536,
        65537,
        262143,
        262144,
        262145,
        300000,
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_W16_sizes_around_every_buffer(small_buffer, wsgi_over, size, framing):
    wsgi = wsgi_over(small_buffer)
    body = random.Random(size).randbytes(size)
    fields, content = {}, body
    if framing == "chunked":
        fields, content = (
            {"Transfer-Encoding": "chunked"},
            chunked(*(body[at : at + 997] for at in range(0, size, 997))),
        )
    length, count, digest = wsgi.value("content.digest", "POST", "/", fields, content)
    assert (length, count, digest) == (str(size) if content else None, size, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("ends", ["\n", "", "x" * 20000 + "\n"])
def test_W16_lines_across_every_boundary_in_a_file(small_buffer, wsgi_over, ends):
    wsgi = wsgi_over(small_buffer)
    rng = random.Random(16)
    body = b"".join(
        b"l" * rng.choice([0, 1, 100, 4094, 4095, 4096, 8191, 8192, 30000]) + b"\n" for _ in range(200)
    )
    body += ends.encode()
    expected = hashlib.sha256()
    lines = io.BytesIO(body).readlines()
    for line in lines:
        expected.update(b"%d:" % len(line) + line)
    count, digest = wsgi.value("content.lines", "POST", body=body)
    assert (count, digest) == (len(lines), expected.hexdigest())


@pytest.mark.parametrize(
    "script",
    ["read 500;readline 600;read 1;readline;readlines 5000;iterate", "readlines 3000;read 7;iterate"],
)
def test_W16_mixed_calls_in_a_file(small_buffer, wsgi_over, script):
    wsgi = wsgi_over(small_buffer)
    body = b"".join(b"%d " % number * (number % 50) + b"\n" for number in range(400))
    assert wsgi.value("content.script", "POST", f"/?{quote(script)}", {}, body) == reference(body, script)


def test_W16_content_file_has_no_name_left(own_host, tmp_path):
    host = own_host("--body-buffer", "1000", env={"TMPDIR": tmp_path})
    server = host.server
    with host.connect() as client:
        request = host.raw("content.digest", "POST", body=b"x" * 100000)
        client.send(request[:50000])
        harness.eventually(
            lambda: any(str(tmp_path) in link for link in harness.links(server.worker)), what="a content file"
        )
        assert list(tmp_path.iterdir()) == []
        client.send(request[50000:])
        assert client.response().literal()[1] == 100000
    harness.eventually(
        lambda: not any(str(tmp_path) in link for link in harness.links(server.worker)),
        what="the file closed",
    )


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_S9_a_content_that_cannot_be_stored_is_a_500(own_host, tmp_path, framing):
    """TMPDIR is not there: the answer says so, the log too, and the next request is fine."""
    host = own_host("--body-buffer", "1000", env={"TMPDIR": tmp_path / "missing"})
    host.server.expect_log("ERROR .*content.*No such file")
    fields, content = both_framings(b"x" * 100_000)[framing == "chunked"]
    response = host.request("content.called", "POST", "/stored", fields, content)
    assert response.status == 500
    assert "close" in response.connection()
    assert host.value("content.digest", "POST", body=b"x" * 999)[1] == 999
    assert host.seen() == []
    [line] = [line for line in host.server.access_lines() if "/stored" in line]
    assert harness.outcome(line) == "spool-failed"


def test_S9_a_full_disk_is_a_500(own_host):
    """Simulated by a limit of file sizes, which makes writing fail in the middle."""
    host = own_host("--body-buffer", "1000")
    host.server.expect_log("ERROR .*content")
    resource.prlimit(host.server.worker, resource.RLIMIT_FSIZE, (200_000, 200_000))
    assert host.request("content.called", "POST", body=b"x" * 1_000_000).status == 500
    assert host.value("content.digest", "POST", body=b"x" * 150_000)[1] == 150_000
    assert host.seen() == []


def test_W17_reads_never_reach_the_next_request(wsgi):
    with wsgi.connect() as client:
        first = wsgi.raw("content.script", "POST", "/?read%20100000;read%20100000;readline", {}, b"first")
        second = wsgi.raw("content.script", "POST", "/?read%20100000", {}, b"second")
        client.send(first + second)
        assert client.response().literal() == [b"first", b"", b""]
        assert client.response().literal() == [b"second"]


def test_W17_input_kept_beyond_its_request(host):
    assert host.value("content.keep", "POST", body=b"kept") is True
    with host.connect() as client:
        client.request(host.raw("content.echo", "POST", body=b"another"))
        answer = client.request(host.raw("content.use_kept", "POST", body=b"secret"))
    assert "secret" not in answer.text and "another" not in answer.text


@pytest.mark.parametrize("app", ["ignore", "some"])
@pytest.mark.parametrize("size", [1, 100, 70000, 3_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_W18_unread_content_does_not_disturb_the_next_request(wsgi, app, size, framing):
    body = b"GET /smuggled HTTP/1.1\r\n\r\n" * (size // 26 + 1)
    fields, content = ({}, body) if framing == "length" else ({"Transfer-Encoding": "chunked"}, chunked(body))
    with wsgi.connect() as client:
        for _ in range(2):
            client.request(wsgi.raw(f"content.{app}", "POST", "/first", fields, content))
            assert client.request(wsgi.raw("content.ignore", target="/second")).text == "/second"


@pytest.mark.parametrize(
    "fields, content",
    [
        ({"Content-Length": "10"}, b"12345"),
        ({"Content-Length": "10"}, b""),
        ({"Transfer-Encoding": "chunked"}, b"5\r\n12345\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"5\r\n12"),
        ({"Transfer-Encoding": "chunked"}, b"5\r\n12345\r\n0\r\n"),
        ({"Transfer-Encoding": "chunked"}, b""),
    ],
)
def test_W19_content_that_ends_early_is_never_complete(host, fields, content):
    before = len(host.server.access_lines())
    with host.connect() as client:
        client.send(host.raw("content.called", "POST", "/early", fields, content))
        client.end()
        try:
            assert client.response("POST").status == 400
        except harness.Truncated as cut:
            assert cut.response is None and cut.rest == b""
    assert host.seen() == []
    lines = host.server.wait_access(before + 2)[before:]
    assert [line for line in lines if "/early" in line and not line.endswith(" ok")] == lines[:1]


@pytest.mark.parametrize("size", [5, 100000])
def test_W19_content_cut_by_a_reset_is_never_complete(host, size):
    with host.connect() as client:
        client.send(
            host.raw("content.called", "POST", "/reset", {"Content-Length": str(size * 2)}, b"x" * size)
        )
        client.abort()
    assert host.seen() == []
