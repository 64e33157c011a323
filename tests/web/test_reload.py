"""Workers that take over from others: reload, recycling, a new binary. No request is lost meanwhile."""

import os
import re
import shutil
import signal
import threading

import pytest

import harness
from harness import make_request
from load import Load

APP = """
import os, threading

VERSION = "one"
ballast = []

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/gate":
        gate = os.open(environ["QUERY_STRING"], os.O_RDONLY)
        os.read(gate, 1)
        os.close(gate)
    elif path == "/grow":
        ballast.append(b"x" * int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()}".encode()]
"""


def version(server):
    return server.get().text.split()[0]


def edit(server, old, new):
    source = server.cwd / "app.py"
    source.write_text(source.read_text().replace(old, new))
    shutil.rmtree(server.cwd / "__pycache__", ignore_errors=True)


def wait_count(server, text, count, deadline=60):
    harness.eventually(lambda: server.log().count(text) >= count, deadline, f"{count} times {text!r}")


def reload(server, times=1):
    before = server.log().count("INFO reloaded")
    for done in range(times):
        server.signal(signal.SIGHUP)
        wait_count(server, "INFO reloaded", before + done + 1)


def settled(server, count):
    harness.eventually(lambda: len(harness.children(server.pid)) == count, what=f"{count} children")


MODES = pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])


# --- reload -----------------------------------------------------------------------------------------


@MODES
def test_new_code_is_served(serve, options):
    server = serve(APP, "--workers", "2", *options)
    before = set(harness.children(server.pid))
    edit(server, '"one"', '"two"')
    reload(server)
    assert {version(server) for _ in range(20)} == {"two"}
    settled(server, 2 + bool(options))
    assert not before & set(harness.children(server.pid))


@MODES
def test_twenty_reloads_under_load_lose_no_request(serve, options):
    server = serve(APP, "--workers", "2", "--access-logfile", "/dev/null", *options)
    with Load(server, connections=64) as load:
        reload(server, 20)
    load.expect_no_loss(at_least=2000)


@MODES
def test_code_that_does_not_start_changes_nothing(serve, options):
    server = serve(APP, "--workers", "2", *options)
    edit(server, "VERSION =", "raise ValueError('new and broken')\nVERSION =")
    server.expect_log("ValueError: new and broken")
    server.expect_log("the reload has failed: the old workers go on")
    workers = harness.children(server.pid)
    server.signal(signal.SIGHUP)
    server.check()
    assert harness.children(server.pid) == workers
    assert version(server) == "one"
    assert "exited with status" not in server.log()  # why is said already
    edit(server, "raise ValueError('new and broken')", "")
    edit(server, '"one"', '"mended"')
    reload(server)
    assert version(server) == "mended"


@MODES
def test_a_request_in_flight_is_finished_by_the_old_worker(serve, gate, options):
    server = serve(APP, *options)
    with server.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        gate.wait_until_reached()
        edit(server, '"one"', '"two"')
        reload(server)
        assert version(server) == "two"
        gate.open()
        response = client.response()
        assert response.text.split()[0] == "one" and response.connection() == {"close"}
        client.expect_end()


@MODES
def test_the_successor_serves_before_the_old_one_leaves(serve, gate, options):
    server = serve(APP, *options)
    old = server.get().text.split()[1]
    edit(server, "VERSION =", f"open({str(gate.path)!r}).read(1)\nVERSION =")
    server.signal(signal.SIGHUP)
    gate.wait_until_reached()
    assert server.get().text == f"one {old}"
    assert harness.is_idle(server.pid)
    gate.open()
    server.wait_log("INFO reloaded")
    assert server.get().text != f"one {old}"


def test_one_worker_at_a_time(serve):
    server = serve(APP, "--workers", "3")
    most, enough = [0], threading.Event()

    def count():
        while not enough.is_set():
            most[0] = max(most[0], len(harness.children(server.pid)))
            enough.wait(0.001)

    watcher = threading.Thread(target=count)
    watcher.start()
    reload(server)
    enough.set()
    watcher.join()
    assert most[0] == 4


def test_hangups_while_it_reloads_are_served_too(serve):
    server = serve(APP, "--workers", "2")
    for _ in range(5):
        server.signal(signal.SIGHUP)
        server.get()
    edit(server, '"one"', '"two"')
    server.signal(signal.SIGHUP)
    harness.eventually(lambda: {version(server) for _ in range(10)} == {"two"})
    settled(server, 2)


def test_an_old_worker_that_does_not_finish_is_killed(serve, gate):
    server = serve(APP, "--graceful-timeout", "0.5")
    old = server.worker
    server.expect_log(rf"worker {old} did not finish within 0.5 s and is killed")
    with server.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        gate.wait_until_reached()
        reload(server)
        client.expect_end(reset=True)
    settled(server, 1)


