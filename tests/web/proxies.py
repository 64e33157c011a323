"""nginx and HAProxy as Debian has them, with the page's configurations, and machines behind them."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

import deployment
import harness

APP = harness.ROOT / "tests/web/apps/behind.py"
NGINX = """
user root;
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/client-body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    include {directory}/site;
}}
"""


def find(name):
    path = shutil.which(name, path=f"/usr/sbin:{os.environ['PATH']}")
    return path or pytest.fail(f"{name} is needed: apt-get install {name}")


def make_certificate(directory):
    """A key and a certificate that it has signed itself, in one file."""
    path = directory / "mysite.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-keyout", directory / "key", "-out", directory / "certificate", "-subj", "/CN=mysite.example"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    path.write_text((directory / "certificate").read_text() + (directory / "key").read_text())
    return path


def over_tls(client):
    """The same client, behind a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client.socket = context.wrap_socket(client.socket, server_hostname="mysite.example")
    return client


class Program:
    """A proxy that runs on a host until it is stopped."""

    def __init__(self, host, command, check):
        done = subprocess.run([*host.prefix, *check], capture_output=True, text=True)
        said = done.stderr + done.stdout
        assert done.returncode == 0 and "warn" not in said.lower(), said
        self._process = subprocess.Popen(
            [*host.prefix, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.log = harness.Output(self._process.stderr)

    def stop(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def start_nginx(host, directory, site, certificate):
    (directory / "site").write_text(site.replace("/etc/ssl/mysite.pem", str(certificate)))
    path = directory / "nginx.conf"
    path.write_text(NGINX.format(directory=directory))
    command = [find("nginx"), "-e", f"{directory}/nginx.log", "-c", str(path)]
    return Program(host, command, [*command, "-t"])


def start_haproxy(host, directory, text, certificate):
    path = directory / "haproxy.cfg"
    path.write_text(text.replace("/etc/ssl/mysite.pem", str(certificate)))
    command = [find("haproxy"), "-f", str(path)]
    return Program(host, [*command, "-db"], [*command, "-c", "-q"])


class Machine:
    """A host that runs cserve with a configuration of the page, whose files are in a directory."""

    def __init__(self, cserve, host, directory, name, changes=(), more=""):
        self.cserve = cserve
        self.host = host
        self.directory = directory
        self.access_log = directory / "access.log"
        self.socket = directory / "mysite.sock"
        paths = [
            ("/srv/mysite", directory),
            (f"venv = {directory}/.venv\n", ""),
            ("/var/log/mysite", directory),
        ]
        text = deployment.block(name, [*paths, *changes]).replace("/run/", f"{directory}/")
        (directory / "mysite.ini").write_text(text + more)
        shutil.copy(APP, directory / "mysite.py")
        self.process = None

    def start(self):
        self.process = harness.Process(
            self.cserve,
            ["--config", self.directory / "mysite.ini"],
            self.directory,
            {"PLACE": self.directory},
            self.host.prefix,
        )
        self.process.wait_output("^Serving HTTP on ", harness.START_DEADLINE)

    def stop(self):
        """As the service manager does; nothing that was in flight is cut off, and nothing went wrong."""
        self.process.signal(signal.SIGTERM)
        assert self.process.wait() == 0, self.process.log()
        self.process.check_log()

    def restart(self):
        self.stop()
        self.start()

    def kill(self):
        if self.process is not None:
            self.process.kill()

    def settings(self):
        """Its configuration, as it is now."""
        return (self.directory / "mysite.ini").read_text()

    def lines(self, count=0):
        """The access log when it has at least `count` lines."""

        def whole():
            text = self.access_log.read_text() if self.access_log.exists() else ""
            lines = text[: text.rfind("\n") + 1].splitlines()
            return (len(lines) >= count or None) and lines + [""]

        return harness.eventually(whole, what=f"{count} lines in {self.access_log}")[:-1]

    def count(self, request):
        """How many lines of the access log are for requests that begin so."""
        return self.access_log.read_bytes().count(f'"{request}'.encode()) if self.access_log.exists() else 0

    def expect_more(self, request, more):
        """As many more such lines come soon."""
        before = self.count(request)
        harness.eventually(lambda: self.count(request) >= before + more, what=f"{more} more {request}")

    def line_of(self, request):
        """The first line of the access log for a request that begins so, once there is one."""
        return harness.eventually(
            lambda: next((line for line in self.lines() if f'"{request}' in line), None),
            what=f"a line of {request}",
        )

    def posted(self):
        """What its application has noted, in order."""
        path = self.directory / "posted"
        return path.read_text().splitlines() if path.exists() else []


class Site:
    """Proxies and machines behind them, all of which end with `clear`."""

    def __init__(self, cserve, network, certificate):
        self.cserve = cserve
        self.network = network
        self.certificate = certificate
        self._directories = []
        self._machines = []
        self._programs = []

    def _directory(self):
        self._directories.append(Path(tempfile.mkdtemp(prefix="cserve-site-")))  # short, for sockets
        return self._directories[-1]

    def machine(self, host, name, changes=(), more=""):
        """A Machine, started, with this configuration of the page, and `more` behind it."""
        machine = Machine(self.cserve, host, self._directory(), name, changes, more)
        self._machines.append(machine)
        machine.start()
        return machine

    def nginx(self, host, text):
        self._programs.append(start_nginx(host, self._directory(), text, self.certificate))
        return self._programs[-1]

    def haproxy(self, text):
        host = self.network.proxy
        self._programs.append(start_haproxy(host, self._directory(), text, self.certificate))
        return self._programs[-1]

    @contextlib.contextmanager
    def cleared(self):
        """All that begins within the block ends with it."""
        try:
            yield
        finally:
            self.clear()

    def clear(self):
        for each in self._programs:
            each.stop()
        for machine in self._machines:
            machine.kill()
        for directory in self._directories:
            shutil.rmtree(directory)
        self._machines, self._programs, self._directories = [], [], []
