"""Large contents, slow readers, many connections: what they cost, and that others do not notice."""

import hashlib
import selectors
import socket

import pytest

import harness

MIB = 1 << 20
GROWTH_KB = 16 * 1024


def growth_allowed(server, kb):
    """Sanitizers add shadow memory and keep what was freed for a while."""
    return kb * (8 if server.sanitized else 1)


def warm(host):
    """Requests that bring the worker's memory to where it stays."""
    host.value("content.digest", "POST", body=b"x" * 400_000)
    host.request("results.large_generator", target="/?4")


@pytest.fixture
def warm_host(own_host):
    host = own_host("--keep-alive", "60")
    warm(host)
    return host


def test_upload_of_200_mb_in_bounded_memory(warm_host):
    host, block = warm_host, bytes(range(256)) * 4096
    before = host.server.rss_kb()
    state = hashlib.sha256()
    with host.connect() as client:
        client.send(host.raw("content.digest", "POST", fields={"Content-Length": str(200 * MIB)}))
        for _ in range(200):
            state.update(block)
            client.send(block)
        length, size, digest = client.response("POST").literal()
    assert (length, size, digest) == (str(200 * MIB), 200 * MIB, state.hexdigest())
    assert peak_kb(host.server) - before < growth_allowed(host.server, GROWTH_KB)


def test_chunked_upload_in_bounded_memory(warm_host):
    host, block = warm_host, bytes(range(256)) * 4096
    before = host.server.rss_kb()
    with host.connect() as client:
        client.send(host.raw("content.digest", "POST", fields={"Transfer-Encoding": "chunked"}))
        for _ in range(50):
            client.send(b"100000\r\n" + block + b"\r\n")
        client.send(b"0\r\n\r\n")
        length, size, digest = client.response("POST").literal()
    assert (length, size, digest) == (str(50 * MIB), 50 * MIB, hashlib.sha256(block * 50).hexdigest())
    assert peak_kb(host.server) - before < growth_allowed(host.server, GROWTH_KB)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_download_of_200_mb_in_bounded_memory(warm_host, version):
    host = warm_host
    before = host.server.rss_kb()
    with host.connect() as client:
        client.send(host.raw("results.large_generator", target="/?200", version=version))
        response = client.response_head()
        if version == "1.1":
            size = sum(map(len, iter(client.chunk, b"")))
        else:
            size = sum(map(len, iter(client.receive, b"")))
        assert (response.status, size) == (200, 200 * MIB)
    assert peak_kb(host.server) - before < growth_allowed(host.server, GROWTH_KB)


def test_download_of_a_200_mb_file_in_bounded_memory(warm_host, tmp_path):
    host, path = warm_host, tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(200 * MIB)
    before = host.server.rss_kb()
    with host.connect() as client:
        client.send(host.raw("files.whole", fields={"File": path}))
        response = client.response_head()
        assert response["Content-Length"] == str(200 * MIB)
        size = 0
        while size < 200 * MIB:
            data = client.receive(MIB)
            assert data, f"ended behind {size} bytes"
            size += len(data)
        assert size == 200 * MIB
    assert peak_kb(host.server) - before < growth_allowed(host.server, GROWTH_KB)


def peak_kb(server):
    """The most resident memory that the worker ever had, in KiB."""
    return harness.status_kb(server.worker, "VmHWM")


def test_H14_S8_a_slow_reader_of_50_mb_delays_nobody(warm_host):
    host = warm_host
    before = host.server.rss_kb()
    with host.connect(receive_buffer=4096) as slow:
        slow.send(host.raw("results.large_generator", target="/?50"))
        head = slow.response_head()
        for _ in range(50):
            assert host.request("head.plain").text == "plain"
            slow.receive(4096)
        assert host.server.rss_kb() - before < growth_allowed(host.server, GROWTH_KB)
        slow.close()
    assert head.status == 200


