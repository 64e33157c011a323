"""wsgi.file_wrapper and the sendfile path behind it: W15 and W39 of the checklist."""

import itertools
import os
import random

import pytest

import harness

KEYS = itertools.count()


@pytest.fixture
def key():
    """A fresh name to count calls of close() under."""
    return f"file-{next(KEYS)}"


@pytest.fixture
def make_file(tmp_path):
    """make_file(size): a path with so many random bytes, and the bytes."""

    def make(size):
        data = random.Random(size).randbytes(size)
        path = tmp_path / f"file-{size}"
        path.write_bytes(data)
        return path, data

    return make


def closed_once(host, key):
    harness.eventually(lambda: host.closed(key) > 0, what="close()")
    return host.closed(key) == 1


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536, 65537, 3_000_000])
@pytest.mark.parametrize("app", ["whole", "blocks", "buffered"])
def test_W39_a_file_arrives_whole(wsgi, make_file, key, app, size):
    path, data = make_file(size)
    response = wsgi.request(f"files.{app}", target=f"/?{key}", fields={"File": path})
    assert response.body == data
    if app != "buffered":
        assert closed_once(wsgi, key)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W39_its_length_is_known(host, make_file, key, version):
    path, data = make_file(100_000)
    response = host.request("files.whole", target=f"/?{key}", fields={"File": path}, version=version)
    assert response["Content-Length"] == "100000"
    assert response.body == data


def test_W39_its_bytes_are_sent_by_sendfile(own_host, make_file, key):
    """Seen in how often the worker reads: the wrapper's blocks of 8 KiB would be 2,441 reads."""
    host = own_host()
    path, data = make_file(20_000_000)
    before = reads(host.server.worker)
    assert host.request("files.whole", target=f"/?{key}", fields={"File": path}).body == data
    assert reads(host.server.worker) - before < 1000


def reads(pid):
    """How often a process has called read(2) and its like."""
    with open(f"/proc/{pid}/io") as io:
        return int(dict(line.split(": ") for line in io)["syscr"])


def test_W39_a_file_object_with_its_own_read_is_read(wsgi, make_file, key):
    """What its descriptor holds is not what it gives."""
    path, data = make_file(100_000)
    response = wsgi.request("files.decoding", target=f"/?{key}", fields={"File": path})
    assert response.body == bytes(byte ^ 0x55 for byte in data)


@pytest.mark.parametrize("offset", [0, 1, 4096, 99_999, 100_000, 100_001])
@pytest.mark.parametrize("app", ["sought", "buffered"])
def test_W39_it_begins_at_the_files_position(wsgi, make_file, key, app, offset):
    path, data = make_file(100_000)
    response = wsgi.request(f"files.{app}", target=f"/?{key}", fields={"File": path, "Offset": str(offset)})
    assert response.body == data[offset:]


@pytest.mark.parametrize("app", ["whole", "sought", "inside", "buffered"])
def test_W39_a_length_shorter_than_the_file_is_kept(host, make_file, key, app):
    path, data = make_file(100_000)
    host.server.check()
    with host.connect() as client:
        response = client.request(
            host.raw(
                f"files.{app}", target=f"/?{key}", fields={"File": path, "Length": "1234", "Offset": "0"}
            )
        )
        assert response.body == data[:1234]
        if app == "inside":
            host.server.expect_log("Content-Length")  # an iterable that yields too much breaks a rule
        else:
            assert client.request(host.raw("head.plain")).text == "plain"


def test_W39_a_length_for_a_part_of_the_file(host, make_file, key):
    """As an answer to a Range request is made."""
    path, data = make_file(100_000)
    response = host.request(
        "files.sought", target=f"/?{key}", fields={"File": path, "Offset": "500", "Length": "1000"}
    )
    assert response.body == data[500:1500]


@pytest.mark.parametrize("app", ["whole", "inside", "buffered"])
def test_W39_a_length_longer_than_the_file_closes_the_connection(host, make_file, key, app):
    path, data = make_file(1000)
    host.server.expect_log("Content-Length")
    with pytest.raises(harness.Truncated) as cut:
        host.request(f"files.{app}", target=f"/?{key}", fields={"File": path, "Length": "2000"})
    assert data.startswith(cut.value.response.body)


