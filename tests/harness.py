"""What the black-box tests stand on: the real server binary, and a client that accepts no mistake.

`Server` runs the binary on a free port in a directory of its own and watches its log: a traceback, a
sanitizer's report or an ERROR line that the test did not announce with `expect_log` fails the test.
`Client` speaks HTTP over a bare socket, byte by byte if need be, and checks every response it
reads to the letter. Nothing here sleeps: each wait is for a condition, with a deadline.
"""

import ast
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 20.0  # seconds until a wait for something that should be immediate is given up
START_DEADLINE = 30.0
RUNNING = []  # servers that the current test may have talked to

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}"
    r" \d\d:\d\d:\d\d GMT"
)
SERVING = re.compile(r"^Serving HTTP on (\S+)", re.MULTILINE)
RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[\d+\] [A-Z]+ )", re.MULTILINE)
PROBLEM = re.compile(
    r"\[\d+\] (ERROR|CRITICAL) |Traceback \(most recent call last\)|Fatal Python error|never closed"
    r"|without being closed"
)
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error: |UndefinedBehaviorSanitizer"
)

SANITIZED = {  # the environment of a build with sanitizers
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99:quarantine_size_mb=16"
    ":allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "PYTHONMALLOC": "malloc",
}


def eventually(condition, deadline=DEADLINE, what=None):
    """Return the first true value of `condition()`; fail when there is none before the deadline."""
    pause = threading.Event()
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what or condition}")
        pause.wait(0.005)


def allow_descriptors(count):
    """Raise this process's limit of open files to at least `count` (servers inherit it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        hard = count
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Output:
    """Everything that comes out of a pipe, gathered by a thread of its own."""

    def __init__(self, pipe):
        self._changed = threading.Condition()
        self._text = ""
        self._thread = threading.Thread(target=self._gather, args=(pipe,), daemon=True)
        self._thread.start()

    def _gather(self, pipe):
        with pipe, contextlib.suppress(OSError):  # which is how a terminal ends
            while data := os.read(pipe.fileno(), 65536):
                with self._changed:
                    self._text += data.decode("utf-8", "surrogateescape")
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def text(self):
        with self._changed:
            return self._text

    def wait(self, regex, deadline=DEADLINE, start=0):
        """The first match of `regex` behind `start`; None when the deadline or the pipe's end comes first."""
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        end = time.monotonic() + deadline
        with self._changed:
            while True:
                alive = self._thread.is_alive()
                match = pattern.search(self._text, start)
                if match or not alive or time.monotonic() > end:
                    return match
                self._changed.wait(min(0.2, max(0.0, end - time.monotonic())))

    def join(self):
        """Wait for the end of the pipe: all is here afterwards."""
        self._thread.join(DEADLINE)