def test_stopping_while_it_reloads(serve, gate):
    server = serve(APP, "--workers", "2")
    edit(server, "VERSION =", f"open({str(gate.path)!r}).read(1)\nVERSION =")
    server.signal(signal.SIGHUP)
    gate.wait_until_reached()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.fixture
def patience(cserve):
    """Seconds in which code that does not hang is loaded for sure."""
    return "6" if harness.is_sanitized(cserve) else "1.5"


@MODES
def test_an_import_that_hangs_is_given_up(serve, patience, options):
    server = serve(APP, "--start-timeout", patience, *options)
    old = server.get().text
    edit(server, "VERSION =", "threading.Event().wait()\nVERSION =")
    server.expect_log(rf"(worker|template process) \d+ has not loaded the application within {patience} s")
    server.expect_log("Fatal Python error: Aborted")
    server.expect_log(r"was killed by signal 6")
    server.expect_log("the reload has failed: the old workers go on")
    server.signal(signal.SIGHUP)
    server.check()
    stack = r'Aborted.*File "[^"]*/threading.py".* in wait.*File "[^"]*app.py", line \d+ in <module>'
    assert re.search(stack, server.log(), re.DOTALL)
    assert server.get().text == old
    edit(server, "threading.Event().wait()", "")
    edit(server, '"one"', '"two"')
    reload(server)
    assert version(server) == "two"


def test_an_import_that_hangs_and_does_not_abort_is_killed(serve, patience):
    server = serve(APP, "--start-timeout", patience)
    edit(
        server,
        "VERSION =",
        "import faulthandler, signal\nfaulthandler.disable()\nsignal.signal(signal.SIGABRT, signal.SIG_IGN)\n"
        "threading.Event().wait()\nVERSION =",
    )
    server.expect_log(f"has not loaded the application within {patience} s")
    server.expect_log("the reload has failed: the old workers go on")
    server.signal(signal.SIGHUP)
    server.check()
    assert version(server) == "one"


def test_the_first_start_takes_its_time(serve):
    server = serve("import threading\nthreading.Event().wait(0.5)\n" + APP, "--start-timeout", "0.1")
    assert version(server) == "one"


def test_a_reload_that_is_half_done_goes_on(serve, tmp_path):
    """The new code is known to start, so there is no way back, and what keeps the others from it may pass."""
    server = serve(APP, "--workers", "2")
    often = f"""
with open({str(tmp_path / "loads")!r}, "a+") as loads:
    loads.write("x")
    if 2 <= loads.tell() <= 3:
        raise OSError("no room for a second one")
VERSION ="""
    edit(server, "VERSION =", often)
    edit(server, '"one"', '"two"')
    server.expect_log("OSError: no room for a second one")
    for pause in ("0.1", "0.2"):
        server.expect_log(
            f"the reload is half done: 1 of 2 workers run the new code, .* the next attempt, in {pause} s"
        )
    server.signal(signal.SIGHUP)
    server.wait_log("INFO reloaded")
    assert {version(server) for _ in range(20)} == {"two"}


# --- recycling --------------------------------------------------------------------------------------


@MODES
def test_max_requests_replaces_a_worker(serve, options):
    server = serve(APP, "--max-requests", "10", *options)
    pids = [server.get().text for _ in range(10)]
    assert len(set(pids)) == 1
    server.wait_log("is to be replaced: it has had --max-requests")
    harness.eventually(lambda: server.get().text != pids[0])
    settled(server, 1 + bool(options))


def test_max_requests_under_load_lose_no_request(serve):
    server = serve(
        APP,
        "--workers",
        "2",
        "--max-requests",
        "500",
        "--max-requests-jitter",
        "100",
        "--access-logfile",
        "/dev/null",
    )
    with Load(server, connections=16) as load:
        wait_count(server, "--max-requests", 10)
    load.expect_no_loss()


def test_jitter_is_chance(serve):
    server = serve(APP, "--workers", "4", "--max-requests", "1", "--max-requests-jitter", "1000000")
    for _ in range(40):
        server.get()
    assert "--max-requests" not in server.log().replace("--max-requests-jitter", "")


def test_max_worker_lifetime(serve):
    server = serve(APP, "--max-worker-lifetime", "0.5", "--access-logfile", "/dev/null")
    with Load(server, connections=8) as load:
        wait_count(server, "it has lived for --max-worker-lifetime", 3)
    load.expect_no_loss()


