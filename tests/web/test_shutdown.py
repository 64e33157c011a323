"""Stopping: H12 of the checklist. SIGTERM and SIGINT finish what is in flight and end with status 0."""

import signal
import socket
import time

import pytest

import harness
from harness import make_request, outcome

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def refuses(echo):
    """Whether no process of the server listens any more."""
    try:
        echo.connect().close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def stop_and_wait(echo):
    """SIGTERM; returns when the worker has heard of it, too."""
    echo.server.signal(signal.SIGTERM)
    harness.eventually(lambda: refuses(echo), what="refused connections")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_H12_an_idle_server_stops_at_once(own_echo, number):
    server = own_echo().server
    server.get("/")
    start = time.monotonic()
    server.signal(number)
    assert server.wait() == 0
    assert time.monotonic() - start < 3
    with pytest.raises(ConnectionRefusedError):
        server.connect()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_H12_a_request_in_flight_is_finished(own_echo, gate, number):
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request("GET", f"/gate?{gate.path}"))
        gate.wait_until_reached()
        echo.server.signal(number)
        echo.server.wait_log(signal.Signals(number).name)
        gate.open()
        response = client.response()
        assert (response.status, response.text) == (200, "passed")
        client.expect_end()
    assert echo.server.wait() == 0
    assert [outcome(line) for line in echo.server.access_lines()] == ["ok"]


def test_H12_a_response_in_flight_is_finished(own_echo):
    echo = own_echo()
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/blocks?200"))
        response = client.response_head()
        echo.server.signal(signal.SIGTERM)
        echo.server.wait_log("SIGTERM")
        assert len(client.response_body(response).body) == 200 * 65536
        client.expect_end()
    assert echo.server.wait() == 0


def test_H12_a_request_that_is_being_received_is_finished(own_echo):
    echo = own_echo()
    with echo.connect() as client:
        request = make_request("POST", "/", {}, b"x" * 100_000)
        client.send(request[:50_000])
        assert client.is_silent()
        stop_and_wait(echo)
        client.send(request[50_000:])
        response = client.response()
        assert response.literal()["body"] == b"x" * 100_000
        assert "close" in response.connection()
        client.expect_end()
    assert echo.server.wait() == 0


def test_H12_a_request_that_crosses_the_signal_is_served_or_refused(own_echo, gate):
    """On a connection that idles, with a moment of grace; the answer then says close."""
    echo = own_echo()
    with echo.connect() as busy, echo.connect() as client:
        client.request(GET)
        busy.send(make_request("GET", f"/gate?{gate.path}"))
        gate.wait_until_reached()
        stop_and_wait(echo)
        client.send(GET)
        try:
            response = client.response()
            assert response.status == 200
            assert "close" in response.connection()
            client.expect_end()
        except harness.Truncated as cut:
            assert cut.response is None and cut.rest == b""
        gate.open()
        assert busy.response().text == "passed"
    assert echo.server.wait() == 0


def test_H12_who_was_told_that_the_connection_stays_may_ask_once_more(own_echo, gate):
    """The head went out before the signal, so the client cannot know; the next answer says close."""
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request("GET", f"/gated_blocks?{gate.path}"))
        head = client.response_head()
        gate.wait_until_reached()
        stop_and_wait(echo)
        gate.open()
        assert client.response_body(head).text == "beforepassed" and head.connection() == set()
        response = client.request(GET)
        assert response.status == 200 and response.connection() == {"close"}
        client.expect_end()
    assert echo.server.wait() == 0


def test_H12_idle_connections_are_closed(own_echo):
    echo = own_echo()
    clients = [echo.connect() for _ in range(20)]
    for client in clients[:10]:
        client.request(GET)
    echo.server.signal(signal.SIGTERM)
    for client in clients:
        client.expect_end()
        client.close()
    assert echo.server.wait() == 0


def test_H12_no_new_connection_is_accepted_while_a_request_is_finished(own_echo, gate):
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request("GET", f"/gated_blocks?{gate.path}"))
        gate.wait_until_reached()
        stop_and_wait(echo)
        assert echo.server.is_running()
        gate.open()
        assert client.response().text == "beforepassed"
    assert echo.server.wait() == 0


def test_H12_the_grace_time_is_limited(own_echo, gate):
    echo = own_echo("--graceful-timeout", "0.5")
    echo.server.expect_log("graceful|in flight|cut|SIGKILL|killed")
    with echo.connect() as client:
        client.send(make_request("GET", f"/gate?{gate.path}"))
        gate.wait_until_reached()
        start = time.monotonic()
        echo.server.signal(signal.SIGTERM)
        status = echo.server.wait()
        assert 0.4 < time.monotonic() - start < 5
        assert status == 1
        assert client.receive() == b""


def test_H12_the_grace_time_also_limits_slow_readers(own_echo):
    echo = own_echo("--graceful-timeout", "0.5")
    echo.server.expect_log("graceful|in flight|cut|SIGKILL|killed")
    with echo.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/large?50000000"))
        client.response_head()
        start = time.monotonic()
        echo.server.signal(signal.SIGTERM)
        assert echo.server.wait() == 1
        assert time.monotonic() - start < 5


def test_H12_a_second_sigint_stops_at_once(own_echo, gate):
    echo = own_echo("--graceful-timeout", "60")
    with echo.connect() as client:
        client.send(make_request("GET", f"/gate?{gate.path}"))
        gate.wait_until_reached()
        echo.server.signal(signal.SIGINT)
        echo.server.wait_log("SIGINT")
        harness.measure_for(0.1)  # two within an instant would be one order
        assert echo.server.is_running()
        start = time.monotonic()
        echo.server.signal(signal.SIGINT)
        echo.server.wait()
        assert time.monotonic() - start < 3
        assert client.receive() == b""


def test_H12_signals_to_the_whole_group_are_as_good_as_one(own_echo, gate):
    """As Ctrl-C in a terminal does: the worker hears it too, and yet finishes."""
    echo = own_echo()
    with echo.connect() as client:
        client.send(make_request("GET", f"/gate?{gate.path}"))
        gate.wait_until_reached()
        echo.server.signal_group(signal.SIGINT)
        echo.server.wait_log("SIGINT")
        gate.open()
        assert client.response().text == "passed"
    assert echo.server.wait() == 0


def test_H12_no_worker_survives_its_master(own_echo):
    server = own_echo().server
    worker = server.worker
    server.expect_log("master is gone")
    server.signal(signal.SIGKILL)
    harness.eventually(lambda: not harness.is_alive(worker), what="the worker's end")
    assert server.wait() == -signal.SIGKILL


def test_H12_under_load_every_connection_accepted_is_served(own_echo):
    """Clients that connect and ask while the server stops get a whole answer, or are refused."""
    echo = own_echo()
    clients, answered = [], 0
    for index in range(200):
        if index == 100:
            echo.server.signal(signal.SIGTERM)
        try:
            clients.append(echo.connect())
            clients[-1].send(GET)
        except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
            break
    for client in clients[:100]:
        answered += client.response().status == 200
    for client in clients:
        client.close()
    assert answered == min(100, len(clients))
    assert echo.server.wait() == 0


def test_a_port_is_free_again_at_once(own_echo):
    first = own_echo()
    with first.connect() as client:
        client.request(GET)
        first.server.stop()
    with socket.create_server(first.server.address):
        pass


def test_a_unix_socket_is_removed(own_echo, tmp_path):
    echo = own_echo("--bind", f"unix:{tmp_path}/socket")
    assert (tmp_path / "socket").is_socket()
    echo.server.get("/")
    echo.server.stop()
    assert not (tmp_path / "socket").exists()
