"""Several workers: how connections are spread, crashes, more and fewer of them, hooks."""

import collections
import contextlib
import os
import re
import signal
import threading

import pytest

import harness
from harness import make_request

APP = """
import os, signal, threading

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/gate":
        gate = os.open(environ["QUERY_STRING"], os.O_RDONLY)
        os.read(gate, 1)
        os.close(gate)
    elif path == "/kill":
        os.kill(os.getpid(), int(environ["QUERY_STRING"].split("&")[0]))
    elif path == "/exit":
        os._exit(7)
    body = f"{os.getpid()} {environ['wsgi.multiprocess']}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
"""


def pid_of(response):
    return int(response.text.split()[0])


def who_serves(server, count=60, index=0):
    """How many of so many new connections each worker gets."""
    return collections.Counter(pid_of(server.get("/", index=index)) for _ in range(count))


def expect_even(counts, workers, share=1.3):
    assert len(counts) == workers, counts
    assert max(counts.values()) <= share * sum(counts.values()) / workers, counts


@contextlib.contextmanager
def at_the_gate(server, gate, target="/gate"):
    """A request that waits in the application; the connection."""
    with server.connect() as client:
        client.send(make_request(target=f"{target}?{gate.path}"))
        gate.wait_until_reached()
        yield client


# --- how many, and who gets what --------------------------------------------------------------------


def test_connections_are_spread_evenly(serve):
    server = serve(APP, "--workers", "4")
    assert len(harness.children(server.pid)) == 4
    expect_even(who_serves(server, 1000), 4)


def test_connections_that_stay_are_spread_evenly(serve):
    harness.allow_descriptors(2000)
    server = serve(APP, "-w4")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(1000)]
        expect_even(collections.Counter(pid_of(client.request(make_request())) for client in clients), 4)


def test_connections_over_a_unix_socket_are_spread_evenly(serve, tmp_path):
    server = serve(APP, "--workers", "4", "--bind", f"unix:{tmp_path}/socket")
    expect_even(who_serves(server, 1000), 4)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::]"])
def test_port_0_is_one_port_for_all(serve, host):
    server = serve(APP, "--workers", "3", "--bind", f"{host}:0")
    assert len(who_serves(server)) == 3


def test_every_address_is_served_by_every_worker(serve, tmp_path):
    server = serve(
        APP, "--workers", "3", "--bind", "127.0.0.1:0", "--bind", "[::1]:0", "--bind", f"unix:{tmp_path}/s"
    )
    for index in range(3):
        assert len(who_serves(server, index=index)) == 3


def test_auto_is_one_for_each_processor(serve):
    server = serve(APP, "--workers", "auto")
    assert len(harness.children(server.pid)) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("workers, expected", [("1", "False"), ("2", "True")])
def test_multiprocess_is_told(serve, workers, expected):
    assert serve(APP, "--workers", workers).get().text.split()[1] == expected


def test_it_serves_when_all_are_ready(serve):
    server = serve(APP, "--workers", "3")
    assert server.output().count("Serving HTTP on") == 1
    assert server.log().count("INFO application app") == 3


def test_a_port_that_another_server_has_is_not_shared(serve, cserve, tmp_path):
    server = serve(APP, "--workers", "2")
    second = harness.Process(cserve, ["app", "--port", server.port], server.cwd)
    assert second.wait() == 1
    assert "another program listens there" in second.log()


def test_an_application_that_does_not_load_ends_all(cserve, tmp_path):
    (tmp_path / "app.py").write_text("raise RuntimeError('broken')\n")
    process = harness.Process(cserve, ["app", "--port", "0", "--workers", "3"], tmp_path)
    assert process.wait() == 3
    assert "RuntimeError: broken" in process.log() and not process.output()


def test_stopping_finishes_the_requests_of_all(serve, tmp_path):
    gates = [harness.Gate(tmp_path / f"gate{i}") for i in range(6)]
    server = serve(APP, "--workers", "3", "--threads", "6")  # should all six come to one of them
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(at_the_gate(server, gate)) for gate in gates]
        server.signal(signal.SIGTERM)
        server.wait_log("stopping")
        for gate in gates:
            gate.open()
        for client in clients:
            assert client.response().status == 200
    assert server.wait() == 0


