"""The interpreter inside: it should be what the application's own python would be."""

import json
import os
import re
import shutil
import subprocess

import pytest

import harness

# What can be told of an interpreter, as JSON.
FACTS = """
import faulthandler, json, os, signal, site, sys
def facts():
    return {
        "version": sys.version, "executable": sys.executable, "base_executable": sys._base_executable,
        "prefix": sys.prefix, "exec_prefix": sys.exec_prefix, "base_prefix": sys.base_prefix,
        "base_exec_prefix": sys.base_exec_prefix, "path": sys.path, "flags": list(sys.flags),
        "argv": sys.argv,
        "orig_argv": sys.orig_argv, "encodings": [sys.getfilesystemencoding(), sys.stdout.encoding],
        "user_site": site.ENABLE_USER_SITE, "warnoptions": sys.warnoptions, "prefixes": site.PREFIXES,
        "dont_write_bytecode": sys.dont_write_bytecode, "implementation": sys.implementation.cache_tag,
        "main": "__main__" in sys.modules,
        "digits": sys.get_int_max_str_digits(),
    }
"""
APP = FACTS + """
def app(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps(facts()).encode()]
"""


def facts_of(python, **env):
    """The facts of an interpreter run by itself."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "LANG", "LC_"))
    }
    source = FACTS + "print(json.dumps(facts()))"
    return json.loads(
        subprocess.check_output([python, "-c", source], env={**environment, "LANG": "C.UTF-8", **env})
    )


def facts_in(server):
    return json.loads(server.get().body)


@pytest.fixture(scope="module")
def python(cserve, tmp_path_factory):
    """The interpreter that cserve was built for."""
    factory, stop = harness.server_factory(cserve, lambda: tmp_path_factory.mktemp("python"))
    executable = facts_in(factory(APP))["executable"]
    stop()
    return executable


@pytest.fixture(scope="module")
def maker(python):
    """What made the environment that this interpreter is in, or itself."""
    return facts_of(python)["base_executable"]


@pytest.fixture
def venv(python, tmp_path):
    """A virtual environment of that interpreter, with a module that is only there."""
    return make_venv(python, tmp_path / "venv")


def make_venv(python, directory):
    subprocess.run([python, "-m", "venv", "--without-pip", directory], check=True)
    next(directory.glob("lib/python3*/site-packages")).joinpath("only_here.py").write_text("")
    return directory


@pytest.fixture
def refuse(cserve, tmp_path):
    """refuse(option..., env={}): the log of a start that fails because of the environment."""
    (tmp_path / "app.py").write_text(APP)
    processes = []

    def refuse(*options, env=None):
        process = harness.Process(cserve, [*options, "--port", "0", "app"], tmp_path, env)
        processes.append(process)
        assert process.wait() == 3 and process.output() == ""
        assert "Traceback" not in process.log()
        return process.log()

    yield refuse
    for process in processes:
        process.kill()


def edit_cfg(venv, pattern, replacement):
    cfg = venv / "pyvenv.cfg"
    text, count = re.subn(pattern, replacement, cfg.read_text(), flags=re.MULTILINE)
    assert count == 1, cfg.read_text()
    cfg.write_text(text)


def assert_uses(server, venv):
    """The server runs in this environment, and could as well be the environment's own python."""
    facts = facts_in(server)
    assert facts["executable"] == str(venv / "bin/python")
    assert facts["prefix"] == facts["exec_prefix"] == str(venv)
    assert any(path.startswith(str(venv)) for path in facts["path"])
    return facts


SAME = [
    "version",
    "executable",
    "base_executable",
    "prefix",
    "exec_prefix",
    "base_prefix",
    "base_exec_prefix",
    "flags",
    "encodings",
    "user_site",
    "warnoptions",
    "dont_write_bytecode",
    "prefixes",
    "implementation",
    "main",
    "digits",
]


