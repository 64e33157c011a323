"""What the guestbooks in apps/ have in common, driven as visitors do it: test_flask.py, test_django.py and
test_pyramid.py run these tests, each with those of its framework.
"""

import csv
import hashlib
import io
import random
import re
from urllib.parse import quote

import requests

from places import APPS


def blob(size, seed=1):
    """Bytes that no mistake in their order survives."""
    return random.Random(seed).randbytes(size)


def pieces(content, size):
    """A generator over the content, which requests sends chunked."""
    return (content[start:start + size] for start in range(0, len(content), size))


def multipart(data, **files):
    """A form with files, encoded: its body, and the Content-Type in its headers."""
    form = requests.Request("POST", "http://localhost/", data=data, files=files).prepare()
    del form.headers["Content-Length"]
    return form


class Visitor(requests.Session):
    """A person with a browser, at one guestbook."""

    def __init__(self, server):
        super().__init__()
        self.trust_env = False
        self.base = server.url.rstrip("/")

    def request(self, method, url, **options):
        return super().request(method, self.base + url if url.startswith("/") else url, timeout=60, **options)

    def page(self, url="/", status=200):
        response = self.get(url)
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"].lower() == "text/html; charset=utf-8"
        return response.text

    def form(self):
        """The hidden fields of the page's form: the token against forgery, where the framework has one."""
        return dict(re.findall(r'name="(csrf\w*)"[^>]* value="([^"]+)"', self.page()))

    def sign(self, name, message="Hello", attachment=None):
        """Write an entry; the page that comes then."""
        files = {"attachment": attachment} if attachment else {}
        response = self.post("/", data={**self.form(), "name": name, "message": message}, files=files)
        assert response.status_code == 200 and response.history, response.text
        return response.text

    def entry(self, name):
        """The newest entry of this name, from JSON."""
        return [entry for entry in self.get("/entries.json").json() if entry["name"] == name][-1]


