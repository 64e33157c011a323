"""What the application returns: W25 and W30 to W36 of the checklist."""

import itertools

import pytest

import harness

KEYS = itertools.count()


@pytest.fixture
def key():
    """A fresh name to count calls of close() under."""
    return f"key-{next(KEYS)}"


def closed_once(host, key):
    """close() was called, and not twice: requests that came later were answered meanwhile."""
    harness.eventually(lambda: host.closed(key) > 0, what="close()")
    return host.closed(key) == 1


KINDS = {
    "as_list": ("one list", True),
    "as_long_list": ("alonglist", False),
    "as_tuple": ("one tuple", False),
    "as_set": ("one set", False),
    "as_generator": ("one generator", False),
    "as_map": ("one map", False),
    "as_sized_one": ("sized one", True),
    "as_sized_many": ("sized many", False),
    "as_indexed": ("one indexed", False),
    "Application": ("one class", False),
    "as_bytes_subclass": ("subclass", False),
    "as_empty": ("", False),
    "as_empty_generator": ("", False),
}


@pytest.mark.parametrize("app", KINDS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W33_iterables_of_every_kind(wsgi, app, version):
    if wsgi.validated and app in ("as_bytes_subclass", "as_indexed"):
        wsgi.validated = False  # the validator wants exact bytes, and __iter__ or a sequence
    body, _ = KINDS[app]
    response = wsgi.request(f"results.{app}", version=version)
    assert (response.status, response.text) == (200, body)


@pytest.mark.parametrize("app", ["as_list", "as_sized_one"])
def test_W33_one_item_gets_a_content_length(host, app):
    response = host.request(f"results.{app}")
    assert response["Content-Length"] == str(len(response.body))


def test_W33_no_content_gets_length_zero(host):
    assert host.request("results.as_empty")["Content-Length"] == "0"


@pytest.mark.parametrize("app", ["as_generator", "as_map", "Application"])
def test_W33_unknown_length_is_chunked_or_closed(host, app):
    assert host.request(f"results.{app}").framing == "chunked"
    with host.connect() as client:
        response = client.request(
            host.raw(f"results.{app}", version="1.0", fields={"Connection": "keep-alive"})
        )
        assert response.framing == "close"
        client.expect_end()


def test_W31_W32_each_item_is_a_chunk_and_empty_ones_are_none(wsgi):
    response = wsgi.request("results.as_generator")
    assert response.chunks == [b"one ", b"generator"]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W31_each_item_is_sent_before_the_next_is_asked_for(wsgi, gate, key, version):
    with wsgi.connect() as client:
        client.send(
            wsgi.raw("results.counted_gated", target=f"/?{key}", fields={"Gate": gate.path}, version=version)
        )
        assert client.response_head().status == 200
        for expected in (b"one", b"two", b"three"):
            assert (client.receive_until(expected) if version == "1.0" else client.chunk()) == expected
            gate.open()
        if version == "1.1":
            assert client.chunk() == b""
        else:
            client.expect_end()
    assert closed_once(wsgi, key)


def test_W31_items_within_a_length_are_sent_at_once(wsgi, gate):
    with wsgi.connect() as client:
        client.send(wsgi.raw("results.gated_length", fields={"Gate": gate.path}))
        assert client.response_head()["Content-Length"] == "10"
        assert client.receive_until(b"12345") == b"12345"
        gate.open()
        assert client.receive_until(b"67890") == b"67890"


@pytest.mark.parametrize(
    "app, error",
    [
        ("as_bytes", "bytes"),
        ("as_text", "str"),
        ("as_none", "None"),
        ("as_number", "int"),
        ("yields_text", "str"),
        ("yields_bytearray", "bytearray"),
    ],
)
def test_W26_what_is_not_bytes_is_a_500_and_a_traceback(host, app, error):
    host.server.expect_log(rf"(Type|Assertion)Error: [^\n]*{error}")
    response = host.request(f"results.{app}")
    assert response.status == 500
    assert "Error:" not in response.text and response.text != "text"


def test_W26_text_behind_bytes_aborts(host):
    host.server.expect_log("TypeError: .*str")
    with pytest.raises(harness.Truncated) as cut:
        host.request("results.yields_text_late")
    assert cut.value.response.body == b"bytes"


# W30: close() is called exactly once, on every path.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("app", ["counted", "counted_304"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_W30_close_at_the_end(wsgi, key, app, method, version):
    if app == "counted_304":
        wsgi.validated = False  # the validator wants a Content-Type whatever the status
    assert wsgi.request(f"results.{app}", method, f"/?{key}", version=version).status in (200, 304)
    assert closed_once(wsgi, key)


def test_W30_W36_close_after_204(host, key):
    response = host.request("results.counted_204_with_body", target=f"/?{key}")
    assert (response.status, response.body) == (204, b"")
    assert closed_once(host, key)


@pytest.mark.parametrize(
    "app, message",
    [
        ("counted_failing", "ValueError: in iteration"),
        ("counted_text", "TypeError"),
        ("counted_not_started", "start_response"),
        ("counted_uniterable", "TypeError"),
    ],
)
def test_W30_close_after_a_failure_before_the_first_byte(host, key, app, message):
    host.server.expect_log(message)
    assert host.request(f"results.{app}", target=f"/?{key}").status == 500
    assert closed_once(host, key)


def test_W30_close_after_a_late_failure(wsgi, key):
    wsgi.server.expect_log("Traceback.*ValueError: late in iteration")
    with pytest.raises(harness.Truncated) as cut:
        wsgi.request("results.counted_failing_late", target=f"/?{key}")
    assert cut.value.response.body == b"first"
    assert closed_once(wsgi, key)


@pytest.mark.parametrize("app", ["counted_endless", "counted_generator"])
@pytest.mark.parametrize("leave", ["abort", "close"])
def test_W30_H11_close_when_the_client_leaves(wsgi, key, app, leave):
    with wsgi.connect() as client:
        client.send(wsgi.raw(f"results.{app}", target=f"/?{key}"))
        client.receive_until(b"\r\n\r\n")
        getattr(client, leave)()
    assert closed_once(wsgi, key)


def test_W30_close_when_the_client_leaves_while_the_application_waits(wsgi, key, gate):
    with wsgi.connect() as client:
        client.send(wsgi.raw("results.counted_gated", target=f"/?{key}", fields={"Gate": gate.path}))
        client.receive_until(b"one")
        client.abort()
    gate.open()
    gate.open()
    assert closed_once(wsgi, key)


def test_W30_close_when_a_slow_reader_times_out(own_host, key):
    host = own_host("--write-timeout", "0.2")
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("results.counted_endless", target=f"/?{key}"))
        client.receive_until(b"\r\n\r\n")
        assert closed_once(host, key)
    lines = host.server.wait_access(1)
    assert [line for line in lines if key in line and line.endswith(" timeout-write")]


