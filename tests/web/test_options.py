"""The command line: what it takes, what it refuses and how it says so."""

import re
import socket
import time

import pytest

import harness

APP = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"here"]
"""


@pytest.fixture(autouse=True)
def application(tmp_path):
    (tmp_path / "app.py").write_text(APP)


def urls(process):
    return harness.SERVING.findall(process.output())


def assert_usage(result, *words):
    """One line on stderr that holds all words; status 2; nothing on stdout."""
    status, output, log = result
    assert (status, output) == (2, ""), result
    assert log.startswith("cserve: ") and log.count("\n") == 1, log
    assert all(word in log for word in words), log


def options_in(markdown):
    return re.findall(r"^\| `(?:-\w, )?(--[\w-]+)", markdown, re.MULTILINE)


def test_help_shows_every_option_in_80_columns(run):
    status, output, log = run("--help")
    assert (status, log) == (0, "")
    assert all(len(line) <= 80 and line == line.rstrip() for line in output.splitlines())
    assert output == run("-h")[1]
    options = options_in(run("--help-markdown")[1])
    assert len(options) == len(set(options)) and {"--host", "--bind", "--body-buffer", "--help"} < set(
        options
    )
    assert re.findall(r"^  (?:-\w, )?(--[\w-]+)", output, re.MULTILINE) == options
    assert "--help-markdown" not in output


def test_help_tells_defaults(run):
    text = " ".join(run("--help")[1].split())
    for option, default in [
        ("--port PORT", "8888"),
        ("--host HOST", "127.0.0.1"),
        ("--keep-alive SECONDS", "15"),
        ("--limit-request-body BYTES", "1G"),
        ("--body-buffer BYTES", "256K"),
        ("--log-level LEVEL", "info"),
        ("--server-header TEXT", "cserve"),
    ]:
        description = text[text.index(option) :]
        assert re.match(r"[^()]*\(default (\S+)\)", description)[1] == default


def test_version_names_python_and_linkage(run, packaged):
    status, output, log = run("--version")
    assert (status, log) == (0, "")
    linkage = "extension module" if packaged else "(static|shared)"
    assert re.fullmatch(rf"cserve \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+\S*, {linkage}\)\n", output)


def test_help_and_version_need_no_application_and_change_nothing(run):
    assert run("--port", "1", "--version", "nothing:here")[0] == 0
    assert run("--chdir", "/nowhere", "--help")[0] == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--port", "65536"], ["--port", "0 to 65535", '"65536"']),
        (["--port", "-1"], ["--port", "0 to 65535", '"-1"']),
        (["--port", "+80"], ["--port", '"+80"']),
        (["--port", " 80"], ["--port", '" 80"']),
        (["--port", "0x50"], ["--port", '"0x50"']),
        (["--port="], ["--port", '""']),
        (["--port", "99999999999999999999"], ["--port", "0 to 65535"]),
        (["--backlog", "0"], ["--backlog", "1 to 65535"]),
        (["--limit-request-fields", "1001"], ["--limit-request-fields", "1 to 1000"]),
        (["--limit-request-field_size", "1"], ["--limit-request-field_size", "64 to 1M"]),
        (["--limit-request-field-size", "1"], ["--limit-request-field_size", "64 to 1M"]),
        (["--limit-request-body", "1X"], ["--limit-request-body", "bytes", '"1X"']),
        (["--limit-request-body", "K"], ["--limit-request-body", '"K"']),
        (["--limit-request-body", "99999999999999T"], ["--limit-request-body", "0 to 1024T"]),
        (["--keep-alive", "1.2345"], ["--keep-alive", "seconds", "0 to 86400"]),
        (["--keep-alive", "-0.5"], ["--keep-alive", "seconds"]),
        (["--keep-alive", "."], ["--keep-alive", "seconds"]),
        (["--keep-alive", "1e3"], ["--keep-alive", "seconds"]),
        (["--log-level", "warn"], ["--log-level", "critical", '"warn"', "did you mean warning"]),
        (["--log-level", "WARNING"], ["--log-level", '"WARNING"', "did you mean warning?"]),
        (["--log-level", "loud"], ["or critical, not \"loud\"\n"]),
        (["--venv="], ["--venv", "empty"]),
        (["--show-requests=yes"], ["--show-requests", "no value"]),
    ],
)
def test_bad_values(run, arguments, words):
    assert_usage(run(*arguments, "app"), *words)
    assert_usage(run("app", *arguments), *words)


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("--prot", "--port"),
        ("--bnid", "--bind"),
        ("--worker", "--workers"),
        ("--vnev", "--venv"),
        ("--access-log", "--access-logfile"),
        ("--limit-request-feilds", "--limit-request-fields"),
        ("--loglevel=x", "--log-level"),
        ("-port", "--port"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest(run, typed, meant):
    assert_usage(run(typed, "1", "app"), typed.partition("=")[0], f"did you mean {meant}?")


@pytest.mark.parametrize("typed", ["--xyzzyx", "-x", "--" + "a" * 5000])
def test_an_option_like_no_other(run, typed):
    assert_usage(run(typed, "app"), typed[:20], "--help")


@pytest.mark.parametrize("option", ["--port", "--venv", "-b"])
def test_a_forgotten_value(run, option):
    assert_usage(run("app", option), "needs a value")
    assert_usage(run("app", option, "--backlog", "5"), "needs a value")


def test_one_application_is_needed(run):
    assert_usage(run(), "no application")
    assert_usage(run("--port", "1"), "no application")
    assert_usage(run("app", "other"), '"other"', '"app"')
    assert_usage(run(""), "empty")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "0", "app"],
        ["app", "--port", "0"],
        ["--port=0", "app:app"],
        ["--port", "0", "--", "app"],
        ["--port", "1", "app", "--port", "0"],
        ["--bind", "127.0.0.1:0", "app"],
        ["-b", "127.0.0.1:0", "app"],
        ["-b127.0.0.1:0", "app"],
        ["--bind=127.0.0.1:0", "app"],
        ["--host", "localhost", "--port", "0", "app"],
    ],
)
def test_spellings(start, arguments):
    process = start(*arguments)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", urls(process)[0])
    assert process.fetch().body == b"here"


def test_nothing_is_an_option_behind_two_dashes(run):
    status, _, log = run("--port", "0", "--", "--port")
    assert status == 3 and "no module --port" in log


@pytest.mark.parametrize(
    "host, url",
    [
        ("::1", r"http://\[::1\]:\d+/"),
        ("[::1]", r"http://\[::1\]:\d+/"),
        ("127.0.0.2", r"http://127\.0\.0\.2:\d+/"),
        ("0.0.0.0", r"http://0\.0\.0\.0:\d+/"),
    ],
)
def test_host(start, host, url):
    process = start("--host", host, "--port", "0", "app")
    assert re.fullmatch(url, urls(process)[0])
    assert process.fetch().body == b"here"


def test_every_bind_is_served(serve):
    server = serve(APP, "-b", "127.0.0.1:0", "-b", "[::1]:0", "-b", "127.0.0.1:0")
    assert len({address[1] for address in server.addresses}) == 3
    for index in range(3):
        assert server.get(index=index).body == b"here"


def test_a_port_that_is_taken(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output, log = run("--port", str(port), "app")
    assert (status, output) == (1, "")
    assert f"127.0.0.1:{port}" in log and "Traceback" not in log


@pytest.mark.parametrize(
    "bind",
    ["127.0.0.1", "127.0.0.1:99999", "[::1:80", ":80:", "unix:", f"unix:/{'x' * 200}", f"{'x' * 300}:80"],
)
def test_an_address_that_is_none_is_a_bad_option(run, bind):
    status, output, log = run("--bind", bind, "app")
    assert (status, output) == (2, "") and bind in log and log.startswith("cserve: --bind: ")


@pytest.mark.parametrize("bind", ["no.such.host.invalid:80", "unix:/nowhere/at/all"])
def test_an_address_that_does_not_do(run, bind):
    status, output, log = run("--bind", bind, "app")
    assert (status, output) == (1, "") and bind in log


def test_sizes_take_suffixes(serve):
    server = serve(APP, "--limit-request-body", "1k")
    assert server.request("POST", body=b"x" * 1024).status == 200
    assert server.request("POST", body=b"x" * 1025).status == 413


@pytest.mark.parametrize(
    "option, value, target, fields, status",
    [
        ("--limit-request-line", "64", "/" + "x" * 50, [], 200),
        ("--limit-request-line", "64", "/" + "x" * 51, [], 414),
        ("--limit-request-fields", "2", "/", [("A", "1")], 200),
        ("--limit-request-fields", "2", "/", [("A", "1"), ("B", "2")], 431),
        ("--limit-request-field_size", "64", "/", [("A", "x" * 64)], 431),
        ("--limit-request-field-size", "64", "/", [("A", "x" * 64)], 431),
        ("--limit-request-head", "1K", "/", [("A", "x" * 1024)], 431),
    ],
)
def test_limits_reach_the_server(serve, option, value, target, fields, status):
    assert serve(APP, option, value).get(target, fields).status == status


@pytest.mark.parametrize(
    "option, sent",
    [
        ("--keep-alive", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("--header-timeout", b"GET / HTTP/1.1\r\nHo"),
        ("--body-timeout", b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"),
    ],
)
def test_durations_take_decimals(serve, option, sent):
    server = serve(APP, option, "0.25")
    with socket.create_connection(server.address, 10) as client:
        client.sendall(sent)
        begin = time.monotonic()
        while client.recv(65536):
            pass
        assert 0.2 < time.monotonic() - begin < 8


def test_server_header(serve):
    assert serve(APP).get()["Server"] == "cserve"
    assert serve(APP, "--server-header", "a b").get()["Server"] == "a b"
    assert serve(APP, "--server-header=").get().get("Server") is None


def test_a_server_header_cannot_end_its_field(run):
    assert_usage(run("--server-header", "a\r\nX-Forged: b", "app"), "--server-header", "control characters")


def test_log_level(serve):
    assert " INFO " in serve(APP).log()
    server = serve(APP, "--log-level", "warning")
    server.stop()
    assert server.log() == ""


def test_error_logfile(serve, tmp_path):
    log = tmp_path / "error.log"
    log.write_text("before\n")
    server = serve(APP, "--error-logfile", log)
    server.stop()
    assert server.log() == ""
    assert re.match(r"before\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[\d+\] INFO ", log.read_text())


def test_access_log_on_stdout(serve):
    server = serve(APP, "--access-logfile", "-")
    server.get("/somewhere")
    server.wait_output(r"GET /somewhere HTTP/1\.1")


def test_files_that_cannot_be_opened(run):
    assert_usage(
        run("--error-logfile", "/nowhere/log", "app"), "--error-logfile /nowhere/log", "No such file"
    )
    assert_usage(run("--chdir", "/nowhere", "app"), "--chdir /nowhere", "No such file")
    status, output, log = run("--port", "0", "--access-logfile", "/nowhere/log", "app")
    assert (status, output) == (1, "") and "/nowhere/log" in log


def test_paths_count_from_chdir(start, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "app.py").write_text(APP)
    (tmp_path / "app.py").unlink()
    process = start(
        "--chdir", "inner", "--port", "0", "--error-logfile", "log", "--access-logfile", "access", "app"
    )
    assert process.fetch().body == b"here"
    assert (inner / "log").exists() and (inner / "access").exists()
