"""Peers that are slow, vanish, flood or say nothing: each hurts itself, and nobody else notices."""

import os
import selectors
import signal
import socket
import threading
import time

import pytest

import harness
from harness import make_request, measure_for, outcome
from observe import Bystander, Spent, descriptors, sockets

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"

FILES = """
import os, tempfile

def app(environ, start_response):
    size = int(environ["QUERY_STRING"] or 0)
    environ["wsgi.input"].read()
    file = tempfile.TemporaryFile()
    for block in range(size // 65536):
        file.write(block.to_bytes(4, "big") * 16384)
    file.seek(0)
    start_response("200 OK", [("Content-Length", str(size))])
    return environ["wsgi.file_wrapper"](file)
"""


def drip(clients, pieces, interval=0.05, deadline=harness.DEADLINE):
    """Send each client its next piece every `interval` until the server ends it; when that was, for each.

    `pieces(i)` are the pieces of client i, without an end.
    """
    begin = time.monotonic()
    sources = {client: pieces(i) for i, client in enumerate(clients)}
    ends = {}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while len(ends) < len(clients):
            assert time.monotonic() - begin < deadline, f"{len(clients) - len(ends)} still there"
            for client in sources.keys() - ends.keys():
                try:
                    client.socket.sendall(next(sources[client]))
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it ended; what it said is still to be read
            for key, _ in selector.select(interval):
                if key.data.socket.recv(65536, socket.MSG_PEEK):
                    ends[key.data] = time.monotonic() - begin
                    selector.unregister(key.fileobj)
            measure_for(interval)
    return [ends[client] for client in clients]


def forever(first, again):
    yield first
    while True:
        yield again


def connect_all(server, count, **options):
    harness.allow_descriptors(2 * count + 1024)
    return [server.connect(**options) for _ in range(count)]


def close_all(clients):
    for client in clients:
        client.close()


# Slow senders.

SLOW_HEADS = [
    ("one byte at a time", lambda i: iter(lambda: b"G", None)),
    ("field after field", lambda i: forever(HEAD, b"X: y\r\n")),
    ("one endless value", lambda i: forever(HEAD + b"X: ", b"y")),
    ("empty lines, then nothing", lambda i: forever(b"\r\n", b"")),
]


@pytest.mark.parametrize("pieces", [case[1] for case in SLOW_HEADS], ids=[case[0] for case in SLOW_HEADS])
def test_H6_slowloris_in_the_head(own_echo, pieces):
    """The time for a head runs from its first byte, however many follow."""
    echo = own_echo("--header-timeout", "0.6")
    clients = connect_all(echo.server, 50)
    with Bystander(echo.server):
        times = drip(clients, pieces)
    assert 0.5 < min(times) and max(times) < 4
    for client in clients:
        response = client.response()
        assert response.status == 408 and response.connection() == {"close"}
        client.expect_end()
    lines = [line for line in echo.server.access_lines() if " 408 " in line]
    assert len(lines) == 50 and {outcome(line) for line in lines} == {"timeout-head"}


def test_H6_slowloris_behind_a_served_request(own_echo):
    echo = own_echo("--header-timeout", "0.6")
    clients = connect_all(echo.server, 10)
    for client in clients:
        client.request(make_request())
    with Bystander(echo.server):
        times = drip(clients, lambda i: forever(HEAD, b"X: y\r\n"))
    assert 0.5 < min(times) and max(times) < 4
    assert all(client.response().status == 408 for client in clients)


SLOW_BODIES = [
    ("length", "Content-Length: 1000000", b"", b"x"),
    ("chunks", "Transfer-Encoding: chunked", b"", b"1\r\nx\r\n"),
    ("one chunk", "Transfer-Encoding: chunked", b"fffff\r\n", b"x"),
    ("chunk size", "Transfer-Encoding: chunked", b"", b""),
    ("extension", "Transfer-Encoding: chunked", b"1;x=", b"y"),
    ("trailers", "Transfer-Encoding: chunked", b"0\r\n", b"X: y\r\n"),
]


