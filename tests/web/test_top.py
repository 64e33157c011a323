"""`cserve top`, in a terminal of tmux and without one."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import threading

import pytest

import harness
from harness import eventually, make_request
from load import Load
from watched import APP

RATE = r"requests +(\d+)/s"


class Terminal:
    """A shell in a terminal of its own, below a tmux of its own."""

    def __init__(self, directory, width=80, height=24):
        self._count = 0
        self._command = ["tmux", "-f", "/dev/null", "-S", str(directory / "tmux")]
        self._do("new-session", "-d", "-x", str(width), "-y", str(height), "env", "PS1=ready$ ", "sh")
        eventually(lambda: "ready$" in self.text())

    def _do(self, *arguments):
        return subprocess.run([*self._command, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, *keys):
        self._do("send-keys", *keys)

    def run(self, *command):
        self._count += 1
        self.type("-l", f"{shlex.join(map(str, command))}; echo end{self._count} $?")
        self.type("Enter")

    def wait(self, status=0):
        """Until the latest command has ended."""
        self.eventually(f"^end{self._count} {status}$")

    def text(self, styles=False):
        return self._do("capture-pane", "-p", *(["-e"] if styles else []))

    def resize(self, width, height):
        self._do("resize-window", "-x", str(width), "-y", str(height))

    def eventually(self, regex):
        """Until the screen matches: the match."""
        return eventually(lambda: re.search(regex, self.text(), re.MULTILINE), what=regex)

    def modes(self):
        """Whether the cursor is shown, and whether this is the second screen."""
        return self._do("display-message", "-p", "#{cursor_flag} #{alternate_on}").split()

    def close(self):
        subprocess.run([*self._command, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def place(watched):
    return "{}:{}".format(*watched.address)


def rate(terminal):
    return int(terminal.eventually(RATE)[1])


def settings(terminal):
    """The terminal's settings, by a program in it."""
    terminal.run("clear")
    terminal.wait()
    terminal.run("stty", "-g")
    terminal.wait()
    return terminal.eventually(r"^[0-9a-f]+:[0-9a-f:]+$")[0]


def expect_fit(terminal, width, height):
    lines = terminal.text().removesuffix("\n").split("\n")
    assert len(lines) == height and all(len(line) <= width for line in lines)


def test_it_shows_the_load_in_80_columns(cserve, watch, terminal, gate):
    watched = watch("--workers", "2", "--threads", "4")
    before = settings(terminal)
    terminal.run(cserve, "top", place(watched))
    terminal.eventually(r"watched\.py  serving  up .*q quits$")
    assert rate(terminal) < 50
    assert terminal.modes() == ["0", "1"]
    with Load(watched.server, connections=8), watched.server.connect() as client:
        eventually(lambda: rate(terminal) > 100)
        terminal.eventually(r"latency +p50 \d.* p99 \d.* p99\.9 \d")
        client.send(make_request(target=f"/gate?{gate.path}"))
        terminal.eventually(rf"^ +\d\.\d s  \d+ +GET /gate\?{re.escape(str(gate.path))[:20]}")
        for pid in harness.children(watched.server.pid):
            terminal.eventually(rf"^ +{pid}  serving +\w+ +[\d.]+M +[\d.]+ +[1-9]\d* +\d of 4 +[1-9]\d*$")
        expect_fit(terminal, 80, 24)
        gate.open()
        assert client.response().status == 200
    eventually(lambda: rate(terminal) < 50)
    terminal.type("q")
    terminal.wait()
    assert terminal.modes() == ["1", "0"]
    assert settings(terminal) == before


