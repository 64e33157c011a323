"""Applications that fail: W23, W37, W38 and S12 of the checklist. A request is lost, never the server."""

import os
import signal

import pytest

import harness

ERRORS = [
    "ValueError",
    "OSError",
    "BrokenPipeError",
    "StopIteration",
    "MemoryError",
    "RecursionError",
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "BaseException",
]


def still_lives(host):
    """Whether the worker of the last request is the one that answers, and no other was started."""
    return host.request("failures.pid").text == str(host.server.worker) and len(host.server.pids) == 2


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("app", ["at_once", "started"])
def test_W37_W38_raised_before_the_head_is_a_500(wsgi, app, error):
    wsgi.server.expect_log(rf"Traceback.*{app}.*{error}")
    response = wsgi.request(f"failures.{app}", target=f"/?{error}")
    assert response.status == 500
    assert "Traceback" not in response.text and error not in response.text
    assert still_lives(wsgi)


@pytest.mark.parametrize("error", [error for error in ERRORS if error != "StopIteration"])
@pytest.mark.parametrize("method", ["iter", "next1"])
def test_W37_W38_raised_in_iteration_before_the_first_byte_is_a_500(host, method, error):
    host.server.expect_log(rf"Traceback.*in fail.*{error}")
    assert host.request("failures.in_method", target=f"/?{method},{error}").status == 500
    assert still_lives(host)


@pytest.mark.parametrize("error", [error for error in ERRORS if error != "StopIteration"])
def test_W37_W38_raised_behind_the_first_byte_aborts(host, error):
    host.server.expect_log(rf"Traceback.*in fail.*{error}")
    with pytest.raises(harness.Truncated) as cut:
        host.request("failures.in_method", target=f"/?next2,{error}")
    assert cut.value.response.body == b"item"
    assert still_lives(host)


def test_W23_W37_an_abort_shows_when_only_the_close_ends_the_content(host):
    """Without length and chunks a clean end would look complete: the connection is reset."""
    host.server.expect_log("Traceback.*in fail.*ValueError")
    with pytest.raises(harness.Truncated) as cut:
        host.request("failures.in_method", target="/?next2,ValueError", version="1.0")
    assert cut.value.reset


@pytest.mark.parametrize("error", ERRORS)
def test_W38_raised_in_close_is_logged_only(host, error):
    host.server.expect_log(rf"Traceback.*in fail.*{error}")
    assert host.request("failures.in_method", target=f"/?close,{error}").text == "item" * 3
    assert still_lives(host)


def test_W37_the_500_is_plain_and_says_nothing(host):
    host.server.expect_log("ValueError: the secret is 4711")
    response = host.request("failures.secret")
    assert response.status == 500
    assert response["Content-Type"].startswith("text/")
    for secret in ("4711", "Traceback", "failures.py", "ValueError"):
        assert secret not in response.text


def test_W37_the_log_names_the_request(host):
    host.server.expect_log("ValueError: the secret is 4711")
    host.request("failures.secret", target="/which/one?a=b")
    host.server.wait_log(r"GET /which/one\?a=b")


def test_W37_a_500_for_head_has_no_content(host):
    host.server.expect_log("ValueError: the secret is 4711")
    response = host.request("failures.secret", "HEAD")
    assert (response.status, response.body) == (500, b"")


def test_W38_an_exception_that_cannot_be_printed(host):
    host.server.expect_log("Traceback.*Odd")
    assert host.request("failures.odd_exception").status == 500
    assert still_lives(host)


def test_W38_S12_endless_recursion(wsgi):
    wsgi.server.expect_log("RecursionError")
    assert wsgi.request("failures.recursion").status == 500
    assert still_lives(wsgi)


def test_W38_more_memory_than_there_is(host):
    host.server.expect_log("MemoryError|OverflowError")
    assert host.request("failures.memory").status == 500
    assert still_lives(host)


@pytest.mark.parametrize(
    "app, says",
    [
        ("exit_process", r"exit(ed)?[^\n]* 3\b|status 3\b"),
        ("kill_process", r"SIGKILL|signal 9|Killed"),
        ("crash", r"SIGSEGV|signal 11|Segmentation|exit[^\n]* 99|status 99"),
        ("abort", r"SIGABRT|signal 6|Abort"),
    ],
)
def test_W38_S12_H12_a_worker_that_dies_is_replaced(own_host, app, says):
    host = own_host()
    host.server.expect_log(says)
    if app in ("crash", "abort"):
        host.server.expect_log("Fatal Python error|AddressSanitizer")
        host.server.allow_sanitizer()
    before = host.server.worker
    with host.connect() as client:
        client.send(host.raw(f"failures.{app}"))
        assert client.receive() == b""
    successor = harness.eventually(
        lambda: [pid for pid in harness.children(host.server.pid) if pid != before]
    )
    assert host.request("failures.pid").text == str(successor[0])


def test_W38_S12_H12_workers_killed_from_outside_are_replaced(own_host):
    host = own_host()
    for _ in range(3):
        host.server.expect_log("SIGKILL|signal 9|Killed")
        before = host.server.worker
        os.kill(before, signal.SIGKILL)
        harness.eventually(lambda before=before: host.server.worker != before, what="another worker")
        assert host.request("failures.hello").text == "hello"
        host.server.check()


def test_W38_no_connection_is_refused_while_a_worker_is_replaced(own_host):
    host = own_host()
    host.server.expect_log("SIGKILL|signal 9|Killed")
    os.kill(host.server.worker, signal.SIGKILL)
    for _ in range(20):
        assert host.request("failures.hello").text == "hello"
