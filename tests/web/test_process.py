"""Master and worker: starting, stopping, dying; signals; what the application inherits."""

import os
import pty
import re
import resource
import signal
import socket
from pathlib import Path

import pytest

import harness

# GET /wait answers when the gate opens; /die ends the process; /status tells what a child program inherits.
APP = """
import os, resource, subprocess

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        print("waiting", file=environ["wsgi.errors"], flush=True)
        open("gate").read()
    elif path.startswith("/die/"):
        os._exit(int(path[5:]))
    elif path == "/abort":
        os.abort()
    body = b"here"
    if path == "/status":
        command = ["cat", "/proc/self/status"]
        body = subprocess.run(command, stdout=subprocess.PIPE, restore_signals=False).stdout
    elif path == "/files":
        body = str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]).encode()
    start_response("200 OK", [])
    return [body]
"""


class Waiting:
    """A request that is inside the application until its gate opens."""

    def __init__(self, server):
        self.gate = server.cwd / "gate"
        if not self.gate.exists():
            os.mkfifo(self.gate)
        self.client = server.connect()
        self.client.send(harness.make_request(target="/wait"))
        server.wait_log("^waiting$")

    def finish(self):
        """Open the gate; the body of the answer."""
        os.close(os.open(self.gate, os.O_WRONLY))
        with self.client:
            return self.client.response().body


def is_alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def refuses(address):
    try:
        socket.create_connection(address, 5).close()
    except ConnectionResetError:  # it knocked while the door was closed
        return False
    except ConnectionRefusedError:
        return True
    return False


def running(process):
    """The worker's pid once the master has said where it serves."""
    process.wait_output("^Serving HTTP on ")
    return harness.children(process.pid)[0]


@pytest.fixture
def launch(cserve, tmp_path):
    """launch(argument..., before=shell text): a run of the binary that may end as it likes."""
    processes = []

    def launch(*arguments, before="", env=None):
        command = f'{before} exec "$@"'
        process = harness.Process(
            "/bin/sh",
            ["-c", command, "sh", cserve, *arguments],
            tmp_path,
            {"ASAN_OPTIONS": "detect_leaks=0", **(env or {})},
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        process.kill()


@pytest.fixture
def doomed(cserve, tmp_path):
    """As `serve`, for servers whose end is not a clean one."""
    servers = []

    def doomed(app, *options):
        servers.append(harness.Server(cserve, app, options, None, tmp_path))
        return servers[-1]

    yield doomed
    for server in servers:
        server.kill()
        server.check()


# --- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_H12_stopping_finishes_what_is_in_flight(serve, number):
    server = serve(APP)
    request = Waiting(server)
    server.signal(number)
    server.wait_log("stopping, requests in flight have 30 s")
    assert server.is_running()
    assert request.finish() == b"here"
    assert server.wait() == 0
    assert refuses(server.address)


def test_H12_who_comes_while_it_stops_is_refused(serve):
    server = serve(APP.replace("[body]", "[bytes(50_000_000)]"))
    with server.connect() as client:
        client.send(harness.make_request())
        head = client.response_head()
        server.signal(signal.SIGTERM)
        harness.eventually(lambda: refuses(server.address), what="refusal")
        assert len(client.response_body(head).body) == 50_000_000
    assert server.wait() == 0


def test_H12_who_waits_to_be_accepted_is_served(serve):
    server = serve(APP, "--threads", "1")
    request = Waiting(server)
    waiting = [server.connect() for _ in range(5)]
    for client in waiting:
        client.send(harness.make_request())
    server.signal(signal.SIGTERM)
    server.wait_log("stopping")
    assert request.finish() == b"here"
    for client in waiting:
        response = client.response()
        assert response.body == b"here" and response.connection() == {"close"}
        client.expect_end()
        client.close()
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_when_idle_is_immediate(serve, number):
    server = serve(APP)
    assert server.get().body == b"here"
    server.signal(number)
    assert server.wait(5) == 0
    assert "Traceback" not in server.log()


def test_ctrl_c_reaches_the_worker_too_and_does_no_harm(serve):
    server = serve(APP)
    request = Waiting(server)
    os.killpg(server.pid, signal.SIGINT)
    server.wait_log("SIGINT: stopping")
    assert request.finish() == b"here"
    assert server.wait() == 0


@pytest.mark.parametrize(
    "first, second",
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGQUIT),
    ],
)
def test_a_second_order_stops_at_once(doomed, first, second):
    server = doomed(APP)
    worker = server.worker
    Waiting(server)
    server.signal(first)
    server.wait_log("stopping")
    harness.eventually(lambda: server.signal(second) or not is_alive(worker), 5, "the worker's end")
    assert server.wait(5) == 1
    assert re.search(r"WARNING SIG(INT|TERM|QUIT): stopping at once", server.log())


