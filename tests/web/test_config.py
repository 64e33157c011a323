"""Configuration: command line, environment and file; what is refused; --check, --print-config and reload."""

import re
import signal

import pytest

import harness

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % environ["wsgi.multithread"]]
"""


@pytest.fixture(autouse=True)
def place(tmp_path):
    """A directory with an application, for place(name, text) to write files to."""
    (tmp_path / "app.py").write_text(APP)

    def place(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return place


def assert_refused(result, *words, status=2):
    """One line on stderr that holds all words, and nothing has started."""
    assert result[:2] == (status, ""), result
    log = result[2]
    assert log.startswith("cserve: ") and log.count("\n") == 1, log
    assert all(word in log for word in words), log


def printed(run, *arguments, env=None):
    """What --print-config says: {option: [(value, source)...]}."""
    status, output, log = run("--print-config", *arguments, env=env)
    assert (status, log) == (0, ""), log
    options = {}
    for line in output.splitlines():
        name, value, source = re.fullmatch(r"(\S+) +(.*?) +((?:command|environment) .*|\S+)", line).groups()
        options.setdefault(name, []).append((value, source))
    return options


# --- who wins ---------------------------------------------------------------------------------------

# An option, its variable, and the value that each source gives, the default first.
RANKED = [
    ("threads", "CSERVE_THREADS", ["4", "5", "6", "7"]),
    ("log-level", "CSERVE_LOG_LEVEL", ["info", "error", "debug", "warning"]),
    ("keep-alive", "CSERVE_KEEP_ALIVE", ["15", "0.5", "1", "2"]),
    ("bind", "CSERVE_BIND", ["(not set)", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]),
    ("server-header", "CSERVE_SERVER_HEADER", ["cserve", "one", "two words", "three"]),
    ("preload", "CSERVE_PRELOAD", ["false", "true", "false", "true"]),
    ("app", "CSERVE_APP", ["(not set)", "one", "two", "three"]),
]


@pytest.mark.parametrize("option, variable, values", RANKED, ids=[row[0] for row in RANKED])
@pytest.mark.parametrize("given", range(8))
def test_the_stronger_source_wins(run, place, option, variable, values, given):
    file, environment, command_line = given & 1, given & 2, given & 4
    place("cserve.ini", f"[cserve]\n\n{option} = {values[1]}\n" if file else "[cserve]\n")
    flag = f"--{option}" if option == "preload" else f"--{option}={values[3]}"
    options = printed(
        run,
        "-c",
        "cserve.ini",
        *([flag] if command_line else []),
        env={variable: values[2]} if environment else {},
    )
    rank = given.bit_length()
    sources = ["default", "cserve.ini:3", f"environment variable {variable}", "command line"]
    assert options[option] == [(values[rank], sources[rank])]


def test_values_take_effect_from_each_source(start, place):
    place("c.ini", "[cserve]\napp = app\nport = 0\nserver-header = file\n")
    assert start("-c", "c.ini").fetch()["Server"] == "file"
    assert start("-c", "c.ini", env={"CSERVE_SERVER_HEADER": "variable"}).fetch()["Server"] == "variable"
    process = start("-c", "c.ini", "--server-header", "line", env={"CSERVE_SERVER_HEADER": "variable"})
    assert process.fetch()["Server"] == "line"


def test_the_environment_alone(start):
    process = start(env={"CSERVE_APP": "app", "CSERVE_BIND": "127.0.0.1:0 [::1]:0", "CSERVE_THREADS": "1"})
    assert len(harness.SERVING.findall(process.output())) == 2
    assert process.fetch().body == b"0"


def test_the_file_names_the_application_and_everything_else(start, place):
    place("c.ini", "[cserve]\napp = app:app\nbind =\n  127.0.0.1:0\n  127.0.0.2:0\nthreads = 1\n")
    process = start("--config", "c.ini")
    assert len(harness.SERVING.findall(process.output())) == 2
    assert process.fetch().body == b"0"


def test_port_on_the_command_line_is_meant_whatever_a_file_binds(start, place):
    place("c.ini", "[cserve]\nbind = 192.0.2.1:80\n")
    assert start("-c", "c.ini", "--port", "0", "app").served_at()[0] == "127.0.0.1"


# --- which file -------------------------------------------------------------------------------------


def test_setup_cfg_of_the_current_directory(run, place):
    place("setup.cfg", "[metadata]\nname = x\n\n[cserve]\nthreads = 9\n[flake8]\nthreads = 7\n")
    options = printed(run)
    assert options["threads"] == [("9", "setup.cfg:5")]
    assert options["config"] == [("setup.cfg", "default")]


def test_setup_cfg_of_chdir(run, place):
    place("setup.cfg", "[cserve]\nthreads = 9\n")
    place("inner/setup.cfg", "[cserve]\nthreads = 8\n")
    assert printed(run, "--chdir", "inner")["threads"] == [("8", "inner/setup.cfg:2")]
    assert printed(run, env={"CSERVE_CHDIR": "inner"})["threads"] == [("8", "inner/setup.cfg:2")]


def test_setup_cfg_is_not_read_with_config(run, place):
    place("setup.cfg", "[cserve]\nthreads = 9\n")
    place("c.ini", "[cserve]\n")
    assert printed(run, "-c", "c.ini")["threads"] == [("4", "default")]
    assert printed(run, "-c", "/dev/null")["threads"] == [("4", "default")]
    place("c.ini", "[other]\n")
    assert_refused(run("-c", "c.ini"), "c.ini", "no section [cserve]")


def test_setup_cfg_of_others_is_no_matter(run, place):
    place("setup.cfg", "[metadata]\ndescription = " + "x" * 5000 + "\nbroken\n  more\n")
    assert printed(run)["config"] == [("(not set)", "default")]


def test_config_counts_from_the_start_and_paths_in_it_from_chdir(start, place, tmp_path):
    place("inner/app.py", APP)
    (tmp_path / "app.py").unlink()
    place("c.ini", "[cserve]\nchdir = inner\napp = app\nport = 0\nerror-logfile = log\n")
    assert start("-c", "c.ini").fetch().status == 200
    assert (tmp_path / "inner/log").exists()


def test_config_from_the_environment(run, place):
    place("c.ini", "[cserve]\nthreads = 9\n")
    options = printed(run, env={"CSERVE_CONFIG": "c.ini"})
    assert options["threads"] == [("9", "c.ini:2")]
    assert options["config"] == [("c.ini", "environment variable CSERVE_CONFIG")]


# --- mistakes ---------------------------------------------------------------------------------------

NAMES = [
    ("wrokers", "workers"),
    ("thread", "threads"),
    ("bnid", "bind"),
    ("log-levle", "log-level"),
    ("loglevel", "log-level"),
    ("keepalive", "keep-alive"),
    ("max-request-jitter", "max-requests-jitter"),
    ("graceful-timout", "graceful-timeout"),
    ("accesslog", "access-logfile"),
    ("pidfile", "pid"),
    ("preload-app", "preload"),
    ("confg", "config"),
]


@pytest.mark.parametrize("typed, meant", NAMES)
def test_a_mistyped_name_is_answered_with_the_right_one(run, place, typed, meant):
    assert_refused(run(f"--{typed}=1", "app"), f"--{typed};", f"did you mean --{meant}?")
    variable = "CSERVE_" + typed.upper().replace("-", "_")
    right = "CSERVE_" + meant.upper().replace("-", "_")
    assert_refused(run("app", env={variable: "1"}), f" {variable}:", f"did you mean {right}?")
    if meant != "config":
        place("c.ini", f"[cserve]\nbacklog = 5\n\n{typed} = 1\n")
        assert_refused(run("-c", "c.ini", "app"), f'c.ini:4: there is no option "{typed}"', f"mean {meant}?")


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("workers", "many", ["auto or a whole number", "1 to 256", '"many"']),
        ("port", "65536", ["0 to 65535"]),
        ("timeout", "1m", ["number of seconds"]),
        ("limit-request-body", "1X", ["number of bytes"]),
        ("umask", "8", ["octal"]),
        ("log-level", "warn", ["did you mean warning?"]),
        ("forwarded-allow-ips", "10.0.0.0/99", ["10.0.0.0/99"]),
        ("venv", "", ["empty"]),
    ],
)
def test_a_bad_value_is_named_with_its_place(run, place, option, value, words):
    variable = "CSERVE_" + option.upper().replace("-", "_")
    assert_refused(run(f"--{option}={value}", "app"), f"--{option}", *words)
    assert_refused(run("app", env={variable: value}), variable, *words)
    place("c.ini", f"[cserve]\n# one\n{option} = {value}\n")
    assert_refused(run("-c", "c.ini", "app"), f"c.ini:3: {option}", *words)


def test_a_bad_value_is_found_where_a_better_one_hides_it(run, place):
    place("c.ini", "[cserve]\nthreads = none\n")
    assert_refused(run("-c", "c.ini", "--threads", "2", "app"), "c.ini:2: threads")


def test_a_file_that_cannot_be_read(run, place):
    assert_refused(run("-c", "none.ini", "app"), "--config none.ini: No such file")
    assert_refused(run("app", env={"CSERVE_CONFIG": "none.ini"}), "CSERVE_CONFIG none.ini: No such file")
    place("c.ini", "[cserve]\nthreads = 2\0\n")
    assert_refused(run("-c", "c.ini", "app"), "--config c.ini", "no text")


def test_what_is_found_wrong_later_is_named_with_its_place_too(run, place):
    place("c.ini", "[cserve]\nchdir = /nowhere\n")
    assert_refused(run("-c", "c.ini", "app"), "c.ini:2: chdir /nowhere: No such file")
    place("c.ini", "[cserve]\nerror-logfile = /nowhere/log\n")
    assert_refused(run("-c", "c.ini", "app"), "c.ini:2: error-logfile /nowhere/log: No such file")
    place("c.ini", "[cserve]\nbind =\n  127.0.0.1:0\n  127.0.0.1:99999\n")
    status, output, log = run("-c", "c.ini", "app")
    assert (status, output) == (2, "") and "c.ini:4: bind: " in log and "99999" in log
    place("c.ini", "[cserve]\nport = 0\nuser = no_such_user\n")
    status, output, log = run("-c", "c.ini", "app")
    assert (status, output) == (1, "") and "c.ini:3: user: there is no user no_such_user" in log


def test_questions_are_answered_whatever_is_configured(run, place):
    place("setup.cfg", "[cserve]\nwrokers = 4\n")
    assert run("--version", env={"CSERVE_WROKERS": "4"})[0] == 0
    assert run("--help", env={"CSERVE_WROKERS": "4"})[0] == 0


# --- --check and --print-config ---------------------------------------------------------------------


def test_check_of_what_is_in_order(run, place, tmp_path):
    place("c.ini", "[cserve]\napp = app\nbind = 127.0.0.1:1\npid = pid\naccess-logfile = access\n")
    for flag in ("--check", "--check-config"):
        status, output, log = run(flag, "-c", "c.ini", "--error-logfile", "log")
        assert status == 0 and "the application app are in order" in output, log
    assert not any((tmp_path / name).exists() for name in ("pid", "access", "log"))


@pytest.mark.parametrize(
    "source, words",
    [
        ("import not_there_at_all", "not_there_at_all"),
        ("raise ValueError('broken')", "ValueError: broken"),
        ("def app(:", "SyntaxError"),
        ("pass", "app"),
    ],
)
def test_check_of_a_broken_application(run, place, source, words):
    place("app.py", source + "\n")
    status, output, log = run("--check", "app")
    assert (status, output) == (1, "") and words in log


def test_check_of_a_bad_configuration(run, place):
    assert_refused(run("--check", "--wrokers", "2", "app"), "--workers", status=1)
    assert_refused(run("--check", "--chdir", "/nowhere", "app"), "--chdir", status=1)
    assert_refused(run("--check", "app", env={"CSERVE_WROKERS": "2"}), "CSERVE_WORKERS", status=1)
    place("c.ini", "[cserve]\nthreads = x\n")
    assert_refused(run("-c", "c.ini", "--check", "app"), "c.ini:2: threads", status=1)
    assert_refused(run("-c", "none.ini", "--check", "app"), "none.ini", status=1)
    assert_refused(run("--check"), "no application", status=1)
    status, output, log = run("--check", "--bind", "127.0.0.1:99999", "app")
    assert (status, output) == (1, "") and "--bind: " in log


def test_print_config_shows_every_option(run, place):
    documented = run("--help-markdown")[1]
    options = re.findall(r"^\| `(?:-\w, )?--([\w-]+)[^`]*` \| `CSERVE_", documented, re.MULTILINE)
    place("c.ini", "[cserve]\nserver-header =\nbind = a:1\n  b:2\npythonpath = x:y\n")
    shown = printed(run, "-c", "c.ini", "app")
    assert list(shown) == options and len(options) > 40
    assert shown["app"] == [("app", "command line")]
    assert shown["bind"] == [("a:1", "c.ini:3"), ("b:2", "c.ini:4")]
    assert shown["server-header"] == [('""', "c.ini:2")]
    assert shown["pythonpath"] == [("x:y", "c.ini:5")]
    assert shown["limit-request-head"] == [("64K", "default")]


def test_documentation_names_variable_and_key(run):
    for line in run("--help-markdown")[1].splitlines():
        if match := re.match(r"\| `(?:-\w, )?--([\w-]+)[^`]*` \| ([^|]*) \|", line):
            name, places = match.groups()
            variable = "`CSERVE_" + name.upper().replace("-", "_") + "`"
            assert places in ("", variable, f"{variable}, `{name}`")
    assert "CSERVE_LOG_LEVEL" in run("--help")[1] and "[cserve]" in run("--help")[1]


# --- reload -----------------------------------------------------------------------------------------


def hang_up(server):
    before = server.log().count("INFO reloaded")
    server.signal(signal.SIGHUP)
    harness.eventually(lambda: server.log().count("INFO reloaded") > before, 60, "a reload")


@pytest.fixture
def configured(serve, place):
    """configured(text, *options): a server with that file, which server.configure(text) writes anew."""

    def configured(text, *options):
        file = place("c.ini", f"[cserve]\n{text}\n")
        server = serve(APP, "--config", file, *options)
        server.configure = lambda text: file.write_text(f"[cserve]\n{text}\n")
        return server

    return configured


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_reload_reads_the_file(configured, options):
    server = configured("server-header = one\nlimit-request-line = 64", *options)
    assert server.get()["Server"] == "one" and server.get("/" + "x" * 60).status == 414
    server.configure("server-header = two\nthreads = 1")
    hang_up(server)
    assert server.get()["Server"] == "two" and server.get("/" + "x" * 60).status == 200
    assert server.get().body == b"0"


def test_reload_reads_setup_cfg(cserve, start, place):
    place("inner/setup.cfg", "[cserve]\nserver-header = one\n")
    place("inner/app.py", APP)
    process = start("--chdir", "inner", "--port", "0", "app")
    assert process.fetch()["Server"] == "one"
    place("inner/setup.cfg", "[cserve]\nserver-header = two\n")
    hang_up(process)
    assert process.fetch()["Server"] == "two"


def test_reload_changes_the_access_log(start, place, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    place("c.ini", "[cserve]\nport = 0\naccess-logfile = one\n")
    process = start("-c", "c.ini", "app")
    process.fetch()
    place("c.ini", "[cserve]\nport = 0\naccess-logfile = two\n")
    hang_up(process)
    process.fetch()
    harness.eventually(lambda: two.exists() and two.read_text().count("GET / ") == 1)
    assert one.read_text().count("GET / ") == 1


def test_reload_changes_the_error_log(start, place, tmp_path):
    log = tmp_path / "log"
    place("c.ini", "[cserve]\nport = 0\n")
    process = start("-c", "c.ini", "app")
    place("c.ini", "[cserve]\nport = 0\nerror-logfile = log\n")
    process.signal(signal.SIGHUP)
    harness.eventually(lambda: log.exists() and "INFO reloaded" in log.read_text(), 60)
    assert "reload" not in process.log()
    for count in range(2, 5):  # each frees a configuration whose file the log goes on to use
        process.signal(signal.SIGHUP)
        harness.eventually(lambda count=count: log.read_text().count("INFO reloaded") == count, 60)
    log.rename(tmp_path / "old")
    process.signal(signal.SIGUSR1)
    harness.eventually(lambda: log.exists() and "SIGUSR1" in log.read_text())
    place("c.ini", "[cserve]\nport = 0\nerror-logfile = log\nlog-level = error\n")
    process.signal(signal.SIGHUP)
    harness.eventually(lambda: log.read_text().count(" INFO "))
    assert process.fetch().status == 200 and "INFO reloaded" not in log.read_text()


def test_reload_changes_the_number_of_workers(configured):
    server = configured("workers = 1")
    server.configure("workers = 3")
    hang_up(server)
    harness.eventually(lambda: len(harness.children(server.pid)) == 3, 60)
    server.signal(signal.SIGTTIN)
    harness.eventually(lambda: len(harness.children(server.pid)) == 4, 60)
    hang_up(server)
    assert len(harness.children(server.pid)) == 4  # the file has not changed, so a signal's word holds
    server.configure("workers = 2")
    hang_up(server)
    harness.eventually(lambda: len(harness.children(server.pid)) == 2, 60)
    assert server.get().status == 200


def test_more_workers_wait_for_code_that_starts(configured):
    server = configured("workers = 1")
    before = harness.children(server.pid)
    app = server.cwd / "app.py"
    app.write_text("raise ValueError('broken')\n" + APP)
    server.configure("workers = 3")
    server.expect_log("ValueError: broken")
    server.expect_log("the reload has failed: the old workers go on")
    server.signal(signal.SIGHUP)
    server.check()
    assert harness.children(server.pid) == before
    app.write_text(APP)
    hang_up(server)
    harness.eventually(lambda: len(harness.children(server.pid)) == 3, 60)
    assert server.get().status == 200


def test_reload_warns_of_what_cannot_change(start, place, tmp_path):
    place("c.ini", "[cserve]\nport = 0\numask = 022\nbacklog = 10\n")
    process = start("-c", "c.ini", "app")
    place(
        "c.ini",
        "[cserve]\nport = 0\nbacklog = 10\nbind = 127.0.0.1:2\nuser = nobody\ngroup = nogroup\npid = pid\n"
        "server-header = two\n",
    )
    hang_up(process)
    warning = "WARNING SIGHUP: only a restart can change --bind, --pid, --user, --group, --umask, which stays"
    assert warning in process.log()
    assert process.fetch()["Server"] == "two" and not (tmp_path / "pid").exists()
    hang_up(process)
    assert process.log().count(warning) == 2


def test_a_bad_file_at_reload_changes_nothing(configured):
    server = configured("server-header = one")
    workers = harness.children(server.pid)
    for text, message in [
        ("server-header = two\nwrokers = 2", 'c.ini:3: there is no option "wrokers"; did you mean workers?'),
        ("server-header = two\nthreads = 0", "c.ini:3: threads must be a whole number"),
        ("server-header = two\nerror-logfile = /nowhere/log", "c.ini:3: error-logfile /nowhere/log: No such"),
    ]:
        server.configure(text)
        server.expect_log(re.escape(message))
        server.expect_log("SIGHUP: the options cannot be read again, so all stays as it is")
        server.signal(signal.SIGHUP)
        server.check()
        assert server.get()["Server"] == "one" and harness.children(server.pid) == workers
    server.configure("server-header = three")
    hang_up(server)
    assert server.get()["Server"] == "three"
