"""Timeouts: H6 of the checklist. Each with its option set to a fraction of a second."""

import time

import pytest

import harness
from harness import make_request, outcome

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT = 0.3


def trickle(client, pieces, pause=0.02):
    """Send pieces with pauses until there is an answer or the end; whether all were sent."""
    for piece in pieces:
        try:
            client.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        if not client.is_silent(pause):
            return False
    return True


def check_timed_out(client, within):
    """A 408 and the end, not before and not long behind the timeout."""
    start = time.monotonic()
    response = client.response()
    assert response.status == 408
    assert "close" in response.connection()
    client.expect_end()
    assert time.monotonic() - start < within + 5


# The head.


def test_H6_a_head_that_stops(own_echo):
    echo = own_echo("--header-timeout", SHORT)
    with echo.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHos")
        check_timed_out(client, SHORT)
    assert outcome(echo.lines(1)[0]) == "timeout-head"
    assert '"GET / HTTP/1.1" 408 ' in echo.lines(1)[0]
    assert echo.calls() == []


def test_H6_the_head_timeout_runs_from_its_first_byte(own_echo):
    """Slowloris: some bytes now and then do not prolong it."""
    echo = own_echo("--header-timeout", SHORT)
    with echo.connect() as client:
        start = time.monotonic()
        assert not trickle(client, [b"GET / HTTP/1.1\r\n"] + [b"X-A: b\r\n"] * 500)
        assert SHORT * 0.8 < time.monotonic() - start < SHORT + 3
        assert client.response().status == 408


def test_H6_a_second_head_on_the_connection_is_timed_too(own_echo):
    echo = own_echo("--header-timeout", SHORT)
    with echo.connect() as client:
        client.send(GET + b"GET / HTT")
        assert client.response().status == 200
        check_timed_out(client, SHORT)


def test_H6_a_slow_head_within_its_time(own_echo):
    echo = own_echo("--header-timeout", "30")
    with echo.connect() as client:
        assert trickle(client, [GET[:5], GET[5:16], GET[16:20]])
        client.send(GET[20:])
        assert client.response().status == 200


def test_H6_a_connection_that_says_nothing_is_closed(own_echo):
    echo = own_echo("--header-timeout", SHORT)
    with echo.connect() as client:
        client.expect_end()
    assert echo.count_lines() == 0


# The content.


def test_H6_content_that_stops(own_echo):
    echo = own_echo("--body-timeout", SHORT)
    with echo.connect() as client:
        client.send(make_request("POST", "/slow", {"Content-Length": "100"}) + b"x" * 10)
        check_timed_out(client, SHORT)
    assert outcome(echo.lines(1)[0]) == "timeout-body"
    assert echo.calls() == []


def test_H6_content_that_never_begins(own_echo):
    echo = own_echo("--body-timeout", SHORT)
    with echo.connect() as client:
        client.send(make_request("POST", "/", {"Transfer-Encoding": "chunked"}))
        check_timed_out(client, SHORT)


def test_H6_content_below_the_minimum_rate(own_echo):
    """A byte now and then is not enough."""
    echo = own_echo("--body-timeout", SHORT, "--min-body-rate", "1000")
    with echo.connect() as client:
        client.send(make_request("POST", "/", {"Content-Length": "1000"}))
        assert not trickle(client, [b"x"] * 500)
        assert client.response().status == 408
    assert outcome(echo.lines(1)[0]) == "timeout-body"


def test_H6_content_below_the_minimum_rate_in_chunks_of_nothing_else(own_echo):
    """Framing is no content: chunk extensions do not count."""
    echo = own_echo("--body-timeout", SHORT, "--min-body-rate", "1000")
    with echo.connect() as client:
        client.send(make_request("POST", "/", {"Transfer-Encoding": "chunked"}))
        assert not trickle(client, [b'1;extension="' + b"y" * 60 + b'"\r\nx\r\n'] * 200)
        assert client.response().status == 408


def test_H6_slow_content_that_keeps_the_rate(own_echo):
    echo = own_echo("--body-timeout", SHORT, "--min-body-rate", "100")
    with echo.connect() as client:
        body = [b"x" * 100] * 40
        client.send(make_request("POST", "/", {"Content-Length": "4000"}))
        assert trickle(client, body[:-1])
        client.send(body[-1])
        assert client.response().literal()["body"] == b"x" * 4000


# Between requests.


def test_H6_an_idle_connection_is_closed_without_a_word(own_echo):
    echo = own_echo("--keep-alive", SHORT)
    with echo.connect() as client:
        client.request(GET)
        start = time.monotonic()
        client.expect_end()
        assert SHORT * 0.8 < time.monotonic() - start < SHORT + 3
    assert [outcome(line) for line in echo.lines(1)] == ["ok"]


def test_H6_each_request_begins_the_idle_time_anew(own_echo):
    echo = own_echo("--keep-alive", "0.5")
    with echo.connect() as client:
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert client.request(GET).status == 200
            assert client.is_silent(0.1)
        client.expect_end()


# The answer.


def test_H6_a_reader_that_stops(own_echo):
    echo = own_echo("--write-timeout", SHORT)
    before = len(echo.server.access_lines())
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/large?50000000"))
        line = harness.eventually(lambda: echo.server.access_lines()[before:])[0]
        assert outcome(line) == "timeout-write"
        assert len(b"".join(iter(client.receive, b""))) < 50_000_000


@pytest.mark.parametrize("app", ["/blocks?80", "/large?5242880", "/written?80"])
def test_H6_a_slow_reader_that_goes_on_reading(own_echo, app):
    """Progress is no stall, also when the socket's buffer holds more than is read in the time."""
    echo = own_echo("--write-timeout", "0.7")
    with echo.connect(receive_buffer=65536) as client:
        client.send(make_request("GET", app))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert client.fill(16384)
            harness.measure_for(0.1)
        assert len(client.response().body) == 80 * 65536


@pytest.mark.parametrize("threads", [1, 2])
def test_H6_time_in_the_application_is_not_the_clients(own_echo, threads):
    options = [f"--{name}-timeout={SHORT}" for name in ("header", "body", "write")]
    echo = own_echo(*options, "--keep-alive", SHORT, "--threads", threads)
    with echo.connect() as client:
        assert client.request(make_request("GET", f"/spin?{SHORT * 2}")).text == "spun"
        assert client.is_silent(SHORT / 3)
        assert client.request(GET).status == 200


def test_H6_timeouts_of_many_connections(own_echo):
    echo = own_echo("--header-timeout", SHORT, "--keep-alive", SHORT)
    idle = [echo.connect() for _ in range(50)]
    for client in idle:
        client.request(GET)
    slow = [echo.connect() for _ in range(50)]
    for client in slow:
        client.send(GET[:10])
    for client in idle:
        client.expect_end()
        client.close()
    for client in slow:
        assert client.response().status == 408
        client.close()
    assert echo.server.get("/").status == 200


def test_H6_zero_waits_for_ever(own_echo):
    echo = own_echo("--header-timeout", "0", "--body-timeout", "0", "--write-timeout", "0")
    with echo.connect() as client:
        client.send(GET[:10])
        assert client.is_silent(0.5)
        client.send(GET[10:])
        assert client.response().status == 200
