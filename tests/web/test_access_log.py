"""--access-logformat: the atoms, JSON, and that what a line says of time and bytes is true."""

import datetime
import json
import re

import pytest

import harness
from harness import make_request

APP = """
import time

def app(environ, start_response):
    environ["wsgi.input"].read()
    path, _, query = environ["PATH_INFO"][1:].partition("/")
    if path == "sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    headers = [("Content-Type", "text/plain"), ("X-Answer", 'a "b" c')]
    start_response("200 OK", headers)
    if path == "stream":
        return (b"x" * 50_000 for _ in range(200))
    return [b"x" * (int(environ["QUERY_STRING"]) if path == "large" else 4)]
"""
JSON_KEYS = [
    "time", "remote", "user", "request", "method", "path", "query", "protocol", "status", "bytes", "referer",
    "agent", "duration_us", "receive_us", "queued_us", "app_us", "send_us", "bytes_in", "bytes_out", "worker",
    "thread", "outcome",
]


def lines_with(server, text):
    return [line for line in server.access_lines() if text in line]


@pytest.fixture
def logging(serve):
    """logging(format, *options): a server with this format."""
    return lambda text, *options: serve(APP, "--access-logformat", text, *options)


def line_of(server, data, method="GET"):
    """The line that these bytes, sent alone, have in the log."""
    before = len(server.access_lines())
    with server.connect() as client:
        client.send(data)
        client.response(method)
    return server.wait_access(before + 1)[before]


def entries(server, count):
    return [json.loads(line) for line in server.wait_access(count)]


def test_gunicorns_atoms(logging):
    server = logging("|".join(f"%({atom})s" for atom in "hlutrmUqHsBbfap"))
    fields = {"Referer": "/from", "User-Agent": "me", "Authorization": "Basic am9lOnNlY3JldA=="}
    values = line_of(server, make_request("GET", "/a%20b?c=d", fields)).split("|")
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", values.pop(3))
    assert values == ["127.0.0.1", "-", "joe", "GET /a%20b?c=d HTTP/1.1", "GET", "/a%20b", "c=d", "HTTP/1.1",
                      "200", "4", "4", "/from", "me", f"<{server.worker}>"]


def test_durations_in_every_unit(logging):
    server = logging("%(T)s %(M)s %(D)s %(L)s")
    seconds, ms, us, decimal = line_of(server, make_request("GET", "/sleep?1.1")).split()
    assert seconds == "1" and 1100 <= int(ms) < 10_000
    assert int(us) // 1000 == int(ms)
    assert decimal == f"{int(us) // 1_000_000}.{int(us) % 1_000_000:06d}"


def test_fields_of_request_response_and_environ(logging):
    atoms = "{x-mine}i", "{Content-Type}o", "{X-Answer}o", "{Absent}o", "{HTTP_X_MINE}e", "{PATH_INFO}e"
    server = logging("|".join(f"%({atom})s" for atom in atoms))
    line = line_of(server, make_request("GET", "/%41?b", {"X-Mine": "1|2"}))
    assert line == 'text/plain|a \\"b\\" c|-|'.join(["1|2|", "1|2|/A"])
    assert line_of(server, b"GET / HTTP/1.1\r\n\r\n").startswith("-|text/plain; charset=utf-8|-|")


def test_response_fields_do_not_carry_over(serve):
    server = serve(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('X-A', '1')] if environ['PATH_INFO'] == '/a' else [])\n"
        "    return []\n",
        "--access-logformat", "%({X-A}o)s",
    )
    with server.connect() as client:
        for target in ("/a", "/b", "/a"):
            client.request(make_request("GET", target))
    assert server.wait_access(3) == ["1", "-", "1"]


def test_common(logging):
    line = line_of(logging("common"), make_request("GET", "/"))
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET / HTTP/1\.1" 200 4', line)


@pytest.mark.parametrize(
    "text, words",
    [
        ("%(x)s", ["no atom %(x)s"]),
        ("%(h)", ["not an atom"]),
        ("100%", ["not an atom", "%%"]),
        ("%({DJANGO_SETTINGS_MODULE}e)s", ["environ", "not DJANGO_SETTINGS_MODULE"]),
        ("%({X}q)s", ["behind the brace"]),
        ("", ["empty"]),
    ],
)
def test_a_format_that_cannot_be_is_refused_at_the_start(cserve, tmp_path, text, words):
    process = harness.Process(cserve, [f"--access-logformat={text}", "app"], tmp_path)
    assert process.wait() == 2
    log = process.log()
    assert log.startswith("cserve: --access-logformat") and log.count("\n") == 1, log
    assert all(word in log for word in words), log