@pytest.mark.parametrize(
    "field, first, again", [case[1:] for case in SLOW_BODIES], ids=[case[0] for case in SLOW_BODIES]
)
def test_H6_slowloris_in_the_body(own_echo, field, first, again):
    """The body must keep up a rate: 240 bytes a second by default, and framing does not count."""
    echo = own_echo("--body-timeout", "0.6")
    clients = connect_all(echo.server, 50)
    head = b"POST /slow HTTP/1.1\r\nHost: localhost\r\n" + field.encode() + b"\r\n\r\n"
    with Bystander(echo.server):
        times = drip(clients, lambda i: forever(head + first, again))
    assert 0.5 < min(times) and max(times) < 4
    for client in clients:
        assert client.response("POST").status == 408
        client.expect_end()
    lines = [line for line in echo.server.access_lines() if '"POST /slow HTTP/1.1" 408 ' in line]
    assert len(lines) == 50 and {outcome(line) for line in lines} == {"timeout-body"}
    assert ("POST", "/slow") not in echo.calls()


def test_H6_a_body_that_is_slow_but_fast_enough(own_echo):
    """Longer than the timeout, at a rate above the least."""
    echo = own_echo("--body-timeout", "0.4", "--min-body-rate", "500")
    begin = time.monotonic()
    with echo.connect() as client:
        client.send(make_request("POST", fields={"Content-Length": "6000"}))
        for _ in range(30):
            client.send(b"x" * 200)
            measure_for(0.05)
        assert client.response("POST").literal()["body"] == b"x" * 6000
    assert time.monotonic() - begin > 3 * 0.4


def test_H6_any_progress_will_do_without_a_least_rate(own_echo):
    echo = own_echo("--body-timeout", "0.5", "--min-body-rate", "0")
    with echo.connect() as steady, echo.connect() as stalled:
        for client in (steady, stalled):
            client.send(make_request("POST", fields={"Content-Length": "10"}) + b"x")
        for _ in range(9):
            measure_for(0.15)
            steady.send(b"x")
        assert steady.response("POST").status == 200
        assert stalled.response("POST").status == 408


def test_H4_slowloris_between_requests(own_echo):
    """Idle connections are closed without a word and without a line; those in use stay."""
    echo = own_echo("--keep-alive", "0.5", "--header-timeout", "0.7")
    idle, silent = connect_all(echo.server, 50), connect_all(echo.server, 50)
    for client in idle:
        client.request(make_request())
    with Bystander(echo.server):
        for client in idle + silent:
            client.expect_end()
    assert sum('"-"' in line.split("] ")[1][:4] for line in echo.server.access_lines()) == 0
    assert {outcome(line) for line in echo.server.access_lines()} == {"ok"}


# Slow readers.


@pytest.mark.parametrize("target", ["/large?30000000", "/blocks?1000"])
def test_H6_a_client_that_reads_nothing(own_echo, target):
    echo = own_echo("--write-timeout", "0.5")
    clients = connect_all(echo.server, 20, receive_buffer=4096)
    for client in clients:
        client.send(make_request(target=target))
    with Bystander(echo.server):
        echo_lines = harness.eventually(
            lambda: (
                len(lines := [line for line in echo.server.access_lines() if target in line]) >= 20 and lines
            )
        )
    assert {outcome(line) for line in echo_lines} == {"timeout-write"}
    for client in clients:
        with pytest.raises(harness.Truncated):
            client.response()


def test_H6_a_file_that_nobody_reads(serve):
    server = serve(FILES, "--write-timeout", "0.5")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/?33554432"))
        with Bystander(server):
            line = harness.eventually(
                lambda: next((line for line in server.access_lines() if "/?33554432" in line), None)
            )
        assert outcome(line) == "timeout-write"
        with pytest.raises(harness.Truncated):
            client.response()


