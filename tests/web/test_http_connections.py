"""Connections: H3 to H5, H10, H11, H13, F10 to F13, S4, S8 and W20 of the checklist."""

import os
import re
import resource

import pytest

import harness
from harness import chunked, make_request, outcome

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def get(target, fields=(), version="1.1"):
    return make_request("GET", target, fields, version=version)


def post(body=b"", fields=(), target="/"):
    return make_request("POST", target, fields, body)


def is_open(client, version="1.1"):
    """Whether another request is answered on this connection."""
    client.send(get("/again", {"Connection": "keep-alive"}, version))
    try:
        return client.response().literal()["PATH_INFO"] == "/again"
    except harness.Truncated as cut:
        assert cut.response is None and cut.rest == b""
        return False
    except (BrokenPipeError, ConnectionResetError):
        return False


# H4, F12: keep-alive.


@pytest.mark.parametrize(
    "version, value, stays",
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "CLOSE", False),
        ("1.1", "keep-alive, close", False),
        ("1.1", "close, keep-alive", False),
        ("1.1", "x,close,y", False),
        ("1.1", " ,, close ,", False),
        ("1.1", "x\t,\tclose", False),
        ("1.1", "closed", True),
        ("1.1", "x-close", True),
        ("1.1", "clo se", True),
        ("1.1", "", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "Keep-Alive", True),
        ("1.0", "x, KEEP-ALIVE", True),
        ("1.0", "keep-alive, close", False),
        ("1.0", "keep-alive-not", False),
    ],
)
def test_H4_F12_keep_alive(echo, version, value, stays):
    fields = [("Host", "h")] + ([("Connection", value)] if value is not None else [])
    with echo.connect() as client:
        response = client.request(make_request("GET", "/", fields, version=version))
        assert ("close" in response.connection()) == (not stays and version == "1.1" or not stays)
        if version == "1.0":
            assert ("keep-alive" in response.connection()) == stays
        if stays:
            assert is_open(client)
        else:
            client.expect_end()


@pytest.mark.parametrize(
    "values, stays", [(["x", "close"], False), (["close", "x"], False), (["x", "y"], True)]
)
def test_F12_several_connection_fields_are_one_list(echo, values, stays):
    with echo.connect() as client:
        client.request(get("/", [("Connection", value) for value in values]))
        assert is_open(client) == stays


def test_H4_many_requests_on_one_connection(echo):
    with echo.connect() as client:
        for number in range(1000):
            assert client.request(get(f"/{number}")).literal()["PATH_INFO"] == f"/{number}"


def test_H4_keep_alive_can_be_turned_off(own_echo):
    echo = own_echo("--keep-alive", "0")
    with echo.connect() as client:
        assert "close" in client.request(GET).connection()
        client.expect_end()


def test_H4_post_with_content_and_then_more(echo):
    with echo.connect() as client:
        for body in (b"x" * 10, b"", b"y" * 300_000, b"z"):
            assert client.request(post(body)).literal()["body"] == body
            content = make_request(
                "PUT", "/", {"Transfer-Encoding": "chunked"}, chunked(*([body] if body else []))
            )
            assert client.request(content).literal()["body"] == body


# H5: pipelining.


@pytest.mark.parametrize("count", [2, 10, 1000])
def test_H5_pipelined_requests_are_answered_in_order(echo, count):
    with echo.connect() as client:
        client.send(b"".join(get(f"/{number}") for number in range(count)))
        for number in range(count):
            assert client.response().literal()["PATH_INFO"] == f"/{number}"
        assert client.buffer == b""


def test_H5_pipelined_requests_with_content(echo):
    bodies = [b"", b"a" * 10, b"b" * 20_000, b"GET / HTTP/1.1\r\n\r\n", b"c" * 400_000, b"d"]
    with echo.connect() as client:
        requests = []
        for body in bodies:
            requests += [
                post(body),
                make_request(
                    "POST", "/", {"Transfer-Encoding": "chunked"}, chunked(body) if body else b"0\r\n\r\n"
                ),
            ]
        client.send(b"".join(requests))
        for body in bodies:
            assert client.response().literal()["body"] == body
            assert client.response().literal()["body"] == body