# JSON.


def test_json_says_everything(logging):
    server = logging("json")
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    with server.connect() as client:
        response = client.request(make_request("POST", "/a?b=c", {"User-Agent": "me"}, b"12345"), "POST")
    [entry] = entries(server, 1)
    assert list(entry) == JSON_KEYS
    assert before <= datetime.datetime.fromisoformat(entry["time"])
    assert entry["remote"] == "127.0.0.1"
    assert (entry["user"], entry["referer"], entry["agent"]) == (None, None, "me")
    assert (entry["request"], entry["method"], entry["path"], entry["query"], entry["protocol"]) == (
        "POST /a?b=c HTTP/1.1", "POST", "/a", "b=c", "HTTP/1.1")
    assert (entry["status"], entry["bytes"], entry["outcome"]) == (200, len(response.body), "ok")
    assert entry["worker"] == server.worker and 0 <= entry["thread"] <= 5
    assert entry["bytes_in"] == len(make_request("POST", "/a?b=c", {"User-Agent": "me"}, b"12345"))
    assert entry["bytes_out"] > 100


def test_json_of_every_byte_is_valid(logging):
    server = logging("json")
    evil = bytes(range(0x80, 0x100)) + b"\"\\\t'</script>{}"
    line = line_of(server, b"GET /\"'\\ HTTP/1.1\r\nHost: h\r\nUser-Agent: " + evil + b"\r\n\r\n")
    assert line.isascii() and json.loads(line)["agent"] == evil.decode("latin-1")
    forged = b'GET /","status":200,"x":"\x00 HTTP/1.1\r\n\r\n'
    for data in (bytes(range(256)), b"\x16\x03\x01" + b"\xff" * 99, forged):
        entry = json.loads(line_of(server, data))
        assert list(entry) == JSON_KEYS and entry["status"] >= 400 and entry["outcome"] != "ok"
        assert entry["thread"] is None


@pytest.mark.parametrize(
    "data, status, outcome",
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "no-host"),
        (b"GET / HTTP/1.1\r\nHo", 408, "timeout-head"),
        (make_request("POST", "/", {"Content-Length": "5"}) + b"123", 408, "timeout-body"),
        (make_request("GET", "/sleep?3"), 504, "timeout-app"),
    ],
)
def test_refused_and_late_requests_have_all_keys(logging, data, status, outcome):
    server = logging("json", "--header-timeout", "0.3", "--body-timeout", "0.3", "--timeout", "0.5")
    entry = json.loads(line_of(server, data))
    assert list(entry) == JSON_KEYS
    assert (entry["status"], entry["outcome"]) == (status, outcome)
    if status != 400:
        assert entry["duration_us"] >= 250_000


# Times.


def sum_of_parts(entry):
    return sum(entry[name] for name in ("receive_us", "queued_us", "app_us", "send_us"))


def test_time_in_the_application(logging):
    server = logging("json")
    entry = json.loads(line_of(server, make_request("GET", "/sleep?0.3")))
    assert 290_000 <= entry["app_us"] < 5_000_000
    assert entry["receive_us"] < 290_000 and entry["queued_us"] < 290_000 and entry["send_us"] < 290_000
    assert entry["duration_us"] == sum_of_parts(entry)


def test_time_that_a_client_took_to_send_is_not_the_applications(logging):
    server = logging("json")
    with server.connect() as client:
        client.send(b"GET / HT")
        harness.measure_for(0.4)
        client.request(b"TP/1.1\r\nHost: h\r\n\r\n", "GET")
    [entry] = entries(server, 1)
    assert entry["receive_us"] >= 350_000 and entry["app_us"] < 350_000
    assert entry["duration_us"] == sum_of_parts(entry)


def test_time_queued(logging):
    """With one thread the second request waits for the first."""
    server = logging("json", "--threads", "1")
    with server.connect() as first, server.connect() as second:
        second.request(make_request("GET", "/"))
        data = make_request("GET", "/sleep?0.4")
        first.send(data + data)
        first.response()
        first.response()
    one, two = entries(server, 3)[1:]
    assert one["queued_us"] < 350_000 <= two["queued_us"]
    assert two["app_us"] >= 350_000