@pytest.mark.parametrize("target", ["/large?3000000", "/blocks?46"])
def test_H6_a_client_that_reads_slowly(own_echo, target):
    """Each bit of progress counts: the whole takes several times the timeout and nothing is lost."""
    echo = own_echo("--write-timeout", "0.5")
    size = 3000000 if "large" in target else 46 * 65536
    with echo.connect(receive_buffer=65536) as client:
        client.send(make_request(target=target))
        begin = time.monotonic()
        head = client.response_head()
        with Bystander(echo.server):
            while len(client.buffer) < size and time.monotonic() - begin < 1.5:
                client.buffer += client.socket.recv(16384)
                measure_for(0.02)
        assert client.response_body(head).body == b"x" * size
    assert time.monotonic() - begin > 0.5


def test_S8_readers_that_read_nothing_cost_little_memory(own_echo):
    echo = own_echo()
    before = echo.server.rss_kb()
    clients = connect_all(echo.server, 100, receive_buffer=4096)
    for client in clients:
        client.send(make_request(target="/blocks?1000"))
    with Bystander(echo.server):
        harness.eventually(lambda: sockets(echo.server.worker) >= 100)
        measure_for(0.5)
        grown = echo.server.rss_kb() - before
    close_all(clients)
    # 64 KiB and a block more wait for each of them, of the 64 MB that it asked for.
    assert grown < 100 * (500 if echo.server.sanitized else 200)


def unsent(server, client):
    """Bytes of the server's answer that wait in the kernel."""
    ends = f":{server.port:04X}", f":{client.port:04X}"
    with open("/proc/net/tcp") as table:
        fields = next(f for line in table if (f := line.split())[1][8:] == ends[0] and f[2][8:] == ends[1])
    return int(fields[4].split(":")[0], 16)


@pytest.mark.parametrize("target", ["/large?30000000", "/blocks?500"])
def test_S8_a_reader_that_reads_nothing_does_not_fill_the_kernel_either(own_echo, target):
    echo = own_echo()
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request(target=target))
        harness.eventually(lambda: unsent(echo.server, client) > 10_000)
        measure_for(0.3)
        assert unsent(echo.server, client) < 600_000


# Half-closed connections.


def test_H10_half_close_behind_a_request(echo):
    for body, method in ((b"", "GET"), (b"content", "POST")):
        with echo.connect() as client:
            client.send(make_request(method, "/half", body=body))
            client.end()
            assert client.response(method).literal()["body"] == body
            client.expect_end()


def test_H10_half_close_behind_many_requests(echo):
    with echo.connect() as client:
        client.send(b"".join(make_request(target=f"/{number}") for number in range(100)))
        client.end()
        for number in range(100):
            assert client.response().literal()["PATH_INFO"] == f"/{number}"
        client.expect_end()


def test_H10_half_close_while_the_answer_is_made(own_echo, gate):
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request(target=f"/gated_blocks?{gate.path}"))
        client.end()
        gate.open()
        assert client.response().body == b"beforepassed"
        client.expect_end()
    assert outcome(echo.lines(1)[0]) == "ok"


def test_H10_half_close_with_a_large_answer(echo):
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/large?3000000"))
        client.end()
        assert client.response().body == b"x" * 3000000
        client.expect_end()


@pytest.mark.parametrize(
    "sent, line",
    [
        (b"G", '"G" - 0 '),
        (HEAD, '"GET / HTTP/1.1" - 0 '),
        (b"POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", '"POST /cut HTTP/1.1" - 0 '),
        (b"POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfour", '"POST /cut HTTP/1.1" - 0 '),
        (
            b"POST /cut HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
            '"POST /cut HTTP/1.1" - 0 ',
        ),
    ],
)
def test_H10_half_close_within_a_request(own_echo, sent, line):
    """It never was a request: it is not answered, the application is not called, and it has its line."""
    echo = own_echo()
    with echo.connect() as client:
        client.send(sent)
        client.end()
        client.expect_end()
    assert echo.calls() == []
    lines = echo.lines(1)
    assert len(lines) == 1 and line in lines[0] and outcome(lines[0]) == "client-gone"