def test_max_worker_memory(serve, gate):
    server = serve(APP, "--max-worker-memory", "150")
    old = server.worker
    assert "--max-worker-memory" not in server.log()
    with server.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        gate.wait_until_reached()
        grown = server.get("/grow?200000000").text
        assert grown == f"one {old}"
        server.wait_log(f"worker {old} is to be replaced: it has grown to --max-worker-memory")
        harness.eventually(lambda: server.get().text != grown)
        gate.open()
        assert client.response().text == grown
    settled(server, 1)


def test_never_all_at_once(serve):
    server = serve(APP, "--workers", "3", "--max-worker-lifetime", "1")
    wait_count(server, "--max-worker-lifetime", 3)
    records = re.findall(r"is to be replaced|serves$", server.log(), re.MULTILINE)
    assert all(pair != ("is to be replaced",) * 2 for pair in zip(records, records[1:], strict=False)), (
        records
    )


def test_a_successor_that_does_not_start_leaves_the_old_one(serve):
    server = serve(APP, "--max-requests", "5")
    edit(server, "VERSION =", "raise ValueError('broken meanwhile')\nVERSION =")
    server.expect_log("ValueError: broken meanwhile")
    server.expect_log("goes on; the next attempt is in 0.1 s")
    server.expect_log("goes on; the next attempt is in 0.2 s")
    server.expect_log("goes on; the next attempt is")
    for _ in range(20):
        assert version(server) == "one"
    server.wait_log("next attempt is in 0.2 s")
    edit(server, "raise ValueError('broken meanwhile')", "")
    edit(server, '"one"', '"two"')
    harness.eventually(lambda: version(server) == "two")


# --- preload ----------------------------------------------------------------------------------------


def test_preload_loads_once(serve):
    server = serve(
        APP + "\nimport sys\nprint('loaded by', os.getpid(), file=sys.stderr)\n", "-w3", "--preload"
    )
    assert server.log().count("loaded by") == 1
    pids = {server.get().text.split()[1] for _ in range(60)}
    assert len(pids) == 3 and re.search(r"loaded by (\d+)", server.log())[1] not in pids
    assert {harness.parent_of(int(pid)) for pid in pids} == {server.pid}


def test_preload_names_threads_that_workers_will_lack(serve):
    server = serve(
        APP + "\nthreading.Thread(target=threading.Event().wait, name='refresher', daemon=True).start()\n",
        "--preload",
    )
    assert re.search(r"WARNING --preload: .* threads.*: refresher;", server.log())
    assert server.get().status == 200


def test_preload_flushes_before_it_forks(serve):
    server = serve(APP + "\nimport sys\nsys.stdout.buffer.write(b'written once\\n')\n", "--preload", "-w3")
    server.stop()
    assert server.output().count("written once") == 1


def test_preload_replaces_a_killed_worker_and_a_killed_template(serve):
    server = serve(APP, "--preload", "-w2")
    workers = {int(server.get().text.split()[1]) for _ in range(30)}
    template = (set(harness.children(server.pid)) - workers).pop()
    victim = workers.pop()
    server.expect_log(f"worker {victim} was killed by signal 9")
    server.expect_log(f"template process {template} was killed by signal 9")
    os.kill(template, signal.SIGKILL)
    server.wait_log(f"template process {template}")
    os.kill(victim, signal.SIGKILL)
    settled(server, 3)
    harness.eventually(lambda: len({server.get().text for _ in range(30)}) == 2)


def test_preload_that_does_not_load_ends_all(cserve, tmp_path):
    (tmp_path / "app.py").write_text("raise RuntimeError('broken')\n")
    process = harness.Process(cserve, ["app", "--port", "0", "--preload", "-w2"], tmp_path)
    assert process.wait() == 3
    assert process.log().count("RuntimeError: broken") == 1


def test_preload_TTIN(serve):
    server = serve(APP, "--preload")
    server.signal(signal.SIGTTIN)
    server.wait_log("serves")
    assert len({server.get().text for _ in range(40)}) == 2


def test_preload_names_the_requests_of_a_crash(serve):
    server = serve(
        APP.replace('path == "/grow"', 'path == "/die"').replace("ballast.append", "os.abort() or"),
        "--preload",
    )
    server.expect_log(r'was killed by signal 6 .*it was at "GET /die\?1 HTTP/1\.1"')
    server.expect_log("Fatal Python error: Aborted")
    with server.connect() as client:
        client.send(make_request(target="/die?1"))
        client.expect_end(reset=True)
    server.check()


# --- a new binary -----------------------------------------------------------------------------------


def heir_of(server):
    return int(server.wait_log(r"SIGUSR2: process (\d+) starts")[1])


def end(server, pid, number=signal.SIGTERM):
    """Tell a process to stop that is no child of ours, and see that it does."""
    os.kill(pid, number)
    harness.eventually(lambda: not harness.is_alive(pid), what=f"the end of {pid}")