# --- crashes ----------------------------------------------------------------------------------------


def test_a_crash_is_named_with_signal_pid_and_requests(serve, gate):
    server = serve(APP, "--workers", "1", "--threads", "4")
    worker = server.worker
    server.expect_log(
        rf"ERROR worker {worker} was killed by signal 9 \(Killed\); a new one starts.*; it was at .*"
        r'"GET /kill\?9 HTTP/1\.1"'
    )
    server.expect_log(rf'"GET /gate\?{gate.path} HTTP/1.1"')
    with at_the_gate(server, gate), server.connect() as client:
        client.send(make_request(target="/kill?9"))
        client.expect_end(reset=True)
    assert pid_of(server.get()) != worker


def test_request_lines_in_the_log_are_escaped_and_bounded(serve):
    server = serve(APP)
    server.expect_log(r"killed by signal 9")
    with server.connect() as client:
        client.send(make_request(target='/kill?9&"' + "x" * 5000))
        client.expect_end(reset=True)
    server.check()
    record = re.search(r"ERROR worker .*", server.log())[0]
    assert r"GET /kill?9&\"xxx" in record and len(record) < 400, record


def test_a_finished_request_is_not_blamed(serve):
    server = serve(APP)
    assert server.get("/innocent").status == 200
    server.expect_log("killed by signal 9")
    os.kill(server.worker, signal.SIGKILL)
    server.check()
    assert "innocent" not in server.log()


def test_killing_costs_the_requests_of_the_killed_alone(serve, gate):
    server = serve(APP, "--workers", "2")
    with at_the_gate(server, gate) as survivor:
        server.expect_log("killed by signal 9")
        stuck = next(
            pid
            for pid in harness.children(server.pid)
            if any(str(gate.path) in link for link in harness.links(pid))
        )
        victim = next(pid for pid in harness.children(server.pid) if pid != stuck)
        os.kill(victim, signal.SIGKILL)
        assert {pid_of(server.get()) for _ in range(20)} - {victim}
        gate.open()
        assert pid_of(survivor.response()) == stuck
    server.check()


def test_who_waits_at_a_dead_workers_socket_is_served_by_the_next(serve):
    server = serve(APP, "--workers", "2")
    server.expect_log("killed by signal 9")
    victim = harness.children(server.pid)[0]
    os.kill(victim, signal.SIGSTOP)
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.send(make_request())
    os.kill(victim, signal.SIGKILL)
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_a_worker_that_does_not_come_up_keeps_nobody_waiting(serve):
    """One slot's worker dies again and again: new connections go to the others meanwhile."""
    server = serve(APP, "--workers", "2")
    seen = set(harness.children(server.pid))
    keeper = min(seen)
    while "starts in 3.2 s" not in server.log():
        for pid in set(harness.children(server.pid)) - {keeper}:
            server.expect_log(f"worker {pid} was killed by signal 9")
            os.kill(pid, signal.SIGKILL)
            server.check()
    for _ in range(40):
        with server.connect(timeout=2) as client:
            assert pid_of(client.request(make_request())) == keeper


def test_workers_end_with_their_master(cserve, tmp_path):
    server = harness.Server(cserve, APP, ("--workers", "3"), cwd=tmp_path)
    workers = harness.children(server.pid)
    server.signal(signal.SIGKILL)
    harness.eventually(lambda: not any(map(harness.is_alive, workers)), what="the workers' end")
    server.wait()


def test_a_request_that_is_stuck_costs_its_worker_and_nobody_elses_request(serve, gate):
    """What a handler does in C cannot be ended: a successor takes over, and the others finish."""
    app = APP.replace(
        'elif path == "/exit":\n        os._exit(7)',
        'elif path == "/stuck":\n        import time; time.sleep(60)',
    )
    server = serve(app, "--timeout", "1", "--graceful-timeout", "1")
    old = server.worker
    server.expect_log("a request is stuck in the application")
    server.expect_log(f"worker {old} did not finish within 1 s and is killed")
    with server.connect() as client:
        client.send(make_request(target="/stuck"))
        server.wait_log(f"worker {old} is to be replaced: a request is stuck in it")
        assert client.response().status == 504
        harness.eventually(lambda: pid_of(server.get()) != old, what="a successor")
    server.check()