def test_a_client_that_ends_without_a_word_leaves_no_line(own_echo):
    echo = own_echo()
    for how in ("end", "close", "abort"):
        with echo.connect() as client:
            getattr(client, how)()
    with echo.connect() as client:
        client.request(make_request())
        client.end()
        client.expect_end()
    assert len(echo.server.wait_access(1)) == 1


# Requests before their time.


def test_H5_the_next_request_before_the_answer_is_read(own_echo, gate):
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        client.send(make_request(target="/large?1000000") + make_request(target="/third"))
        client.send(make_request("POST", "/fourth", body=b"content"))
        gate.open()
        assert client.response().body == b"passed"
        assert len(client.response().body) == 1000000
        assert client.response().literal()["PATH_INFO"] == "/third"
        assert client.response("POST").literal()["body"] == b"content"


def test_S8_ten_thousand_requests_before_the_first_answer_is_read(own_echo):
    """Answers in order, none lost; a server that its client does not listen to stops serving it."""
    echo = own_echo()
    sizes = [5000 + number % 997 for number in range(10_000)]
    echo.server.get()
    before = echo.server.rss_kb()
    with echo.connect(receive_buffer=4096) as client, Bystander(echo.server):
        data = b"".join(make_request(target=f"/large?{size}") for size in sizes)
        sender = threading.Thread(target=client.socket.sendall, args=(data,), daemon=True)
        sender.start()
        harness.eventually(lambda: sum("/large" in line for line in echo.server.access_lines()) > 20)
        measure_for(0.5)
        served = sum("/large" in line for line in echo.server.access_lines())
        assert served < 5000, "it goes on though nobody reads"
        assert echo.server.rss_kb() - before < (20_000 if echo.server.sanitized else 4_000)
        for size in sizes:
            assert len(client.response().body) == size
        sender.join()
    assert echo.server.rss_kb() - before < (40_000 if echo.server.sanitized else 8_000)


def test_S8_waiting_for_a_reader_costs_no_time(own_echo):
    echo = own_echo()
    clients = connect_all(echo.server, 20, receive_buffer=4096)
    for client in clients:
        client.send(make_request(target="/large?3000000") * 20)
    harness.eventually(lambda: sockets(echo.server.worker) >= 20)
    measure_for(0.5)
    with Spent(echo.server.worker) as spent:
        measure_for(0.5)
    assert spent.seconds < 0.1
    close_all(clients)


def test_S8_pipelines_from_many_at_once(own_echo):
    """A client that always has more to ask does not keep the others from their answers."""
    echo = own_echo()
    clients = connect_all(echo.server, 20)
    data = b"".join(make_request(target=f"/{number}") for number in range(400))
    with Bystander(echo.server, patience=10) as bystander:
        for client in clients:
            client.send(data)
        for client in clients:
            for number in range(400):
                assert client.response().literal()["PATH_INFO"] == f"/{number}"
    assert bystander.served > 3
    close_all(clients)


# Silence.


def test_five_thousand_connections_that_say_nothing(own_echo):
    echo = own_echo("--header-timeout", "300")
    echo.server.get()
    before = echo.server.private_kb()
    clients = connect_all(echo.server, 5000)
    harness.eventually(lambda: sockets(echo.server.worker) >= 5000)
    grown = echo.server.private_kb() - before
    with Bystander(echo.server) as bystander, Spent(echo.server.worker) as spent:
        harness.eventually(lambda: bystander.served > 200)
    assert spent.seconds < 200 * (0.02 if echo.server.sanitized else 0.005), (
        "it looks at those who say nothing"
    )
    close_all(clients)
    harness.eventually(lambda: sockets(echo.server.worker) < 100)
    assert grown < 5000 * (16 if echo.server.sanitized else 4)
    assert {outcome(line) for line in echo.server.access_lines()} == {"ok"}


