"""The servers: a table of what is measured, and how each is started, made ready and stopped.

Fairness, in one place: one worker, keep-alive on, no access log, room for all connections, and as many
threads as the server's documentation recommends, unless the scenario sets their number for all servers alike.
"""

import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path

import processes
import requests
from fetch import Connection, Wrong

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THIS_REPOSITORY = "."
START_SECONDS = 20
POLL_SECONDS = 0.005
TOLD_LINES = 3  # of the log of a server that failed

CONNECTIONS = "connections"  # a number of threads: as many as the scenario has connections
MOST_THREADS = 1024
GUNICORN_PARSER = "gunicorn_h1c==0.6.14"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A row of the table. What the command may hold in braces stands in `command_of`."""

    name: str
    requirement: str  # what pip installs; "" for nothing
    command: str
    threads: object = None  # recommended; None: its own choice
    threads_option: str = ""  # "": it has no threads
    faster: str = ""  # what its documentation installs beside it for speed
    packages: str = ""  # Debian's, that pip's build needs
    choice: str = ""  # why it is configured like that
    ours: bool = False
    yardstick: bool = False  # answers GET /hello only, without Python


KINDS = [
    Kind("cserve", "",
         "{cserve} --port {port} --workers 1 {threads} --keep-alive 75 --log-level error --venv {venv} {app}",
         threads=4, threads_option="--threads {count}", ours=True, choice="threads: its default"),
    Kind("cserve module", THIS_REPOSITORY,
         "{bin}/python -m cserve --port {port} --workers 1 {threads} --keep-alive 75 --log-level error {app}",
         threads=4, threads_option="--threads {count}", ours=True, choice="the same as an extension module"),
    Kind("epoll in C", "", "{epoll_server} {port}", yardstick=True,
         choice="the yardstick: answers the same bytes, never looks into a request, never calls Python"),
    Kind("gunicorn gthread", "gunicorn==27.0.1",
         "{bin}/gunicorn --worker-class gthread --workers 1 {threads} --keep-alive 75 "
         "--worker-connections 10000 --backlog 4096 --log-level error --bind 127.0.0.1:{port} {app}",
         threads=4, threads_option="--threads {count}", faster=GUNICORN_PARSER,
         choice="threads: its documentation says 2 to 4 for each core"),
    Kind("gunicorn sync", "gunicorn==27.0.1",
         "{bin}/gunicorn --worker-class sync --workers 1 --backlog 4096 --log-level error "
         "--bind 127.0.0.1:{port} {app}",
         faster=GUNICORN_PARSER, choice="its default worker: one request at a time, closes every connection"),
    Kind("uWSGI", "uWSGI==2.0.31",
         "{bin}/uwsgi --http11-socket 127.0.0.1:{port} --master --processes 1 --enable-threads {threads} "
         "--single-interpreter --need-app --die-on-term --worker-reload-mercy 1 --disable-logging "
         "--listen 4096 --socket-timeout 75 --virtualenv {venv} --module {app}",
         threads=CONNECTIONS, threads_option="--threads {count}",
         choice="keep-alive holds a thread for each connection, so it has as many threads as there are "
                f"connections, at most {MOST_THREADS}"),
    Kind("uWSGI router", "uWSGI==2.0.31",
         "{bin}/uwsgi --http 127.0.0.1:{port} --http-keepalive=75 --http-auto-chunked --http-chunked-input "
         "--master --processes 1 --enable-threads {threads} --single-interpreter --need-app --die-on-term "
         "--worker-reload-mercy 1 --disable-logging --listen 4096 --virtualenv {venv} --module {app}",
         threads=4, threads_option="--threads {count}",
         choice="behind its HTTP router, a process of its own: keep-alive holds no thread there"),
    Kind("Granian", "granian==2.8.7",
         "{bin}/granian --interface wsgi --http 1 --no-ws --workers 1 {threads} --backlog 4096 "
         "--backpressure 1024 --no-access-log --log-level error --host 127.0.0.1 --port {port} {app}",
         threads_option="--blocking-threads {count}",
         choice="threads: its own choice, as its documentation advises; backpressure: its default"),
    Kind("bjoern", "bjoern==3.2.2", "{bin}/python {launch} bjoern {port} {app}", packages="libev-dev",
         choice="one thread by design"),
    Kind("FastPySGI", "fastpysgi==0.6", "{bin}/python {launch} fastpysgi {port} {app}",
         choice="one thread by design; uploads of up to 64 MB allowed"),
    Kind("freastal", "freastal==0.0.3", "{bin}/python {launch} freastal {port} {app}",
         choice="one thread by design"),
    Kind("Peregrine", "peregrine-server==1.2.0",
         "{bin}/peregrine --protocol wsgi --workers 1 {threads} --keep-alive 75000 --max-connections 8192 "
         "--max-body 67108864 --backlog 4096 --log-level error --host 127.0.0.1 --port {port} {app}",
         threads_option="--wsgi-threads {count}", choice="threads: its default, one"),
    Kind("mod_wsgi", "mod_wsgi==6.1.1",
         "{bin}/mod_wsgi-express start-server --host 127.0.0.1 --port {port} --processes 1 {threads} "
         "--max-clients 512 --keep-alive-timeout 75 --server-backlog 4096 --limit-request-body 67108864 "
         "--chunked-request --enable-sendfile --log-to-terminal --log-level error "
         "--server-root {scratch}/mod_wsgi {as_user} --python-path . --callable-object {attribute} "
         "--application-type module {module}",
         threads=5, threads_option="--threads {count}", packages="apache2-bin apache2-dev",
         choice="mod_wsgi-express as it comes: Apache in front of one daemon process; threads: its default"),
    Kind("waitress", "waitress==3.0.2",
         "{bin}/waitress-serve --listen=127.0.0.1:{port} {threads} --connection-limit=10000 --backlog=4096 "
         "--asyncore-use-poll --channel-timeout=75 {app}",
         threads=4, threads_option="--threads={count}", choice="threads: its default"),
    Kind("cheroot", "cheroot==11.1.2",
         "{bin}/cheroot --bind 127.0.0.1:{port} {threads} --timeout 75 --request-queue-size 4096 {app}",
         threads=10, threads_option="--threads {count}", choice="threads: its default"),
]
BY_NAME = {kind.name: kind for kind in KINDS}


class Failed(Exception):
    """A server that did not start. The text is for the report."""


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are on this machine, and who runs on which core."""

    venv: Path
    cserve: Path
    epoll_server: Path
    scratch: Path  # a directory of this run, which every user can read
    server_core: int = None
    client_core: int = None


