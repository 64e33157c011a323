"""start_response and write(): W21 to W29 of the checklist, and S6."""

import re
from urllib.parse import quote

import pytest

import harness

TEXT = ("Content-Type", "text/plain")


def given(status, headers):
    return f"/?{quote(repr((status, headers)))}"


def test_status_and_headers_arrive_as_given(wsgi):
    response = wsgi.request(
        "head.given", target=given("299 Very Special (indeed)", [TEXT, ("X-A", "1"), ("x-b", "z y")])
    )
    assert (response.status, response.reason) == (299, "Very Special (indeed)")
    assert response.text == "given"
    assert [field for field in response.fields if field[0].lower().startswith("x-")] == [
        ("X-A", "1"),
        ("x-b", "z y"),
    ]


@pytest.mark.parametrize(
    "status, reason",
    [
        ("200 ", ""),
        ("204 ", ""),
        ("404 Not Found", "Not Found"),
        ("599 \u00fcber", "\u00fcber"),
        ("200 a  b", "a  b"),
        ("451 Unavailable For Legal Reasons", "Unavailable For Legal Reasons"),
    ],
)
def test_W27_reason_phrases(host, status, reason):
    response = host.request("head.given", target=given(status, [TEXT]))
    assert (response.status, response.reason) == (int(status[:3]), reason)


@pytest.mark.parametrize("value", ["", "v", "a b", "\u00e9\u00ff", "tab\there", "x" * 60000, 'a,b;c="d"'])
def test_W27_good_values(host, value):
    response = host.request(
        "head.given", target=given("200 OK", [TEXT, ("X-Value", "short")]), fields={"X": "1"}
    )
    assert response["X-Value"] == "short"
    status_headers = ("200 OK", [TEXT, ("X-Value", value[:2000])])
    assert host.request("head.given", target=given(*status_headers))["X-Value"] == value[:2000]


BAD = {
    "bytes status": (b"200 OK", [TEXT]),
    "number status": (200, [TEXT]),
    "None status": (None, [TEXT]),
    "empty status": ("", [TEXT]),
    "no number": ("OK", [TEXT]),
    "number only": ("200", [TEXT]),
    "two digits": ("20 OK", [TEXT]),
    "four digits": ("2000 OK", [TEXT]),
    "no space": ("200OK", [TEXT]),
    "letters": ("2x0 OK", [TEXT]),
    "other digits": ("\u0662\u0660\u0660 OK", [TEXT]),
    "1xx": ("100 Continue", [TEXT]),
    "101": ("101 Switching Protocols", [TEXT]),
    "leading space": (" 200 OK", [TEXT]),
    "CR in status": ("200 OK\rX: y", [TEXT]),
    "LF in status": ("200 OK\nX: y", [TEXT]),
    "CRLF in status": ("200 OK\r\nX: y", [TEXT]),
    "NUL in status": ("200 O\0K", [TEXT]),
    "DEL in status": ("200 O\x7fK", [TEXT]),
    "non-latin-1 status": ("200 \u20ac", [TEXT]),
    "tuple of headers": ("200 OK", (TEXT,)),
    "None headers": ("200 OK", None),
    "dict headers": ("200 OK", {"X-A": "b"}),
    "text headers": ("200 OK", "X-A: b"),
    "list item": ("200 OK", [["X-A", "b"]]),
    "text item": ("200 OK", ["ab"]),
    "one in item": ("200 OK", [("X-A",)]),
    "three in item": ("200 OK", [("X-A", "b", "c")]),
    "bytes name": ("200 OK", [(b"X-A", "b")]),
    "bytes value": ("200 OK", [("X-A", b"b")]),
    "number value": ("200 OK", [("Content-Length", 5)]),
    "None value": ("200 OK", [("X-A", None)]),
    "empty name": ("200 OK", [("", "b")]),
    "space in name": ("200 OK", [("X A", "b")]),
    "colon in name": ("200 OK", [("X-A:", "b")]),
    "CR in name": ("200 OK", [("X-A\r", "b")]),
    "LF in name": ("200 OK", [("X\nA", "b")]),
    "latin-1 name": ("200 OK", [("X-\u00e9", "b")]),
    "non-latin-1 name": ("200 OK", [("X-\u20ac", "b")]),
    "CR in value": ("200 OK", [("X-A", "b\rc")]),
    "LF in value": ("200 OK", [("X-A", "b\nc")]),
    "CRLF in value": ("200 OK", [("X-A", "b\r\nSet-Cookie: evil=1")]),
    "LF at the end": ("200 OK", [("X-A", "b\n")]),
    "NUL in value": ("200 OK", [("X-A", "b\0c")]),
    "VT in value": ("200 OK", [("X-A", "b\x0bc")]),
    "DEL in value": ("200 OK", [("X-A", "b\x7fc")]),
    "non-latin-1 value": ("200 OK", [("X-A", "\u20ac")]),
    "length no number": ("200 OK", [("Content-Length", "five")]),
    "length signed": ("200 OK", [("Content-Length", "+5")]),
    "length negative": ("200 OK", [("Content-Length", "-5")]),
    "length empty": ("200 OK", [("Content-Length", "")]),
    "length huge": ("200 OK", [("Content-Length", "9" * 30)]),
    "lengths differ": ("200 OK", [("Content-Length", "5"), ("Content-Length", "6")]),
}