def test_silent_connections_end_in_time(own_echo):
    echo = own_echo("--header-timeout", "1")
    clients = connect_all(echo.server, 1000)
    with Bystander(echo.server):
        for client in clients:
            client.expect_end()


def test_a_crowd_that_leaves_at_once_keeps_nobody_waiting(own_echo):
    """Whoever asks behind them is answered while most of them are still to be closed."""
    echo = own_echo()
    crowd = connect_all(echo.server, 6000)
    with echo.connect() as client:
        client.request(make_request())
        harness.eventually(lambda: sockets(echo.server.worker) > 6000)
        os.kill(echo.server.worker, signal.SIGSTOP)
        close_all(crowd)
        client.send(make_request())
        os.kill(echo.server.worker, signal.SIGCONT)
        assert client.response().status == 200
        left = len(os.listdir(f"/proc/{echo.server.worker}/fd"))
        assert left > 1500, left
        harness.eventually(lambda: sockets(echo.server.worker) < 50)
        assert client.request(make_request()).status == 200


def test_H6_timeouts_hold_under_a_flood(own_echo):
    """More connections are always ready than the loop takes at once; still, the time of others runs out."""
    echo = own_echo("--header-timeout", "0.5")
    busy = connect_all(echo.server, 600)
    request = make_request(
        target="/spin?0.0002", fields={"X-Padding": "x" * 8000}
    )  # one or two of them a read
    harness.eventually(lambda: sockets(echo.server.worker) >= 600)
    slow = echo.connect()
    slow.send(HEAD)
    begin = time.monotonic()
    for client in busy:
        client.send(request * 24)
    assert slow.response().status == 408
    waited = time.monotonic() - begin
    for client in busy:
        for _ in range(24):
            assert client.response().body == b"spun"
    whole = time.monotonic() - begin
    close_all([*busy, slow])
    assert waited < 0.5 + whole / 2, f"after {waited:.1f} s, while the flood took {whole:.1f} s"


# Clients that vanish. What each stage needs, and the outcome in the access log; None: no line.


def at_once(client, echo, gate):
    pass


def within_head(client, echo, gate):
    client.send(HEAD)


def behind_head(client, echo, gate):
    client.send(make_request("POST", "/", fields={"Content-Length": "10"}))


def behind_continue(client, echo, gate):
    client.send(make_request("POST", "/", fields={"Content-Length": "10", "Expect": "100-continue"}))
    assert client.response_head().status == 100


def within_body(client, echo, gate):
    client.send(make_request("POST", "/", fields={"Content-Length": "1000000"}) + b"x" * 500_000)


def within_chunk(client, echo, gate):
    client.send(make_request("POST", "/", fields={"Transfer-Encoding": "chunked"}) + b"10\r\nhalf")


def within_trailers(client, echo, gate):
    client.send(make_request("POST", "/", fields={"Transfer-Encoding": "chunked"}) + b"0\r\nX: y\r\n")


def while_called(client, echo, gate):
    client.send(make_request(target=f"/gate?{gate.path}"))


def while_streaming(client, echo, gate):
    client.send(make_request(target=f"/gated_blocks?{gate.path}"))
    client.receive_until(b"before")


def with_unread_answer(client, echo, gate):
    client.send(make_request(target="/large?30000000"))
    client.receive(1000)


def with_unread_stream(client, echo, gate):
    client.send(make_request(target="/blocks?1000"))
    client.receive(1000)


def with_unread_pipeline(client, echo, gate):
    client.send(make_request(target="/large?3000000") * 20)
    client.receive(1000)


def while_idle(client, echo, gate):
    client.request(make_request())


def behind_refusal(client, echo, gate):
    client.send(b"BAD\r\n\r\n")
    client.receive(10)