def test_without_environment_it_is_the_interpreter_that_it_was_built_for(serve, python, cserve):
    inside, alone = facts_in(serve(APP)), facts_of(python)
    assert {name: inside[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert inside["path"][1:] == alone["path"][1:]
    version = subprocess.check_output([cserve, "--version"], text=True)
    assert f"(Python {inside['version'].split()[0]}, " in version


def test_in_an_environment_it_is_that_interpreter(serve, venv):
    inside, alone = facts_in(serve(APP, "--venv", venv)), facts_of(venv / "bin/python")
    assert {name: inside[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert inside["path"][1:] == alone["path"][1:]


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"PYTHONHASHSEED": "7"},
        {"PYTHONUTF8": "1"},
        {"PYTHONWARNINGS": "error,ignore::DeprecationWarning"},
        {"PYTHONNOUSERSITE": "1"},
        {"LANG": "C"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONPATH": "/one:/two"},
    ],
)
def test_environment_variables_count(serve, python, env):
    inside, alone = facts_in(serve(APP, env=env)), facts_of(python, **env)
    assert {name: inside[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert inside["path"][1:] == alone["path"][1:]


def test_VIRTUAL_ENV_is_used(serve, venv):
    assert_uses(serve("import only_here\n" + APP, env={"VIRTUAL_ENV": venv}), venv)


def test_an_empty_VIRTUAL_ENV_is_none(serve, python):
    assert facts_in(serve(APP, env={"VIRTUAL_ENV": ""}))["executable"] == python


@pytest.mark.binary
@pytest.mark.parametrize("place", ["bin", "."])
@pytest.mark.parametrize("how", [os.symlink, shutil.copy])
def test_an_environment_around_the_executable_is_used(cserve, venv, tmp_path, how, place):
    inside = venv / place / "cserve"
    how(cserve, inside)
    server = harness.Server(inside, "import only_here\n" + APP)
    assert_uses(server, venv)
    server.stop()


def test_the_order_of_environments(cserve, python, packaged, tmp_path):
    option, variable, around = (
        make_venv(python, tmp_path / name) for name in ("option", "variable", "around")
    )
    inside = around / "bin/cserve"
    inside.symlink_to(cserve)
    for options, env, expected in [
        *([([], {}, around)] if not packaged else []),  # whose interpreter has its own around it
        ([], {"VIRTUAL_ENV": variable}, variable),
        (["--venv", option], {"VIRTUAL_ENV": variable}, option),
    ]:
        server = harness.Server(inside, APP, options, env)
        assert_uses(server, expected)
        server.stop()


def test_an_environment_may_be_named_relatively(serve, venv):
    (venv.parent / "app.py").write_text("import only_here\n" + APP)
    assert_uses(serve("app", "--chdir", venv.parent, "--venv", venv.name), venv)


@pytest.mark.parametrize(
    "line", ["version = 3.9.1", "version = 3.1", "version=2.7.18", "version_info = 3.99.0.final.0"]
)
def test_an_environment_of_another_version_is_refused(refuse, maker, packaged, venv, line):
    edit_cfg(venv, r"^version\s*=.*$", line)
    for log in refuse("--venv", venv), refuse(env={"VIRTUAL_ENV": venv}):
        theirs = line.partition("=")[2].strip()
        ours = re.search(r"Python (3\.\d+\.\d+\S*) \(" + re.escape(maker), log)
        assert ours, log
        assert f"Python {theirs}," in log and str(venv) in log
        remedy = f"{venv}/bin/python -m pip install cserve" if packaged else f"make PYTHON={venv}/bin/python"
        assert remedy in log
    assert "from --venv" in refuse("--venv", venv) and "from VIRTUAL_ENV" in refuse(env={"VIRTUAL_ENV": venv})


@pytest.mark.binary
def test_an_environment_around_the_executable_that_does_not_fit_is_refused_too(cserve, venv):
    edit_cfg(venv, r"^version\s*=.*$", "version = 3.9.1")
    (venv / "bin/cserve").symlink_to(cserve)
    process = harness.Process(venv / "bin/cserve", ["app"], venv)
    assert process.wait() == 3 and "Python 3.9.1" in process.log() and "from pyvenv.cfg" in process.log()


@pytest.mark.parametrize("line", ["version_info = {0}.{1}.{2}.final.0", "VERSION  =  {0}.{1}", "#"])
def test_other_makers_of_environments_write_other_lines(serve, venv, python, line):
    version = facts_of(python)["version"].split()[0].split(".")
    edit_cfg(venv, r"^version\s*=.*$", line.format(*version))
    assert_uses(serve("import only_here\n" + APP, "--venv", venv), venv)


def test_an_environment_for_the_other_kind_of_threads_is_refused(refuse, venv):
    """Free-threaded or not: the modules of either would not be found, or not fit."""
    lib = next((venv / "lib").glob("python3*"))
    lib.rename(lib.with_name(lib.name.removesuffix("t") if lib.name.endswith("t") else lib.name + "t"))
    assert re.search(r"is for Python \S+, but this cserve has Python \S+ \(", refuse("--venv", venv))


def test_an_environment_that_does_not_tell_its_version_is_known_by_its_packages(refuse, venv):
    edit_cfg(venv, r"^version\s*=.*$", "")
    next((venv / "lib").glob("python3*")).rename(venv / "lib/python3.9")
    assert "of an unknown version" in refuse("--venv", venv)


def test_an_environment_that_is_none_is_refused(refuse, venv, tmp_path):
    assert "No such file" in refuse("--venv", tmp_path / "missing")
    assert "no virtual environment" in refuse("--venv", tmp_path)
    shutil.rmtree(venv / "bin")
    assert "no working bin/python" in refuse("--venv", venv)


def test_an_environment_without_its_python_is_refused(refuse, venv):
    for name in (venv / "bin").glob("python*"):
        name.unlink()
        name.symlink_to("/nowhere/python")
    assert "no working bin/python" in refuse("--venv", venv)


@pytest.mark.binary
def test_an_environment_of_another_installation_is_used_with_our_library(
    serve, refuse, python, venv, tmp_path
):
    edit_cfg(venv, r"^home\s*=.*$", f"home = {tmp_path}")
    if int(facts_of(python)["version"].split(".")[1]) >= 14:  # that Python offers no way to do it
        assert "another installation" in refuse("--venv", venv)
        return
    server = serve("import only_here, ssl, decimal, ctypes, asyncio\n" + APP, "--venv", venv)
    facts = assert_uses(server, venv)
    alone = facts_of(python)
    assert facts["base_prefix"] == alone["base_prefix"] and facts["base_executable"] == alone["executable"]
    assert facts["prefixes"] == [str(venv)]


def test_PYTHONHOME_does_not_hide_the_environment(serve, python, venv):
    home = facts_of(python)["base_prefix"]
    server = serve("import only_here\n" + APP, "--venv", venv, env={"PYTHONHOME": home})
    assert_uses(server, venv)
    assert f"WARNING PYTHONHOME={home} is dropped" in server.log()


@pytest.mark.binary
def test_a_wrong_PYTHONHOME_is_an_error_that_names_it(refuse, tmp_path):
    assert f"PYTHONHOME ({tmp_path})" in refuse(env={"PYTHONHOME": tmp_path})


def test_path_begins_with_the_directory_then_pythonpath(serve, tmp_path):
    server = serve(
        APP, "--pythonpath", f"lib:{tmp_path}", "--pythonpath", "/more::", env={"PYTHONPATH": "/variable"}
    )
    cwd = str(server.cwd)
    assert facts_in(server)["path"][:5] == [cwd, f"{cwd}/lib", str(tmp_path), "/more", "/variable"]


def test_argv_is_the_command_line(serve, cserve, packaged):
    server = serve(APP, "--server-header", "päth \N{SNOWMAN}", "--keep-alive=3")
    facts = facts_in(server)
    assert facts["argv"] == [str(cserve), *server.arguments]
    assert facts["orig_argv"][packaged:] == facts["argv"]


def test_arguments_that_are_no_text_pass_through(serve):
    server = serve(APP, "--pythonpath", os.fsdecode(b"/tmp/\xff\xfe"))
    assert facts_in(server)["path"][1] == os.fsdecode(b"/tmp/\xff\xfe")


def test_a_file_that_could_serve_itself_is_served(serve):
    server = serve("""
import cserve
from cserve import RequestTimeout, ServerError, client_disconnected, post_fork, serve, worker_exit

def app(environ, start_response):
    start_response("200 OK", [])
    try:
        serve(app, port=0)
    except RuntimeError as error:
        return [f"{cserve.__version__} {error}".encode()]

if __name__ == "__main__":
    serve(app)
""")
    assert re.match(r"\d+\.\d+\.\d+ serve\(\) starts a server, but this", server.get().text)


@pytest.mark.binary
def test_the_binary_has_its_own_module_even_where_the_package_is_installed(serve, tmp_path):
    (tmp_path / "cserve").mkdir()
    (tmp_path / "cserve/__init__.py").write_text("raise RuntimeError('of another interpreter')\n")
    app = APP.replace("import faulthandler", "from cserve import serve\nimport faulthandler")
    assert serve(app, "--pythonpath", tmp_path).get().status == 200


def test_modules_in_C_load(serve):
    names = [
        "ssl",
        "ctypes",
        "decimal",
        "zlib",
        "hashlib",
        "asyncio",
        "multiprocessing",
        "unicodedata",
        "array",
        "select",
    ]
    assert serve(f"import {', '.join(names)}\n" + APP).get().status == 200


def test_processes_can_be_spawned(serve):
    server = serve("""
import math, multiprocessing

def app(environ, start_response):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.map(math.sqrt, [16.0])
    start_response("200 OK", [])
    return [repr(result).encode()]
""")
    assert server.get().body == b"[4.0]"


FORKS = """
import multiprocessing, time

fork = multiprocessing.get_context("fork")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/pool":
        with fork.Pool(2) as pool:
            result = pool.map(abs, [-1, -2])
    else:
        child = fork.Process(target=time.sleep, args=(600,), daemon=True)
        child.start()
        result = child.pid
        if environ["PATH_INFO"] == "/terminate":
            child.terminate()
            child.join()
            result = child.exitcode
    start_response("200 OK", [])
    return [repr(result).encode()]
"""


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_forked_processes_can_be_terminated(serve, options):
    """They do not have the worker's handlers: multiprocessing waits for those that it has ended."""
    server = serve(FORKS, *options)
    server.allow_log("this process is multi-threaded")
    for _ in range(8):
        assert server.get("/terminate").body == b"-15"
        assert server.get("/pool").body == b"[1, 2]"


def test_forked_processes_end_with_the_worker(serve):
    server = serve(FORKS)
    server.allow_log("this process is multi-threaded")
    child = int(server.get("/child").text)
    server.stop()
    assert not harness.is_alive(child)


def test_a_subprocess_runs_the_same_python(serve):
    server = serve("""
import subprocess, sys

def app(environ, start_response):
    start_response("200 OK", [])
    output = subprocess.check_output([sys.executable, "-c", "import sys; print(sys.version, end='')"])
    return [output + sys.version.encode()]
""")
    body = server.get().text
    assert body[: len(body) // 2] == body[len(body) // 2 :]


def test_signals_are_not_pythons_but_can_be_taken(serve):
    server = serve("""
import os, signal, threading
got = threading.Event()
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
signal.signal(signal.SIGALRM, lambda number, frame: got.set())

def app(environ, start_response):
    os.kill(os.getpid(), signal.SIGALRM)
    caught = got.wait(10)
    start_response("200 OK", [])
    return [repr((before[0] is signal.default_int_handler, before[1], caught)).encode()]
""")
    assert server.get().text == "(False, <Handlers.SIG_DFL: 0>, True)"


def test_faulthandler_is_on_and_can_be_replaced(serve):
    server = serve("""
import faulthandler, signal
enabled = faulthandler.is_enabled()
faulthandler.disable()
faulthandler.enable(open("faults", "w"))

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(enabled).encode()]
""")
    assert server.get().body == b"True"


def test_output_leaves_line_by_line(serve):
    server = serve("""
import sys

def app(environ, start_response):
    print("one line")
    print("one more", file=sys.stderr)
    start_response("200 OK", [])
    return [repr((sys.stdout.line_buffering, sys.stderr.line_buffering)).encode()]
""")
    assert server.get().text == "(True, True)"
    server.wait_output("^one line$")
    server.wait_log("^one more$")


def connect(path):
    try:
        return harness.Client(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_do_no_harm(cserve, tmp_path, closed):
    (tmp_path / "app.py").write_text(APP)
    socket_path = tmp_path / "socket"
    process = harness.Process(
        "/bin/sh",
        ["-c", f'exec "$@" {closed}', "sh", cserve, "--bind", f"unix:{socket_path}", "app"],
        tmp_path,
        {"ASAN_OPTIONS": "detect_leaks=0"},
    )
    try:
        with harness.eventually(lambda: connect(str(socket_path)), what="the socket") as client:
            assert client.request(harness.make_request()).status == 200
        process.signal(15)
        assert process.wait() == 0
    finally:
        process.kill()
