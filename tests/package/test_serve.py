"""serve() in a program: what it takes, and that the process is afterwards what it was."""

import os
import signal
import socket
import subprocess

import pytest

import harness

pytestmark = pytest.mark.package


def results(program, lines):
    """What a program prints that ends by itself."""
    process = program(lines)
    assert process.wait() == 0, process.log()
    return process.output().splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_returns_when_a_signal_stops_it(program, number):
    process = program("""
        print(serve(app, port=0), flush=True)
    """)
    assert int(process.wait_served()) != process.pid
    process.signal(number)
    assert process.wait() == 0 and process.output().endswith("\nNone\n")


def test_what_was_there_before_comes_back(program):
    process = program("""
        import fcntl, time

        def state():
            handlers = [signal.getsignal(number) for number in signal.valid_signals()]
            kinds = ("SigBlk", "SigIgn", "SigCgt")
            signals = [line for line in open("/proc/self/status") if line.startswith(kinds)]
            umask = os.umask(0)
            os.umask(umask)
            return handlers, signals, umask, os.getcwd(), os.listdir("/proc/self/fd"), os.environ.copy()

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
        os.mkdir("below")
        os.umask(0o22)
        signal.signal(signal.SIGTERM, lambda number, frame: print("mine", flush=True))
        before = state()
        for turn in range(2):
            serve(app, port=0, umask=0o27, chdir="below", error_logfile="errors", log_level="debug")
            print([a == b for a, b in zip(before, state())], flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    for turn in (1, 2):
        process.wait_served(turn)
        process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.log()
    assert process.output().count(str([True] * 6)) == 2, process.output()
    assert process.output().endswith("mine\ninterrupted\n") and process.log() == ""


WRONG = [
    ("prot=1", "TypeError serve() has no option prot; did you mean port?"),
    ("log_levle='info'", "TypeError serve() has no option log_levle; did you mean log_level?"),
    ("help=True", "TypeError help: this can only be given on the command line, as --help"),
    ("port='x'", 'ValueError port must be a whole number from 0 to 65535, not "x"'),
    ("port=65536", 'ValueError port must be a whole number from 0 to 65535, not "65536"'),
    ("workers=[1, 2]", "ValueError workers: one value is enough, for this is no option that may be repeated"),
    ("host=b'x'", "TypeError host: text, a path, a number or a truth value is needed, not b'x'"),
    ("reload=True", 'ValueError reload: what is served must be given by its name, as in serve("mysite:app", '
                    'reload=True): an object stays what it is'),
    ("pid='a\\0b'", "ValueError embedded null"),
]


def test_what_is_wrong_starts_nothing(program):
    calls = "\n".join(f"attempt(lambda: serve(app, {arguments}))" for arguments, _ in WRONG)
    lines = results(program, f"""
def attempt(call):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, error)

{calls}
attempt(lambda: serve(None))
attempt(lambda: serve(app, venv="/nowhere", port=0))
thread = threading.Thread(target=attempt, args=(lambda: serve(app, port=0),))
thread.start()
thread.join()
""")
    for line, (_, expected) in zip(lines, WRONG):
        assert line.startswith(expected)
    assert lines[len(WRONG) :] == [
        "TypeError an application is needed, or the name of one, not None",
        "ServerError the application was not loaded, as the error log says",
        "RuntimeError serve() takes the signals of its process: call it on the main thread",
    ]


def test_values_are_of_the_types_that_one_would_give(program, tmp_path):
    process = program("""
        import pathlib

        class Report:
            def __call__(self, environ, start_response):
                umask = os.umask(0)
                start_response("200 OK", [])
                return [repr((oct(umask), sys.path[:2], environ["wsgi.multithread"])).encode()]

        serve(Report(), bind=["127.0.0.1:0", "unix:socket"], umask=0o27, threads=1, keep_alive=0.5,
              pid=pathlib.Path("pid"), pythonpath=["a", "/b"], user=None, show_requests=False)
    """)
    assert process.wait_served() == repr(("0o27", [f"{tmp_path}/a", "/b"], False))
    assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
    assert "Serving HTTP on unix:" in process.wait_output("Serving.*Serving.*\n")[0]
    assert "application __main__:Report" in process.log()


def test_keywords_win_over_environment_and_file(program, tmp_path):
    (tmp_path / "mine.ini").write_text("[cserve]\nthreads = 7\nserver_header = file\nkeep_alive = 1\n")
    process = program(
        "serve(app, config='mine.ini', port=0, threads=3)",
        env={"CSERVE_PORT": "1", "CSERVE_SERVER_HEADER": "variable"},
    )
    process.wait_served()
    assert process.fetch()["Server"] == "variable"


def test_other_threads_go_on_and_may_get_the_signals(program):
    process = program("""
        import time
        ready, beats = threading.Event(), []

        def beat():
            while True:
                beats.append(None)
                time.sleep(0.001)

        def stop():
            ready.wait()
            while len(beats) < 100:
                time.sleep(0.001)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        for function in beat, stop:
            threading.Thread(target=function, daemon=True).start()
        beats.clear()
        ready.set()
        print(serve(app, port=0))
    """)
    assert process.wait() == 0 and process.output().endswith("None\n")


def test_children_of_the_caller_stay_the_callers(program):
    process = program("""
        import subprocess
        child = subprocess.Popen(["sleep", "1000"])
        print(child.pid, flush=True)
        serve(app, port=0)
        print(child.wait())
    """)
    process.wait_served()
    child = int(process.output().split()[0])
    os.kill(child, signal.SIGKILL)
    harness.eventually(lambda: not harness.is_alive(child))
    process.signal(signal.SIGTERM)
    assert process.wait() == 0 and process.output().endswith("\n-9\n")


def test_the_end_of_the_caller_is_not_that_of_its_workers(program, tmp_path):
    """What is to be done at exit is done once, by the process that is to do it; of a worker, its own."""
    process = program("""
        import atexit, tempfile

        class Goes:
            def __del__(self):
                print("gone", os.getpid(), flush=True)

        directory = tempfile.TemporaryDirectory(dir=".")
        goes = Goes()
        atexit.register(lambda: print("parent", os.getpid(), os.path.isdir(directory.name), flush=True))

        @cserve.post_fork
        def begin():
            atexit.register(lambda: print("worker", os.getpid(), flush=True))

        @cserve.worker_exit
        def end():
            print("exit", os.getpid(), flush=True)

        try:
            serve(app, port=0)
        finally:
            print("finally", os.getpid())
    """)
    worker = process.wait_served()
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    me = process.pid
    lines = process.output().splitlines()[1:]
    assert lines[:4] == [f"exit {worker}", f"worker {worker}", f"finally {me}", f"parent {me} True"]
    assert f"gone {worker}" not in lines


APP = """
import os
count = open("count").read().encode()