class Process:
    """A run of the binary, below the command `prefix` if there is one: its output, its log, its end."""

    def __init__(self, binary, arguments, cwd, env=None, prefix=()):
        self.binary = str(binary)
        self.cwd = Path(cwd)
        self.arguments = [str(argument) for argument in arguments]
        self.sanitized = is_sanitized(self.binary)
        self.status = None  # the exit status, once it was waited for
        self._popen = subprocess.Popen(
            [*prefix, self.binary, *self.arguments],
            cwd=self.cwd,
            env=self._environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.stdout = Output(self._popen.stdout)
        self.stderr = Output(self._popen.stderr)

    def _environment(self, extra):
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "CSERVE", "VIRTUAL_ENV", "LANG", "LC_"))
        }
        environment["LANG"] = "C.UTF-8"
        environment["TMPDIR"] = tempfile.gettempdir()
        if self.sanitized:
            environment.update(SANITIZED)
        environment.update({name: str(value) for name, value in extra.items() if value is not None})
        for name, value in extra.items():
            if value is None:
                environment.pop(name, None)
        return environment

    @property
    def pid(self):
        return self._popen.pid

    def output(self):
        """All of stdout so far."""
        return self.stdout.text()

    def log(self):
        """All of stderr so far: the error log, and what the application printed there."""
        return self.stderr.text()

    def wait_output(self, regex, deadline=DEADLINE):
        return self._wait(self.stdout, regex, deadline)

    def wait_log(self, regex, deadline=DEADLINE):
        """The first match of `regex` in the log; fails when the deadline passes."""
        return self._wait(self.stderr, regex, deadline)

    def _wait(self, output, regex, deadline):
        match = output.wait(regex, deadline)
        assert match, f"no {regex!r} within {deadline} s in:\n{output.text()}\n--- stderr:\n{self.log()}"
        return match

    def served_at(self):
        """The first address that it has said it serves, as socket.connect takes it."""
        return parse_address(SERVING.findall(self.output())[0])

    def fetch(self):
        """The response to a request there."""
        with Client(self.served_at()) as client:
            return client.request(make_request())

    def is_running(self):
        return self._popen.poll() is None

    def signal(self, number):
        self._popen.send_signal(number)

    def signal_group(self, number):
        """Signal it and its children, as a terminal does."""
        os.killpg(self._popen.pid, number)

    def wait_end(self, deadline=DEADLINE):
        """The exit status; processes that it leaves behind may write on."""
        try:
            self.status = self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline} s:\n{self.log()}") from None
        return self.status

    def wait(self, deadline=DEADLINE):
        """The exit status, when all output has been read."""
        self.wait_end(deadline)
        self.stdout.join()
        self.stderr.join()
        return self.status

    def check_log(self):
        """Fail if there is a problem in the log."""
        for record in RECORD.split(self.log()):
            assert not PROBLEM.search(record) and not SANITIZER.search(record), f"in the log:\n{record}"

    def kill(self):
        """End it and all its children, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class Server(Process):
    """A server on a free port, ready to answer when the constructor returns.

    `app` is source text (written to app.py, its callable named `app`), the path of a module, or
    anything else that the command line takes (`module:attribute`). `options` go before it.
    """

    def __init__(self, binary, app, options=(), env=None, cwd=None):
        cwd = Path(cwd or tempfile.mkdtemp(prefix="cserve-test-"))
        options = [str(option) for option in options]
        self.access_log = cwd / "access.log"
        self._expected = []
        self._allowed = []
        self._sanitizer_allowed = False
        self._checked = 0
        arguments = [*self._defaults(options), *options, self._spec(app, cwd)]
        super().__init__(binary, arguments, cwd, env)
        try:
            self.addresses = self._wait_ready(max(1, sum(option in ("-b", "--bind") for option in options)))
        except BaseException:
            self.kill()
            raise

    def _defaults(self, options):
        if not {"-b", "--bind", "--port"} & set(options):
            yield from ("--port", "0")
        if "--access-logfile" not in options:
            yield from ("--access-logfile", str(self.access_log))

    @staticmethod
    def _spec(app, cwd):
        if isinstance(app, Path):
            return str(app)
        if "\n" not in app:
            return app
        (cwd / "app.py").write_text(app)
        return "app"

    def _wait_ready(self, count):
        addresses = []
        while len(addresses) < count:
            start = self.stdout.wait(
                r"(^Serving HTTP on \S+.*?\n.*?){%d}" % (len(addresses) + 1), START_DEADLINE
            )
            assert start, f"did not start: {self.arguments}\n{self.output()}\n--- stderr:\n{self.log()}"
            addresses = [parse_address(text) for text in SERVING.findall(self.output())]
        return addresses

    # Where it is.

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def connect(self, index=0, **options):
        """A new connection, as a Client."""
        return Client(self.addresses[index], **options)

    def request(self, method="GET", target="/", fields=(), body=b"", version="1.1", index=0, **options):
        """One request on a connection of its own; its checked Response, with the connection closed."""
        with self.connect(index, **options) as client:
            return client.request(make_request(method, target, fields, body, version), method=method)

    def get(self, target="/", fields=(), **options):
        return self.request("GET", target, fields, **options)

    # What it is made of.

    @property
    def pids(self):
        """The master's pid, then its workers'."""
        return [self.pid, *children(self.pid)]

    @property
    def worker(self):
        """The pid of its first worker."""
        return eventually(lambda: children(self.pid), what="a worker")[0]

    def rss_kb(self):
        """Resident memory of the worker, in KiB."""
        return status_kb(self.worker, "VmRSS")

    def private_kb(self):
        """Memory of the worker that it shares with nobody, in KiB."""
        rollup = Path(f"/proc/{self.worker}/smaps_rollup").read_text()
        return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", rollup, re.MULTILINE))

    # What it says.

    def access_lines(self):
        """The whole lines of the access log so far: a reader may come in the middle of a write."""
        if not self.access_log.exists():
            return []
        text = self.access_log.read_bytes().decode("latin-1")
        return text[: text.rfind("\n") + 1].splitlines()

    def wait_access(self, count, deadline=DEADLINE):
        """The access log when it has at least `count` lines."""
        return eventually(
            lambda: len(lines := self.access_lines()) >= count and lines,
            deadline,
            f"{count} access log lines, only {self.access_lines()}",
        )

    def expect_log(self, regex):
        """Announce that log records that match are right; at least one must come, and is waited for."""
        self._expected.append(re.compile(regex, re.DOTALL))

    def allow_log(self, regex):
        """Announce that log records that match are right, should one come."""
        self._allowed.append(re.compile(regex, re.DOTALL))

    def allow_sanitizer(self):
        """Announce that the sanitizers will rightly report: the test makes the process crash."""
        self._sanitizer_allowed = True

    def check(self):
        """Fail if the log holds a problem that was not announced, or lacks what was."""
        expected, self._expected = self._expected, []
        start = self._checked
        for regex in expected:
            match = self.stderr.wait(regex.pattern, start=start)
            assert match, f"not in the log: {regex.pattern!r}\n{self.log()[start:]}"
        log = self.log()
        self._checked = log.rfind("\n") + 1
        for record in RECORD.split(log[start:]):
            assert self._sanitizer_allowed or not SANITIZER.search(record), f"sanitizer:\n{record}"
            right = (*expected, *self._allowed)
            if PROBLEM.search(record) and not any(regex.search(record) for regex in right):
                raise AssertionError(f"unexpected in the log:\n{record}")

    def stop(self, deadline=DEADLINE):
        """SIGTERM; fails unless it ends with exit status 0. Nothing if the test saw its end by `wait`."""
        if self.status is not None:
            return
        if self.is_running():
            self.signal(signal.SIGTERM)
        try:
            status = self.wait(deadline)
            assert status == 0, f"exit status {status}\n{self.log()[-8000:]}"
        finally:
            self.kill()


def server_factory(binary, make_directory):
    """serve(app, *options, env={}), which starts a server, and stop(), which stops all that it started."""
    servers = []

    def serve(app, *options, env=None):
        server = Server(binary, app, options, env, make_directory())
        servers.append(server)
        RUNNING.append(server)
        return server

    def stop():
        failures = []
        for server in reversed(servers):
            RUNNING.remove(server)
            for step in (server.stop, server.check):
                try:
                    step()
                except AssertionError as failure:
                    failures.append(f"{failure}")
            server.kill()
        assert not failures, "\n".join(failures)

    return serve, stop


class Gate:
    """What an application waits at until the test lets it go on."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDWR)

    def wait_until_reached(self):
        """Until an application waits here (or is just about to)."""
        eventually(
            lambda: any(str(self.path) == link for pid in all_children(os.getpid()) for link in links(pid)),
            what="an application at the gate",
        )

    def open(self):
        """Let one waiting application pass."""
        os.write(self.descriptor, b"!")

    def release(self):
        """Let all pass, so that a failed test blocks no other; also those yet to come."""
        os.write(self.descriptor, b"!" * 100)


