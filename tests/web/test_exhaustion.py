"""What runs out: descriptors, disk, connections. The server waits or refuses, says so, and goes on."""

import os
import resource
import stat

import pytest

import harness
from harness import chunked, make_request, measure_for, outcome
from observe import Bystander, Spent, descriptors, sockets

CANNOT_ACCEPT = "cannot accept connections"
CANNOT_KEEP = "cannot keep the content of a request"
LARGE = 1_000_000  # more than stays in memory


def limit_descriptors(server, spare):
    """Let the worker open only this many more."""
    number = max(descriptors(server.worker)) + 1 + spare
    _, most = resource.prlimit(server.worker, resource.RLIMIT_NOFILE)
    resource.prlimit(server.worker, resource.RLIMIT_NOFILE, (number, most))


def unlimit_descriptors(server):
    _, most = resource.prlimit(server.worker, resource.RLIMIT_NOFILE)
    resource.prlimit(server.worker, resource.RLIMIT_NOFILE, (most, most))


# Descriptors.


def test_H13_descriptors_run_out(own_echo):
    """The open connections are served, the others wait, nothing spins; one line of the log says it."""
    echo = own_echo("--header-timeout", "300")
    server = echo.server
    limit_descriptors(server, 10)
    inside = [echo.connect() for _ in range(10)]
    for client in inside:
        client.request(make_request())
    outside = [echo.connect() for _ in range(20)]
    for client in outside:
        client.send(make_request(target="/later"))
    server.expect_log(f"ERROR {CANNOT_ACCEPT}, trying again every 100 ms: Too many open files")
    server.wait_log(CANNOT_ACCEPT)
    with Spent(server.worker) as spent:
        measure_for(1)
    assert spent.seconds < 0.1, "it spins"
    assert all(client.is_silent(0.01) for client in outside)
    assert all(client.request(make_request()).status == 200 for client in inside)
    assert server.log().count(CANNOT_ACCEPT) == 1
    for client in inside:
        client.close()
    for client in outside:  # in the order in which they came, each as there is room
        assert client.response().literal()["PATH_INFO"] == "/later"
        client.close()
    assert server.get().status == 200


def test_H13_descriptors_come_back(own_echo):
    """It notices by itself, also when none of its own connections closes."""
    echo = own_echo()
    limit_descriptors(echo.server, 0)
    echo.server.expect_log(CANNOT_ACCEPT)
    with echo.connect() as client:
        client.send(make_request())
        echo.server.wait_log(CANNOT_ACCEPT)
        assert client.is_silent(0.3)
        unlimit_descriptors(echo.server)
        assert client.response().status == 200
    with Bystander(echo.server):
        measure_for(0.2)


def test_H13_a_crowd_at_the_door_does_not_fill_the_log(own_echo):
    """Places that become free and are taken at once are no news."""
    echo = own_echo()
    limit_descriptors(echo.server, 2)
    echo.server.expect_log(CANNOT_ACCEPT)
    waiting = [echo.connect() for _ in range(200)]
    for client in waiting:
        client.send(make_request(fields={"Connection": "close"}))
    for client in waiting:
        assert client.response().status == 200
        client.close()
    assert echo.server.log().count(CANNOT_ACCEPT) < 20


def test_H13_descriptors_run_out_for_content(own_echo):
    """A body that needs a file gets none: that request fails, its neighbours do not."""
    echo = own_echo()
    with echo.connect() as uploader, echo.connect() as other:
        other.request(make_request())
        uploader.request(make_request())
        limit_descriptors(echo.server, 0)
        echo.server.expect_log(f"{CANNOT_KEEP}: Too many open files")
        uploader.send(make_request("POST", "/full", body=b"x" * LARGE))
        assert uploader.response("POST").status == 500
        assert other.request(make_request("POST", body=b"x" * 100_000)).status == 200
        unlimit_descriptors(echo.server)
        assert other.request(make_request("POST", body=b"x" * LARGE)).status == 200


# Disk.


