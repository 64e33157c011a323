"""The access log and --show-requests: one line a request whatever became of it, and S7 of the checklist:
nothing that a client sends can forge a line or play with a terminal.
"""

import datetime
import os
import pty
import re
import subprocess

import pytest

import harness
from harness import chunked, make_request

ECHO = harness.ROOT / "tests/web/apps/echo.py"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LINE = re.compile(
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>\S+) "
    r"\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" (?P<outcome>\S+)'
)


def parse(line):
    """The fields of an access log line, which must have its form to the letter."""
    match = LINE.fullmatch(line)
    assert match, line
    assert all(0x20 <= ord(char) < 0x7F for char in line), line
    return match.groupdict()


def logged(echo, data, method=None):
    """Send these bytes; the fields of the one line that comes of them."""
    before = echo.count_lines()
    with echo.connect() as client:
        client.send(data)
        client.response(method or "GET")
    lines = echo.lines(1, before)
    assert len(lines) == 1
    return parse(lines[0])


def test_combined_log_format(echo):
    fields = {"Referer": "http://localhost/from?a=b", "User-Agent": "Test/1.0 (x; y)"}
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    entry = logged(echo, make_request("GET", "/large?1234", fields))
    assert entry["host"] == "127.0.0.1"
    assert (entry["ident"], entry["user"]) == ("-", "-")
    assert entry["request"] == "GET /large?1234 HTTP/1.1"
    assert (entry["status"], entry["bytes"]) == ("200", "1234")
    assert (entry["referer"], entry["agent"]) == (fields["Referer"], fields["User-Agent"])
    assert entry["outcome"] == "ok"
    when = datetime.datetime.strptime(entry["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert before - datetime.timedelta(seconds=1) <= when <= datetime.datetime.now(datetime.timezone.utc)


def test_absent_fields_are_dashes(echo):
    entry = logged(echo, GET)
    assert (entry["referer"], entry["agent"]) == ("-", "-")


@pytest.mark.parametrize(
    "data, size",
    [
        (make_request("GET", "/large?0"), 0),
        (make_request("GET", "/blocks?3"), 3 * 65536),
        (make_request("GET", "/blocks?2", version="1.0"), 2 * 65536),
        (make_request("HEAD", "/large?100"), 0),
        (make_request("GET", "/large?300000"), 300_000),
    ],
)
def test_bytes_are_those_of_the_content(echo, data, size):
    assert logged(echo, data, data.split(b" ")[0].decode())["bytes"] == str(size)


def test_lines_of_a_pipeline_are_in_order(echo):
    before = echo.count_lines()
    with echo.connect() as client:
        client.send(b"".join(make_request("GET", f"/{number}") for number in range(50)))
        for _ in range(50):
            client.response()
    lines = [parse(line) for line in echo.lines(50, before)]
    assert [line["request"] for line in lines] == [f"GET /{number} HTTP/1.1" for number in range(50)]


def test_a_unix_socket_has_no_address(own_echo, tmp_path):
    echo = own_echo("--bind", f"unix:{tmp_path}/socket")
    assert logged(echo, GET)["host"] == "-"


def test_ipv6_address(own_echo):
    assert logged(own_echo("--bind", "[::1]:0"), GET)["host"] == "::1"


def test_log_on_stdout(serve):
    server = serve(harness.ROOT / "tests" / "web" / "apps" / "echo.py", "--access-logfile", "-")
    server.get("/on/stdout")
    match = server.wait_output(r'^127\.0\.0\.1 [^\n]*"GET /on/stdout HTTP/1\.1" 200 [^\n]* ok$')
    parse(match[0])


def test_no_log_by_default(cserve, tmp_path):
    process = harness.Process(
        cserve, ["--port", "0", harness.ROOT / "tests" / "web" / "apps" / "echo.py"], tmp_path
    )
    try:
        process.wait_output(r"^Serving HTTP on \S+")
        address = harness.parse_address(harness.SERVING.search(process.output())[1])
        with harness.Client(address) as client:
            assert client.request(GET).status == 200
        process.signal(15)
        assert process.wait() == 0
        assert "GET /" not in process.output() + process.log()
    finally:
        process.kill()


# Every request has its line, however it ended. Refused ones: test_http_messages.py, test_http_limits.py;
# late ones: test_http_timeouts.py.


def test_a_request_without_a_readable_line(echo):
    assert logged(echo, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")["outcome"] == "tls"


def test_a_client_that_left_before_its_answer_was_sent(echo):
    before = echo.count_lines()
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/large?30000000"))
        client.receive(1000)
        client.abort()
    entry = parse(echo.lines(1, before)[0])
    assert (entry["status"], entry["outcome"]) == ("200", "aborted-sending")


def test_a_client_that_left_before_its_request_was_complete(echo):
    for data in (b"GET /gone HTTP/1.1\r\nHo", make_request("GET", "/gone", {"Content-Length": "5"}) + b"123"):
        before = echo.count_lines()
        with echo.connect() as client:
            client.send(data)
            client.end()
            b"".join(iter(client.receive, b""))
        entry = parse(echo.lines(1, before)[0])
        assert (entry["request"], entry["outcome"]) == ("GET /gone HTTP/1.1", "client-gone")


def test_an_application_that_fails(serve):
    server = serve("def app(environ, start_response):\n    raise ValueError\n")
    server.expect_log("ValueError")
    assert server.get("/fails").status == 500
    entry = parse(server.wait_access(1)[0])
    assert (entry["request"], entry["status"], entry["outcome"]) == (
        "GET /fails HTTP/1.1",
        "500",
        "app-error",
    )


@pytest.mark.parametrize("body, reason", [(b"1234567", "excess"), (b"123", "short")])
def test_an_application_that_gives_a_wrong_length(serve, body, reason):
    server = serve(f"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [{body!r}]
""")
    server.expect_log("Content-Length")
    with server.connect() as client:
        client.send(GET)
        b"".join(iter(client.receive, b"")) if reason == "short" else client.response()
    entry = parse(server.wait_access(1)[0])
    assert (entry["status"], entry["bytes"], entry["outcome"]) == ("200", str(min(len(body), 5)), reason)


# S7: escaping.

EVIL = bytes(range(0x80, 0x100)) + b"\"\\\t'%s%n{}"


def test_S7_fields_cannot_forge_a_line(echo):
    before = echo.count_lines()
    fields = b"".join(
        b"%s: " % name + EVIL + b'" 200 1 "-" "-" ok\r\n' for name in (b"Referer", b"User-Agent")
    )
    with echo.connect() as client:
        client.request(b"GET /\"'\\ HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
    lines = echo.lines(1, before)
    assert len(lines) == 1
    entry = parse(lines[0])
    assert entry["request"] == "GET /\\\"'\\\\ HTTP/1.1"
    assert entry["agent"] == entry["referer"]
    assert entry["agent"].startswith("\\x80\\x81")
    assert entry["agent"].endswith('\\"\\\\\\t\'%s%n{}\\" 200 1 \\"-\\" \\"-\\" ok')


@pytest.mark.parametrize(
    "first",
    [
        b"GET /\x1b[2J\x1b[31m HTTP/1.1",
        b"GET /\x00\x01\x02\x07\x08\x0b\x7f HTTP/1.1",
        b"\xff\xfe" * 50,
        b'" 200 5 "-" "-" ok',
        b"GET / HTTP/1.1\rforged",
        b"\x1b]0;title\x07",
    ],
)
def test_S7_refused_request_lines_are_escaped(echo, first):
    entry = logged(echo, first + b"\r\n\r\n")
    assert entry["outcome"] != "ok"


def test_S7_lines_are_bounded(echo):
    before = echo.count_lines()
    with echo.connect() as client:
        client.send(b"GET /" + b"\xff" * 200_000)
        client.response()
    [line] = echo.lines(1, before)
    parse(line)
    assert len(line) < 8190 * 4 + 500


def test_S7_the_error_log_cannot_be_forged(serve):
    """A failure names its request, with the line escaped."""
    server = serve("def app(environ, start_response):\n    raise ValueError\n")
    server.expect_log("ValueError")
    with server.connect() as client:
        assert client.request(b"GET /\"\\' HTTP/1.1\r\nHost: h\r\n\r\n").status == 500
    server.wait_log("ValueError")
    assert all(0x20 <= ord(char) < 0x7F for char in server.log().replace("\n", ""))


# --show-requests.


def shown(server, data, count=1, methods=("GET",)):
    """What --show-requests prints for these bytes."""
    before = len(server.output())
    with server.connect() as client:
        client.send(data)
        for index in range(count):
            client.response(methods[index % len(methods)])
    server.stdout.wait(r"(^< HTTP/1\.1 [2-5][^\n]*\n.*?^< *\n.*?){%d}" % count, start=before)
    return server.output()[before:]


@pytest.fixture(scope="module")
def showing(serve_module):
    return serve_module(harness.ROOT / "tests" / "web" / "apps" / "echo.py", "--show-requests")


def test_show_requests_shows_both_sides(showing):
    text = shown(showing, make_request("GET", "/shown?a=b", {"X-Custom": "value"}))
    for line in (
        "> GET /shown?a=b HTTP/1.1",
        "> Host: localhost",
        "> X-Custom: value",
        "< HTTP/1.1 200 OK",
        "< Content-Type: text/plain",
    ):
        assert f"\n{line}\n" in f"\n{text}", text
    assert re.search(r"^< Date: ", text, re.MULTILINE)


def test_show_requests_shows_content(showing):
    text = shown(showing, make_request("POST", "/", {}, b"a=1&b=2"))
    assert re.search(r"^> a=1&b=2$", text, re.MULTILINE)


def test_show_requests_shows_chunks_as_they_came(showing):
    content = b"5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: t\r\n\r\n"
    text = shown(showing, make_request("POST", "/", {"Transfer-Encoding": "chunked"}, content))
    assert "> 5;name=value\n> hello\n> 6\n>  world\n> 0\n> X-Sum: t\n> \n< HTTP/1.1 200 OK\n" in text


def test_show_requests_shows_content_that_comes_later_and_how_long_it_is(showing):
    before = len(showing.output())
    with showing.connect() as client:
        client.send(make_request("POST", "/", {"Content-Length": "300000"}))
        showing.stdout.wait(r"^> Content-Length: 300000\n> \n", start=before)
        client.send(b"a" * 300000)
        assert client.response("POST").status == 200
    text = showing.stdout.wait(r"^> POST .*^< HTTP/1\.1 200 OK", start=before)[0]
    lines = [line for line in text.split("\n") if line.startswith("> a")]
    assert sum(len(line) - 2 for line in lines) == 1024
    assert "\n> (300000 bytes of content in all)\n< HTTP/1.1 200 OK" in text


def test_show_requests_shows_an_invitation_behind_the_request(showing):
    before = len(showing.output())
    with showing.connect() as client:
        client.send(make_request("POST", "/", {"Expect": "100-continue", "Content-Length": "3"}))
        showing.stdout.wait(r"^< HTTP/1\.1 100 Continue\n", start=before)
        client.send(b"abc")
        client.response("POST")
    text = showing.stdout.wait(r"^> POST .*^< HTTP/1\.1 200 OK", start=before)[0]
    assert text.count("> POST / HTTP/1.1\n") == 1
    head, _, rest = text.partition("\n> \n")
    assert head.startswith("> POST / HTTP/1.1\n")
    assert rest.startswith("< HTTP/1.1 100 Continue\n< \n> abc\n< HTTP/1.1 200")


def test_show_requests_shows_refused_chunks_once(showing):
    text = shown(showing, make_request("POST", "/", {"Transfer-Encoding": "chunked"}, b"5\r\nhello\r\nx\r\n"))
    assert text.count("> POST / HTTP/1.1\n") == 1
    assert "> 5\n> hello\n> x\n< HTTP/1.1 400 Bad Request\n" in text


COLOURED = [
    ("/", "\x1b[36m> GET / HTTP/1.1\x1b[0m\n", "\x1b[32m< HTTP/1.1 200 OK\x1b[0m\n"),
    ("no/target", "\x1b[36m> GET no/target HTTP/1.1\x1b[0m\n", "\x1b[31m< HTTP/1.1 400 Bad Request\x1b[0m\n"),
]


@pytest.mark.parametrize("target, request_line, status_line", COLOURED)
def test_show_requests_in_colour(serve, target, request_line, status_line):
    server = serve(ECHO, "--show-requests", env={"FORCE_COLOR": "1", "NO_COLOR": None})
    server.get(target)
    server.wait_output(re.escape(status_line))
    assert request_line in server.output()


@pytest.mark.parametrize("value", ["1", None])
def test_show_requests_without_colour(serve, value):
    """Where nobody wants it, or the output is no terminal."""
    env = {"TERM": "xterm", "FORCE_COLOR": value, "NO_COLOR": value}
    server = serve(ECHO, "--show-requests", env=env)
    server.get()
    server.wait_output("^< HTTP/1.1 200 OK$")
    assert "\x1b" not in server.output()


def test_show_requests_on_a_terminal(cserve, tmp_path):
    terminal, side = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [cserve, "--show-requests", "--bind", f"unix:{tmp_path}/socket", ECHO],
        env={**env, "ASAN_OPTIONS": "detect_leaks=0", "TERM": "xterm"},
        stdout=side,
        stderr=subprocess.DEVNULL,
    )
    os.close(side)
    try:
        text = os.read(terminal, 65536)
        assert text.startswith(b"Serving HTTP on")
        with harness.Client(f"{tmp_path}/socket") as client:
            client.request(make_request())
        while b"< HTTP/1.1 200 OK" not in text:
            text += os.read(terminal, 65536)
        assert b"\x1b[36m> GET / HTTP/1.1\x1b[0m\r\n" in text and b"\x1b[32m< HTTP/1.1 200 OK\x1b[0m" in text
    finally:
        process.terminate()
        process.wait(harness.DEADLINE)
        os.close(terminal)


def test_show_requests_shows_refused_ones(showing):
    text = shown(showing, b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
    assert re.search(r"^> GET / HTTP/1\.1$", text, re.MULTILINE), text
    assert re.search(r"^< HTTP/1\.1 400 Bad Request$", text, re.MULTILINE), text


def test_show_requests_shows_what_is_wrong_with_a_line_end(showing):
    assert "> GET / HTTP/1.1\\n\n" in shown(showing, b"GET / HTTP/1.1\nHost: x\n\n")


def test_show_requests_shows_each_of_a_pipeline(showing):
    text = shown(showing, b"".join(make_request("GET", f"/{number}") for number in range(5)), 5)
    assert re.findall(r"^> GET (/\d) ", text, re.MULTILINE) == [f"/{number}" for number in range(5)]
    assert len(re.findall(r"^< HTTP/1\.1 200 OK$", text, re.MULTILINE)) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\x80\r\n\r\n",
        make_request("POST", "/", {}, b"\x1b[2J\x1b]0;title\x07\x00\x7f\x9b31m\r\x08"),
        make_request("POST", "/", {"Transfer-Encoding": "chunked"}, chunked(b"\x1b[2J\x9b")),
        b"GET /\x1b[31m HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \x1b[31m\r\n\r\n",
        b"\x16\x03\x01" + bytes(range(256)),
    ],
)
def test_S7_show_requests_is_safe_on_a_terminal(showing, data):
    text = shown(showing, data)
    assert text
    assert all(0x20 <= ord(char) < 0x7F for char in text.replace("\n", "")), repr(text)
    assert all(line.startswith(("> ", "< ", ">", "<")) or not line for line in text.split("\n")), text


def test_show_requests_is_off_by_default(echo):
    echo.server.get("/not/shown")
    assert "/not/shown" not in echo.server.output()
