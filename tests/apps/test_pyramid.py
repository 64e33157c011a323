"""The Pyramid guestbook, and what the users of Pyramid and WebOb rely on (W42)."""

import hashlib
from urllib.parse import quote

import pytest

import guestbook_tests
import harness
from guestbook_tests import blob, multipart, pieces
from places import APPS, TINY, VENV


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("pyramid")


@pytest.fixture(scope="module")
def server(serve_module, data):
    return serve_module(APPS / "pyramid_app.py", *VENV, env={"GUESTBOOK_DIR": data})


class TestGuestbook(guestbook_tests.GuestbookTests):
    ATTACHMENTS = "pyramid/attachments/*"
    FORGED = 400

    def test_file_response_with_ranges(self, server):
        visitor = self.visitor(server)
        content = blob(1_000_000, seed=3)
        visitor.sign("Ranger", attachment=("ranges.bin", content))
        url = f"/entries/{visitor.entry('Ranger')['id']}/attachment"
        for given, part in [("bytes=0-0", content[:1]), ("bytes=300-309", content[300:310]),
                            ("bytes=200000-899999", content[200_000:900_000])]:
            response = visitor.get(url, headers={"Range": given})
            assert (response.status_code, response.content) == (206, part)
            assert response.headers["Content-Length"] == str(len(part))
        modified = visitor.head(url).headers["Last-Modified"]
        response = visitor.get(url, headers={"If-Modified-Since": modified})
        assert (response.status_code, response.content) == (304, b"")


@pytest.fixture(scope="module")
def tiny(serve_module):
    return serve_module(TINY / "w42.py", *VENV)


def told(content, **more):
    return {"size": len(content), "digest": hashlib.sha256(content).hexdigest(), **more}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1, 4_097, 100_000, 5_000_000])
def test_W42_body_file(tiny, session, size, chunked):
    content = blob(size)

    def post(path):
        return session.post(tiny.url + path, data=pieces(content, 9_999) if chunked else content).json()
    assert post("body_file") == told(content, readable=True, length=size)
    assert post("raw") == told(content)
    assert post("seekable") == told(content, again=True)
    assert post("body") == told(content, copy=True)


def test_W42_is_body_readable(tiny, session):
    url = tiny.url + "readable"
    assert session.post(url, data=b"").json() is False
    assert session.post(url, data=b"x").json() is True
    assert session.post(url, data=pieces(b"xyz", 1)).json() is True


def test_W42_no_content(tiny, session):
    for path in ("body_file", "raw", "seekable", "body"):
        assert session.post(tiny.url + path).json()["size"] == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_W42_form_and_json(tiny, session, chunked):
    form = multipart({"name": "é"}, file=blob(3_000_000))
    body = pieces(form.body, 10_007) if chunked else form.body
    response = session.post(tiny.url + "form", data=body, headers=form.headers)
    assert response.json() == {"name": "é", "file": 3_000_000}
    content = '{"name": "é"}'.encode()
    response = session.post(tiny.url + "json", data=pieces(content, 3) if chunked else content,
                            headers={"Content-Type": "application/json"})
    assert response.json() == {"name": "é"}


@pytest.mark.parametrize("path", ["é/日本", "a b%41", "a//b", ""])
def test_W42_path_is_utf8(tiny, session, path):
    seen = session.get(f"{tiny.url}address/{quote(path)}?q=ü+%25").json()
    assert (seen["path_info"], seen["matched"]) == (f"/address/{path}", path)
    assert seen["path"] == f"/address/{quote(path)}"
    assert seen["path_url"] == f"{tiny.url}address/{quote(path)}"
    assert seen["url"] == f"{tiny.url}address/{quote(path)}?q=%C3%BC+%25"
    assert (seen["get"], seen["script_name"], seen["client_addr"]) == ({"q": "ü %"}, "", "127.0.0.1")


def test_W42_streaming_response_leaves_at_once(tiny, gate):
    with tiny.connect() as client:
        client.send(harness.make_request(target="/gated", fields=[("Gate", gate.path)]))
        assert client.response_head()["Transfer-Encoding"] == "chunked"
        assert client.chunk() == b"first\n"
        assert client.is_silent()
        gate.open()
        assert [client.chunk(), client.chunk()] == [b"second\n", b""]


def test_W42_mounted_by_the_environment(serve, session):
    server = serve(TINY / "w42.py", *VENV, env={"SCRIPT_NAME": "/mount"})
    seen = session.get(server.url + "mount/address/é").json()
    assert (seen["script_name"], seen["path_info"]) == ("/mount", "/address/é")
    assert seen["url"] == server.url + "mount/address/%C3%A9"
