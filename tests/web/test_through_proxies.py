"""What passes through nginx and HAProxy: kept connections, uploads, streams, and clients that break off."""

import hashlib

import pytest

import harness
from fronts import open_front

PASS = "        proxy_pass http://mysite;\n"
UNBUFFERED = [(PASS, f"{PASS}        proxy_buffering off;\n        proxy_request_buffering off;\n")]


@pytest.fixture(scope="module", params=["nginx", "nginx-unbuffered", "haproxy"])
def passing(site, request):
    way = "haproxy" if request.param == "haproxy" else "nginx-tcp"
    more = {"more": UNBUFFERED} if request.param == "nginx-unbuffered" else {}
    with site.cleared():
        front = open_front(site, way, False, **more)
        front.buffers = request.param == "nginx"
        yield front
        front.machine.stop()


def test_connections_to_cserve_are_kept(passing):
    before = passing.machine.host.accepted()
    with passing.connect() as client:
        for _ in range(100):
            assert client.request(harness.make_request()).status == 200
    assert passing.machine.host.accepted() - before <= 6  # the client's, the proxy's


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_uploads_arrive_whole(passing, framing):
    content = bytes(range(256)) * 40_000
    fields = [("Transfer-Encoding", "chunked")] if framing == "chunked" else []
    pieces = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
    body = harness.chunked(*pieces) if framing == "chunked" else content
    with passing.connect() as client:
        response = client.request(harness.make_request("POST", "/digest", fields, body))
    assert response.text == f"{len(content)} {hashlib.sha256(content).hexdigest()}"


def test_what_is_streamed_arrives_whole(passing):
    with passing.connect() as client:
        response = client.request(harness.make_request(target="/blocks?200"))
    assert response.body == b"".join(b"%c" % (97 + number % 26) * 65536 for number in range(200))


def test_what_is_streamed_arrives_at_once_and_a_client_that_leaves_is_noticed(passing, tmp_path):
    gate = harness.Gate(tmp_path / "gate")
    closed = passing.machine.directory / "closed"
    with passing.connect() as client:
        client.send(harness.make_request(target=f"/paced?{gate.path}"))
        if not passing.buffers:
            response = client.response_head()
            assert client.chunk(response) == b"tick\n"
            gate.open()
            assert client.chunk(response) == b"tick\n"
        gate.wait_until_reached()
    harness.eventually(lambda: gate.open() is None and closed.exists(), what="the end of the generator")
    closed.unlink()
    assert harness.outcome(passing.machine.line_of("GET /paced")) in ("client-gone", "aborted-sending")


def test_an_upload_that_is_broken_off_never_reaches_the_application(passing):
    fields = [("Content-Length", "1000000")]
    with passing.connect() as client:
        client.send(harness.make_request("POST", "/digest?broken", fields) + b"x" * 500_000)
        assert client.is_silent(0.05 if passing.buffers else 0.5)  # the proxy has passed on what it has
    if passing.buffers:
        passing.ask()
        assert passing.machine.count("POST /digest?broken") == 0  # nginx had not begun to pass it on
    else:
        assert harness.outcome(passing.machine.line_of("POST /digest?broken")) == "client-gone"
