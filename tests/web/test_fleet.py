"""Machines behind HAProxy, as docs/deployment.md has them: restarted, crashed and cut off under load."""

import contextlib
import os
import re
import select
import signal
import subprocess
import threading

import pytest

import deployment
import harness
import hosts
import proxies
from fronts import HAPROXY, SERVICE
from load import Load

BEHIND = f"{SERVICE}, behind HAProxy"
WITH_READINESS = "with readiness"
STATUS = "/etc/nginx/sites-available/mysite-status"
SECOND = "    server two 10.0.0.12:8000\n"


class Fleet:
    """HAProxy, and `count` machines that serve behind it."""

    url = f"https://{hosts.FRONT}/"

    def __init__(self, site, count, changes=(), more=""):
        self.site = site
        self.machines = [site.machine(host, BEHIND, more=more) for host in site.network.servers[:count]]
        lines = [
            f"    server {machine.host.name} {machine.host.address}:8000\n" for machine in self.machines[1:]
        ]
        site.haproxy(deployment.block(HAPROXY, [(SECOND, "".join(lines)), *changes]))
        harness.eventually(self.all_serve, what="answers of all machines")

    def connect(self):
        return proxies.over_tls(self.site.network.client.connect(hosts.FRONT, 443))

    def all_serve(self):
        """Whether all have been asked, of as many requests as there are machines."""
        try:
            for _ in self.machines:
                with self.connect() as client:
                    client.send(harness.make_request())
                    client.receive_until(b"\r\n")
        except (OSError, harness.Truncated):
            return False
        return all(machine.lines() for machine in self.machines)

    def load(self, connections=16):
        return Load(self, connections, target="/load", prefix=self.site.network.client.prefix)

    def expect_load(self, but=None):
        """Each machine has many requests soon, also of the load, except one."""
        for machine in self.machines:
            if machine is not but:
                machine.expect_more("GET /load", 100)
                machine.expect_more("POST /post", 20)

    def called(self):
        """The machine of each call that was noted."""
        return [machine for machine in self.machines for _ in machine.posted()]

    def expect_all_once(self, answered, failed):
        """What was answered has happened once, what failed at most once, and nothing else has."""
        posted = [line for machine in self.machines for line in machine.posted()]
        assert len(posted) == len(set(posted)), "something has happened twice"
        assert set(answered) <= set(posted) <= set(answered) | set(failed)


class Asker(threading.Thread):
    """A client that asks, again and again, until the block ends: what was answered, and what was not.

    With a `name` it posts a text of its own each time.
    """

    def __init__(self, fleet, name=None):
        super().__init__(daemon=True)
        self._fleet = fleet
        self._name = name
        self._enough = threading.Event()
        self._failure = None
        self.answered = []
        self.failed = {}  # what, and what came instead

    def run(self):
        try:
            while not self._enough.is_set():
                with self._fleet.connect() as client:
                    self._ask(client)
        except BaseException as failure:
            self._failure = failure

    def _ask(self, client):
        while not self._enough.is_set():
            text = f"{self._name}-{len(self.answered) + len(self.failed)}"
            try:
                status = self._ask_once(client, text)
            except (OSError, harness.Truncated) as problem:
                status = repr(problem)
            if status != 200:
                self.failed[text] = status
                return
            self.answered.append(text)

    def _ask_once(self, client, text):
        """The status; HAProxy's own answers are not read any further."""
        method, target, body = ("POST", "/post", text.encode()) if self._name else ("GET", "/", b"")
        client.send(harness.make_request(method, target, body=body))
        while b"\r\n" not in client.buffer:
            if not client.fill():
                raise harness.Truncated(None, bytes(client.buffer), client.reset)
        status = int(client.buffer.split()[1])
        if status == 200:
            assert body in client.response(method).body
        return status

    def __enter__(self):
        self.start()
        harness.eventually(lambda: self.answered or self._failure, what="the first answer")
        return self

    def __exit__(self, *_):
        self._enough.set()
        self.join(harness.DEADLINE)
        if self._failure is not None:
            raise self._failure


@contextlib.contextmanager
def posting(fleet, count=4):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Asker(fleet, f"{number}")) for number in range(count)]


def results(askers):
    answered = [text for asker in askers for text in asker.answered]
    failed = {text: why for asker in askers for text, why in asker.failed.items()}
    return answered, failed


def expect_progress(askers):
    """Each of them has many more answers soon."""
    seen = [len(asker.answered) for asker in askers]
    harness.eventually(
        lambda: all(len(asker.answered) > count + 50 for asker, count in zip(askers, seen)), what="answers"
    )


@pytest.fixture
def fleet(site):
    """fleet(count, changes): a Fleet, which ends with the test."""
    with site.cleared():
        yield lambda count, changes=(), more="": Fleet(site, count, changes, more)


SSH = """#!/bin/sh
echo "$@" > {directory}/orders && read status < {directory}/done && exit $status
"""


