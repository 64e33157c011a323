"""docs/migrating.md: every command line and every option of ours in it starts a server."""

import os
import re
import shlex
import signal
import subprocess

import pytest

import harness

PAGE = (harness.ROOT / "docs/migrating.md").read_text()
APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]

def create_app(name):
    return app
"""


def rows():
    """The cells of every row of a table."""
    for line in PAGE.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def code(cell):
    match = re.fullmatch(r"`([^`]+)`", cell)
    return match and match[1]


def counterparts():
    return [code(cells[1]) for cells in rows() if code(cells[1])]


COMMANDS = [text for text in counterparts() if re.match(r"(\w+=\S+ )*cserve ", text)]
OPTIONS = sorted({text for text in counterparts() if text.startswith("-")})
ENDS = {"--help", "--version", "--print-config", "--check", "--check-config"}


@pytest.fixture
def place(cserve, tmp_path):
    """A directory that has what the page's commands need."""
    (tmp_path / "mysite.py").write_text(APP)
    (tmp_path / "cserve.ini").write_text("[cserve]\napp = mysite:app\nport = 0\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "static").mkdir()
    return tmp_path


def make_venv(cserve, place):
    """Of the interpreter that cserve was built for."""
    server = harness.Server(cserve, "import sys\nprint(sys._base_executable)\n" + APP)
    try:
        python = server.output().split("\n")[0]
        server.stop()
    finally:
        server.kill()
    subprocess.run([python, "-m", "venv", "--without-pip", place / "venv"], check=True)


def run(cserve, place, words):
    """A server, or a run that ends by itself: what the page's words start, on free ports and in `place`."""
    env = {}
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        env[name] = "0" if name == "CSERVE_PORT" else value
    assert words.pop(0) == "cserve"
    if "/srv/venv" in words:
        make_venv(cserve, place)
    user = {"--user": str(os.geteuid()), "--group": str(os.getegid())}.get(words[0])
    if user:
        words[1] = user  # who runs the tests need not be root
    arguments = [
        re.sub(r":8000$", ":0", word).replace("/run/", f"{place}/run/").replace("/srv/", f"{place}/")
        for word in words
    ]
    listens = {"-b", "--bind", "--config", "--port"} & set(words) or "CSERVE_PORT" in env
    process = harness.Process(cserve, [*([] if listens else ["--port", "0"]), *arguments], place, env)
    try:
        if ENDS & set(words):
            assert process.wait() == 0, process.log()
        else:
            process.wait_output(r"^Serving HTTP on \S+ \.\.\.\n")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.log()
        assert not re.search(" (WARNING|ERROR|CRITICAL) ", process.log()), process.log()
    finally:
        process.kill()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines_start(cserve, place, command):
    run(cserve, place, shlex.split(command))


@pytest.mark.parametrize("options", OPTIONS)
def test_options_start(cserve, place, options):
    run(cserve, place, ["cserve", *shlex.split(options), "mysite:app"])


def test_the_page_has_both_servers_and_a_reason_for_each_gap():
    assert len(COMMANDS) > 12 and len(OPTIONS) > 40
    for cells in rows():
        assert len(cells) >= 2 and (cells[1] or cells[2]), cells
    for name in ("--worker-class", "--statsd-host", "on_starting", "harakiri", "emperor*", "spooler*"):
        assert f"`{name}`" in PAGE