def start_host(serve, *options, env=None):
    """A server for the tiny applications of tests/wsgi/apps."""
    return serve("apps.host:app", "--pythonpath", str(ROOT / "tests" / "wsgi"), *options, env=env)


def is_sanitized(binary):
    """Whether the binary is a build with AddressSanitizer."""
    return b"__asan_init" in Path(binary).read_bytes()


def is_package(cserve):
    """Whether it is the package's command, a Python script, and not the binary."""
    with open(cserve, "rb") as file:
        return file.read(2) == b"#!"


def interpreters():
    """One for each Python from 3.10 on that has headers: on PATH, or below ~/.pyenv/versions."""
    candidates = [
        shutil.which(f"python3.{minor}", path=directory)
        for minor in range(10, 15)
        for directory in os.environ["PATH"].split(os.pathsep)
    ]
    candidates += sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    probe = (
        "import os, sys, sysconfig; assert sys.version_info >= (3, 10); "
        "assert os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')); "
        "print(os.path.realpath(os.path.join(sys.base_prefix, 'bin/python%d.%d' % sys.version_info[:2])))"
    )
    found = {}
    for candidate in filter(None, candidates):
        result = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
        if result.returncode == 0:
            found.setdefault(result.stdout.strip(), None)
    return sorted(found)


def parse_address(text):
    """What the server says it serves on, as socket.connect takes it."""
    if match := re.fullmatch(r"http://\[([0-9a-f:.]+)\]:(\d+)/?", text):
        return match[1], int(match[2])
    if match := re.fullmatch(r"http://([^/:]+):(\d+)/?", text):
        return "127.0.0.1" if match[1] == "0.0.0.0" else match[1], int(match[2])
    match = re.fullmatch(r"(?:http\+)?unix:(?://)?(/[^ ]+?)", text)
    assert match, f"not an address: {text!r}"
    return match[1]