class Roll:
    """The page's roll.sh, whose ssh tells the test what to do on which machine."""

    def __init__(self, fleet, directory):
        self._machines = {machine.host.address: machine for machine in fleet.machines}
        self._prefix = fleet.site.network.proxy.prefix
        hosts = " ".join(self._machines)
        (directory / "roll.sh").write_text(deployment.block("roll.sh", [("10.0.0.11 10.0.0.12", hosts)]))
        (directory / "ssh").write_text(SSH.format(directory=directory))
        (directory / "ssh").chmod(0o755)
        self._directory = directory
        self._pipes = {}
        for name in ("orders", "done"):
            os.mkfifo(directory / name)
            self._pipes[name] = os.open(directory / name, os.O_RDWR)

    def run(self):
        env = {**os.environ, "PATH": f"{self._directory}:{os.environ['PATH']}"}
        command = [*self._prefix, "sh", "-e", self._directory / "roll.sh"]
        with subprocess.Popen(command, env=env, start_new_session=True) as process:
            try:
                for _ in self._machines:
                    address, *order = self._next_order()
                    assert order == ["systemctl", "restart", "mysite"]
                    self._machines[address].restart()
                    os.write(self._pipes["done"], b"0\n")
                assert process.wait(harness.DEADLINE) == 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                for pipe in self._pipes.values():
                    os.close(pipe)

    def _next_order(self):
        assert select.select([self._pipes["orders"]], [], [], harness.DEADLINE)[0], "no order"
        return os.read(self._pipes["orders"], 4096).decode().split()


def roll(machines, directory):
    """Restart one after the other under load; nothing is lost."""
    before = {machine.process.pid for machine in machines.machines}
    with posting(machines) as posters, machines.load() as load:
        machines.expect_load()
        Roll(machines, directory).run()
        machines.expect_load()
    load.expect_no_loss()
    answered, failed = results(posters)
    assert not failed
    machines.expect_all_once(answered, failed)
    assert not before & {machine.process.pid for machine in machines.machines}


def test_a_rolling_restart_loses_nothing(fleet, tmp_path):
    roll(fleet(5), tmp_path)


def by_readiness():
    """What the page has HAProxy ask instead."""
    lines = deployment.block(HAPROXY).splitlines(keepends=True)
    (send,) = [line for line in lines if "http-check send" in line]
    (server,) = [line for line in lines if "default-server" in line]
    _, ask, check = deployment.block(f"{HAPROXY}, {WITH_READINESS}").splitlines(keepends=True)
    return [("    option httpchk\n", ask), (send, ""), (server, check)]


def test_with_readiness_nothing_needs_to_be_tried_again(fleet, site, tmp_path):
    """HAProxy has sent the last request to a machine when its door closes, so it may do without retries."""
    for host in site.network.servers[:2]:
        site.nginx(host, deployment.block(STATUS))
    more = deployment.block(f"{SERVICE}, {WITH_READINESS}")
    roll(fleet(2, [*by_readiness(), ("retries 3", "retries 0")], more), tmp_path)


def test_what_the_status_listener_shows_to_others(site):
    host = site.network.servers[0]
    with site.cleared():
        site.machine(host, BEHIND, more=deployment.block(f"{SERVICE}, {WITH_READINESS}"))
        site.nginx(host, deployment.block(STATUS))
        for target, status in [("/readyz", 200), ("/healthz", 200), ("/metrics", 200), ("/status.json", 404)]:
            with harness.eventually(lambda: try_to_connect(site.network.proxy, host)) as client:
                response = client.request(harness.make_request(target=target))
                assert response.status == status
                if target == "/metrics":
                    assert re.search(r'^cserve_threads\{state="busy"\} \d', response.text, re.MULTILINE)
        with pytest.raises(OSError):
            site.network.proxy.connect(host.address, 9100)


def try_to_connect(source, host):
    try:
        return source.connect(host.address, 9000)
    except OSError:
        return None


def test_what_a_crash_costs(fleet):
    """What only reads is tried on another machine; what changes something fails, if it was in flight."""
    machines = fleet(3)
    with posting(machines) as posters, machines.load() as load:
        victim = machines.machines[0]
        machines.expect_load()
        victim.kill()
        machines.expect_load(but=victim)
        victim.start()
        machines.expect_load()
    load.expect_no_loss()
    answered, failed = results(posters)
    assert len(failed) <= len(posters), failed
    machines.expect_all_once(answered, failed)


@pytest.mark.parametrize("method, times", [("GET", 2), ("POST", 1), ("PUT", 1)])
def test_a_request_in_flight_at_a_crash(fleet, tmp_path, method, times):
    """It is done again elsewhere if it only reads, and fails otherwise: it may have had its effect."""
    machines = fleet(2)
    gate = harness.Gate(tmp_path / "gate")
    with machines.connect() as client:
        body = b"x" if times == 1 else b""
        client.send(harness.make_request(method, f"/held?{gate.path}", body=body))
        (first,) = harness.eventually(machines.called, what="the call")
        first.kill()
        if times == 2:
            harness.eventually(lambda: len(machines.called()) == 2, what="the call of the other")
            gate.release()
        status = int(client.receive_until(b"\r\n").split()[1])
    assert status == (200 if times == 2 else 502)
    assert len(machines.called()) == times


def test_a_cut_cable(fleet):
    machines = fleet(2, [("timeout server 60s", "timeout server 3s")])
    one, two = machines.machines
    network = machines.site.network
    with contextlib.ExitStack() as stack:
        askers = [stack.enter_context(Asker(machines)) for _ in range(8)]
        one.expect_more("GET / ", 100)
        network.cut(one.host)
        expect_progress(askers)
        alone = one.count("GET / ")
        two.expect_more("GET / ", 200)
        assert one.count("GET / ") == alone
        network.mend(one.host)
        one.expect_more("GET / ", 50)
    answered, failed = results(askers)
    assert len(failed) <= len(askers), failed