def app(environ, start_response):
    start_response("200 OK", [])
    return [count]
"""


def test_a_reload_imports_what_has_a_name_anew(program, tmp_path):
    (tmp_path / "count").write_text("first")
    (tmp_path / "served.py").write_text(APP)
    process = program("serve('served:app', port=0)")
    assert process.wait_served() == "first"
    (tmp_path / "count").write_text("second")
    process.signal(signal.SIGHUP)
    process.wait_log("INFO reloaded")
    assert process.wait_served() == "second"


def test_a_reload_forks_what_is_an_object_again(program, tmp_path):
    (tmp_path / "count").write_text("first")
    (tmp_path / "served.py").write_text(APP)
    process = program("import served; serve(served.app, port=0, preload=True)")
    assert process.wait_served() == "first"
    before = harness.children(process.pid)
    (tmp_path / "count").write_text("second")
    process.signal(signal.SIGHUP)
    process.wait_log("INFO reloaded")
    assert process.wait_served() == "first" and harness.children(process.pid) != before


def test_USR2_starts_the_program_again(program):
    process = program("print(sys.argv[1:], flush=True); serve(app, port=0)", "--argument")
    process.wait_served()
    process.signal(signal.SIGUSR2)
    heir = int(process.wait_log(r"SIGUSR2: process (\d+) starts")[1])
    process.wait_output(r"(\['--argument'\]\nServing .*){2}")
    process.signal(signal.SIGTERM)
    assert process.wait_end() == 0
    process.wait_log("the old master is gone")
    os.kill(heir, signal.SIGTERM)
    harness.eventually(lambda: not harness.is_alive(heir))


@pytest.mark.parametrize(
    "call, status, reason",
    [
        ("serve(app, port=PORT)", 1, "Address already in use"),
        ("serve('nothing:app', port=0)", 3, "there is no module nothing"),
        ("serve(coroutine, port=0)", 3, "is an ASGI application"),
    ],
)
def test_an_error_says_that_it_could_not_begin(program, call, status, reason):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = program(f"""
            async def coroutine(scope, receive, send):
                pass

            PORT = {taken.getsockname()[1]}
            try:
                {call}
            except ServerError as error:
                print(error.status)
        """)
        assert process.wait() == 0
    assert process.output() == f"{status}\n" and reason in process.log()


def test_a_worker_does_not_serve(program):
    process = program("""
        def nested(environ, start_response):
            start_response("200 OK", [])
            try:
                serve(app)
            except RuntimeError as error:
                return [str(error).encode()]

        serve(nested, port=0, threads=1)
    """)
    assert process.wait_served().startswith("serve() starts a server, but this process is a worker of one")


def test_python_m_and_the_command_are_the_same(python, cserve, tmp_path):
    outputs = {
        subprocess.check_output([*command, "--help"], cwd=tmp_path)
        for command in ([cserve], [python, "-m", "cserve"])
    }
    assert len(outputs) == 1


def test_it_is_typed(python, tmp_path):
    """With what mypy reads: the marker, and a signature or a stub of each name."""
    lines = subprocess.check_output(
        [
            python,
            "-c",
            "import cserve, inspect, pathlib\n"
            "here = pathlib.Path(cserve.__file__).parent\n"
            "print((here / 'py.typed').exists())\n"
            "stubs = (here / '_core.pyi').read_text()\n"
            "print(all(name in stubs for name in cserve.__all__))\n"
            "print(inspect.signature(cserve.serve).return_annotation)\n",
        ],
        text=True,
        cwd=tmp_path,
    )
    assert lines.splitlines() == ["True", "True", "None"]