STAGES = [
    (at_once, []),
    (within_head, ["client-gone"]),
    (behind_head, ["client-gone"]),
    (behind_continue, ["client-gone"]),
    (within_body, ["client-gone"]),
    (within_chunk, ["client-gone"]),
    (within_trailers, ["client-gone"]),
    (while_called, ["aborted-sending"]),
    (while_streaming, ["aborted-sending"]),
    (with_unread_answer, ["aborted-sending"]),
    (with_unread_stream, ["aborted-sending"]),
    (with_unread_pipeline, ["aborted-sending"]),
    (while_idle, ["ok"]),
    (behind_refusal, ["bad-line"]),
]


@pytest.mark.parametrize("how", ["abort", "close"])
@pytest.mark.parametrize("stage, outcomes", STAGES, ids=[stage.__name__ for stage, _ in STAGES])
def test_H11_vanishing_at_every_stage(own_echo, gate, stage, outcomes, how):
    """With a RST, or closed with the answer unread, which is a RST later: one line, nothing left open."""
    echo = own_echo()
    baseline = sockets(echo.server.worker)
    client = echo.connect(receive_buffer=4096)
    harness.eventually(lambda: sockets(echo.server.worker) > baseline)
    stage(client, echo, gate)
    measure_for(0.02)  # so that the server is where the stage's name says
    getattr(client, how)()
    measure_for(0.02)
    gate.release()
    if how == "close" and stage is while_called:
        outcomes = ["ok"]  # its small answer was sent before the RST that answers it came
    if how == "close" and stage is while_streaming:
        outcomes = ["ok", "aborted-sending"]
    if outcomes:
        assert outcome(echo.lines(1)[0]) in outcomes
    harness.eventually(lambda: sockets(echo.server.worker) == baseline, what="the connection closed")
    assert echo.server.get("/after").status == 200
    assert len(echo.server.wait_access(bool(outcomes) + 1)) == bool(outcomes) + 1


def test_H11_a_thousand_that_vanish(own_echo):
    """Nothing is left behind: neither descriptors, nor memory, nor work."""
    echo = own_echo()
    everything = make_request(target="/large?100000")

    def vanish(count):
        for number in range(count):
            client = echo.connect()
            client.send(everything[: number % (len(everything) + 1)])
            client.abort()

    vanish(300)
    echo.server.get()
    before, open_before = echo.server.rss_kb(), len(descriptors(echo.server.worker))
    with Bystander(echo.server):
        vanish(1000)
    harness.eventually(lambda: len(descriptors(echo.server.worker)) <= open_before)
    assert echo.server.rss_kb() - before < (20_000 if echo.server.sanitized else 2_000)
    with Spent(echo.server.worker) as spent:
        measure_for(0.3)
    assert spent.seconds < 0.1


def test_S4_clients_that_vanish_while_the_worker_is_stopped(own_echo):
    """They are gone when it accepts them."""
    echo = own_echo()
    worker = echo.server.worker
    baseline = sockets(worker)
    os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(200):
            echo.connect().abort()
        for _ in range(50):
            echo.connect().close()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert echo.server.get().status == 200
    harness.eventually(lambda: sockets(worker) == baseline)
    with Spent(worker) as spent:
        measure_for(0.3)
    assert spent.seconds < 0.1
    assert len(echo.server.wait_access(1)) == 1


# Interrupted and short system calls.


def test_signals_during_transfers(serve):
    """EINTR at any call, and writes and sendfiles that take only a part."""
    server = serve(FILES)
    size = 64 * 65536
    expected = b"".join(block.to_bytes(4, "big") * 16384 for block in range(size // 65536))
    enough = threading.Event()

    def interrupt():
        while not enough.is_set():
            os.kill(server.worker, signal.SIGHUP)
            enough.wait(0.0005)

    interrupter = threading.Thread(target=interrupt, daemon=True)
    interrupter.start()
    try:
        for number in range(5):
            with server.connect(receive_buffer=2048 << number) as client:
                client.send(make_request("POST", f"/?{size}", fields={"Transfer-Encoding": "chunked"}))
                for _ in range(20):
                    client.send(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
                client.send(b"0\r\n\r\n")
                assert client.response("POST").body == expected
    finally:
        enough.set()
        interrupter.join()