def test_USR2_starts_a_new_binary_on_the_same_sockets(serve, tmp_path):
    pid_file = tmp_path / "pid"
    server = serve(APP, "--workers", "2", "--pid", pid_file, "--access-logfile", "/dev/null")
    with Load(server, connections=64) as load:
        server.signal(signal.SIGUSR2)
        heir = heir_of(server)
        harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
        assert (tmp_path / "pid.2").read_text() == f"{heir}\n"
        assert pid_file.read_text() == f"{server.pid}\n"
        edit(server, '"one"', '"two"')
        server.signal(signal.SIGTERM)
        server.wait_log("the old master is gone")
        assert server.wait_end() == 0
        assert pid_file.read_text() == f"{heir}\n" and not (tmp_path / "pid.2").exists()
        os.kill(heir, signal.SIGHUP)
        server.wait_log("INFO reloaded")
        assert version(server) == "two"
    load.expect_no_loss()
    end(server, heir)
    assert not pid_file.exists()
    assert server.wait() == 0


def test_USR2_with_preload(serve, tmp_path):
    server = serve(APP, "--workers", "2", "--preload", "--access-logfile", "/dev/null")
    with Load(server, connections=16) as load:
        server.signal(signal.SIGUSR2)
        heir = heir_of(server)
        harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
        settled(server, 4)  # two workers, their template, the heir
        harness.eventually(lambda: len(harness.children(heir)) == 3)
        edit(server, '"one"', '"two"')
        server.signal(signal.SIGTERM)
        server.wait_log("the old master is gone")
        assert server.wait_end() == 0
        os.kill(heir, signal.SIGHUP)
        server.wait_log("INFO reloaded")
        assert {version(server) for _ in range(20)} == {"two"}
    load.expect_no_loss()
    left = [heir, *harness.children(heir)]
    end(server, heir)
    assert server.wait() == 0
    harness.eventually(lambda: not any(map(harness.is_alive, left)))


def test_USR2_with_preload_the_new_one_may_go_again(serve):
    server = serve(APP, "--preload")
    server.signal(signal.SIGUSR2)
    heir = heir_of(server)
    harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
    left = harness.children(heir)
    end(server, heir)
    server.wait_log(f"the new binary, process {heir}, exited with status 0")
    harness.eventually(lambda: not any(map(harness.is_alive, left)))
    assert version(server) == "one"
    settled(server, 2)
    edit(server, '"one"', '"two"')
    reload(server)
    assert version(server) == "two"


def test_USR2_the_new_one_may_go_again(serve, tmp_path):
    server = serve(APP, "--bind", f"unix:{tmp_path}/socket")
    server.signal(signal.SIGUSR2)
    heir = heir_of(server)
    harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
    end(server, heir)
    server.wait_log(f"the new binary, process {heir}, exited with status 0")
    assert version(server) == "one"
    server.signal(signal.SIGUSR2)
    second = int(server.wait_log(rf"SIGUSR2: process (?!{heir} )(\d+) starts")[1])
    harness.eventually(lambda: server.output().count("Serving HTTP on") == 3)
    end(server, second)


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/socket"])
def test_USR2_and_the_old_one_leaves_before_the_new_one_is_up(serve, tmp_path, bind):
    """The sockets are the new one's from the moment on that it is started."""
    server = serve(APP, "--bind", bind.format(tmp_path))
    server.signal(signal.SIGUSR2)
    heir = heir_of(server)
    server.allow_log("the master is gone")  # may say its worker, if it comes to it
    server.signal(signal.SIGKILL)
    assert server.wait_end() == -signal.SIGKILL
    try:
        harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
        assert version(server) == "one"
    finally:
        end(server, heir)


def test_USR2_with_an_application_that_does_not_load(serve):
    server = serve(APP)
    edit(server, "VERSION =", "raise ValueError('new and broken')\nVERSION =")
    server.expect_log("ValueError: new and broken")
    server.signal(signal.SIGUSR2)
    server.wait_log(r"the new binary, process \d+, exited with status 3")
    assert version(server) == "one"


def test_USR2_then_WINCH_then_HUP_goes_back(serve):
    server = serve(APP, "--workers", "2")
    server.signal(signal.SIGUSR2)
    heir = heir_of(server)
    harness.eventually(lambda: server.output().count("Serving HTTP on") == 2)
    old = set(harness.children(server.pid)) - {heir}
    server.signal(signal.SIGWINCH)
    settled(server, 1)
    new = set(harness.children(heir))
    assert {int(server.get().text.split()[1]) for _ in range(30)} == new and not new & old
    server.signal(signal.SIGHUP)
    server.wait_log("INFO reloaded")
    end(server, heir)
    assert version(server) == "one"