def threads_of(kind, scenario):
    """The option for the threads that the server should have in this scenario; "" to leave it as it comes."""
    count = scenario.threads or kind.threads
    if count == CONNECTIONS:
        count = min(scenario.connections, MOST_THREADS)
    return kind.threads_option.format(count=count) if count else ""


def command_of(kind, scenario, places, port):
    app = scenario.app
    return kind.command.format(
        bin=places.venv / "bin", venv=places.venv, cserve=places.cserve, epoll_server=places.epoll_server,
        scratch=places.scratch, launch=HERE / "apps/launch.py", port=port, threads=threads_of(kind, scenario),
        app=f"{app.module}:app", module=app.module, attribute="app",
        as_user="--user www-data --group www-data" if os.getuid() == 0 else "",
    ).split()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A server that runs, and is ready to answer, while the block runs."""

    def __init__(self, kind, scenario, places):
        self.kind, self.scenario, self.places = kind, scenario, places
        self.port = free_port()
        self._log = places.scratch / "server.log"

    def __enter__(self):
        command = command_of(self.kind, self.scenario, self.places, self.port)
        directory = self.scenario.app.directory
        environment = {**os.environ, "PYTHONPATH": str(directory),
                       "BENCH_FILES": str(self.places.scratch / "files")}
        environment.pop("VIRTUAL_ENV", None)
        with open(self._log, "wb") as log:
            self._process = processes.start(command, self.places.server_core, cwd=directory, env=environment,
                                            stdout=log, stderr=log)
        self.pid = self._process.pid
        try:
            if not self.await_answer(START_SECONDS):
                raise Failed(f"is not ready within {START_SECONDS} s: {self.last_words()}")
        except BaseException:
            processes.stop(self._process)
            raise
        return self

    def __exit__(self, *_):
        processes.stop(self._process)

    def await_answer(self, seconds):
        """Until it answers GET /hello, which every application has; whether it did within so many seconds.

        That it accepts a connection is no sign: a master listens before its worker does."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._process.poll() is not None:
                raise Failed(f"exits with {self._process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError, Wrong):
                with contextlib.closing(Connection(self.port, left)) as connection:
                    connection.send(requests.MINIMAL)
                    connection.await_first_byte()
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def last_words(self):
        lines = self._log.read_text(errors="replace").splitlines()
        return " / ".join([line.strip() for line in lines if line.strip()][-TOLD_LINES:]) or "it said nothing"