def uploads(size=LARGE):
    """The same content, framed in both ways."""
    block = b"x" * 100_000
    return [
        make_request("POST", "/full", fields={"Content-Length": size}) + b"x" * size,
        make_request("POST", "/full", fields={"Transfer-Encoding": "chunked"})
        + chunked(*[block] * (size // len(block))),
    ]


def count_full(server):
    return sum('"POST /full ' in line for line in server.access_lines())


def assert_refused(echo, request, reason):
    """A 500 that reaches the client though it sends on, one line in either log, and the server as before."""
    server = echo.server
    before, mark = count_full(server), len(server.log())
    server.expect_log(f"ERROR {CANNOT_KEEP}: {reason}")
    with echo.connect() as client:
        client.send(request)
        response = client.response("POST")
        assert response.status == 500 and response.connection() == {"close"}
        assert "store" in response.text and reason not in response.text
        client.expect_end()
    harness.eventually(lambda: count_full(server) > before)
    harness.eventually(lambda: CANNOT_KEEP in server.log()[mark:])
    assert ("POST", "/full") not in echo.calls()
    assert server.request("POST", body=b"y" * 200_000).literal()["body"] == b"y" * 200_000
    assert server.log()[mark:].count(CANNOT_KEEP) == 1
    assert count_full(server) == before + 1
    assert all(
        outcome(line) == "spool-failed"
        for line in server.access_lines()
        if '"POST /full HTTP/1.1" 500 ' in line
    )


@pytest.mark.parametrize("request_bytes", uploads(), ids=["length", "chunked"])
@pytest.mark.parametrize(
    "directory, reason",
    [("/nonexistent", "No such file or directory"), ("/dev/null", "Not a directory"), ("/proc", ".*")],
)
def test_no_directory_for_content(own_echo, directory, reason, request_bytes):
    echo = own_echo(env={"TMPDIR": directory})
    for _ in range(2):
        if reason == ".*":
            echo.server.expect_log(CANNOT_KEEP)
            assert echo.server.request("POST", body=b"x" * LARGE).status == 500
        else:
            assert_refused(echo, request_bytes, reason)


@pytest.mark.parametrize("request_bytes", uploads(), ids=["length", "chunked"])
def test_no_room_for_content(own_echo, request_bytes):
    """As on a full disk: writing fails in the middle of the content."""
    echo = own_echo()
    worker = echo.server.worker
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    baseline = len(descriptors(worker))
    assert_refused(echo, request_bytes, "File too large")
    harness.eventually(lambda: len(descriptors(worker)) <= baseline, what="the file closed")
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for request in uploads():
        with echo.connect() as client:
            client.send(request)
            assert len(client.response("POST").literal()["body"]) == LARGE


def test_no_room_while_many_upload(own_echo):
    echo = own_echo()
    resource.prlimit(echo.server.worker, resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    echo.server.expect_log(CANNOT_KEEP)
    clients = [echo.connect() for _ in range(20)]
    with Bystander(echo.server):
        for client in clients:
            client.send(uploads()[0])
        for client in clients:
            assert client.response("POST").status == 500
            client.close()
    harness.eventually(
        lambda: sum(outcome(line) == "spool-failed" for line in echo.server.access_lines()) == 20
    )


@pytest.mark.parametrize("upload", uploads(), ids=["length", "chunked"])
def test_S9_files_for_content_have_no_name_and_are_private(own_echo, tmp_path, upload):
    echo = own_echo(env={"TMPDIR": tmp_path})
    with echo.connect() as client:
        client.send(upload[:-1000])
        number, target = harness.eventually(
            lambda: next(
                (
                    (number, target)
                    for number, target in descriptors(echo.server.worker).items()
                    if target.startswith(str(tmp_path))
                ),
                None,
            )
        )
        assert target.endswith(" (deleted)")
        assert os.listdir(tmp_path) == []
        info = os.stat(f"/proc/{echo.server.worker}/fd/{number}")
        assert stat.S_IMODE(info.st_mode) == 0o600 and info.st_nlink == 0
        client.send(upload[-1000:])
        assert client.response("POST").status == 200
        harness.eventually(lambda: number not in descriptors(echo.server.worker), what="the file closed")


def test_S9_content_that_fits_needs_no_file(own_echo, tmp_path):
    echo = own_echo(env={"TMPDIR": "/nonexistent"})
    for size in (0, 1, 256 * 1024):
        assert len(echo.server.request("POST", body=b"x" * size).literal()["body"]) == size


def test_S9_there_is_no_socket_but_the_one_that_was_asked_for(own_echo):
    """No control or status socket: the master listens where it was told to, and speaks to its workers."""
    echo = own_echo()
    listening = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{echo.server.pid}/net/{table}") as lines:
            next(lines)
            listening |= {line.split()[9] for line in lines}
    with open(f"/proc/{echo.server.pid}/net/unix") as lines:
        next(lines)
        named = {fields[6] for line in lines if len(fields := line.split()) > 7}
    for pid in echo.server.pids:
        inodes = {target[8:-1] for target in descriptors(pid).values() if target.startswith("socket:")}
        assert len(inodes & listening) == 1 and not inodes & named


# Connections.


def test_S8_connections_beyond_the_limit_wait_and_are_served(own_echo):
    echo = own_echo("--worker-connections", "10", "--keep-alive", "300")
    inside = [echo.connect() for _ in range(10)]
    for client in inside:
        client.request(make_request())
    outside = [echo.connect() for _ in range(30)]
    for client in outside:
        client.send(make_request(target="/later"))
    with Spent(echo.server.worker) as spent:
        measure_for(1)
    assert spent.seconds < 0.1, "it spins"
    assert sockets(echo.server.worker) < 10 + 5
    assert all(client.is_silent(0.01) for client in outside)
    assert all(client.request(make_request()).status == 200 for client in inside)
    for client in inside:
        client.close()
    for client in outside:
        assert client.response().literal()["PATH_INFO"] == "/later"
        client.close()
    assert {outcome(line) for line in echo.server.access_lines()} == {"ok"}


def test_S8_a_crowd_through_a_narrow_door(own_echo):
    """A place becomes free and is taken: nobody waits for a timeout."""
    echo = own_echo("--worker-connections", "2")
    clients = [echo.connect() for _ in range(300)]
    for number, client in enumerate(clients):
        client.send(make_request(target=f"/{number}", fields={"Connection": "close"}))
    for number, client in enumerate(clients):
        assert client.response().literal()["PATH_INFO"] == f"/{number}"
        client.close()


def test_H13_the_limit_of_connections_ends_with_idle_ones(own_echo):
    """Those who hold places and say nothing lose them in time."""
    echo = own_echo("--worker-connections", "5", "--keep-alive", "0.5", "--header-timeout", "0.5")
    idle = [echo.connect() for _ in range(5)]
    idle[0].request(make_request())
    with echo.connect() as client:
        assert client.request(make_request()).status == 200
    for client in idle:
        client.expect_end()
