"""--timeout: a request that takes too long is answered, named in the log with where it is, and ended."""

import time
from pathlib import Path

import pytest

import harness
from harness import make_request, outcome

APP = str(Path(__file__).parent / "apps" / "slow.py")
ENDED = r"WARNING GET /{} HTTP/1\.1 has taken \d+\.\d s, which is too long; the application is at:"


@pytest.fixture(params=["1", "4"])
def slow(serve, request):
    """slow(*options): a server with a deadline of half a second, with one thread and with some."""
    return lambda *options: serve(APP, "--timeout", "0.5", "--threads", request.param, *options)


@pytest.mark.parametrize("target", ["/spin", "/started", "/recover", "/sleep?1.5"])
def test_a_late_answer_is_replaced_by_504(slow, target):
    server = slow()
    response = server.get(target)
    assert response.status == 504
    assert response["Connection"] == "close"
    assert response.get("X-Started") is None
    assert "did not answer in time" in response.text
    harness.eventually(lambda: server.get("/report").status == 200)
    line = harness.eventually(lambda: [line for line in server.access_lines() if target in line])[0]
    assert outcome(line) == "timeout-app"
    assert " 504 " in line


def test_the_log_says_where_the_application_was(slow):
    server = slow()
    server.get("/spin")
    server.wait_log(ENDED.format("spin"))
    server.wait_log(r"slow\.py\", line \d+, in spin\n")


def test_the_exception_is_raised_in_the_request(slow):
    server = slow()
    server.get("/spin")
    harness.eventually(lambda: server.get("/report").text == "RequestTimeout")


def test_a_begun_answer_is_cut(slow):
    server = slow()
    with server.connect() as client:
        client.send(make_request(target="/stream"))
        with pytest.raises(harness.Truncated):
            client.response()
    server.wait_log(ENDED.format("stream"))
    assert server.get("/report").status == 200


def test_a_begun_answer_without_framing_is_reset(slow):
    server = slow()
    with server.connect() as client:
        client.send(make_request(target="/stream", version="1.0"))
        with pytest.raises(harness.Truncated) as caught:
            client.response()
        assert caught.value.reset


def test_who_is_in_time_is_left_alone(slow):
    server = slow()
    for _ in range(3):
        assert server.get("/late?0.3").text == "in time"
    assert "too long" not in server.log()


def test_the_exception_does_not_hit_the_next_request(slow):
    """It was meant for a call that is stuck in C and never sees it: that call's thread is then free of it."""
    server = slow()
    assert server.get("/sleep?0.8").status == 504
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert server.get("/report").status == 200


def test_others_are_served_meanwhile(serve):
    server = serve(APP, "--timeout", "1", "--threads", "4")
    with server.connect() as client:
        client.send(make_request(target="/spin"))
        while client.is_silent():
            assert server.get("/report").status == 200
        assert client.response().status == 504


def test_zero_is_no_deadline(serve):
    server = serve(APP, "--timeout", "0", "--threads", "2")
    assert server.get("/sleep?1").text == "slept"
    assert "too long" not in server.log()


def test_the_time_of_all_steps_of_a_request_counts(serve):
    """A generator that its client holds up between its steps gets no more time for them."""
    server = serve(APP, "--timeout", "1", "--threads", "4")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/steps"))
        with pytest.raises(harness.Truncated):
            client.response()
    server.wait_log(ENDED.format("steps"))


def test_a_writer_that_is_held_up_by_its_client_is_ended(serve):
    """It waits outside of Python: its connection is ended, and the worker lives."""
    server = serve(APP, "--timeout", "0.5", "--threads", "4")
    worker = server.worker
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/written"))
        server.wait_log(ENDED.format("written"))
        harness.eventually(lambda: [line for line in server.access_lines() if "/written" in line])
    assert server.get("/report").status == 200
    assert server.worker == worker
