"""The Django guestbook with its admin site, and what Django's users rely on (W41)."""

import hashlib
import re
from urllib.parse import quote

import pytest
from PIL import Image

import guestbook_tests
import harness
from guestbook_tests import Visitor, blob, multipart, pieces
from places import DJANGO_SITE, TINY, VENV

SITE = ["--chdir", DJANGO_SITE, *VENV]
HEADER_COLOUR = (0x41, 0x76, 0x90)  # of the admin site's header, from its style sheet


class Administrator(Visitor):
    """Somebody who logs in to the admin site."""

    def fill(self, url, **data):
        """Fill in and send the form that is at `url`; the page that comes then."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(url).text)[1]
        return self.post(url, data={**data, "csrfmiddlewaretoken": token})

    def log_in(self, password="lovelace"):
        return self.fill(self.get("/admin/").url, username="ada", password=password)


@pytest.fixture(scope="module")
def data(make_django_data):
    return make_django_data()


@pytest.fixture(scope="module")
def server(serve_module, data):
    return serve_module("guestbook.wsgi", *SITE, env={"GUESTBOOK_DIR": data})


class TestGuestbook(guestbook_tests.GuestbookTests):
    ATTACHMENTS = "django/media/*/*/*"
    FORGED = 403

    def test_entry_without_a_name_stays_in_its_form(self, server):
        visitor = self.visitor(server)
        response = visitor.post("/", data={**visitor.form(), "name": "", "message": "Who am I?"})
        assert response.status_code == 400
        assert "Who am I?" in response.text and "This field is required." in response.text

    def test_admin_needs_a_log_in(self, server):
        visitor = self.visitor(server)
        response = visitor.get("/admin/guestbook/entry/")
        assert response.url == visitor.base + "/admin/login/?next=/admin/guestbook/entry/"
        assert Administrator(server).log_in("wrong").url.endswith("/admin/login/?next=/admin/")

    def test_admin_lists_adds_and_deletes(self, server):
        ada = Administrator(server)
        assert "Site administration" in ada.log_in().text
        page = ada.fill("/admin/guestbook/entry/add/", name="Zoë 日本", message="From the admin site")
        assert "was added successfully" in page.text and "From the admin site" in page.text
        entry = ada.entry("Zoë 日本")
        assert entry["message"] == "From the admin site"
        assert "1 entry" in ada.get("/admin/guestbook/entry/?q=Zoë+日本+admin").text
        page = ada.fill(f"/admin/guestbook/entry/{entry['id']}/delete/", post="yes")
        assert "was deleted successfully" in page.text
        assert "From the admin site" not in ada.page()

    def test_admin_has_all_its_styles_and_scripts(self, server):
        ada = Administrator(server)
        ada.log_in()
        page = ada.get("/admin/guestbook/entry/").text
        links = re.findall(r'(?:<link rel="stylesheet" href|<script src)="([^"]+)"', page)
        assert len(links) >= 10
        for link in links:
            response = ada.get(link)
            kind = "text/css" if link.endswith(".css") else "text/javascript"
            assert response.status_code == 200 and response.headers["Content-Type"].startswith(kind), link
            assert len(response.content) == int(response.headers["Content-Length"]) > 0

    def test_admin_in_chromium_has_its_colours(self, server, chromium):
        picture = Image.open(chromium.screenshot(server.url + "admin/")).convert("RGB")
        colours = {colour: count for count, colour in picture.getcolors(picture.width * picture.height)}
        assert colours.get(HEADER_COLOUR, 0) > 10_000
        assert any('"GET /static/admin/css/base.css HTTP/1.1" 200' in line for line in server.wait_access(3))


@pytest.fixture(scope="module")
def tiny(serve_module):
    return serve_module(TINY / "w41.py", *VENV)


@pytest.fixture
def events(tiny, session):
    """events(count): what happened in the tiny project since the last call, when it is that much."""
    seen = []

    def wait(count):
        def enough():
            seen.extend(session.get(tiny.url + "events").json())
            return len(seen) >= count
        harness.eventually(enough, what=f"{count} events, only {seen}")
        happened, seen[:] = list(seen), []
        return happened
    session.get(tiny.url + "events")
    return wait


@pytest.mark.parametrize("size, kind", [(1_000, "InMemory"), (2_500_000, "InMemory"),
                                        (2_700_000, "Temporary"), (9_000_000, "Temporary")])
@pytest.mark.parametrize("chunked", [False, True])
def test_W41_upload_handlers(tiny, session, size, kind, chunked):
    content = blob(size)
    form = multipart({}, file=("bär.bin", content), small=b"1")
    body = pieces(form.body, 77_777) if chunked else form.body
    seen = session.post(tiny.url + "upload", data=body, headers=form.headers).json()
    assert seen["file"] == {"kind": kind + "UploadedFile", "size": size, "name": "bär.bin",
                            "digest": hashlib.sha256(content).hexdigest()}
    assert seen["small"]["size"] == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_W41_content_read_as_a_stream(tiny, session, chunked):
    content = blob(5_000_000)
    body = pieces(content, 8_191) if chunked else content
    seen = session.put(tiny.url + "body", data=body).json()
    assert seen == {"size": 5_000_000, "digest": hashlib.sha256(content).hexdigest(), "length": "5000000"}


@pytest.mark.parametrize("path", ["é/日本", "a b%41", "a//b", "ÿ+&x", ""])
def test_W41_path_is_utf8(tiny, session, path):
    seen = session.get(f"{tiny.url}address/{quote(path)}?q=ü+%25").json()
    assert seen["path"] == seen["path_info"] == f"/address/{path}"
    assert (seen["argument"], seen["script"], seen["get"]) == (path, "", {"q": "ü %"})
    assert seen["uri"] == f"{tiny.url}address/{quote(path, safe='/+&')}?q=%C3%BC+%25"


def test_W41_streaming_response_leaves_at_once_and_then_finishes(tiny, gate, events):
    with tiny.connect() as client:
        client.send(harness.make_request(target="/stream?times=2", fields=[("Gate", gate.path)]))
        assert client.response_head()["Transfer-Encoding"] == "chunked"
        assert client.chunk() == b"first\n"
        assert client.is_silent()
        gate.open()
        assert [client.chunk() for _ in range(3)] == [b"second\n", b"second\n", b""]
    assert events(4) == ["started", "first", "closed", "finished"]


def test_W41_request_finished_after_a_client_went_away(tiny, gate, events):
    client = tiny.connect()
    client.send(harness.make_request(target="/stream?times=10000000", fields=[("Gate", gate.path)]))
    client.response_head()
    assert client.chunk() == b"first\n"
    client.abort()
    gate.open()
    assert events(4) == ["started", "first", "closed", "finished"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_W41_file_response_is_closed_then_finished(tiny, session, events, method):
    response = session.request(method, tiny.url + "file")
    content = (TINY / "w41.py").read_bytes()
    assert response.content == (content if method == "GET" else b"")
    assert response.headers["Content-Length"] == str(len(content))
    assert events(3) == ["started", "file closed", "finished"]


def test_W41_mounted_by_the_environment(serve, make_django_data):
    server = serve("guestbook.wsgi", *SITE, env={"GUESTBOOK_DIR": make_django_data(), "SCRIPT_NAME": "/book"})
    ada = Administrator(server)
    ada.base += "/book"
    links = re.findall(r'(?:href|action)="(/[^"]*)"', ada.page())
    assert len(links) > 5 and all(link.startswith("/book/") for link in links), links
    origin = server.url.rstrip("/")
    assert ada.get(origin + "/book/static/style.css").status_code == 200
    assert ada.log_in().url == origin + "/book/admin/"
    assert "Thank you, Ada!" in ada.sign("Ada")


def test_W41_mount_is_in_every_address(serve, session):
    server = serve(TINY / "w41.py", *VENV, env={"SCRIPT_NAME": "/mount"})
    seen = session.get(server.url + "mount/address/é?q").json()
    assert (seen["script"], seen["path_info"], seen["path"]) == ("/mount", "/address/é", "/mount/address/é")
    assert seen["uri"] == server.url + "mount/address/%C3%A9?q"
