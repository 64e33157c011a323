"""The Flask guestbook, and what Flask's users rely on (W40)."""

import hashlib
from urllib.parse import quote

import pytest
import requests

import guestbook_tests
import harness
from guestbook_tests import blob, multipart, pieces
from places import APPS, TINY, VENV


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("flask")


@pytest.fixture(scope="module")
def server(serve_module, data):
    return serve_module(APPS / "flask_app.py", *VENV, env={"GUESTBOOK_DIR": data})


class TestGuestbook(guestbook_tests.GuestbookTests):
    ATTACHMENTS = "flask/attachments/*"

    def test_wrong_method(self, server):
        response = self.visitor(server).put("/entries.json")
        assert response.status_code == 405 and "405 Method Not Allowed" in response.text
        assert {"GET", "HEAD", "OPTIONS"} == set(response.headers["Allow"].split(", "))

    def test_too_large_form_is_refused_with_a_page(self, server):
        visitor = self.visitor(server)
        pieces = (bytes(1 << 20) for _ in range(65))
        response = visitor.post("/", data=pieces, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert response.status_code == 413 and "413 Request Entity Too Large" in response.text

    def test_failure_shows_the_error_page(self, server, data):
        visitor = self.visitor(server)
        visitor.sign("Loser", attachment=("lost.bin", b"lost"))
        entry = visitor.entry("Loser")["id"]
        (data / f"flask/attachments/{entry}").unlink()
        assert "500 Internal Server Error" in visitor.page(f"/entries/{entry}/attachment", 500)
        server.expect_log("FileNotFoundError")

    def test_W40_send_file_with_ranges(self, server):
        visitor = self.visitor(server)
        content = blob(1_000_000, seed=3)
        visitor.sign("Ranger", attachment=("ranges.bin", content))
        url = f"/entries/{visitor.entry('Ranger')['id']}/attachment"
        for given, part in [("bytes=0-0", content[:1]), ("bytes=300-309", content[300:310]),
                            ("bytes=999990-", content[-10:]), ("bytes=-5", content[-5:]),
                            ("bytes=200000-899999", content[200_000:900_000])]:
            response = visitor.get(url, headers={"Range": given})
            start = content.index(part)
            assert (response.status_code, response.content) == (206, part)
            assert response.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/1000000"
            assert response.headers["Content-Length"] == str(len(part))
        response = visitor.get(url, headers={"Range": "bytes=1000000-"})
        assert response.status_code == 416


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("w40") / "file.bin"
    path.write_bytes(blob(5_000_000, seed=4))
    return path


@pytest.fixture(scope="module")
def tiny(serve_module, file):
    return serve_module(TINY / "w40.py", *VENV, env={"FILE": file})


def told(content):
    return {"size": len(content), "digest": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 4_097, 100_000, 5_000_000])
def test_W40_request_stream(tiny, session, size, chunked):
    content = blob(size)
    body = pieces(content, 9_999) if chunked else content
    response = session.post(tiny.url + "stream", data=body).json()
    assert response == {**told(content), "length": size, "largest": min(size, 4_097), "terminated": True}


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_W40_get_data_on_chunked(tiny, session, size):
    content = blob(size)
    seen = session.post(tiny.url + "data", data=pieces(content, 65_521)).json()
    assert seen == {**told(content), "length": size}


def test_W40_request_stream_by_line(tiny, session):
    lines = ["one\n", "\n", "x" * 200_000 + "\n", "without an end"]
    assert session.post(tiny.url + "lines", data="".join(lines).encode()).json() == lines


def test_W40_chunked_form_and_json(tiny, session):
    url = tiny.url
    form = multipart({"name": "é"}, file=blob(3_000_000))
    response = session.post(url + "form", data=pieces(form.body, 10_007), headers=form.headers)
    assert response.json() == {"form": {"name": "é"}, "files": {"file": 3_000_000}}
    response = session.post(url + "json", data=pieces('{"name": "é"}'.encode(), 3),
                            headers={"Content-Type": "application/json"})
    assert response.json() == {"name": "é"}


def test_W40_unread_content_leaves_the_connection_in_step(tiny, session):
    for body in (blob(100_000), pieces(blob(2_000_000), 50_000)):
        assert session.post(tiny.url + "unread", data=body).text == "unread"
        assert session.post(tiny.url + "data", data=b"next").json()["size"] == 4


@pytest.mark.parametrize("path, query, args", [
    ("é/日本", "q=ü", {"q": "ü"}), ("a b/c%d", "x=1&y=%2F+", {"x": "1", "y": "/ "}), ("a//b", "", {}),
    ("ÿ+", "ÿ=+", {"ÿ": " "})])
def test_W40_full_path_with_utf8(tiny, session, path, query, args):
    seen = session.get(f"{tiny.url}address/{quote(path)}?{query}").json()
    assert seen["path"] == f"/address/{path}" and seen["view_argument"] == path
    assert seen["full_path"] == f"/address/{path}?{requests.utils.requote_uri(query)}"
    assert seen["args"] == args


def test_W40_streaming_response_leaves_at_once(tiny, gate):
    with tiny.connect() as client:
        client.send(harness.make_request(target="/gated", fields=[("Gate", gate.path)]))
        response = client.response_head()
        assert response["Transfer-Encoding"] == "chunked"
        assert client.chunk() == b"first\n"
        assert client.is_silent()
        gate.open()
        assert client.chunk() == b"second\n"
        assert client.chunk() == b""


def test_W40_send_file_by_the_server(tiny, session, file):
    response = session.get(tiny.url + "file")
    assert response.content == file.read_bytes()
    assert response.headers["ETag"] == '"tag"'
    response = session.get(tiny.url + "file", headers={"Range": "bytes=4096-1048576"})
    assert (response.status_code, response.content) == (206, file.read_bytes()[4_096:1_048_577])
    response = session.get(tiny.url + "file", headers={"If-None-Match": '"tag"'})
    assert (response.status_code, response.content) == (304, b"")


def test_W40_proxy_fix(tiny, session):
    seen = session.get(tiny.url + "address/x", headers={
        "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "book.example",
        "X-Forwarded-Prefix": "/book"}).json()
    assert (seen["remote_addr"], seen["scheme"], seen["host"]) == ("192.0.2.7", "https", "book.example")
    assert (seen["script_root"], seen["url"]) == ("/book", "https://book.example/book/address/x")
    seen = session.get(tiny.url + "address/x").json()
    assert (seen["remote_addr"], seen["scheme"]) == ("127.0.0.1", "http")
    assert seen["url"] == tiny.url + "address/x"


def test_W40_mounted_by_the_environment(serve, session):
    server = serve(TINY / "w40.py", *VENV, env={"SCRIPT_NAME": "/mount"})
    url = server.url + "mount/address/é"
    seen = session.get(url).json()
    assert (seen["script_root"], seen["path"], seen["url"]) == ("/mount", "/address/é", url)


def test_W43_flask_g_is_of_one_request(tiny, session):
    for leave in ("one", "two", "three"):
        assert session.get(tiny.url + "context", params={"leave": leave}).text == "nothing"