@pytest.mark.parametrize("status, headers", BAD.values(), ids=BAD)
def test_W27_S6_what_breaks_the_rules_raises(host, status, headers):
    response = host.request("head.caught", target=given(status, headers))
    assert response.status == 200, response
    name, message = response.literal()
    assert name in ("TypeError", "ValueError", "UnicodeEncodeError", "AssertionError")
    assert len(message) > 10  # says which rule
    assert not response.all("X-A") and not response.all("Set-Cookie")


@pytest.mark.parametrize("status, headers", [BAD["CRLF in value"], BAD["bytes status"], BAD["text headers"]])
def test_W27_uncaught_it_is_a_500_and_a_traceback(host, status, headers):
    host.server.expect_log(r"Traceback.*head\.py.*start_response\(status, headers\).*Error: ")
    response = host.request("head.given", target=given(status, headers))
    assert response.status == 500
    assert "Traceback" not in response.text and "evil" not in repr(response)


def test_W27_a_refused_head_leaves_nothing_behind(host):
    response = host.request("head.caught", target=given("200 OK", [("X-Good", "1"), ("X-Bad", "\n")]))
    assert response.status == 200
    assert not response.all("X-Good") and not response.all("X-Bad")


def test_W21_second_call_without_exc_info_raises(host):
    response = host.request("head.twice")
    assert response.status == 200
    assert response.text.startswith("raised ")


def test_W21_uncaught_it_is_a_500(host):
    host.server.expect_log("Traceback.*twice_uncaught")
    response = host.request("head.twice_uncaught")
    assert response.status == 500
    assert "never seen" not in response.text


@pytest.mark.parametrize("app", ["by_keyword", "none_info"])
def test_W22_ways_to_give_exc_info(host, app):
    assert host.request(f"head.{app}").status == 200


def test_W22_exc_info_replaces_status_and_headers(wsgi):
    response = wsgi.request("head.replaced")
    assert (response.status, response.reason) == (503, "Replaced")
    assert response["X-Second"] == "2"
    assert not response.all("X-First") and not response.all("Set-Cookie")
    assert response.text == "replaced body"


def test_W22_W25_nothing_goes_out_before_the_first_byte(wsgi):
    response = wsgi.request("head.replaced_in_iteration")
    assert (response.status, response.text) == (503, "replaced late")
    assert not response.all("X-First")


def test_W22_the_connection_goes_on_after_a_replaced_head(host):
    with host.connect() as client:
        for _ in range(3):
            assert client.request(host.raw("head.replaced")).text == "replaced body"
            assert client.request(host.raw("head.plain")).text == "plain"


def test_W23_too_late_exc_info_is_raised_again(wsgi, gate):
    wsgi.seen()
    wsgi.server.expect_log("Traceback.*ValueError: after the head")
    with wsgi.connect() as client:
        client.send(wsgi.raw("head.too_late", fields={"Gate": gate.path}))
        head = client.response_head()
        assert head.status == 200
        assert client.chunk() == b"first part"
        gate.open()
        with pytest.raises(harness.Truncated) as cut:
            client.chunk()
    assert cut.value.rest == b""
    [(same, frames)] = wsgi.seen()
    assert same and "too_late" in frames


