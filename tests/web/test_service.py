"""Running as a service: the pid file, users and groups, systemd's protocols, containers."""

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from units import ACTIVATE

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/status":
        return [open("/proc/self/status", "rb").read()]
    if environ["PATH_INFO"] == "/environ":
        return ["\\n".join(os.environ).encode()]
    if environ["PATH_INFO"] == "/file":
        with open(environ["QUERY_STRING"], "w"):
            pass
    return [str(os.getpid()).encode()]
"""

needs_root = pytest.mark.usefixtures("root")


@contextlib.contextmanager
def started(cserve, directory, *options, env=None, prefix=(), app=APP):
    """A server below another program, its module in `directory`."""
    (directory / "app.py").write_text(app)
    command = [*prefix, cserve, "--port", "0", *options, "app"]
    env = {"ASAN_OPTIONS": "detect_leaks=0", **(env or {})}
    process = harness.Process(shutil.which(command[0]), command[1:], directory, env)
    try:
        yield process
    finally:
        process.kill()


def address(process):
    process.wait_output("^Serving HTTP on ")
    return harness.parse_address(harness.SERVING.findall(process.output())[0])


def get(process, target="/"):
    with harness.Client(address(process)) as client:
        return client.request(harness.make_request(target=target)).text


# --- the pid file -----------------------------------------------------------------------------------


def test_pid_file(serve, tmp_path):
    path = tmp_path / "pid"
    server = serve(APP, "--pid", path)
    assert path.read_text() == f"{server.pid}\n"
    server.stop()
    assert not path.exists()


def test_a_stale_pid_file_is_replaced(serve, tmp_path):
    path = tmp_path / "pid"
    gone = subprocess.Popen(["true"])
    gone.wait()
    path.write_text(f"{gone.pid}\n")
    server = serve(APP, "--pid", path)
    assert path.read_text() == f"{server.pid}\n"


def test_the_pid_file_of_a_running_process_is_respected(cserve, tmp_path):
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    with started(cserve, tmp_path, "--pid", path) as process:
        assert process.wait() == 1
        assert f"process {os.getpid()}, which is running, has it" in process.log()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_pid_file_of_somebody_else_is_not_removed(serve, tmp_path):
    path = tmp_path / "pid"
    server = serve(APP, "--pid", path)
    path.write_text("1\n")
    server.stop()
    assert path.read_text() == "1\n"


def test_a_pid_file_that_cannot_be_written(cserve, tmp_path):
    with started(cserve, tmp_path, "--pid", tmp_path / "nowhere" / "pid") as process:
        assert process.wait() == 1
        assert re.search(r"CRITICAL --pid \S+ cannot be written: No such file", process.log())


# --- users and groups -------------------------------------------------------------------------------


def status_field(text, name):
    return re.search(rf"^{name}:\s*(.*)$", text, re.MULTILINE)[1].split()


@needs_root
@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_the_application_runs_as_user_and_group(public_cserve, open_directory, preload):
    nobody = pwd.getpwnam("nobody")
    with started(public_cserve, open_directory, "--user", "nobody", "-w2", *preload) as process:
        status = get(process, "/status")
        assert status_field(status, "Uid") == [str(nobody.pw_uid)] * 4
        assert status_field(status, "Gid") == [str(nobody.pw_gid)] * 4
        assert set(status_field(status, "Groups")) == {
            str(gid) for gid in os.getgrouplist("nobody", nobody.pw_gid)
        }
        assert status_field(status, "CapEff") == ["0000000000000000"]
        assert Path(f"/proc/{process.pid}").stat().st_uid == 0
        os.kill(process.pid, signal.SIGHUP)
        process.wait_log("INFO reloaded")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


@needs_root
def test_numbers_do_and_need_no_entry(public_cserve, open_directory):
    with started(public_cserve, open_directory, "--user", "54321", "--group", "54322") as process:
        status = get(process, "/status")
        assert status_field(status, "Uid") == ["54321"] * 4
        assert status_field(status, "Gid") == ["54322"] * 4
        assert status_field(status, "Groups") == ["54322"]


@needs_root
def test_group_alone(public_cserve, open_directory):
    group = grp.getgrnam("nogroup")
    with started(public_cserve, open_directory, "--group", "nogroup") as process:
        status = get(process, "/status")
        assert status_field(status, "Gid") == [str(group.gr_gid)] * 4
        assert status_field(status, "Uid") == ["0"] * 4


@needs_root
def test_static_files_are_read_by_the_user(public_cserve, open_directory):
    files = open_directory / "files"
    files.mkdir(mode=0o755)
    (files / "public").write_text("public")
    (files / "private").write_text("private")
    (files / "private").chmod(0o600)
    with started(public_cserve, open_directory, "--user", "nobody", "--static", f"/s={files}") as process:
        assert get(process, "/s/public") == "public"
        assert "403 Forbidden" in get(process, "/s/private")


@needs_root
def test_the_end_of_the_master_is_noticed_by_other_users(public_cserve, open_directory):
    with started(public_cserve, open_directory, "--user", "nobody") as process:
        get(process)
        worker = harness.children(process.pid)[0]
        os.kill(process.pid, signal.SIGKILL)
        harness.eventually(lambda: not harness.is_alive(worker), what="the worker's end")


@needs_root
def test_logs_can_be_written_and_opened_anew(public_cserve, open_directory):
    logs = open_directory / "logs"
    logs.mkdir(mode=0o755)
    access, errors = logs / "access.log", logs / "error.log"
    options = ("--user", "nobody", "--access-logfile", access, "--error-logfile", errors)
    with started(public_cserve, open_directory, *options) as process:
        get(process)
        harness.eventually(lambda: "GET / " in access.read_text(), what="the access log")
        access.rename(logs / "access.1")
        errors.rename(logs / "error.1")
        process.signal(signal.SIGUSR1)
        harness.eventually(
            lambda: get(process) and access.exists() and "GET / " in access.read_text(), what="a new one"
        )
        assert "opened anew" in errors.read_text() and "ERROR" not in errors.read_text()


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--user", "nobody-of-that-name"), "there is no user nobody-of-that-name"),
        (("--group", "nobody-of-that-name"), "there is no group nobody-of-that-name"),
    ],
)
def test_who_does_not_exist(cserve, tmp_path, options, reason):
    with started(cserve, tmp_path, *options) as process:
        assert process.wait() == 1
        assert reason in process.log()


@needs_root
def test_only_root_can_change_users(cserve, open_directory):
    prefix = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    with started(cserve, open_directory, "--user", "nobody", prefix=prefix) as process:
        assert process.wait() == 1
        assert "need to be started by root" in process.log()


@needs_root
@pytest.mark.parametrize(
    "capability, step",
    [
        ("setgid", "set the supplementary groups: Operation"),
        ("setuid", "change the user: Operation not permitted"),
    ],
)
def test_a_step_that_fails_ends_it(cserve, open_directory, capability, step):
    prefix = ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")
    with started(cserve, open_directory, "--user", "nobody", prefix=prefix) as process:
        assert process.wait() == 1
        assert step in process.log() and not process.output()


@needs_root
def test_any_uid_will_do(public_cserve, open_directory):
    prefix = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    env = {"HOME": "/nonexistent"}
    options = ("--access-logfile", "/dev/null")
    with started(public_cserve, open_directory, *options, prefix=prefix, env=env) as process:
        assert status_field(get(process, "/status"), "Uid") == ["54321"] * 4


@pytest.mark.parametrize("mode, expected", [("027", 0o640), ("0", 0o666), ("777", 0)])
def test_umask(serve, tmp_path, mode, expected):
    serve(APP, "--umask", mode).get(f"/file?{tmp_path}/made")
    assert (tmp_path / "made").stat().st_mode & 0o777 == expected


def test_umask_holds_for_unix_sockets(serve, tmp_path):
    serve(APP, "--umask", "007", "--bind", f"unix:{tmp_path}/socket")
    assert (tmp_path / "socket").stat().st_mode & 0o666 == 0o660


@pytest.mark.parametrize("mode", ["8", "1000", "u=rwx", "", "-1"])
def test_a_bad_umask(cserve, tmp_path, mode):
    with started(cserve, tmp_path, f"--umask={mode}") as process:
        assert process.wait() == 2
        assert "--umask must be an octal number from 0 to 777" in process.log()


# --- systemd ----------------------------------------------------------------------------------------


class Manager:
    """A service manager: receives what is sent to NOTIFY_SOCKET."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(harness.DEADLINE)

    def next(self):
        return self.socket.recv(4096).decode()

    def wait(self, text):
        while text not in (message := self.next()):
            assert "STOPPING" not in message
        return message