def test_quit_stops_at_once(doomed):
    server = doomed(APP)
    worker = server.worker
    Waiting(server)
    server.signal(signal.SIGQUIT)
    assert server.wait(5) == 1
    assert not is_alive(worker)


def test_two_signals_at_the_same_time_are_one_order(serve):
    server = serve(APP)
    request = Waiting(server)
    server.signal(signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    server.signal(signal.SIGCONT)
    server.wait_log("stopping")
    assert request.finish() == b"here"
    assert server.wait() == 0


@pytest.mark.parametrize("seconds", ["0", "0.3"])
def test_the_graceful_timeout_cuts_off(doomed, seconds):
    server = doomed(APP, "--graceful-timeout", seconds)
    worker = server.worker
    Waiting(server)
    server.signal(signal.SIGTERM)
    assert server.wait(10) == 1
    assert not is_alive(worker)
    server.expect_log(rf"ERROR worker {worker} did not finish within {seconds} s and is killed")


def test_an_application_that_takes_sigterm_stops_all_the_same(serve):
    server = serve("import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n" + APP)
    running(server)
    server.stop()


def test_a_hangup_of_the_terminal_is_survived(serve):
    server = serve(APP)
    os.killpg(server.pid, signal.SIGHUP)
    server.wait_log("INFO reloaded")
    assert server.get().body == b"here"


def test_stopping_while_the_application_loads(launch, tmp_path):
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "app.py").write_text(
        "import sys\nprint('loading', file=sys.stderr)\nopen('gate').read()\n" + APP
    )
    process = launch("app", "--port", "0")
    process.wait_log("^loading$")
    process.signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.output() == ""


