"""nginx and HAProxy in front of cserve: who the client is arrives, and cannot be forged."""

import pytest

import harness
from fronts import WAYS, open_front
from hosts import CLIENT, NEIGHBOUR

LIAR = "198.51.100.66"  # whom clients claim to be
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x42\x0a\0\0\x0b\x12\x67\x01\xbb"  # the same, for it

@pytest.fixture(scope="module")
def front(site, request):
    with site.cleared():
        front = open_front(site, *request.param)
        yield front
        front.machine.stop()


# A PROXY header without -ssl does not tell whether the client came by TLS.
SILENT = ("haproxy-v1", "haproxy-v2")
FRONTS = [(way, tls) for way in WAYS for tls in (False, True) if not tls or way not in SILENT]
NAMES = [f"{way}{'-tls' if tls else ''}" for way, tls in FRONTS]
through_all = pytest.mark.parametrize("front", FRONTS, ids=NAMES, indirect=True, scope="module")


def forgeries(scheme):
    """Fields of clients that want to be somebody else, or to have come in another way."""
    other = "http" if scheme == "https" else "https"
    yield []
    yield [("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", other)]
    yield [("X-Forwarded-For", f"{LIAR}, 127.0.0.1"), ("X-Forwarded-For", "10.0.0.2")]
    yield [("X-Forwarded-For", f"{LIAR}, 10.0.0.2, unix, 127.0.0.1")]
    yield [("X-Forwarded-Proto", other), ("X-Forwarded-Proto", f"{other}, {other}")]
    yield [("Forwarded", f"for={LIAR};proto={other}"), ("X-Real-IP", LIAR), ("X-Forwarded-Ssl", "on")]
    yield [("X_Forwarded_For", LIAR), ("X_Forwarded_Proto", other), ("X-Forwarded_For", LIAR)]
    yield [("Connection", "keep-alive, X-Forwarded-For, X-Forwarded-Proto")]


@through_all
def test_the_client_and_its_scheme_arrive_and_cannot_be_forged(front):
    for fields in forgeries(front.scheme):
        environ = front.ask(fields)
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (CLIENT, front.scheme), fields
        assert environ["HTTP_HOST"] == "localhost"


@through_all
def test_a_proxy_header_of_the_client_is_refused(front):
    for header in (f"PROXY TCP4 {LIAR} 10.0.0.11 4711 443\r\n".encode(), V2):
        with front.connect() as client:
            client.send(header + harness.make_request(target="/forged"))
            assert b" 400 " in client.receive_until(b"\r\n")
    assert front.machine.count("GET /forged") == 0


@through_all
def test_nobody_is_somebody_else_beside_the_proxy(front):
    """A neighbour that reaches the machine itself speaks for himself or not at all."""
    host = front.machine.host
    fields = [("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "https")]
    seen = []
    for header in (b"", f"PROXY TCP4 {LIAR} 10.0.0.11 4711 443\r\n".encode(), V2):
        try:
            with front.connect(front.site.network.neighbour, host.address, 8000) as client:
                client.send(header + harness.make_request(fields=fields))
                seen.append(client.response())
        except ConnectionRefusedError:
            assert host is front.site.network.proxy  # cserve listens for nginx alone
    for response in seen:
        if response.status == 200:
            environ = response.literal()
            assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (NEIGHBOUR, "http")
        else:
            assert response.status in (400, 403), response
    assert not any(line.startswith(LIAR) for line in front.machine.lines())


@through_all
def test_who_comes_without_tls_is_sent_there(front):
    if front.scheme == "http":
        return  # this variant serves without
    try:
        with front.connect(port=80) as client:
            client.send(harness.make_request(target="/a?b", fields=[("Host", "mysite.example")]))
            head = client.receive_until(b"\r\n\r\n").lower()
    except ConnectionRefusedError:
        assert "proxy-protocol" in front.machine.settings()  # in mode tcp there is no such port
        return
    assert head.startswith((b"http/1.1 301", b"http/1.1 302"))
    assert b"\r\nlocation: https://mysite.example/a?b\r\n" in head