def children(pid):
    """The pids of the child processes of `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(entry.name))
    return sorted(found)


def all_children(pid):
    """The pids of the processes below `pid`, at any depth."""
    below = children(pid)
    return below + [each for child in below for each in all_children(child)]


def links(pid):
    """Where the descriptors of a process lead to."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(entry))
    return found


def is_alive(pid):
    """Whether there is such a process, and not only what is left of it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def status_kb(pid, name):
    """A field of /proc/PID/status that is in kB."""
    return int(re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def measure_for(seconds):
    """Let time pass that a test measures with, or that makes a peer slow; never wait by it."""
    threading.Event().wait(seconds)


def is_idle(pid, seconds=0.1):
    """Whether a process uses next to no processor time, seen over this while."""

    def ticks():
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = ticks()
    measure_for(seconds)
    return ticks() - before <= 1


def make_request(method="GET", target="/", fields=(), body=b"", version="1.1"):
    """The bytes of a request; adds Host, and Content-Length when there is a body, unless they are given."""
    fields = list(fields.items() if isinstance(fields, dict) else fields)
    names = {name.lower() for name, _ in fields}
    if "host" not in names and version == "1.1":
        fields.insert(0, ("Host", "localhost"))
    if body and not names & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*chunks):
    """Chunked content of these chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def outcome(line):
    """The last word of an access log line: how the request ended."""
    return line.rsplit(" ", 1)[1]


class Response:
    """A response: all of it, unless it came as `cut.response` of Truncated."""

    def __init__(self, status, reason, fields):
        self.status = status
        self.reason = reason
        self.fields = fields  # (name, value) in order, as received
        self.body = b""
        self.interim = []  # the 1xx responses before it
        self.framing = None  # "length", "chunked", "close" or "none"
        self.chunks = []  # the chunks of a chunked body, as the server cut them

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name):
        """The value of a field that must be there exactly once."""
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def get(self, name, default=None):
        return self[name] if self.all(name) else default

    def connection(self):
        """The tokens of Connection, in lower case."""
        return {token.strip().lower() for value in self.all("Connection") for token in value.split(",")}

    @property
    def text(self):
        return self.body.decode()

    def literal(self):
        """The Python literal that a test's application answered."""
        assert self.status == 200, self
        return ast.literal_eval(self.text)

    def __repr__(self):
        return f"<Response {self.status} {self.reason!r} {self.fields} {self.body[:200]!r}>"


class Truncated(Exception):
    """The connection ended within a response. `response` is what came of it; None: not even its head."""

    def __init__(self, response, rest, reset):
        super().__init__(f"{response} then {rest[:200]!r}, {'reset' if reset else 'end'}")
        self.response = response
        self.rest = rest
        self.reset = reset