@pytest.mark.parametrize(
    "app, data",
    [
        ("in_memory", b"from memory " * 1000),
        ("bare", b"bare " * 5000),
        ("pipe", b"through a pipe " * 100),
        ("bad_descriptor", b"bad descriptor " * 100),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W39_what_is_no_file_is_read_and_sent(wsgi, app, data, version):
    response = wsgi.request(f"files.{app}", version=version)
    assert (response.status, response.body) == (200, data)


@pytest.mark.parametrize("length, body", [(12000, b"from memory " * 1000), (12, b"from memory ")])
def test_W39_what_is_no_file_keeps_its_length(host, length, body):
    if length < 12000:
        host.server.expect_log("Content-Length")
    response = host.request("files.in_memory", fields={"Length": str(length)})
    assert (response["Content-Length"], response.body) == (str(length), body)


def test_W39_a_closed_file_is_a_500(host, make_file, key):
    path, _ = make_file(1000)
    host.server.expect_log("ValueError: .*closed")
    assert host.request("files.closed_file", target=f"/?{key}", fields={"File": path}).status == 500


def test_W39_a_text_file_is_an_error(host, tmp_path):
    path = tmp_path / "text"
    path.write_text("line é\n" * 3)
    host.server.expect_log("TypeError|WSGI: ")
    try:
        response = host.request("files.text_file", fields={"File": path})
        assert response.status == 500
    except harness.Truncated as cut:
        assert cut.response is None or cut.response.body == b""


def test_W39_a_file_without_start_response_is_a_500(host, make_file, key):
    path, _ = make_file(1000)
    host.server.expect_log("start_response")
    assert host.request("files.not_started", target=f"/?{key}", fields={"File": path}).status == 500
    assert closed_once(host, key)


def test_W15_the_wrapper_is_a_plain_iterable_too(wsgi):
    items, closed = wsgi.value("files.as_iterable")
    assert (items, closed) == ([b"0123456789" * 3] * 3 + [b"0123456789"], True)


def test_W15_the_wrapper_inside_another_iterable(wsgi, make_file, key):
    path, data = make_file(10_000)
    assert wsgi.request("files.inside", target=f"/?{key}", fields={"File": path}).body == data


def test_W26_a_file_behind_write(wsgi, make_file, key):
    path, data = make_file(100_000)
    response = wsgi.request("files.after_write", target=f"/?{key}", fields={"File": path})
    assert response.body == b"written first," + data
    assert closed_once(wsgi, key)


@pytest.mark.parametrize("app, method, status", [("whole", "HEAD", 200), ("not_modified", "GET", 304)])
def test_W30_W35_W36_no_content_and_yet_closed(host, make_file, key, app, method, status):
    path, _ = make_file(100_000)
    with host.connect() as client:
        response = client.request(host.raw(f"files.{app}", method, f"/?{key}", {"File": path}))
        assert (response.status, response.body) == (status, b"")
        if method == "HEAD":
            assert response["Content-Length"] == "100000"
        assert client.request(host.raw("head.plain")).text == "plain"
    assert closed_once(host, key)


def test_W30_closed_when_the_client_leaves(host, make_file, key):
    path, _ = make_file(20_000_000)
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("files.whole", target=f"/?{key}", fields={"File": path}))
        client.receive_until(b"\r\n\r\n")
        client.abort()
    assert closed_once(host, key)


def test_W39_a_file_that_shrinks_while_it_is_sent(host, make_file, key):
    path, data = make_file(20_000_000)
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("files.whole", target=f"/shrinks?{key}", fields={"File": path}))
        response = client.response_head()
        assert response["Content-Length"] == "20000000"
        os.truncate(path, 5_000_000)
        with pytest.raises(harness.Truncated) as cut:
            client.response_body(response)
    assert len(cut.value.response.body) < 20_000_000
    assert data.startswith(cut.value.response.body)
    assert closed_once(host, key)
    harness.eventually(
        lambda: any(
            "/shrinks" in line and line.endswith(" file-shrank") for line in host.server.access_lines()
        )
    )


def test_W39_a_file_that_grows_while_it_is_sent(host, make_file, key):
    path, data = make_file(20_000_000)
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("files.whole", target=f"/?{key}", fields={"File": path}))
        response = client.response_head()
        with open(path, "ab") as file:
            file.write(b"more")
        assert client.response_body(response).body == data


def test_W39_pipelined_files_arrive_in_order(host, make_file, key):
    files = [make_file(size) for size in (200_000, 10, 0, 70_000, 3)]
    with host.connect() as client:
        client.send(
            b"".join(host.raw("files.whole", target=f"/?{key}", fields={"File": path}) for path, _ in files)
        )
        for _, data in files:
            assert client.response().body == data
    harness.eventually(lambda: host.closed(key) == len(files))


def test_W39_others_are_answered_while_a_large_file_waits_for_its_reader(host, make_file, key):
    path, data = make_file(20_000_000)
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("files.whole", target=f"/?{key}", fields={"File": path}))
        response = client.response_head()
        for _ in range(20):
            assert host.request("head.plain").text == "plain"
        assert client.response_body(response).body == data