# --- more and fewer ---------------------------------------------------------------------------------


def count_is(server, count):
    return lambda: len(harness.children(server.pid)) == count


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/socket"])
def test_TTIN_and_TTOU_change_the_number(serve, tmp_path, bind):
    server = serve(APP, "--bind", bind.format(tmp_path))
    server.signal(signal.SIGTTIN)
    server.wait_log(" serves")
    server.signal(signal.SIGTTIN)
    server.wait_log(" serves.* serves")
    expect_even(who_serves(server, 300), 3, 1.6)
    server.signal(signal.SIGTTOU)
    harness.eventually(count_is(server, 2))
    assert len(who_serves(server)) == 2
    server.signal(signal.SIGTTOU)
    harness.eventually(count_is(server, 1))
    server.signal(signal.SIGTTOU)
    assert len(who_serves(server)) == 1


def test_TTOU_loses_no_connection(serve):
    server = serve(APP, "--workers", "4")
    answered, failures, enough = [], [], threading.Event()

    def ask():
        while not enough.is_set():
            try:
                answered.append(server.get().status)
            except (OSError, harness.Truncated) as failure:
                failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in (3, 2, 1):
        server.signal(signal.SIGTTOU)
        harness.eventually(count_is(server, count))
    enough.set()
    for thread in threads:
        thread.join()
    assert not failures and len(answered) > 100


def test_TTOU_accepts_who_waits_at_the_socket(serve):
    server = serve(APP, "--workers", "2")
    last = max(harness.children(server.pid))
    os.kill(last, signal.SIGSTOP)
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.send(make_request())
    server.signal(signal.SIGTTOU)
    server.wait_log("SIGTTOU: 1 workers")
    os.kill(last, signal.SIGCONT)
    for client in clients:
        assert client.response().status == 200
        client.close()
    harness.eventually(count_is(server, 1))


def test_WINCH_stops_the_workers_until_HUP(serve):
    server = serve(APP, "--workers", "2")
    server.signal(signal.SIGWINCH)
    harness.eventually(count_is(server, 0))
    with server.connect() as client:
        client.send(make_request())
        assert client.is_silent()
        server.signal(signal.SIGHUP)
        assert client.response().status == 200
    harness.eventually(count_is(server, 2))


# --- logs -------------------------------------------------------------------------------------------


def test_USR1_opens_the_logs_anew(serve, tmp_path):
    log, access = tmp_path / "error.log", tmp_path / "access.log"
    server = serve(
        APP, "--workers", "2", "--error-logfile", log, "--access-logfile", access, "--log-level", "debug"
    )
    who_serves(server)
    log.rename(tmp_path / "error.1")
    access.rename(tmp_path / "access.1")
    server.signal(signal.SIGUSR1)
    harness.eventually(lambda: log.exists() and "opened anew" in log.read_text())
    harness.eventually(
        lambda: who_serves(server) and access.exists() and access.read_text().count("GET / ") > 60,
        what="access log",
    )
    old = (tmp_path / "access.1").read_text().count("\n")
    assert who_serves(server)
    assert (tmp_path / "access.1").read_text().count("\n") == old
    victim = server.worker
    os.kill(victim, signal.SIGKILL)
    harness.eventually(lambda: f"worker {victim} was killed" in log.read_text())


# --- hooks ------------------------------------------------------------------------------------------