class Client:
    """One connection. Reads are strict: what is not well-formed fails the test."""

    def __init__(self, address, timeout=DEADLINE, receive_buffer=None, source=None):
        family = (
            socket.AF_UNIX
            if isinstance(address, str)
            else socket.AF_INET6
            if ":" in address[0]
            else socket.AF_INET
        )
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()  # received and not yet asked for
        self.ended = False
        self.reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def port(self):
        """This side's port."""
        return self.socket.getsockname()[1]

    # Sending.

    def send(self, data):
        self.socket.sendall(data)

    def send_each(self, pieces):
        """Send each piece as a segment of its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def end(self):
        """Half-close: nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def abort(self):
        """Close with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Receiving.

    def receive(self, size=65536):
        """Bytes as they come; b'' at the end, also after a reset."""
        return self._take(size) if self.buffer else self._receive(size)

    def _take(self, size):
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def _receive(self, size=1 << 18):
        if self.ended:
            return b""
        try:
            data = self.socket.recv(size)
        except (ConnectionResetError, BrokenPipeError):
            self.reset = True
            data = b""
        except TimeoutError:
            got = bytes(self.buffer[:500])
            raise AssertionError(f"no answer in {self.socket.gettimeout()} s, only {got!r}") from None
        self.ended = not data
        return data

    def fill(self, size=1 << 18):
        """Receive up to `size` more bytes, for later; False at the end."""
        data = self._receive(size)
        self.buffer += data
        return bool(data)

    def _more(self, response=None):
        if not self.fill():
            raise Truncated(response, bytes(self.buffer), self.reset)

    def receive_until(self, marker):
        """Bytes up to and with `marker`."""
        while marker not in self.buffer:
            self._more()
        return self._take(self.buffer.index(marker) + len(marker))

    def is_silent(self, seconds=0.05):
        """Whether nothing is there and nothing comes, not even the end, within this time."""
        if self.buffer or self.ended:
            return False
        timeout = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.buffer += self.socket.recv(65536)
            self.ended = not self.buffer
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(timeout)

    def expect_end(self, reset=False):
        """The server closes the connection without another byte, and (unless `reset`) cleanly."""
        rest = bytes(self.buffer)
        while data := self._receive():
            rest += data
        assert rest == b"", f"extra bytes: {rest[:500]!r}"
        assert reset or not self.reset, "connection was reset"

    def request(self, data, method=None):
        """Send one request; its response, behind which no further byte may have come."""
        self.send(data)
        response = self.response(method or data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1"))
        assert not self.buffer, f"extra bytes: {bytes(self.buffer[:500])!r}"
        return response

    def response(self, method="GET"):
        """Read one response to a request of this method, with the interim ones before it."""
        interim = []
        while 100 <= (head := self.response_head()).status < 200:
            assert not head.fields, f"fields in {head}"
            interim.append(head)
        head.interim = interim
        return self.response_body(head, method)

    def response_head(self):
        """Read one head and check it; its body is still to be read."""
        head = self.receive_until(b"\r\n\r\n")[:-4]
        assert b"\n" not in head.replace(b"\r\n", b"") and b"\r" not in head.replace(b"\r\n", b""), head
        status_line, *lines = head.split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) ([\t \x21-\x7e\x80-\xff]*)", status_line)
        assert match, f"bad status line {status_line!r}"
        fields = []
        for line in lines:
            field = re.fullmatch(
                rb"(" + TOKEN + rb"): ?((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)", line
            )
            assert field, f"bad field {line!r}"
            fields.append((field[1].decode("latin-1"), field[2].decode("latin-1")))
        response = Response(int(match[1]), match[2].decode("latin-1"), fields)
        if response.status >= 200:
            self._check_fields(response)
        return response

    @staticmethod
    def _check_fields(response):
        assert DATE.fullmatch(response["Date"]), response
        for name in ("Content-Length", "Transfer-Encoding", "Server", "Connection"):
            assert len(response.all(name)) <= 1, response
        length, coding = response.get("Content-Length"), response.get("Transfer-Encoding")
        assert length is None or re.fullmatch(r"0|[1-9]\d*", length), response
        assert coding in (None, "chunked"), response
        assert length is None or coding is None, response
        if response.status == 204:
            assert length is None and coding is None, response

    def response_body(self, response, method="GET"):
        """Read the body that belongs to a head."""
        if method == "HEAD" or response.status in (204, 304):
            response.framing = "none"
        elif response.get("Transfer-Encoding"):
            response.framing = "chunked"
            self._read_chunks(response)
        elif response.get("Content-Length") is not None:
            response.framing = "length"
            self._read_length(response, int(response["Content-Length"]))
        else:
            response.framing = "close"
            assert "close" in response.connection(), f"close-delimited without saying so: {response}"
            self._read_close(response)
        return response

    def _read_chunks(self, response):
        try:
            while chunk := self.chunk(response):
                response.chunks.append(chunk)
        finally:
            response.body = b"".join(response.chunks)

    def chunk(self, response=None):
        """Read one chunk; b'' for the last."""
        while b"\r\n" not in self.buffer:
            self._more(response)
        line = self._take(self.buffer.index(b"\r\n") + 2)[:-2]
        assert re.fullmatch(rb"[0-9a-fA-F]+", line), f"bad chunk size {line!r}"
        size = int(line, 16)
        while len(self.buffer) < size + 2:
            self._more(response)
        data, end = self._take(size), self._take(2)
        assert end == b"\r\n", f"bad end of chunk {end!r}"
        return data

    def _read_length(self, response, length):
        parts = [self._take(length)]
        missing = length - len(parts[0])
        while missing:
            data = self._receive(min(missing, 1 << 18))
            if not data:
                response.body = b"".join(parts)
                raise Truncated(response, b"", self.reset)
            parts.append(data)
            missing -= len(data)
        response.body = b"".join(parts)

    def _read_close(self, response):
        parts = [self._take(len(self.buffer))]
        while data := self._receive():
            parts.append(data)
        response.body = b"".join(parts)
        if self.reset:
            raise Truncated(response, b"", True)