@pytest.mark.parametrize("app", ["counted_excess", "counted_short"])
def test_W30_W34_close_after_a_wrong_length(host, key, app):
    host.server.expect_log("Content-Length")
    try:
        host.request(f"results.{app}", target=f"/?{key}")
    except harness.Truncated:
        pass
    assert closed_once(host, key)


def test_W30_close_that_raises(wsgi, key):
    wsgi.server.expect_log("Traceback.*ValueError: in close")
    response = wsgi.request("results.counted_failing_close", target=f"/?{key}")
    assert response.text == "all is sent"
    assert closed_once(wsgi, key)


# W34: Content-Length is kept to the byte.


def test_W34_excess_is_cut_and_logged(host, key):
    host.server.expect_log("Content-Length")
    with host.connect() as client:
        response = client.request(host.raw("results.counted_excess", target=f"/?{key}"))
        assert response.text == "12345"
        client.send(host.raw("results.as_list"))
        try:
            assert client.response().text == "one list"  # in sync,
        except harness.Truncated as cut:
            assert cut.response is None and cut.rest == b""  # or closed


def test_W34_excess_in_one_item(host):
    host.server.expect_log("Content-Length")
    assert host.request("results.excess_at_once").text == "12345"


def test_W34_too_little_closes_the_connection(host, key):
    host.server.expect_log("Content-Length")
    with pytest.raises(harness.Truncated) as cut:
        host.request("results.counted_short", target=f"/?{key}")
    assert cut.value.response.body == b"12345"


# W35, W36: answers without content.


@pytest.mark.parametrize("app", ["as_list", "as_sized_one", "head_like_framework", "large?100000"])
def test_W35_head_has_the_fields_of_get_without_content(host, app):
    app, _, query = app.partition("?")
    heads = []
    for method in ("HEAD", "GET"):
        response = host.request(f"results.{app}", method, f"/?{query}")
        heads.append([field for field in response.fields if field[0] != "Date"])
        assert (response.body == b"") == (method == "HEAD")
    assert heads[0] == heads[1]
    assert "Content-Length" in dict(heads[0])


@pytest.mark.parametrize(
    "app", ["as_list", "as_generator", "as_long_list", "as_empty_generator", "large_generator?4"]
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W35_the_connection_is_in_sync_after_head(wsgi, app, version):
    app, _, query = app.partition("?")
    fields = {"Connection": "keep-alive"}
    with wsgi.connect() as client:
        response = client.request(wsgi.raw(f"results.{app}", "HEAD", f"/?{query}", fields, version=version))
        assert response.status == 200
        if "close" in response.connection():
            client.expect_end()
        else:
            client.send(wsgi.raw("results.as_list", fields=fields, version=version))
            assert client.response().text == "one list"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("app", ["status", "status_bare"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_W36_no_content_by_status(host, status, app, method):
    with host.connect() as client:
        response = client.request(host.raw(f"results.{app}", method, f"/?{status}"))
        assert response.status == status
        assert not response.all("Transfer-Encoding")
        if status == 204:
            assert not response.all("Content-Length")
        assert client.request(host.raw("results.as_list")).text == "one list"


def test_W36_other_statuses_have_content(host):
    for status in (200, 201, 205, 206, 300, 400, 499, 599):
        response = host.request("results.status", target=f"/?{status}")
        assert (response.status, response.reason, response.text) == (status, "Chosen", "content")


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65535, 65536, 65537, 1 << 20, 20_000_000])
def test_large_items_arrive_whole(wsgi, size):
    response = wsgi.request("results.large", target=f"/?{size}")
    assert response.body == (b"0123456789abcdef" * (size // 16 + 1))[:size]
    assert wsgi.validated or response["Content-Length"] == str(
        size
    )  # the validator hides that it is one item


def test_large_items_on_one_connection(host):
    with host.connect() as client:
        for size in (100_000, 10, 300_000, 0, 70_000):
            assert len(client.request(host.raw("results.large", target=f"/?{size}")).body) == size


def test_one_request_is_one_thread(wsgi):
    assert wsgi.request("results.threads").text == "xxx"
    assert wsgi.plainly("results.report_threads") == 1