def test_H5_answers_of_a_batch_are_one_send(own_echo):
    """Seen in how many segments arrive: with one send each, a batch would be a hundred."""
    echo = own_echo()
    with echo.connect() as client:
        client.request(GET)
        before = syscalls_written(echo.server.worker)
        client.send(get("/large?10") * 100)
        for _ in range(100):
            assert client.response().body == b"x" * 10
        assert syscalls_written(echo.server.worker) - before <= 20


def syscalls_written(pid):
    """How often a process has called write(2) and its like."""
    with open(f"/proc/{pid}/io") as io:
        return int(dict(line.split(": ") for line in io)["syscw"])


@pytest.mark.parametrize(
    "bad",
    [b"GET / HTTP/1.1\r\n\r\n", b"BAD\r\n\r\n", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"],
)
def test_H5_F10_a_bad_request_does_not_lose_the_answers_before_it(echo, bad):
    with echo.connect() as client:
        client.send(get("/1") + get("/2") + bad + get("/3"))
        assert client.response().literal()["PATH_INFO"] == "/1"
        assert client.response().literal()["PATH_INFO"] == "/2"
        response = client.response()
        assert response.status == 400 and "close" in response.connection()
        client.expect_end()
    assert echo.calls() == [("GET", "/1"), ("GET", "/2")]


def test_S4_nothing_is_served_behind_a_request_that_closes(echo):
    with echo.connect() as client:
        client.send(get("/1") + get("/2", {"Connection": "close"}) + get("/3"))
        assert client.response().literal()["PATH_INFO"] == "/1"
        assert "close" in client.response().connection()
        client.expect_end()
    assert echo.calls() == [("GET", "/1"), ("GET", "/2")]


def test_S4_nothing_is_served_behind_an_http_1_0_request(echo):
    with echo.connect() as client:
        client.send(get("/1", version="1.0") + get("/2"))
        client.response()
        client.expect_end()
    assert echo.calls() == [("GET", "/1")]


def test_H5_a_large_answer_in_the_middle_of_a_batch(echo):
    with echo.connect(receive_buffer=4096) as client:
        client.send(get("/large?10") + get("/large?3000000") + get("/blocks?20") + get("/large?20"))
        for size in (10, 3_000_000, 20 * 65536, 20):
            assert len(client.response().body) == size


def test_S8_a_deep_pipeline_is_not_served_ahead_of_its_reader(echo):
    """Answers that a client does not read wait in its socket; then the server stops serving it."""
    with echo.connect(receive_buffer=4096) as client:
        client.socket.setblocking(False)
        batch, sent = get("/large?50000") * 50, 0
        with pytest.raises(BlockingIOError):
            while sent < 50_000_000:
                sent += client.socket.send(batch)
        served = len(echo.calls())
        assert 0 < served < sent // len(get("/large?50000")) / 2
        client.abort()


# H3: the answer to a request that is refused reaches a client that is still sending.


def test_H3_a_refusal_can_be_read_while_the_client_sends(own_echo):
    echo = own_echo("--limit-request-body", "1000")
    with echo.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(300):
            client.send(b"x" * 10_000)
        response = client.response()
        assert response.status == 413
        assert "close" in response.connection()
        client.expect_end()
    assert echo.calls() == []


def test_H3_a_refused_head_can_be_read_while_the_client_sends(echo):
    with echo.connect() as client:
        client.send(b"BAD\r\n\r\n")
        for _ in range(100):
            client.send(b"x" * 10_000)
        assert client.response().status == 400
        client.expect_end()


def test_H3_lingering_ends_when_the_client_closes(echo):
    before = descriptors(echo.server.worker)
    with echo.connect() as client:
        client.request(b"BAD\r\n\r\n", "GET")
        assert descriptors(echo.server.worker) > before
    harness.eventually(lambda: descriptors(echo.server.worker) <= before, what="the connection closed")


def test_H3_lingering_ends_by_itself(own_echo):
    """A client that goes on sending for ever is cut off."""
    echo = own_echo()
    with echo.connect() as client:
        client.request(b"BAD\r\n\r\n", "GET")
        client.expect_end()

        def refused():
            try:
                client.send(b"x" * 1000)
            except (BrokenPipeError, ConnectionResetError):
                return True

        harness.eventually(refused, what="the end of lingering")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_H3_after_close_the_server_waits_for_the_clients_end(echo):
    """An answer with Connection: close is followed by a FIN, not by a RST, also when more was sent."""
    with echo.connect() as client:
        client.send(get("/large?2000000", {"Connection": "close"}) + b"x" * 100_000)
        assert len(client.response().body) == 2_000_000
        client.expect_end()


# H10: half-close.


@pytest.mark.parametrize(
    "data, status",
    [
        (GET, 200),
        (post(b"body"), 200),
        (get("/large?5000000"), 200),
        (get("/blocks?50"), 200),
        (b"BAD\r\n\r\n", 400),
        (get("/", version="1.0"), 200),
    ],
)
def test_H10_a_client_that_half_closes_gets_its_answer(echo, data, status):
    with echo.connect() as client:
        client.send(data)
        client.end()
        assert client.response().status == status
        client.expect_end()


def test_H10_all_pipelined_requests_before_a_half_close_are_answered(echo):
    with echo.connect() as client:
        client.send(b"".join(get(f"/{number}") for number in range(100)))
        client.end()
        for number in range(100):
            assert client.response().literal()["PATH_INFO"] == f"/{number}"
        client.expect_end()


def test_H10_half_close_while_the_application_works(echo, gate):
    with echo.connect() as client:
        client.send(get(f"/gated_blocks?{gate.path}"))
        assert client.response_head().status == 200
        assert client.chunk() == b"before"
        client.end()
        gate.open()
        assert client.chunk() == b"passed"
        assert client.chunk() == b""
        client.expect_end()


def test_H10_a_half_close_within_a_request_is_no_request(echo):
    for part in (b"GET / HTTP", b"GET / HTTP/1.1\r\nHost: h\r\n", post(b"12345")[:-1]):
        with echo.connect() as client:
            client.send(part)
            client.end()
            rest = b"".join(iter(client.receive, b""))
            assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    assert echo.calls() == []


# H11: RST at every stage costs that connection only.

STAGES = {
    "connected": b"",
    "in the request line": b"GET /re",
    "in a field": b"GET / HTTP/1.1\r\nHos",
    "behind the head": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
    "in the content": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345",
    "in large content": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000,
    "in a chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    "behind a request": GET,
    "behind a pipeline": GET * 100,
    "behind a request for much": get("/large?10000000"),
    "behind a request for a stream": get("/blocks?1000"),
    "behind a bad request": b"BAD\r\n\r\n",
}


@pytest.mark.parametrize("data", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("leave", ["abort", "close"])
def test_H11_S4_a_client_that_leaves_costs_nothing(echo, data, leave):
    worker, before = echo.server.worker, descriptors(echo.server.worker)
    for _ in range(10):
        client = echo.connect()
        client.send(data)
        getattr(client, leave)()
    assert echo.server.get("/").status == 200
    assert echo.server.worker == worker
    harness.eventually(lambda: descriptors(worker) <= before, what="all connections closed")


@pytest.mark.parametrize("target", ["/large?10000000", "/blocks?200"])
def test_H11_reset_while_the_answer_is_read(echo, target):
    worker, before = echo.server.worker, descriptors(echo.server.worker)
    for _ in range(10):
        with echo.connect(receive_buffer=4096) as client:
            client.send(get(target) + GET)
            client.receive(1000)
            client.abort()
    assert echo.server.get("/").status == 200
    assert echo.server.worker == worker
    harness.eventually(lambda: descriptors(worker) <= before, what="all connections closed")


def test_H11_reset_while_lingering(echo):
    with echo.connect() as client:
        client.request(b"BAD\r\n\r\n", "GET")
        client.abort()
    assert echo.server.get("/").status == 200


def test_S4_clients_that_vanish_before_they_are_accepted(own_echo, gate):
    """While the only thread is busy in the application, clients come and go."""
    echo = own_echo()
    with echo.connect() as busy:
        busy.send(get(f"/gate?{gate.path}"))
        gone = [echo.connect() for _ in range(50)]
        for client in gone:
            client.send(GET)
            client.abort()
        gate.open()
        assert busy.response().text == "passed"
    assert echo.server.get("/").status == 200
    harness.eventually(lambda: harness.is_idle(echo.server.worker), what="the worker at rest")


# F13, W20: Expect.


def test_F13_W20_continue_is_sent_when_the_content_is_waited_for(echo):
    with echo.connect() as client:
        client.send(post(fields={"Expect": "100-continue", "Content-Length": "5"}))
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"12345")
        response = client.response()
        assert response.literal()["body"] == b"12345" and not response.interim
        assert is_open(client)


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_F13_chunked_content_is_waited_for_too(echo, value):
    with echo.connect() as client:
        client.send(post(fields={"Expect": value, "Transfer-Encoding": "chunked"}))
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(chunked(b"12345"))
        assert client.response().literal()["body"] == b"12345"


def test_W20_no_continue_when_the_content_is_there_already(echo):
    with echo.connect() as client:
        response = client.request(post(b"12345", {"Expect": "100-continue"}))
        assert response.literal()["body"] == b"12345" and not response.interim


@pytest.mark.parametrize("size", [10, 300_000])
def test_W20_no_continue_when_content_has_begun_to_come(echo, size):
    with echo.connect() as client:
        body = b"x" * size
        request = post(body, {"Expect": "100-continue"})
        client.send(request[:-5])
        assert client.is_silent()
        client.send(request[-5:])
        assert client.response().literal()["body"] == body


def test_W20_no_continue_for_a_request_without_content(echo):
    for method in ("GET", "POST"):
        with echo.connect() as client:
            response = client.request(make_request(method, "/", {"Expect": "100-continue"}))
            assert response.status == 200 and not response.interim


def test_F13_no_continue_in_http_1_0(echo):
    with echo.connect() as client:
        client.send(
            make_request("POST", "/", {"Expect": "100-continue", "Content-Length": "5"}, version="1.0")
        )
        assert client.is_silent()
        client.send(b"12345")
        response = client.response()
        assert response.literal()["body"] == b"12345" and not response.interim


def test_W20_no_continue_before_a_refusal(own_echo):
    echo = own_echo("--limit-request-body", "1000")
    with echo.connect() as client:
        client.send(post(fields={"Expect": "100-continue", "Content-Length": "1001"}))
        response = client.response()
        assert response.status == 413 and not response.interim
        client.expect_end()


def test_W20_continue_behind_pipelined_answers(echo):
    with echo.connect() as client:
        client.send(get("/1") + get("/2") + post(fields={"Expect": "100-continue", "Content-Length": "2"}))
        assert client.response().literal()["PATH_INFO"] == "/1"
        assert client.response().literal()["PATH_INFO"] == "/2"
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok" + get("/3"))
        assert client.response().literal()["body"] == b"ok"
        assert client.response().literal()["PATH_INFO"] == "/3"


def test_W20_a_client_that_does_not_wait(echo):
    with echo.connect() as client:
        head, body = post(fields={"Expect": "100-continue", "Content-Length": "300000"}), b"x" * 300_000
        client.send(head)
        client.send(body)
        assert client.response().literal()["body"] == body


# H13: no more descriptors.


def test_H13_out_of_descriptors_pauses_accepting_and_recovers(own_echo):
    echo = own_echo()
    worker = echo.server.worker
    limit = descriptors(worker) + 10
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
    echo.server.expect_log("file descriptors|open files|EMFILE")
    clients = [echo.connect() for _ in range(30)]
    served = []
    for client in clients:
        client.send(GET)
    for client in clients[:8]:
        served.append(client.response().status)
    assert served == [200] * 8
    assert harness.is_idle(worker), "busy while it cannot accept"
    for client in clients[:8]:
        client.close()
    for client in clients[8:]:
        assert client.response().status == 200
        client.close()
    assert len(re.findall("file descriptors|open files|EMFILE", echo.server.log())) < 20


def test_access_lines_for_all_of_this(echo):
    """A line for each request whatever became of it; no line for a connection without one."""
    before = echo.count_lines()
    with echo.connect() as client:
        client.abort()
    with echo.connect() as client:
        client.send(GET * 3)
        for _ in range(3):
            client.response()
    with echo.connect() as client:
        client.send(b"GET /half HTTP/1.1\r\n")
        client.end()
        client.expect_end()
    lines = echo.lines(4, before)
    assert [outcome(line) for line in lines] == ["ok", "ok", "ok", "client-gone"]