def test_W24_exc_info_does_not_leak(host):
    for _ in range(5):
        assert host.request("head.leak_info").status == 500
    assert host.value("head.alive") == 0


@pytest.mark.parametrize("app, status, body", [("late", 201, "late body"), ("late_empty", 202, "later body")])
def test_W25_start_response_inside_the_first_iteration(wsgi, app, status, body):
    response = wsgi.request(f"head.{app}")
    assert (response.status, response.text) == (status, body)


@pytest.mark.parametrize("app, body", [("by_write", "one two"), ("write_and_return", "written and returned")])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W26_write_comes_before_the_result(wsgi, app, body, version):
    response = wsgi.request(f"head.{app}", version=version)
    assert (response.status, response.text) == (200, body)


def test_W26_write_with_a_length(wsgi):
    response = wsgi.request("head.write_length")
    assert response["Content-Length"] == "10"
    assert response.text == "0123456789"


def test_W26_write_sends_at_once(wsgi, gate):
    with wsgi.connect() as client:
        client.send(wsgi.raw("head.write_gated", fields={"Gate": gate.path}))
        response = client.response_head()
        assert client.chunk() == b"at once"
        gate.open()
        assert client.response_body(response).text == "afterwards"


def test_W26_write_of_text_is_an_error(host):
    host.server.expect_log("Traceback.*write_text.*TypeError.*bytes")
    assert host.request("head.write_text").status == 500


def test_W26_write_of_more_than_the_sockets_hold(wsgi):
    response = wsgi.request("head.write_large")
    assert len(response.body) == 512 * 65536
    assert all(
        response.body[index * 65536 : (index + 1) * 65536] == bytes([index % 251]) * 65536
        for index in range(512)
    )


def test_W26_write_to_a_client_that_is_gone(host):
    with host.connect() as client:
        client.send(host.raw("head.write_large", target="/gone"))
        client.receive_until(b"\r\n\r\n")
        client.abort()
    harness.eventually(
        lambda: any("/gone" in line and not line.endswith(" ok") for line in host.server.access_lines())
    )
    assert host.request("head.plain").text == "plain"


def test_start_response_and_write_are_dead_after_their_request(host):
    with host.connect() as client:
        client.request(host.raw("head.keep"))
        response = client.request(host.raw("head.use_kept"))
    assert len(response.literal()) == 2 and "no error" not in response.literal()
    assert not response.all("X-Stale")


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Transfer-Encoding",
        "Keep-Alive",
        "Upgrade",
        "TE",
        "Trailer",
        "Proxy-Connection",
        "transfer-encoding",
        "KEEP-ALIVE",
    ],
)
def test_W28_hop_by_hop_fields_are_dropped_with_a_warning(host, name):
    before = len(host.server.log())
    with host.connect() as client:
        response = client.request(host.raw("head.hop_by_hop", target=f"/?{name}"))
        assert response.text == "hop"
        assert "chunked" not in repr([value for key, value in response.fields if key.lower() == name.lower()])
        assert response["X-Other"] == "kept"
        assert client.request(host.raw("head.plain")).text == "plain"
    warning = rf"WARNING [^\n]*\b{name}\b"
    assert host.server.stderr.wait(warning, start=before), host.server.log()[before:]
    host.value("environ.errors")  # its lines in the log are behind all warnings
    host.server.stderr.wait("three by writelines", start=before)
    assert len(re.findall(warning, host.server.log()[before:])) == 1


def test_W28_connection_close_is_honoured(host):
    with host.connect() as client:
        response = client.request(host.raw("head.closing"))
        assert "close" in response.connection()
        client.expect_end()


def test_W29_the_header_list_is_copied(host):
    response = host.request("head.mutated")
    assert response["X-Kept"] == "yes"
    assert not response.all("X-Changed")
    assert response.text == "kept body"


def test_many_fields(wsgi):
    response = wsgi.request("head.many")
    assert all(response[f"X-Field-{index}"] == "v" * index for index in range(200))
    assert response.all("Set-Cookie") == ["a=1", "b=2"]
    assert response["X-Empty"] == ""


def test_start_response_not_called(host):
    host.server.expect_log("start_response")
    response = host.request("head.not_called")
    assert response.status == 500
    assert "body without head" not in response.text


def test_start_response_not_called_and_no_content(host):
    host.server.expect_log("start_response")
    assert host.request("head.not_called_empty").status == 500