def test_H14_S8_many_slow_readers_at_once(warm_host):
    host = warm_host
    before = host.server.rss_kb()
    slow = [host.connect(receive_buffer=4096) for _ in range(20)]
    for client in slow:
        client.send(host.raw("results.large_generator", target="/?5"))
    for client in slow:
        assert client.response_head().status == 200
        assert host.request("head.plain").text == "plain"
    # Each may hold one item of 1 MiB that its client has not taken, and a little.
    assert host.server.rss_kb() - before < growth_allowed(host.server, 20 * 1024 + GROWTH_KB)
    for client in slow:
        assert sum(map(len, iter(client.chunk, b""))) == 5 * MIB
        client.close()


def test_S8_a_client_that_pipelines_without_end_and_reads_nothing(warm_host):
    """Neither its requests nor their answers gather in memory, and others are served."""
    host = warm_host
    before = host.server.rss_kb()
    with host.connect(receive_buffer=4096) as client:
        batch = host.raw("results.large", target="/?200000") * 100
        client.socket.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 100 * MIB:
                sent += client.socket.send(batch)
        assert host.request("head.plain").text == "plain"
        assert host.server.rss_kb() - before < growth_allowed(host.server, GROWTH_KB)
    assert host.request("head.plain").text == "plain"


@pytest.fixture
def many_connections():
    """connect(address, count): sockets, all closed at the end."""
    sockets = []

    def connect(address, count):
        for _ in range(count):
            sockets.append(socket.create_connection(address, timeout=harness.DEADLINE))
        return sockets

    yield connect
    for each in sockets:
        each.close()


def exchange(sockets, request, end):
    """Send `request` on each and read until `end` from each; in groups, so that no backlog overflows."""
    for at in range(0, len(sockets), 200):
        group = sockets[at : at + 200]
        for each in group:
            each.sendall(request)
        waiting = dict.fromkeys(group, b"")
        with selectors.DefaultSelector() as selector:
            for each in group:
                selector.register(each, selectors.EVENT_READ)
            while waiting:
                ready = selector.select(harness.DEADLINE)
                assert ready, f"{len(waiting)} without an answer"
                for key, _ in ready:
                    data = key.fileobj.recv(65536)
                    assert data, "closed"
                    waiting[key.fileobj] += data
                    if waiting[key.fileobj].endswith(end):
                        selector.unregister(key.fileobj)
                        del waiting[key.fileobj]


def test_ten_thousand_idle_connections_cost_little(own_host, many_connections):
    """Under 4 KiB of the worker's memory each; and requests are answered meanwhile."""
    count = 10_000
    harness.allow_descriptors(count + 1000)
    host = own_host("--keep-alive", "300", "--worker-connections", str(count + 100))
    request = host.raw("head.plain", fields={"User-Agent": "idle"})
    host.request("head.plain")
    warm(host)
    before = host.server.private_kb()
    sockets = many_connections(host.server.address, count)
    exchange(sockets, request, b"plain")
    per_connection = (host.server.private_kb() - before) / count
    assert per_connection < growth_allowed(host.server, 4), f"{per_connection:.2f} KiB each"
    for _ in range(50):
        assert host.request("head.plain").text == "plain"
    exchange(sockets[::100], request, b"plain")


def test_H14_thousands_of_silent_connections_do_not_stop_others(own_host, many_connections):
    """Connections that never say a byte."""
    count = 5_000
    harness.allow_descriptors(count + 1000)
    host = own_host("--worker-connections", str(count + 100))
    many_connections(host.server.address, count)
    for _ in range(50):
        assert host.request("head.plain").text == "plain"


def test_H14_at_the_limit_of_connections_others_wait_and_are_served(own_host, many_connections):
    host = own_host("--worker-connections", "20")
    held = many_connections(host.server.address, 20)
    exchange(held, host.raw("head.plain"), b"plain")
    with host.connect() as client:
        client.send(host.raw("head.plain"))
        assert client.is_silent(0.1)
        held.pop().close()
        assert client.response().text == "plain"