def test_time_sending(logging):
    server = logging("json")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/large?20000000"))
        harness.measure_for(0.5)
        assert len(client.response().body) == 20_000_000
    [entry] = entries(server, 1)
    assert entry["send_us"] >= 400_000 and entry["outcome"] == "ok"
    assert entry["bytes"] == 20_000_000 < entry["bytes_out"] < 20_000_500


# Bytes, and what was sent of them.


@pytest.mark.parametrize("target", ["/large?30000000", "/stream"])
def test_a_broken_download_counts_what_was_sent(logging, target):
    server = logging("json")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", target))
        client.receive(1000)
        client.abort()
    [entry] = entries(server, 1)
    assert entry["outcome"] == "aborted-sending"
    assert 500 < entry["bytes"] <= entry["bytes_out"] < 9_000_000


def test_pipelined_answers_that_were_not_sent_are_not_ok(logging):
    """They wait in one queue: whoever is behind the break got nothing of its answer, or not all."""
    server = logging("json", "--threads", "1")
    target = "/large?3000000"
    with server.connect(receive_buffer=4096) as client:
        first, last = make_request("GET", "/first"), make_request("GET", "/last")
        client.send(first + make_request("GET", target) + last * 3)
        client.receive(10)
        client.abort()
    lines = harness.eventually(lambda: lines_with(server, "aborted-sending") and server.access_lines())
    logged = [json.loads(line) for line in lines]
    assert [entry["path"] for entry in logged[:2]] == ["/first", "/large"]
    assert logged[0]["outcome"] == "ok" and logged[0]["bytes"] == 4
    assert all(entry["outcome"] == "aborted-sending" for entry in logged[1:])
    assert logged[1]["bytes"] < 3_000_000


def test_small_pipelined_answers_behind_a_break(logging):
    """More than a socket takes, each small: those behind what was sent are not ok."""
    server = logging("%(path)s %(bytes)s %(outcome)s", "--threads", "1")
    with server.connect(receive_buffer=4096) as client:
        client.send(b"".join(make_request("GET", f"/large/{number}?20000") for number in range(400)))
        client.receive(10)
        harness.measure_for(0.3)
        client.abort()
    lines = harness.eventually(lambda: lines_with(server, "aborted-sending") and server.access_lines())
    harness.measure_for(0.2)
    lines = server.access_lines()
    assert [line.split()[0] for line in lines] == [f"/large/{number}" for number in range(len(lines))]
    outcomes = [line.split()[2] for line in lines]
    assert outcomes == sorted(outcomes, reverse=True) and outcomes[0] == "ok"
    for line in lines:
        _, size, outcome = line.split()
        assert (size == "20000") == (outcome == "ok") or outcome == "aborted-sending"
    unsent = [int(line.split()[1]) for line in lines if line.endswith("aborted-sending")]
    assert all(size == 0 for size in unsent[1:])


def test_lines_of_a_long_pipeline_are_all_there(logging):
    server = logging("%(path)s %(outcome)s", "--threads", "1")
    with server.connect() as client:
        client.send(b"".join(make_request("GET", f"/{number}") for number in range(100)))
        for _ in range(100):
            client.response()
    assert server.wait_access(100) == [f"/{number} ok" for number in range(100)]


def test_a_pipeline_that_ends_in_half_a_head(logging):
    server = logging("%(path)s %(outcome)s")
    with server.connect() as client:
        client.send(make_request("GET", "/1") + make_request("GET", "/2") + b"GET /3 HT")
        client.response()
        client.response()
        assert server.wait_access(2) == ["/1 ok", "/2 ok"]
        client.request(b"TP/1.1\r\nHost: h\r\n\r\n", "GET")
    assert server.wait_access(3)[2] == "/3 ok"


def test_the_log_of_a_proxys_client(logging):
    server = logging("%(h)s %(outcome)s", "--limit-request-body", "1")
    assert line_of(server, make_request("GET", "/", {"X-Forwarded-For": "10.1.2.3"})) == "10.1.2.3 ok"
    line = line_of(server, make_request("POST", "/", {"X-Forwarded-For": "10.1.2.3"}, b"too large"))
    assert line == "10.1.2.3 body-too-large"