@pytest.mark.parametrize("name", ["{}/notify", "\0{}"])
def test_the_service_manager_is_told(serve, tmp_path, name):
    path = name.format(tmp_path)
    manager = Manager(path)
    server = serve(APP, "-w2", env={"NOTIFY_SOCKET": path.replace("\0", "@")})
    assert manager.next() == f"READY=1\nMAINPID={server.pid}"
    server.signal(signal.SIGHUP)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager.next())
    assert manager.next() == f"READY=1\nMAINPID={server.pid}"
    assert "NOTIFY_SOCKET" not in server.get("/environ").text.split()
    server.signal(signal.SIGTERM)
    assert manager.next() == "STOPPING=1"


def test_a_failed_reload_is_the_end_of_reloading(serve, tmp_path):
    manager = Manager(f"{tmp_path}/notify")
    server = serve(APP, env={"NOTIFY_SOCKET": f"{tmp_path}/notify"})
    manager.wait("READY=1")
    (server.cwd / "app.py").write_text("raise ValueError('broken')\n")
    server.expect_log("ValueError: broken")
    server.expect_log("the reload has failed")
    server.signal(signal.SIGHUP)
    manager.wait("RELOADING=1")
    manager.wait("READY=1")


def test_the_watchdog_is_fed(serve, tmp_path):
    manager = Manager(f"{tmp_path}/notify")
    serve(APP, env={"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "200000"})
    for _ in range(5):
        manager.wait("WATCHDOG=1")


def test_the_watchdog_of_another_process_is_not(serve, tmp_path):
    manager = Manager(f"{tmp_path}/notify")
    server = serve(
        APP, env={"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    )
    assert manager.next().startswith("READY=1")
    manager.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        manager.next()
    assert server.get().status == 200


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_sockets_of_the_service_manager_are_served(cserve, tmp_path, preload):
    (tmp_path / "app.py").write_text(APP)
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(path))
        local.listen()
        fds = [50 + tcp.fileno(), 50 + local.fileno()]
        for fd, each in zip(fds, (tcp, local), strict=True):
            os.dup2(each.fileno(), fd)
        command = ["-c", ACTIVATE, ",".join(map(str, fds)), cserve, "-w2", *preload, "app"]
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
            pass_fds=fds,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output = harness.Output(process.stdout)
            assert output.wait(f"^Serving HTTP on unix:{path}")
            pids = set()
            for where in [tcp.getsockname(), str(path)] * 30:
                with harness.Client(where) as client:
                    pids.add(client.request(harness.make_request()).text)
            assert len(pids) == 2
            with harness.Client(tcp.getsockname()) as client:
                assert not {"LISTEN_FDS", "LISTEN_PID"} & set(
                    client.request(harness.make_request(target="/environ")).text.split()
                )
            process.terminate()
            assert process.wait(harness.DEADLINE) == 0
            assert path.is_socket()  # it is not ours to remove
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for fd in fds:
                os.close(fd)


def test_sockets_for_another_process_are_not_taken(serve):
    server = serve(APP, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert server.get().status == 200


def test_what_is_passed_and_does_not_listen(cserve, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with open(os.devnull) as nothing:
        result = subprocess.run(
            [sys.executable, "-c", ACTIVATE, str(nothing.fileno()), cserve, "app"],
            pass_fds=[nothing.fileno()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert result.returncode == 1 and "descriptor 3 that was passed is no listening socket" in result.stderr


# --- containers -------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("options", [("-w2",), ("-w2", "--preload")])
def test_as_process_1_in_a_read_only_file_system(cserve, tmp_path, options):
    """In namespaces of its own: signals reach it, orphans are reaped, nothing is written."""
    script = (
        "mount --make-rprivate / && mount -o remount,bind,ro / 2>/dev/null || mount -o remount,ro,bind /; "
        'mount -t proc proc /proc && cd "$1" && ! touch made 2>/dev/null && shift && exec "$@"'
    )
    prefix = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", tmp_path)
    app = APP + "\nimport subprocess\nsubprocess.run(['sh', '-c', 'sleep 0.2 & exit'])\n"
    with started(cserve, tmp_path, *options, prefix=prefix, app=app) as process:
        assert get(process).isdigit()
        init = harness.children(process.pid)[0]
        assert re.search(r"^NSpid:.*\t1$", Path(f"/proc/{init}/status").read_text(), re.MULTILINE)
        count = 2 + options.count("--preload")
        harness.eventually(lambda: len(harness.children(init)) == count, what="orphans are reaped")
        os.kill(init, signal.SIGHUP)
        process.wait_log("INFO reloaded")
        assert get(process).isdigit()
        os.kill(init, signal.SIGTERM)
        assert process.wait() == 0
