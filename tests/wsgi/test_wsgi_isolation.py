"""What one request leaves for the next: W43 of the checklist."""

import pytest

import harness


def test_W43_context_variables_do_not_bleed(wsgi):
    wsgi.seen()
    with wsgi.connect() as client:
        for colour in ("red", "blue"):
            answer = client.request(wsgi.raw("isolation.context", target=f"/?{colour}"))
            assert answer.literal() == ["none", colour]
    assert wsgi.seen() == ["red", "blue"]


def test_W43_a_context_variable_set_before_a_failure_does_not_bleed(host):
    host.seen()
    host.server.expect_log("ValueError")
    host.request("failures.at_once", target="/?ValueError")
    assert host.request("isolation.context", target="/?x").literal() == ["none", "x"]


def test_W43_thread_locals_hold_from_app_to_close(wsgi):
    wsgi.seen()
    for value in ("one", "two"):
        assert wsgi.request("isolation.thread_local", target=f"/?{value}").text == value
    assert wsgi.seen() == ["one", "two"]


@pytest.mark.parametrize("app", ["finalised", "finalised_failing"])
def test_W43_what_a_request_held_is_gone_before_the_next(host, app):
    host.seen()
    if app == "finalised_failing":
        host.server.expect_log("Traceback.*finalised_failing")
    with host.connect() as client:
        for name in ("first", "second"):
            client.request(host.raw(f"isolation.{app}", target=f"/?{name}"))
            answer = client.request(host.raw("common.report_seen"))
            assert answer.literal() == [f"finalised {name}"]


def test_W43_threads_of_the_application_run_while_the_server_is_idle(host):
    host.value("isolation.start_thread")
    ticks = host.value("isolation.report_ticks")
    # Nothing wakes the server in between: the thread needs the GIL that the waiting loop has let go.
    with host.connect() as client:
        assert client.is_silent(0.1)
    assert host.value("isolation.report_ticks") > ticks + 10


def test_the_module_leaves_the_gil_as_the_interpreter_was_built(host):
    built, has = host.value("isolation.gil")
    assert has == built


def test_W43_the_application_may_fork(wsgi):
    assert wsgi.value("isolation.fork") == (7, b"child")
    assert wsgi.value("isolation.report_ticks") >= 0


def test_W43_the_application_may_run_commands(wsgi):
    assert wsgi.value("isolation.run_command") == b"42\n"


def test_W43_with_one_thread_the_application_runs_in_pythons_main_thread(own_host):
    assert own_host("--threads", "1").value("isolation.main_thread") is True


def test_W43_a_forked_child_does_not_hold_connections(host):
    """The client sees its connection's end, also while a child that the application forked is there."""
    with host.connect() as client:
        client.request(host.raw("isolation.fork", fields={"Connection": "close"}))
        client.expect_end()
    assert harness.children(host.server.worker) == []
