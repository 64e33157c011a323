"""Whom the server believes: forwarded fields, PROXY protocol headers, and names that pretend to be others."""

import ast
import re
import socket
import struct

import pytest

import harness

APP = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(shown).encode()]
"""

CLIENT = "203.0.113.9"  # who the honest proxies of these tests speak for
LIAR = "198.51.100.66"  # whom a client claims to be


def environ_of(response):
    assert response.status == 200, response
    return ast.literal_eval(response.text)


def last_logged(server, count):
    """Who made the last request by the access log, once it has `count` lines."""
    return server.wait_access(count)[-1].split()[0]


class Asker:
    """A server, what it shows an application, and whom its access log then names."""

    def __init__(self, server):
        self.server = server

    def ask(self, fields, **options):
        """(REMOTE_ADDR, wsgi.url_scheme, environ) of a request with these fields, and only these."""
        before = len(self.server.access_lines())
        with self.server.connect(**options) as client:
            environ = environ_of(client.request(harness.make_request(fields=fields)))
            if isinstance(client.socket.getsockname(), tuple):
                changed = environ["REMOTE_ADDR"] != client.socket.getsockname()[0]
                assert environ["REMOTE_PORT"] == ("" if changed else str(client.port))
        assert last_logged(self.server, before + 1) == (environ["REMOTE_ADDR"] or "-")
        return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ

    def believes(self, fields, **options):
        return self.ask(fields, **options)[:2]


@pytest.fixture(scope="module")
def trusting(serve_module):
    """By default the machine itself is trusted, and sets X-Forwarded-For and X-Forwarded-Proto."""
    return Asker(serve_module(APP))


@pytest.fixture(scope="module")
def standard(serve_module):
    return Asker(serve_module(APP, "--forwarded-headers", "forwarded"))


@pytest.fixture(scope="module")
def distrusting(serve_module):
    return Asker(serve_module(APP, "--forwarded-allow-ips", "10.0.0.0/8,2001:db8::/32,unix"))


@pytest.fixture(scope="module")
def nobody(serve_module):
    return Asker(serve_module(APP, "--forwarded-allow-ips=", "--forwarded-headers", "forwarded"))


HERE = "127.0.0.1"

X_FORWARDED = [
    ([("X-Forwarded-For", CLIENT)], CLIENT, "http"),
    ([("x-forwarded-for", CLIENT)], CLIENT, "http"),
    ([("X-Forwarded-For", f"{CLIENT}:4711")], CLIENT, "http"),
    ([("X-Forwarded-For", f" \t{CLIENT}\t ")], CLIENT, "http"),
    ([("X-Forwarded-For", "2001:db8::7")], "2001:db8::7", "http"),
    ([("X-Forwarded-For", "[2001:db8::7]")], "2001:db8::7", "http"),
    ([("X-Forwarded-For", "[2001:db8::7]:4711")], "2001:db8::7", "http"),
    # The rightmost that is not a proxy of ours, whatever stands left of it.
    ([("X-Forwarded-For", f"{LIAR}, {CLIENT}")], CLIENT, "http"),
    ([("X-Forwarded-For", f"{LIAR},{CLIENT},127.0.0.1")], CLIENT, "http"),
    ([("X-Forwarded-For", f"{LIAR}, {CLIENT}, ::1, 127.0.0.1")], CLIENT, "http"),
    ([("X-Forwarded-For", LIAR), ("X-Forwarded-For", CLIENT)], CLIENT, "http"),
    (
        [("X-Forwarded-For", LIAR), ("Accept", "*/*"), ("X-Forwarded-For", f"{CLIENT}, 127.0.0.1")],
        CLIENT,
        "http",
    ),
    ([("X-Forwarded-For", f"127.0.0.1, {LIAR}, {CLIENT}")], CLIENT, "http"),
    ([("X-Forwarded-For", ", ".join([LIAR] * 500 + [CLIENT, HERE]))], CLIENT, "http"),
    # Only our own: the first of them made the request.
    ([("X-Forwarded-For", "::1, 127.0.0.1")], "::1", "http"),
    # What is no address ends the search.
    ([("X-Forwarded-For", "unknown")], HERE, "http"),
    ([("X-Forwarded-For", f"{LIAR}, unknown")], HERE, "http"),
    ([("X-Forwarded-For", f"unknown, {CLIENT}")], CLIENT, "http"),
    ([("X-Forwarded-For", f"{LIAR}, ,::1")], "::1", "http"),
    ([("X-Forwarded-For", f"{LIAR}, 127.0.0.1 x")], HERE, "http"),
    ([("X-Forwarded-For", "203.0.113.256")], HERE, "http"),
    ([("X-Forwarded-For", "0x7f.1")], HERE, "http"),
    ([("X-Forwarded-For", "")], HERE, "http"),
    ([("X-Forwarded-For", '"')], HERE, "http"),
    ([("X-Forwarded-For", "[")], HERE, "http"),
    ([("X-Forwarded-For", "a" * 8000)], HERE, "http"),
    # The scheme.
    ([("X-Forwarded-Proto", "https")], HERE, "https"),
    ([("X-Forwarded-Proto", "HTTPS")], HERE, "https"),
    ([("X-Forwarded-Proto", "http")], HERE, "http"),
    ([("X-Forwarded-Proto", "ftp")], HERE, "http"),
    ([("X-Forwarded-Proto", "https; x=y")], HERE, "http"),
    ([("X-Forwarded-Proto", "https, http")], HERE, "http"),
    ([("X-Forwarded-Proto", "http, https")], HERE, "https"),
    ([("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https")], CLIENT, "https"),
    (
        [("X-Forwarded-For", f"{LIAR}, {CLIENT}, 127.0.0.1"), ("X-Forwarded-Proto", "http, https, http")],
        CLIENT,
        "https",
    ),
    ([("X-Forwarded-For", f"{LIAR}, {CLIENT}"), ("X-Forwarded-Proto", "https, http")], CLIENT, "http"),
    # The other kind is the client's own word.
    ([("Forwarded", f"for={LIAR};proto=https")], HERE, "http"),
    ([("Forwarded", f"for={LIAR};proto=https"), ("X-Forwarded-For", CLIENT)], CLIENT, "http"),
]

FORWARDED = [
    ([("Forwarded", f"for={CLIENT}")], CLIENT, "http"),
    ([("Forwarded", f"for={CLIENT};proto=https")], CLIENT, "https"),
    ([("forwarded", f"FOR={CLIENT};By=10.0.0.1;Proto=HTTPS;Host=h")], CLIENT, "https"),
    ([("Forwarded", f'for="{CLIENT}:4711" ; proto="https"')], CLIENT, "https"),
    ([("Forwarded", 'for="[2001:db8::7]:4711"')], "2001:db8::7", "http"),
    ([("Forwarded", 'for="[2001:db8::7]"')], "2001:db8::7", "http"),
    ([("Forwarded", f"for={LIAR};proto=https, for={CLIENT}")], CLIENT, "http"),
    ([("Forwarded", f"for={LIAR}, for={CLIENT};proto=https, for=127.0.0.1")], CLIENT, "https"),
    ([("Forwarded", f"for={LIAR};proto=https"), ("Forwarded", f"for={CLIENT};proto=http")], CLIENT, "http"),
    ([("Forwarded", f'for="{LIAR}, for={LIAR}", for={CLIENT}')], CLIENT, "http"),
    ([("Forwarded", f'by=";for={LIAR}";for={CLIENT}')], CLIENT, "http"),
    ([("Forwarded", "for=unknown;proto=https")], HERE, "https"),
    ([("Forwarded", f"for={LIAR}, for=_hidden")], HERE, "http"),
    ([("Forwarded", f'for={LIAR}, for="')], HERE, "http"),
    ([("Forwarded", f'for={LIAR}, "\\')], HERE, "http"),
    ([("Forwarded", f"for={LIAR}, ;;==;")], HERE, "http"),
    ([("Forwarded", "")], HERE, "http"),
    ([("Forwarded", "," * 4000)], HERE, "http"),
    ([("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "https")], HERE, "http"),
    (
        [("Forwarded", f"for={CLIENT}"), ("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "https")],
        CLIENT,
        "http",
    ),
]

# Fields that some proxy or framework somewhere takes for the client's address, scheme or host.
OTHER_FORWARDED = [
    (name, LIAR)
    for name in (
        "X-Real-IP",
        "Client-IP",
        "X-Client-IP",
        "True-Client-IP",
        "X-Cluster-Client-IP",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "X-Originating-IP",
        "Remote-Addr",
        "X-Remote-Addr",
        "X-ProxyUser-IP",
        "Via",
    )
] + [
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-Protocol", "https"),
    ("X-Scheme", "https"),
    ("X-Url-Scheme", "https"),
    ("Front-End-Https", "on"),
    ("Script-Name", "/evil"),
    ("Path-Info", "/evil"),
    ("X-Script-Name", "/evil"),
    ("Wsgi.url-scheme", "https"),
    ("Https", "on"),
    ("Remote-User", "root"),
    ("Auth-Type", "Basic"),
]


@pytest.mark.parametrize("fields, address, scheme", X_FORWARDED)
def test_S5_x_forwarded_fields_of_a_trusted_proxy(trusting, fields, address, scheme):
    assert trusting.believes(fields) == (address, scheme)


@pytest.mark.parametrize("fields, address, scheme", FORWARDED)
def test_S5_forwarded_field_of_a_trusted_proxy(standard, fields, address, scheme):
    assert standard.believes(fields) == (address, scheme)


@pytest.mark.parametrize("fields", [case[0] for case in X_FORWARDED + FORWARDED])
def test_S5_forged_fields_change_nothing(distrusting, nobody, fields):
    assert distrusting.believes(fields) == (HERE, "http")
    assert nobody.believes(fields) == (HERE, "http")


@pytest.mark.parametrize("field", OTHER_FORWARDED, ids=lambda field: field[0])
def test_S5_other_fields_of_that_sort_change_nothing(trusting, distrusting, field):
    for asker in (trusting, distrusting):
        address, scheme, environ = asker.ask([field])
        assert (address, scheme) == (HERE, "http")
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (HERE, str(asker.server.port))
        assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("localhost", "", "/")
        assert not {"HTTPS", "REMOTE_USER", "AUTH_TYPE"} & set(environ)


def test_S5_by_default_only_this_machine_is_trusted(trusting):
    fields = [("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https")]
    assert trusting.believes(fields, source="127.0.0.1") == (CLIENT, "https")
    assert trusting.believes(fields, source="127.0.0.2") == ("127.0.0.2", "http")


@pytest.mark.parametrize(
    "allowed, source, trusted",
    [
        ("127.0.0.0/30", "127.0.0.3", True),
        ("127.0.0.0/30", "127.0.0.4", False),
        ("127.0.0.7/32", "127.0.0.7", True),
        ("127.0.0.6/31", "127.0.0.8", False),
        ("10.0.0.0/8, 127.0.0.9", "127.0.0.9", True),
        ("::1", "127.0.0.1", False),
        ("*", "127.0.0.200", True),
        ("0.0.0.0/0", "127.0.0.200", True),
        ("", "127.0.0.1", False),
    ],
)
def test_S5_networks(serve, allowed, source, trusted):
    asker = Asker(serve(APP, "--forwarded-allow-ips", allowed))
    believed = asker.believes([("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https")], source=source)
    # With everybody trusted the first of the chain is the client.
    assert believed == ((CLIENT, "https") if trusted else (source, "http"))


@pytest.mark.parametrize("options, trusted", [((), True), (("--forwarded-allow-ips", "127.0.0.1"), False)])
def test_S5_over_ipv6(serve, options, trusted):
    asker = Asker(serve(APP, "--bind", "[::1]:0", *options))
    assert asker.believes([("X-Forwarded-For", CLIENT)])[0] == (CLIENT if trusted else "::1")


def test_S5_an_ipv4_peer_of_a_dual_stack_socket_is_known_by_its_ipv4_address(serve):
    server = serve(APP, "--bind", "[::]:0", "--forwarded-allow-ips", "127.0.0.1")
    server.addresses = [("127.0.0.1", server.port)]
    asker = Asker(server)
    assert asker.believes([("X-Forwarded-For", CLIENT)]) == (CLIENT, "http")
    assert asker.believes([("X-Forwarded-For", LIAR)], source="127.0.0.2") == ("127.0.0.2", "http")


@pytest.mark.parametrize(
    "options, trusted",
    [
        ((), False),
        (("--forwarded-allow-ips", "unix"), True),
        (("--forwarded-allow-ips", "*"), True),
        (("--forwarded-allow-ips", "0.0.0.0/0,::/0"), False),
        (("--forwarded-allow-ips", "127.0.0.1,unix"), True),
    ],
)
def test_S5_over_a_unix_socket(serve, tmp_path, options, trusted):
    asker = Asker(serve(APP, "--bind", f"unix:{tmp_path}/socket", *options))
    believed = asker.believes([("X-Forwarded-For", f"{LIAR}, {CLIENT}"), ("X-Forwarded-Proto", "https")])
    expected = LIAR if "*" in options else CLIENT
    assert believed == ((expected, "https") if trusted else ("", "http"))


def test_S5_what_one_request_says_does_not_stick_to_the_connection(trusting):
    with trusting.server.connect() as client:
        for number in range(3):
            fields = [("X-Forwarded-For", f"203.0.113.{number}"), ("X-Forwarded-Proto", "https")]
            environ = environ_of(client.request(harness.make_request(fields=fields)))
            assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (f"203.0.113.{number}", "https")
            environ = environ_of(client.request(harness.make_request()))
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (HERE, str(client.port))
            assert environ["wsgi.url_scheme"] == "http"


def test_S5_with_content_that_comes_later(trusting):
    """The head may move in memory between being parsed and being shown."""
    body = b"x" * 400_000
    for framing in ([("Content-Length", str(len(body)))], [("Transfer-Encoding", "chunked")]):
        content = body if framing[0][0] == "Content-Length" else harness.chunked(body)
        with trusting.server.connect() as client:
            client.send(harness.make_request("POST", fields=[("X-Forwarded-For", CLIENT), *framing]))
            client.send(content + harness.make_request(fields=[("X-Forwarded-For", LIAR)]))
            assert environ_of(client.response("POST"))["REMOTE_ADDR"] == CLIENT
            assert environ_of(client.response())["REMOTE_ADDR"] == LIAR


def test_S5_the_access_log_names_the_client_also_when_the_request_fails(serve):
    server = serve(APP, "--body-timeout", "0.2")
    fields = [("X-Forwarded-For", CLIENT), ("Content-Length", "10")]
    with server.connect() as client:
        client.send(harness.make_request("POST", fields=fields) + b"half")
        assert client.response("POST").status == 408
    assert last_logged(server, 1) == CLIENT
    with server.connect() as client:
        client.send(harness.make_request("POST", fields=fields) + b"half")
        client.end()
        client.expect_end()
    assert last_logged(server, 2) == CLIENT
    with server.connect() as client:
        client.send(
            harness.make_request("POST", fields=[fields[0], ("Transfer-Encoding", "chunked")]) + b"x\r\n"
        )
        assert client.response("POST").status == 400
    assert last_logged(server, 3) == CLIENT
    assert [line.split()[-1] for line in server.access_lines()] == [
        "timeout-body",
        "client-gone",
        "bad-chunk-size",
    ]


# Names.


@pytest.mark.parametrize(
    "fields",
    [
        [("X_Forwarded_For", LIAR), ("X_Forwarded_Proto", "https")],
        [("X_Forwarded-For", LIAR), ("X-Forwarded_Proto", "https")],
        [("X-Forwarded-For", CLIENT), ("X_Forwarded_For", LIAR)],
        [("X_Forwarded_For", LIAR), ("X-Forwarded-For", CLIENT)],
    ],
)
def test_S5_a_name_with_an_underscore_shadows_nothing(trusting, fields):
    address, scheme, environ = trusting.ask(fields)
    honest = [value for name, value in fields if name == "X-Forwarded-For"]
    assert (address, scheme) == (honest[0] if honest else HERE, "http")
    assert environ.get("HTTP_X_FORWARDED_FOR") == (honest[0] if honest else None)
    assert "HTTP_X_FORWARDED_PROTO" not in environ


@pytest.mark.parametrize(
    "name",
    [
        "X_Secret",
        "X-Secret_",
        "_",
        "Content_Length",
        "Transfer_Encoding",
        "Content_Type",
        "Host_",
        "Remote_Addr",
        "Proxy_",
        "Cookie_",
    ],
)
def test_S5_names_with_underscores_are_dropped(trusting, name):
    plain = set(trusting.ask([])[2])
    environ = trusting.ask([(name, "7")])[2]
    assert set(environ) == plain and "7" not in environ.values()


@pytest.mark.parametrize("name", ["Proxy", "proxy", "PROXY", "pRoXy"])
def test_S5_the_field_proxy_is_dropped(trusting, name):
    environ = trusting.ask([(name, "http://evil.example/"), ("Proxy-Thing", "kept")])[2]
    assert "HTTP_PROXY" not in environ
    assert environ["HTTP_PROXY_THING"] == "kept"


# The PROXY protocol.

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SERVICE = "192.0.2.80"  # where the client connected to, as the proxy says


def v1(source=CLIENT, destination=SERVICE, source_port=4711, destination_port=443, protocol=None):
    protocol = protocol or ("TCP6" if ":" in source else "TCP4")
    return f"PROXY {protocol} {source} {destination} {source_port} {destination_port}\r\n".encode()


def v2_header(command, family, content):
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(content)) + content


def v2(source=CLIENT, destination=SERVICE, source_port=4711, destination_port=443, tlvs=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    content = addresses + struct.pack("!HH", source_port, destination_port) + tlvs
    return v2_header(1, 0x21 if family == socket.AF_INET6 else 0x11, content)


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


# Header, then the client's address and port, the server's address and port; None: those of the connection.
HEADERS = [
    (v1(), (CLIENT, "4711", SERVICE, "443")),
    (v1("2001:db8::7", "2001:db8::1"), ("2001:db8::7", "4711", "2001:db8::1", "443")),
    (v1("2001:db8:0:0:0:0:0:7", "::ffff:192.0.2.1"), ("2001:db8::7", "4711", "192.0.2.1", "443")),
    (v1(source_port=0, destination_port=65535), (CLIENT, "0", SERVICE, "65535")),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (v2(), (CLIENT, "4711", SERVICE, "443")),
    (v2("2001:db8::7", "2001:db8::1"), ("2001:db8::7", "4711", "2001:db8::1", "443")),
    (
        v2(tlvs=tlv(0x01, b"h2") + tlv(0x02, b"www.example") + tlv(0x04, b"\0" * 100)),
        (CLIENT, "4711", SERVICE, "443"),
    ),
    (v2(tlvs=tlv(0x04, b"\r\n\r\n" * 1000)), (CLIENT, "4711", SERVICE, "443")),
    (v2_header(0, 0x00, b""), None),
    (v2_header(0, 0x11, b"\xff" * 12), None),
    (v2_header(0, 0x00, tlv(0x03, b"\0\0\0\0")), None),
    (v2_header(1, 0x00, b""), None),
    (v2_header(1, 0x01, b"?"), None),
    (v2_header(1, 0x31, b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")), None),
]

BAD_HEADERS = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n",
    b"\r\nPROXY TCP4 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"proxy TCP4 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 4711 443\n",
    b"PROXY  TCP4 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY TCP4  203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 4711 443 \r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 4711 443 1\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 4711\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 4711 65536\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 +4711 443\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.80 04711 443\r\n",
    b"PROXY TCP4 203.0.113.999 192.0.2.80 4711 443\r\n",
    b"PROXY TCP4 2001:db8::7 192.0.2.80 4711 443\r\n",
    b"PROXY TCP6 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY TCP5 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY UDP4 203.0.113.9 192.0.2.80 4711 443\r\n",
    b"PROXY unknown\r\n",
    b"PROXY \r\n",
    b"PROXY\r\n",
    b"PROXYTCP4\r\n",
    b"PROXY UNKNOWN " + b"x" * 100,
    b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    v2()[:12] + b"\x11" + v2()[13:],
    v2()[:12] + b"\x31" + v2()[13:],
    v2()[:12] + b"\x22" + v2()[13:],
    v2_header(1, 0x12, b"\0" * 12),
    v2_header(1, 0x41, b"\0" * 12),
    v2_header(1, 0x11, b"\0" * 11),
    v2_header(1, 0x21, b"\0" * 35),
    v2_header(1, 0x31, b"\0" * 215),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4096),
    SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 65535),
    b"\r\n\r\n\0\r\nQUIX\n" + v2()[12:],
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.fixture(scope="module")
def proxied(serve_module):
    return serve_module(APP, "--proxy-protocol")


def assert_described(server, client, environ, expected):
    expected = expected or (HERE, str(client.port), HERE, str(server.port))
    shown = tuple(environ[key] for key in ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT"))
    assert shown == expected


@pytest.mark.parametrize("header, expected", HEADERS)
def test_proxy_header(proxied, header, expected):
    before = len(proxied.access_lines())
    with proxied.connect() as client:
        client.send(header)
        for _ in range(2):
            environ = environ_of(client.request(harness.make_request()))
            assert_described(proxied, client, environ, expected)
            assert environ["wsgi.url_scheme"] == "http"
    assert last_logged(proxied, before + 2) == (expected[0] if expected else HERE)


@pytest.mark.parametrize(
    "bits, scheme", [(b"\1", "https"), (b"\7", "https"), (b"\0", "http"), (b"\6", "http")]
)
def test_a_proxy_that_takes_tls_off_says_so(proxied, bits, scheme):
    ssl = tlv(0x20, bits + b"\0\0\0\0" + tlv(0x21, b"TLSv1.3"))
    with proxied.connect() as client:
        client.send(v2(tlvs=tlv(0x05, b"an id") + ssl))
        for _ in range(2):
            environ = environ_of(client.request(harness.make_request()))
            assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (CLIENT, scheme)
    with proxied.connect() as client:
        client.send(v2())
        assert environ_of(client.request(harness.make_request()))["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize("header, expected", HEADERS)
def test_proxy_header_together_with_the_request(proxied, header, expected):
    with proxied.connect() as client:
        client.send(header + harness.make_request(target="/1") + harness.make_request(target="/2"))
        for target in ("/1", "/2"):
            environ = environ_of(client.response())
            assert environ["PATH_INFO"] == target
            assert_described(proxied, client, environ, expected)


@pytest.mark.parametrize("header, expected", [case for case in HEADERS if len(case[0]) < 400])
def test_proxy_header_split_at_every_byte(proxied, header, expected):
    whole = header + harness.make_request()
    for at in range(1, len(header) + 2):
        with proxied.connect() as client:
            client.send_each([whole[:at], whole[at:]])
            assert_described(proxied, client, environ_of(client.response()), expected)
    with proxied.connect() as client:
        client.send_each(whole[at : at + 1] for at in range(len(whole)))
        assert_described(proxied, client, environ_of(client.response()), expected)


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_bad_or_missing_proxy_header(proxied, header):
    """Refused with an answer that says why, and nothing behind it is read as a request."""
    before = len(proxied.access_lines())
    with proxied.connect() as client:
        client.send(header)
        response = client.response()
        assert response.status == 400 and b"PROXY" in response.body
        client.send(harness.make_request())
        client.expect_end()
    lines = proxied.wait_access(before + 1)[before:]
    assert len(lines) == 1 and lines[0].startswith(f"{HERE} ") and lines[0].endswith(" bad-proxy-header")


def test_a_second_proxy_header_is_no_request(proxied):
    with proxied.connect() as client:
        client.send(v1() + v1(LIAR) + harness.make_request())
        assert client.response().status == 400
        client.expect_end()


@pytest.mark.parametrize("header", [v1(), v2()])
def test_without_the_option_there_is_no_proxy_protocol(trusting, header):
    with trusting.server.connect() as client:
        client.send(header + harness.make_request())
        assert client.response().status == 400
        client.expect_end()


@pytest.mark.parametrize("header", [v1(), v2(), harness.make_request()])
def test_a_peer_that_may_not_send_proxy_headers(serve, header):
    server = serve(APP, "--proxy-protocol", "--proxy-allow-from", "127.0.0.1")
    with server.connect(source="127.0.0.2") as client:
        client.send(header)
        response = client.response()
        assert response.status == 403 and "--proxy-allow-from" in response.text
        client.expect_end()
    line = server.wait_access(1)[0]
    assert line.startswith("127.0.0.2 ") and " 403 " in line and line.endswith(" proxy-not-allowed")
    with server.connect(source="127.0.0.1") as client:
        client.send(v2())
        assert environ_of(client.request(harness.make_request()))["REMOTE_ADDR"] == CLIENT


@pytest.mark.parametrize("allowed, expected", [("unix", CLIENT), ("127.0.0.1", None)])
def test_proxy_header_over_a_unix_socket(serve, tmp_path, allowed, expected):
    server = serve(
        APP, "--bind", f"unix:{tmp_path}/socket", "--proxy-protocol", "--proxy-allow-from", allowed
    )
    with server.connect() as client:
        client.send(v1())
        response = client.request(harness.make_request()) if expected else client.response()
    assert response.status == (200 if expected else 403)
    if expected:
        assert_described(server, None, environ_of(response), (CLIENT, "4711", SERVICE, "443"))


def test_proxy_header_that_does_not_arrive_in_time(serve):
    server = serve(APP, "--proxy-protocol", "--header-timeout", "0.2")
    with server.connect() as silent, server.connect() as slow:
        slow.send(v2()[:20])
        assert slow.response().status == 408
        slow.expect_end()
        silent.expect_end()  # it never said anything: it gets no answer and no line
    assert [line.split()[-1] for line in server.wait_access(1)] == ["timeout-proxy"]


def test_a_proxy_that_only_knocks_leaves_no_trace(proxied):
    before = len(proxied.access_lines())
    proxied.connect().close()
    proxied.connect().abort()
    with proxied.connect() as client:
        client.send(v2_header(0, 0, b""))
        client.end()
        client.expect_end()
    with proxied.connect() as client:
        client.send(v1())
        client.request(harness.make_request())
    assert len(proxied.wait_access(before + 1)) == before + 1


def test_stopping_does_not_wait_for_a_proxy_header(serve):
    server = serve(APP, "--proxy-protocol")
    with server.connect(), server.connect() as half:
        half.send(v1()[:10])
        with server.connect() as client:
            client.send(v1())
            client.request(harness.make_request())
        server.stop(deadline=5)


def test_S5_the_client_behind_a_tcp_proxy_is_not_trusted_as_the_proxy_is(proxied):
    """The proxy may be trusted to say who connects; what the one who connects says is another matter."""
    forged = [("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "https")]
    for header in (v1(), v2()):
        with proxied.connect() as client:
            client.send(header)
            environ = environ_of(client.request(harness.make_request(fields=forged)))
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (CLIENT, "http")


def test_S5_an_http_proxy_behind_a_tcp_proxy_can_be_trusted(serve):
    server = serve(APP, "--proxy-protocol", "--forwarded-allow-ips", "10.0.0.0/8")
    with server.connect() as client:
        client.send(v1("10.1.2.3"))
        fields = [("X-Forwarded-For", f"{LIAR}, {CLIENT}"), ("X-Forwarded-Proto", "https")]
        environ = environ_of(client.request(harness.make_request(fields=fields)))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (CLIENT, "https")


# The options.


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--forwarded-allow-ips", "127.0.0.1,10.0.0.0/33"], ["--forwarded-allow-ips", "'10.0.0.0/33'"]),
        (["--forwarded-allow-ips", "localhost"], ["--forwarded-allow-ips", "'localhost'", "10.0.0.0/8"]),
        (["--proxy-allow-from", "::1/129"], ["--proxy-allow-from", "'::1/129'"]),
        (["--proxy-allow-from", "[::1]"], ["--proxy-allow-from", "'[::1]'"]),
        (
            ["--forwarded-headers", "x-forwarde"],
            ["--forwarded-headers", "x-forwarded or forwarded", "did you mean x-forwarded?"],
        ),
        (["--forwarded-headers", ""], ["--forwarded-headers"]),
        (["--proxy-protocol=2"], ["--proxy-protocol", "no value"]),
        (["--forwarded-allow"], ["--forwarded-allow", "did you mean --forwarded-allow-ips?"]),
    ],
)
def test_options_that_do_not_do(cserve, tmp_path, arguments, words):
    process = harness.Process(cserve, [*arguments, "app"], tmp_path)
    assert process.wait() == 2
    assert process.log().startswith("cserve: ") and process.log().count("\n") == 1, process.log()
    assert all(word in process.log() for word in words), process.log()


def test_the_last_list_counts(serve):
    asker = Asker(serve(APP, "--forwarded-allow-ips", "127.0.0.1", "--forwarded-allow-ips", "10.0.0.1"))
    assert asker.believes([("X-Forwarded-For", LIAR)]) == (HERE, "http")


def test_defaults_are_in_the_help(cserve, tmp_path):
    process = harness.Process(cserve, ["--help-markdown"], tmp_path)
    assert process.wait() == 0
    for option, default in [
        ("forwarded-allow-ips LIST", "127.0.0.1,::1"),
        ("forwarded-headers KIND", "x-forwarded"),
        ("proxy-allow-from LIST", "127.0.0.1,::1"),
    ]:
        row = rf"^\| `--{option}` \| [^|]* \| {re.escape(default)} \|"
        assert re.search(row, process.output(), re.MULTILINE)
