"""The error log: colours, JSON, the journal and syslog."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess

import pytest

import harness
from harness import make_request

APP = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise ValueError("caf\\u00e9 \\x1b[31m")
    if path == "/says":
        environ["wsgi.errors"].write("one\\ntwo \\u20ac\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # which Python has
PLAIN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[\d+\] INFO application app, .*"


# Colours.


def log_on_terminal(cserve, directory, options=(), **env):
    """What a server writes to a terminal that is its stderr, until it has started and stopped."""
    (directory / "app.py").write_text(APP)
    master, slave = pty.openpty()
    unset = "NO_COLOR", "FORCE_COLOR", "JOURNAL_STREAM"
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    server = subprocess.Popen(
        [cserve, "--port", "0", *options, "--log-level", "debug", "app"], cwd=directory,
        env={**environment, **NO_LEAKS, "TERM": "xterm", **env}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    try:
        assert server.stdout.readline().startswith(b"Serving")
        workers = harness.eventually(lambda: harness.children(server.pid))
        os.kill(workers[0], signal.SIGKILL)  # so there is an ERROR
        text = b""
        while b"ERROR" not in text and b"CRITICAL" not in text and b"WARNING" not in text:
            text += os.read(master, 65536)
        server.terminate()
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                text += data
        server.wait(harness.DEADLINE)
    finally:
        server.kill()
        server.stdout.close()
        os.close(master)
    return text.decode()


def test_levels_have_colours_on_a_terminal(cserve, tmp_path):
    text = log_on_terminal(cserve, tmp_path)
    assert re.search(r"\] \x1b\[(33m|31m|1;31m)(WARNING|ERROR|CRITICAL)\x1b\[0m ", text), text
    assert re.search(r"\] INFO ", text), text


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_colours_can_be_declined(cserve, tmp_path, env):
    assert "\x1b" not in log_on_terminal(cserve, tmp_path, **env)


def test_no_colours_elsewhere(serve):
    server = serve(APP, env={"TERM": "xterm", "FORCE_COLOR": None})
    server.expect_log("ValueError")
    server.get("/fails")
    server.wait_log("ValueError")
    assert "\x1b" not in server.log()


def test_colours_elsewhere_for_who_wants_them(serve):
    server = serve(APP, env={"FORCE_COLOR": "1", "NO_COLOR": None})
    server.allow_log("ValueError")
    server.get("/fails")
    server.wait_log(r"\x1b\[31mERROR\x1b\[0m ")


# JSON.


def messages(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines(serve):
    server = serve(APP, "--log-json")
    server.expect_log("ValueError")
    server.get("/fails")
    server.wait_log(r"ValueError[^\n]*\n")
    logged = messages(server.log())
    assert all(list(entry) == ["time", "level", "pid", "source", "message"] for entry in logged)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", logged[0]["time"])
    [failure] = [entry for entry in logged if entry["level"] == "ERROR"]
    assert failure["pid"] == server.worker and failure["source"] == "server"
    heading, *lines = failure["message"].splitlines()
    assert heading == "Exception in the application for GET /fails HTTP/1.1:"
    assert lines[-1] == "  ValueError: caf\u00e9 \\x1b[31m"


def test_json_of_what_the_application_says(serve):
    server = serve(APP, "--log-json")
    server.get("/says")
    server.wait_log("two")
    said = [entry for entry in messages(server.log()) if entry["source"] == "application"]
    assert [entry["message"] for entry in said] == ["one", "two \u20ac"]


# The journal.


def test_lines_for_the_journal_have_priorities(cserve, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    read, write = os.pipe()
    status = os.fstat(write)
    server = subprocess.Popen(
        [cserve, "--port", "0", "app"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=write,
        env={**os.environ, **NO_LEAKS, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
        start_new_session=True)
    os.close(write)
    try:
        address = harness.parse_address(server.stdout.readline().decode().split()[3])
        with harness.Client(address) as client:
            assert client.request(make_request("GET", "/fails")).status == 500
        server.terminate()
        with os.fdopen(read) as log:
            lines = log.read().splitlines()
        assert server.wait(harness.DEADLINE) == 0
    finally:
        server.kill()
        server.stdout.close()
    assert re.fullmatch("<6>" + PLAIN, lines[0])
    first = next(index for index, line in enumerate(lines) if "Exception in the application" in line)
    last = next(index for index, line in enumerate(lines) if "ValueError: caf" in line)
    assert last > first + 1 and all(line.startswith("<3>") for line in lines[first : last + 1]), lines


def test_another_stderr_than_the_journals(serve):
    server = serve(APP, env={"JOURNAL_STREAM": "1:2"})
    assert re.match(PLAIN, server.log())


# syslog.


class Syslog:
    """Somebody who listens to datagrams."""

    def __init__(self, family, address):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(harness.DEADLINE)
        self.socket.bind(address)

    def wait(self, regex):
        """The first message that matches."""
        seen = []
        while True:
            message = self.socket.recv(65536).decode()
            seen.append(message)
            match = re.fullmatch(regex, message)
            if match:
                return match


@pytest.fixture
def local(tmp_path):
    syslog = Syslog(socket.AF_UNIX, str(tmp_path / "log"))
    syslog.to = f"unix://{tmp_path}/log"
    yield syslog
    syslog.socket.close()


WHEN = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"


def test_syslog_gets_both_logs(serve, local):
    server = serve(APP, "--log-syslog", "--log-syslog-to", local.to)
    assert re.search(PLAIN, server.log())
    local.wait(rf"<14>{WHEN} cserve\.error\[\d+\]: application app, .*")
    server.get("/a")
    match = local.wait(rf'<14>{WHEN} cserve\.access\[(\d+)\]: 127\.0\.0\.1 - - \[.*\] '
                       r'"GET /a HTTP/1\.1" 200 4 "-" "-" ok')
    assert int(match[1]) == server.worker
    assert len(server.wait_access(1)) == 1
    server.get("/says")
    local.wait(rf"<14>{WHEN} cserve\.error\[\d+\]: two \u20ac")
    server.expect_log("ValueError")
    server.get("/fails")
    local.wait(rf"<11>{WHEN} cserve\.error\[\d+\]: Exception in the application for GET /fails HTTP/1\.1:")
    local.wait(rf"<11>{WHEN} cserve\.error\[\d+\]:   ValueError: caf\u00e9 \\x1b\[31m")


def test_syslog_facility_and_prefix(serve, local):
    serve(APP, "--log-syslog", "--log-syslog-to", local.to, "--log-syslog-facility", "local7",
          "--log-syslog-prefix", "shop")
    local.wait(rf"<190>{WHEN} cserve\.shop\.error\[\d+\]: application app, .*")


def test_syslog_without_the_access_log(serve, local):
    server = serve(APP, "--log-syslog", "--log-syslog-to", local.to, "--disable-redirect-access-to-syslog")
    server.get("/a")
    server.get("/says")
    seen = []
    while not seen or "two" not in seen[-1]:
        seen.append(local.socket.recv(65536).decode())
    assert not any(".access[" in message for message in seen)


def test_syslog_over_udp(serve):
    syslog = Syslog(socket.AF_INET, ("127.0.0.1", 0))
    try:
        port = syslog.socket.getsockname()[1]
        serve(APP, "--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{port}")
        host = re.escape(socket.gethostname())
        syslog.wait(rf"<14>{WHEN} {host} cserve\.error\[\d+\]: application app, .*")
    finally:
        syslog.socket.close()


def test_syslog_may_be_started_again(serve, local, tmp_path):
    server = serve(APP, "--log-syslog", "--log-syslog-to", local.to)
    local.socket.close()
    server.get("/lost")
    server.wait_access(1)
    (tmp_path / "log").unlink()
    again = Syslog(socket.AF_UNIX, str(tmp_path / "log"))
    try:
        server.get("/found")
        again.wait(r".*GET /found HTTP/1\.1.*")
    finally:
        again.socket.close()


def test_a_syslog_that_does_not_read_is_not_waited_for(serve, local):
    server = serve(APP, "--log-syslog", "--log-syslog-to", local.to)
    with server.connect() as client:
        for number in range(2000):
            client.request(make_request("GET", f"/{number}"))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--log-syslog-to", "unix:///nowhere/log"], "unix:///nowhere/log: No such file"),
        (["--log-syslog-to", "tcp://127.0.0.1:514"], "must be unix:///PATH or udp://HOST:PORT"),
        (["--log-syslog-to", "udp://127.0.0.1"], "HOST:PORT"),
        (["--log-syslog-facility", "local8"], "did you mean local"),
    ],
)
def test_a_syslog_that_cannot_be_is_refused_at_the_start(cserve, tmp_path, options, words):
    process = harness.Process(cserve, ["--log-syslog", *options, "app"], tmp_path)
    assert process.wait() == 2
    assert words in process.log() and process.log().count("\n") == 1