@pytest.mark.parametrize("leave", ["C-c", "Q", signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_however_it_ends_the_terminal_is_as_before(cserve, watch, terminal, tmp_path, leave):
    watched = watch()
    before = settings(terminal)
    terminal.run("sh", "-c", 'echo $$ > "$0"; exec "$@"', tmp_path / "pid", cserve, "top", place(watched))
    terminal.eventually("q quits$")
    if isinstance(leave, signal.Signals):
        os.kill(int((tmp_path / "pid").read_text()), leave)
    else:
        terminal.type(leave)
    terminal.wait()
    assert terminal.modes() == ["1", "0"]
    assert settings(terminal) == before


def test_it_follows_the_size_of_the_terminal(cserve, watch, terminal):
    watched = watch("--workers", "10", "--threads", "2")
    terminal.run(cserve, "top", place(watched))
    terminal.eventually(r"^ +and 3 more$")
    for width, height in [(40, 12), (20, 5), (132, 50), (80, 24)]:
        terminal.resize(width, height)
        eventually(lambda width=width: re.search(
            "^ +PID" if width > 40 else "^requests ", terminal.text(), re.MULTILINE))
        expect_fit(terminal, width, height)
        if height == 50:
            terminal.eventually(r"(^ +\d+  serving.*\n){10}")
            assert "more" not in terminal.text()
    assert "watched.py" in terminal.text().split("\n")[0]


def test_what_a_client_sent_moves_nothing(cserve, watch, terminal, tmp_path):
    watched = watch("--threads", "4")
    gate = harness.Gate(tmp_path / "<script>\"%1b[2J\\33[31m\\a")
    terminal.run(cserve, "top", place(watched))
    terminal.resize(240, 24)
    terminal.eventually("q quits$")
    try:
        with watched.server.connect() as client:
            client.send(b"GET /gate?%s HTTP/1.1\r\nHost: x\r\n\r\n" % bytes(gate.path))
            terminal.eventually(r'GET /gate\?/.*/<script>\\"%1b\[2J\\\\33\[31m\\\\a HTTP/1\.1$')
            assert terminal.text().startswith("watched.py ")  # the title is still there
            gate.open()
            assert client.response().status == 200
    finally:
        gate.release()


def test_colours_are_not_for_everybody(cserve, watch, terminal):
    watched = watch()
    terminal.run(cserve, "top", place(watched))
    terminal.eventually("q quits$")
    assert "\x1b[32m" in terminal.text(styles=True)
    terminal.type("q")
    terminal.wait()
    terminal.run("clear")
    terminal.wait()
    terminal.run("env", "NO_COLOR=1", cserve, "top", place(watched))
    terminal.eventually("q quits$")
    assert "\x1b[" not in terminal.text(styles=True).replace("\x1b[39m", "").replace("\x1b[49m", "")


def test_a_server_that_is_gone_is_said_to_be(cserve, watch, terminal):
    watched = watch()
    terminal.run(cserve, "top", place(watched))
    terminal.eventually("q quits$")
    watched.server.stop()
    terminal.eventually(r"^nothing answers at \S+ \(Connection refused\)")
    terminal.type("q")
    terminal.wait()


# --- without a terminal ---------------------------------------------------------------------------


def top(cserve, *arguments, **env):
    command = [cserve, "top", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)


def test_without_a_terminal_it_prints_once(cserve, watch):
    watched = watch("--workers", "2", "--threads", "4")
    with Load(watched.server, connections=4):
        shown = top(cserve, place(watched))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout and "q quits" not in shown.stdout
    assert re.match(r"\S*watched\.py  serving  up [\d.]+ m?s  http://127\.0\.0\.1:\d+/\n", shown.stdout)
    assert int(re.search(RATE, shown.stdout)[1]) > 100
    for pid in harness.children(watched.server.pid):
        assert re.search(rf"^ +{pid}  serving ", shown.stdout, re.MULTILINE)


def test_where_it_looks(cserve, watch, serve, tmp_path):
    watched = watch()
    here = place(watched)
    assert "watched.py" in top(cserve, CSERVE_STATUS=here).stdout
    assert "watched.py" in top(cserve, "--status", here).stdout
    (tmp_path / "cserve.ini").write_text(f"[cserve]\nstatus = {here}\napp = none.such:app\n")
    assert "watched.py" in top(cserve, "--config", tmp_path / "cserve.ini").stdout
    assert "watched.py" in top(cserve, here, CSERVE_STATUS="127.0.0.1:1").stdout
    (tmp_path / "run").mkdir()
    serve(APP, "--status", f"unix:{tmp_path}/run/s")
    assert "watched.py" in top(cserve, f"unix:{tmp_path}/run/s").stdout
    (tmp_path / "cserve.ini").write_text(f"[cserve]\nchdir = {tmp_path}/run\nstatus = unix:s\n")
    assert "watched.py" in top(cserve, "--config", tmp_path / "cserve.ini").stdout


def test_the_application_may_be_called_top(start, tmp_path):
    (tmp_path / "top.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'top']\n")
    assert start("--port", "0", "--", "top").fetch().body == b"top"


@pytest.mark.parametrize("arguments, status, words", [
    ([], 2, "where to look? Say cserve top ADDRESS"),
    (["127.0.0.1:1"], 1, "nothing answers at 127.0.0.1:1 (Connection refused)"),
    (["unix:/nowhere/s"], 1, "nothing answers at unix:/nowhere/s (No such file or directory)"),
    (["127.0.0.1:port"], 1, "127.0.0.1:port"),
    (["127.0.0.1:1", "127.0.0.1:2"], 2, 'one address is enough: "127.0.0.1:2" stands behind "127.0.0.1:1"'),
    (["--prot", "1"], 2, "did you mean --port?"),
])  # fmt: skip
def test_what_is_wrong_is_said(cserve, tmp_path, arguments, status, words):
    shown = top(cserve, *arguments)
    assert shown.returncode == status and shown.stdout == ""
    assert shown.stderr.startswith("cserve: ") and shown.stderr.count("\n") == 1 and words in shown.stderr


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n{}", HEAD, HEAD + b"{",
    HEAD + b'{"schema":2}', HEAD + b"[1]",
    HEAD + b"[" * 100000, b"SSH-2.0-OpenSSH_9.2\r\n", b"x" * (9 << 20), None,
])  # fmt: skip
def test_whoever_answers_does_no_harm(cserve, answer):
    """Or does not answer: None."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(answer or b"")
                while answer is None and client.recv(4096):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        shown = top(cserve, "127.0.0.1:%d" % listener.getsockname()[1])
        thread.join(harness.DEADLINE)
    assert shown.returncode == 1 and shown.stdout == "" and "answers at 127.0.0.1" in shown.stderr


def test_whatever_the_server_says_is_printable(cserve):
    """And of any kind: members that are missing, or are something else, count as nothing."""
    text = HEAD + b"""{"schema": 1, "now_ms": [],
        "server": {"app": "\\u001b[2J\\u20ac\xc3\xa9", "state": 5, "addresses": {}},
        "now": {"connections": {"id\\nle": 5}},
        "latency": {"total": {"buckets": [[], [1], [1, 2, 3], 7]}},
        "workers": [1, {}, {"pid": 99999999999999999999, "state": "\\u0007"}],
        "in_flight": [{"line": "\\u009b31m"}]}"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            for _ in range(2):
                client, _ = listener.accept()
                with client:
                    client.recv(4096)
                    client.sendall(text)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        shown = top(cserve, "127.0.0.1:%d" % listener.getsockname()[1])
        thread.join(harness.DEADLINE)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(" " <= character <= "~" or character == "\n" for character in shown.stdout)
    assert r"\x1b[2J?\xc3\xa9" in shown.stdout and r"\x9b31m" in shown.stdout


def test_help_tells_of_it(cserve):
    told = subprocess.run([cserve, "--help"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^ +cserve top \[ADDRESS\]", told, re.MULTILINE)
    assert top(cserve, "--help").stdout == told