HOOKS = """
import cserve, os, sys, threading

told = []

@cserve.post_fork
def first():
    told.append(f"first {os.getpid()}")

cserve.post_fork(lambda: told.append("second"))
cserve.worker_exit(lambda: print("exit one", file=sys.stderr, flush=True))

@cserve.worker_exit
def last():
    print("exit two", file=sys.stderr, flush=True)

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/gone":
        gate = os.open(environ["QUERY_STRING"], os.O_RDONLY)
        os.read(gate, 1)
        for _ in range(100_000):
            if cserve.client_disconnected():
                print("nobody listens", file=sys.stderr, flush=True)
                return [b""]
        print("somebody listens", file=sys.stderr, flush=True)
    if environ["PATH_INFO"] == "/elsewhere":
        def ask():
            try:
                cserve.client_disconnected()
            except RuntimeError as error:
                told.append(str(error))
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    return ["|".join([*told, str(cserve.client_disconnected()), str(os.getpid())]).encode()]
"""


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_hooks_are_called_in_the_worker(serve, options):
    server = serve(HOOKS, "--workers", "2", *options)
    for _ in range(10):
        first, second, gone, pid = server.get().text.split("|")
        assert (first, second, gone) == (f"first {pid}", "second", "False")
    server.stop()
    assert server.log().count("exit two") == server.log().count("exit one") == 2
    assert server.log().index("exit two") < server.log().index("exit one")


def test_a_handler_can_ask_whether_anyone_listens(serve, gate):
    server = serve(HOOKS)
    with server.connect() as client:
        client.send(make_request(target=f"/gone?{gate.path}"))
        gate.wait_until_reached()
        client.abort()
    gate.open()
    server.wait_log("^nobody listens")


@pytest.mark.parametrize(
    "bind, listens", [("127.0.0.1:0", False), ("unix:{}/socket", True)], ids=["tcp", "unix"]
)
def test_a_client_that_sends_no_more_gets_its_answer(serve, gate, tmp_path, bind, listens):
    """TCP cannot tell it from one that has left, a unix socket can; it is answered in any case."""
    server = serve(HOOKS, "--bind", bind.format(tmp_path))
    with server.connect() as client:
        client.send(make_request(target=f"/gone?{gate.path}"))
        gate.wait_until_reached()
        client.end()
        gate.open()
        assert client.response().status == 200
    server.wait_log("^somebody listens" if listens else "^nobody listens")


def test_a_client_of_a_unix_socket_that_has_left(serve, gate, tmp_path):
    server = serve(HOOKS, "--bind", f"unix:{tmp_path}/socket")
    with server.connect() as client:
        client.send(make_request(target=f"/gone?{gate.path}"))
        gate.wait_until_reached()
    gate.open()
    server.wait_log("^nobody listens")


def test_only_a_thread_that_answers_can_ask(serve):
    assert "this thread is not answering a request" in serve(HOOKS).get("/elsewhere").text


def test_a_failing_hook_ends_the_worker(cserve, tmp_path):
    (tmp_path / "app.py").write_text("import cserve\ncserve.post_fork(lambda: 1 / 0)\napp = print\n")
    process = harness.Process(cserve, ["app", "--port", "0"], tmp_path)
    assert process.wait() == 3
    assert "given to cserve.post_fork failed" in process.log() and "ZeroDivisionError" in process.log()


def test_a_failing_exit_hook_stops_no_other(serve):
    server = serve(HOOKS + "\ncserve.worker_exit(lambda: 1 / 0)\n")
    assert server.get().status == 200
    server.expect_log("given to cserve.worker_exit failed.*ZeroDivisionError")
    server.stop()
    server.check()
    assert "exit one" in server.log()


def test_what_is_no_function_is_refused(cserve, tmp_path):
    (tmp_path / "app.py").write_text("import cserve\ncserve.post_fork(3)\n")
    process = harness.Process(cserve, ["app", "--port", "0"], tmp_path)
    assert process.wait() == 3
    assert "TypeError: a function is needed, not 'int'" in process.log()


# --- the machine ------------------------------------------------------------------------------------


def test_nothing_is_left_open_between_workers(serve):
    """A worker has sockets of its own, and no end of another's link."""
    server = serve(APP, "--workers", "3")
    for pid in harness.children(server.pid):
        sockets = [link for link in harness.links(pid) if link.startswith("socket:")]
        assert len(sockets) == 2, sockets


def test_the_master_keeps_the_sockets_of_all(serve):
    server = serve(APP, "--workers", "3")
    sockets = [link for link in harness.links(server.pid) if link.startswith("socket:")]
    assert len(sockets) == 6, sockets