def test_unix_sockets_are_removed(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve(APP, "--bind", f"unix:{path}")
    assert server.get().body == b"here" and path.is_socket()
    server.stop()
    assert not path.exists()


def test_atexit_functions_run_and_output_is_flushed(serve):
    server = serve(
        APP + "import atexit\natexit.register(lambda: print('goodbye'))\nprint('hello', end=' ')\n"
    )
    server.stop()
    assert server.output().endswith("hello goodbye\n")


# --- dying -----------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced(serve):
    server = serve(APP)
    first = server.worker
    server.expect_log(rf"ERROR worker {first} was killed by signal 9 \(Killed\); a new one starts")
    os.kill(first, signal.SIGKILL)
    second = harness.eventually(
        lambda: [pid for pid in harness.children(server.pid) if pid != first], what="a worker"
    )
    server.wait_log(rf"INFO worker {second[0]} serves")
    assert server.get().body == b"here"
    assert server.output().count("Serving HTTP on") == 1


def test_S12_a_crash_costs_one_request_and_leaves_a_trace(serve):
    server = serve(APP)
    server.expect_log(r"Fatal Python error: Aborted.*app\.py")
    server.expect_log(r"ERROR worker \d+ was killed by signal 6")
    with server.connect() as client:
        client.send(harness.make_request(target="/abort"))
        client.expect_end(reset=True)
    assert server.get().body == b"here"


def test_faults_go_to_the_error_log(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve(APP, "--error-logfile", log)
    with server.connect() as client:
        client.send(harness.make_request(target="/abort"))
        client.expect_end(reset=True)
    harness.eventually(lambda: "a new one starts" in log.read_text(), what="the worker's end")
    assert re.search(r"Fatal Python error: Aborted.*app\.py", log.read_text(), re.DOTALL)
    assert server.log() == ""


def test_workers_that_die_young_are_replaced_ever_more_slowly(serve):
    server = serve(APP)
    for seconds in ("0.1", "0.2", "0.4"):
        with server.connect() as client:
            client.send(harness.make_request(target="/die/7"))
            client.expect_end(reset=True)
        server.expect_log(rf"exited with status 7; a new one starts in {seconds} s")
        server.check()
    assert server.get().body == b"here"


def test_an_application_that_does_not_load_any_more_is_tried_until_it_does(serve):
    server = serve(APP)
    source = server.cwd / "app.py"
    source.write_text("raise RuntimeError('broken now')\n")
    server.expect_log("RuntimeError: broken now")
    server.expect_log(r"worker \d+ exited with status 3; a new one starts in 0.\d s")
    with server.connect() as client:
        client.send(harness.make_request(target="/die/7"))
        client.expect_end(reset=True)
    server.wait_log("exited with status 3")
    source.write_text(APP.replace('b"here"', 'b"mended"'))
    assert server.get().body == b"mended"
    server.expect_log("exited with status 7")


def test_stopping_while_there_is_no_worker(serve):
    server = serve(APP)
    (server.cwd / "app.py").write_text("raise RuntimeError('broken now')\n")
    server.expect_log("RuntimeError: broken now")
    server.expect_log("exited with status 7")
    server.expect_log("a new one starts in 0.8 s")
    server.expect_log("exited with status 3")
    with server.connect() as client:
        client.send(harness.make_request(target="/die/7"))
        client.expect_end(reset=True)
    server.wait_log("a new one starts in 0.8 s")
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0


@pytest.mark.parametrize(
    "source, status, reason",
    [
        (
            "import nothing_of_this_name\napp = 1",
            3,
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("raise SystemExit(0)", 3, "SystemExit: 0"),
        ("import os\nos._exit(0)", 3, "exited with status 0 before it could serve"),
        ("import os\nos.abort()", 3, "killed by signal 6 .* before it could serve"),
    ],
)
def test_a_first_worker_that_cannot_load_ends_it_all(launch, tmp_path, source, status, reason):
    (tmp_path / "app.py").write_text(source)
    process = launch("app", "--port", "0")
    assert process.wait() == status
    assert re.search(reason, process.log()) and process.output() == ""


def test_the_worker_ends_with_its_master(doomed):
    server = doomed(APP)
    worker = server.worker
    request = Waiting(server)
    server.expect_log("ERROR the master is gone: stopping within 30 s")
    os.kill(server.pid, signal.SIGKILL)
    harness.eventually(lambda: harness.parent_of(worker) != server.pid, what="an orphan")
    assert request.finish() == b"here"
    harness.eventually(lambda: not is_alive(worker), what="the worker's end")
    server.wait()


def test_an_orphan_does_not_outlive_the_graceful_timeout(doomed):
    server = doomed(APP, "--graceful-timeout", "0.3", "--threads", "1")
    worker = server.worker
    request = Waiting(server)
    os.kill(server.pid, signal.SIGKILL)
    harness.eventually(lambda: not is_alive(worker), what="the worker's end")
    request.client.close()
    server.wait()


def cpu_ticks(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def test_an_orphan_that_waits_for_a_client_does_not_spin(doomed):
    server = doomed(APP.replace("[body]", "[bytes(50_000_000)]"))
    worker = server.worker
    with socket.create_connection(server.address) as client:
        client.sendall(harness.make_request())
        client.recv(1)
        os.kill(server.pid, signal.SIGKILL)
        server.expect_log("the master is gone")
        server.wait_log("the master is gone")
        before = cpu_ticks(worker)
        client.settimeout(0.5)
        other = socket.create_server(("127.0.0.1", 0))
        other.settimeout(0.5)
        with other, pytest.raises(TimeoutError):
            other.accept()
        assert cpu_ticks(worker) - before < 0.25 * os.sysconf("SC_CLK_TCK")
    harness.eventually(lambda: not is_alive(worker), what="the worker's end")
    server.wait()


def test_S16_children_of_others_are_reaped(launch, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    process = launch("app", "--port", "0", before="sleep 0.2 & echo child $! >&2;")
    child = int(process.wait_log(r"^child (\d+)$")[1])
    process.wait_output("^Serving HTTP on ")
    worker = (set(harness.children(process.pid)) - {child}).pop()
    harness.eventually(lambda: not Path(f"/proc/{child}").exists(), what="the child is reaped")
    assert is_alive(worker) and "ERROR" not in process.log()
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_no_zombies(serve):
    server = serve(APP)
    first = server.worker
    server.expect_log("was killed by signal 9")
    os.kill(first, signal.SIGKILL)
    harness.eventually(lambda: not Path(f"/proc/{first}").exists(), what="the dead worker is reaped")


def test_children_are_seen_even_where_sigchld_was_ignored(launch, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    process = launch("app", "--port", "0", before="trap '' CHLD INT QUIT;")
    first = running(process)
    os.kill(first, signal.SIGKILL)
    process.wait_log("was killed by signal 9.*worker [0-9]+ serves")
    process.signal(signal.SIGINT)
    assert process.wait() == 0


# --- what the application finds --------------------------------------------------------------------


def signal_set(status, name):
    mask = int(re.search(rf"^{name}:\s*([0-9a-f]+)$", status, re.MULTILINE)[1], 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_programs_started_by_the_application_find_signals_as_they_should_be(serve):
    status = serve(APP).get("/status").text
    assert signal_set(status, "SigBlk") == set()
    assert signal_set(status, "SigIgn") == {signal.SIGPIPE, signal.SIGXFSZ}


def test_the_limit_of_open_files_is_raised(launch, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    process = launch("app", "--port", "0", "--worker-connections", "100", before="ulimit -Sn 256;")
    running(process)
    with harness.Client(harness.parse_address(harness.SERVING.findall(process.output())[0])) as client:
        limit = int(client.request(harness.make_request(target="/files")).text)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert limit == (1224 if hard == resource.RLIM_INFINITY else min(1224, hard))


def test_no_descriptor_is_passed_to_programs(serve):
    server = serve(
        APP.replace('"cat", "/proc/self/status"', '"ls", "-l", "/proc/self/fd"').replace(
            "restore_signals=False", "close_fds=False"
        )
    )
    listing = server.get("/status").text
    descriptors = re.findall(r" (\d+) -> (\S+)", listing)
    assert {number for number, _ in descriptors if int(number) > 2} == {
        number for number, target in descriptors if target.startswith("/proc/")
    }, listing


@pytest.mark.binary
def test_the_master_has_no_python(serve):
    server = serve(APP)
    assert status_kb(server.pid) < status_kb(server.worker) / 2


def status_kb(pid):
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", rollup, re.MULTILINE))


# --- what it says ----------------------------------------------------------------------------------


def test_what_it_says_on_starting(serve, cserve):
    server = serve(APP)
    assert re.fullmatch(r"Serving HTTP on http://127\.0\.0\.1:[1-9]\d*/ \.\.\.\n", server.output())
    assert re.fullmatch(
        r"\S+ \S+ \+\d{4} \[%d\] INFO application app, "
        r"Python 3\.\d+\.\d+\S* \((static|shared|extension module)\), /\S+\n"
        % server.worker,
        server.log(),
    )


def test_a_terminal_is_told_how_to_stop(cserve, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(
            cserve,
            [str(cserve), "app", "--port", "0", "--log-level", "error"],
            {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )
    shown = b""
    while b"stop.\r\n" not in shown:
        shown += os.read(terminal, 1000)
    assert re.fullmatch(
        rb"Serving HTTP on http://127\.0\.0\.1:\d+/ \.\.\.\r\nPress Ctrl-C to stop\.\r\n", shown
    )
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def test_stdout_is_line_buffered(serve):
    server = serve("print('loaded')\n" + APP)
    server.wait_output("^loaded$")
    assert server.output().startswith("loaded\nServing")