class GuestbookTests:
    """A subclass per framework, with a fixture `server`."""

    ATTACHMENTS = None  # where they are in the data directory
    FORGED = None  # the answer to a form without its token; None where nothing guards

    def visitor(self, server):
        return Visitor(server)

    def test_page_is_a_template_with_its_style(self, server):
        visitor = self.visitor(server)
        page = visitor.page()
        assert '<form method="post"' in page
        style = re.search(r'rel="stylesheet" href="([^"]+)"', page)[1]
        response = visitor.get(style)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/css")
        assert response.content == (APPS / "static/style.css").read_bytes()

    def test_static_file_is_not_sent_twice(self, server):
        visitor = self.visitor(server)
        first = visitor.get("/static/style.css")
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        again = visitor.get("/static/style.css", headers=since)
        assert (again.status_code, again.content) == (304, b"")
        assert visitor.get("/static/nothing.css").status_code == 404

    def test_form_redirects_and_thanks_once(self, server):
        visitor = self.visitor(server)
        page = visitor.sign("Ada", "First!")
        assert "Thank you, Ada!" in page and "First!" in page
        assert "Thank you" not in visitor.page()

    def test_session_remembers_the_name_of_one_visitor(self, server):
        visitor, other = self.visitor(server), self.visitor(server)
        visitor.sign("Grace")
        assert 'value="Grace"' in visitor.page()
        assert 'value="Grace"' not in other.page()

    def test_session_that_was_tampered_with_is_ignored(self, server):
        visitor = self.visitor(server)
        visitor.sign("Eve")
        name = next(cookie.name for cookie in visitor.cookies if cookie.name in ("session", "sessionid"))
        value = visitor.cookies[name]
        visitor.cookies.clear()
        visitor.cookies.set(name, ("x" if value[0] != "x" else "y") + value[1:])
        assert 'value="Eve"' not in visitor.page()

    def test_cookie_remembers_the_order(self, server):
        visitor = self.visitor(server)
        visitor.sign("Ada", "Earlier")
        visitor.sign("Ada", "Later")
        assert visitor.page().index("Later") < visitor.page().index("Earlier")
        assert "Oldest first." in visitor.page("/?order=oldest")
        page = visitor.page()
        assert page.index("Earlier") < page.index("Later")
        assert "Newest first." in self.visitor(server).page()

    def test_entries_are_escaped(self, server):
        page = self.visitor(server).sign("Mallory", "<script>alert(1)</script> & more")
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
        assert "<script>" not in page

    def test_utf8_in_form_path_query_and_json(self, server):
        visitor = self.visitor(server)
        name, message = "Zoë 日本 a/b %41?", "Grüße, \U0001f600\nžluťoučký kůň"
        page = visitor.sign(name, message)
        assert name in page and "žluťoučký kůň" in page
        assert visitor.entry(name)["message"].splitlines() == message.splitlines()
        address = re.search(r'href="(/by/Zo[^"]+)"', page)[1]
        assert "%41" not in address and "žluťoučký kůň" in visitor.page(address)
        assert "žluťoučký" in visitor.page("/?q=" + quote("Grüße, \U0001f600"))
        assert "žluťoučký" not in visitor.page("/?q=" + quote("Grüße, \U0001f601"))

    def test_attachment_of_megabytes_comes_back_whole(self, server):
        visitor = self.visitor(server)
        content = blob(8_000_003)
        visitor.sign("Uploader", attachment=("bär.bin", content, "application/octet-stream"))
        url = f"/entries/{visitor.entry('Uploader')['id']}/attachment"
        response = visitor.get(url)
        assert response.status_code == 200
        assert hashlib.sha256(response.content).digest() == hashlib.sha256(content).digest()
        assert response.headers["Content-Length"] == "8000003"
        disposition = response.headers["Content-Disposition"].lower()
        assert re.fullmatch(r"attachment; .*filename\*=utf-8''b%c3%a4r.bin", disposition)

    def test_head_is_get_without_content(self, server):
        visitor = self.visitor(server)
        visitor.sign("Header", attachment=("head.bin", blob(100_000)))
        attachment = f"/entries/{visitor.entry('Header')['id']}/attachment"
        for url in (attachment, "/static/style.css", "/entries.json"):
            head, get = visitor.head(url), visitor.get(url)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))
            assert head.headers["Content-Type"] == get.headers["Content-Type"]

    def test_chunked_upload(self, server):
        visitor = self.visitor(server)
        content = blob(3_000_000, seed=2)
        form = multipart({**visitor.form(), "name": "Chunk", "message": "ed"}, attachment=("a.bin", content))
        response = visitor.post("/", data=pieces(form.body, 70_001), headers=form.headers)
        assert response.history[0].request.headers["Transfer-Encoding"] == "chunked"
        assert visitor.get(f"/entries/{visitor.entry('Chunk')['id']}/attachment").content == content

    def test_csv_is_streamed(self, server):
        visitor = self.visitor(server)
        visitor.sign("Comma", 'one, "two"')
        response = visitor.get("/entries.csv")
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.reader(io.StringIO(response.content.decode(), newline="")))
        assert [(row[0], row[2]) for row in rows] \
            == [(str(entry["id"]), entry["name"]) for entry in visitor.get("/entries.json").json()]
        assert rows[-1][3] == 'one, "two"'

    def test_error_pages(self, server):
        visitor = self.visitor(server)
        for url in ("/nothing", "/by/nobody", "/entries/4711/attachment", "/entries/x/attachment"):
            page = visitor.page(url, 404)
            assert "404 Not Found" in page and "style.css" in page
        response = visitor.post("/", data={**visitor.form(), "name": "Nobody", "message": " "})
        assert response.status_code == 400 and "style.css" in response.text

    def test_forged_form_is_refused(self, server):
        visitor = self.visitor(server)
        visitor.page()
        response = visitor.post("/", data={"name": "Forger", "message": "as Ada"})
        assert response.status_code == (self.FORGED or 200)
        assert bool(response.history) is (self.FORGED is None)

    def test_failure_costs_only_its_request(self, server, data):
        visitor = self.visitor(server)
        visitor.sign("Loser", attachment=("lost.bin", b"lost"))
        url = f"/entries/{visitor.entry('Loser')['id']}/attachment"
        assert visitor.get(url).content == b"lost"
        for path in data.glob(self.ATTACHMENTS):
            path.unlink()
        response = visitor.get(url)
        assert response.status_code == 500 and "Traceback" not in response.text
        server.expect_log("FileNotFoundError")
        assert "Guestbook" in visitor.page()
