"""Static files: what --static answers in the application's stead, and what it never does (S10)."""

import gzip
import os
import re
import resource
import signal
import socket
import sys
from email.utils import formatdate

import pytest

import harness
from harness import make_request

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app:" + environ["PATH_INFO"].encode("latin-1") + b" " + environ["wsgi.input"].read()]
"""
TEXT = b"".join(b"line %d\n" % number for number in range(100))
CODED = gzip.compress(TEXT, mtime=0)
SECRET = b"secret\n"
LONG_AGO = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

# Runs a program for which there is no openat2: a filter of system calls says ENOSYS, as an old kernel does.
WITHOUT_OPENAT2 = """#!{python}
# {mark}
import ctypes, os, struct, sys
code = b"".join(struct.pack("HBBI", *step) for step in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)])
steps = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(steps))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv({binary!r}, sys.argv)
"""


def write(path, content, when=LONG_AGO):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def make_tree(top):
    """top/secret, and top/site with files; the latter's path."""
    site = top / "site"
    write(top / "secret", SECRET)
    write(top / "sitemap", SECRET)  # a neighbour whose name begins as the directory's
    write(site / "text.txt", TEXT)
    write(site / "text.txt.gz", CODED)
    write(site / "both.css", TEXT)
    write(site / "both.css.gz", b"as gzip")
    write(site / "both.css.br", b"as brotli")
    write(site / "stale.js", b"new", LONG_AGO + 10)
    write(site / "stale.js.gz", b"old")
    write(site / "plain.bin", bytes(range(256)) * 4)
    write(site / "empty.html", b"")
    write(site / "sub/index.html", b"<p>index")
    write(site / "sub/a b+c\u00e9.svg", b"<svg/>")
    write(site / "bare/file", b"bare")
    write(site / ".hidden", SECRET)
    write(site / ".git/config", SECRET)
    write(site / "back\\slash", SECRET)
    os.mkfifo(site / "fifo")
    (site / "out").symlink_to(top / "secret")
    (site / "in").symlink_to("text.txt")
    (site / "up").symlink_to("..")
    (site / "bare/index.html").symlink_to(top / "secret")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site / "socket"))
    return site


def without_openat2(binary, directory):
    wrapper = directory / "without-openat2"
    mark = "__asan_init" if harness.is_sanitized(binary) else "plain"
    text = WITHOUT_OPENAT2.format(python=sys.executable, mark=mark, binary=str(binary))
    wrapper.write_text(text)
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture(scope="module", params=["openat2", "openat"])
def files(request, cserve, tmp_path_factory):
    """A server of make_tree's files; once where the kernel has openat2, once where it does not."""
    top = tmp_path_factory.mktemp("static")
    site = make_tree(top)
    binary = cserve if request.param == "openat2" else without_openat2(cserve, top)
    factory, stop = harness.server_factory(binary, lambda: tmp_path_factory.mktemp("serve"))
    other = write(top / "other/file.txt", b"other").parent
    server = factory(
        APP, "--static", f"/static={site}", "--static", f"/static/deep/={other}", "--static-max-age", "60"
    )
    yield server
    stop()


def parts_of(response):
    """(Content-Range, content) of each part of a multipart response."""
    boundary = re.fullmatch("multipart/byteranges; boundary=([0-9a-f]{32})", response["Content-Type"])[1]
    preamble, *parts, end = response.body.split(f"\r\n--{boundary}".encode())
    assert (preamble, end) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        start, kind, extent = head.decode().split("\r\n")
        assert (start, kind) == ("", "Content-Type: application/octet-stream")
        found.append((extent.removeprefix("Content-Range: "), content))
    return found


# --- files ---------------------------------------------------------------------------------------


def test_a_file_is_served_with_its_fields(files):
    response = files.get("/static/plain.bin")
    assert (response.status, response.body) == (200, bytes(range(256)) * 4)
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Last-Modified"] == DATE
    assert re.fullmatch(r'"[0-9a-f.-]+"', response["ETag"])
    assert response["Accept-Ranges"] == "bytes"
    assert response["Cache-Control"] == "max-age=60"
    assert response["Content-Length"] == "1024"
    assert not response.all("Vary")


@pytest.mark.parametrize("target", ["/static/plain.bin", "/static/text.txt", "/static/empty.html"])
def test_head_has_the_fields_of_get(files, target):
    get, head = files.get(target), files.request("HEAD", target)
    assert (head.status, head.body) == (200, b"")
    drop = {"Date"}
    assert [f for f in head.fields if f[0] not in drop] == [f for f in get.fields if f[0] not in drop]


def test_names_are_decoded_once(files):
    response = files.get("/static/sub/a%20b+c%C3%A9.svg?version=1")
    assert (response.status, response.body) == (200, b"<svg/>")
    assert response["Content-Type"] == "image/svg+xml"
    assert files.get("/static/sub/a%2520b+c%C3%A9.svg").status == 404


def test_text_has_a_charset(files):
    assert files.get("/static/text.txt")["Content-Type"] == "text/plain; charset=utf-8"
    assert files.get("/static/empty.html")["Content-Type"] == "text/html; charset=utf-8"


def test_the_longest_prefix_wins_and_others_are_the_application_s(files):
    assert files.get("/static/deep/file.txt").body == b"other"
    for target in ("/", "/staticfile", "/STATIC/text.txt", "//static/text.txt", "/%73tatic/text.txt"):
        assert files.get(target).body.startswith(b"app:"), target


def test_an_absolute_target_is_the_same(files):
    assert files.get("http://localhost/static/sub/index.html").body == b"<p>index"


# --- directories ---------------------------------------------------------------------------------


def test_a_directory_is_its_index(files):
    response = files.get("/static/sub/")
    assert (response.status, response.body) == (200, b"<p>index")
    assert response["Content-Type"] == "text/html; charset=utf-8"


def test_a_directory_without_its_slash_is_redirected(files):
    response = files.get("/static/sub?a=b//c")
    assert (response.status, response["Location"]) == (301, "/static/sub/?a=b//c")
    absolute = files.get("http://localhost/static/sub")
    assert (absolute.status, absolute["Location"]) == (301, "/static/sub/")


def test_the_directory_itself_is_redirected(serve, tmp_path):
    write(tmp_path / "index.html", b"top")
    server = serve(APP, "--static", f"/s={tmp_path}")
    assert server.get("/s")["Location"] == "/s/"
    assert server.get("/s/").body == b"top"


@pytest.mark.parametrize(
    "target",
    ["//localhost/static/sub", "/static//evil.example/sub", "/static/%2f%2fevil.example", "/static/\\evil"],
)
def test_no_redirect_leads_to_another_host(files, target):
    response = files.get(target)
    assert response.status in (200, 404) and not response.all("Location")


def test_a_directory_without_an_index_is_not_there(files):
    for target in ("/static/bare", "/static/bare/", "/static", "/static/"):
        assert files.get(target).status == 404, target


# --- S10: nothing else ---------------------------------------------------------------------------

ESCAPES = [
    "/static/../secret",
    "/static/sub/../../secret",
    "/static/%2e%2e/secret",
    "/static/.%2E/secret",
    "/static/..%2fsecret",
    "/static/%2e%2e%2fsecret",
    "/static/..%5csecret",
    "/static/..\\secret",
    "/static/%252e%252e/secret",
    "/static/..%c0%afsecret",
    "/static/sub%2findex.html",
    "/static/./text.txt",
    "/static/sub/../text.txt",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static///text.txt",
    "/static/text.txt%00",
    "/static/text.txt%00.html",
    "/static/%00",
    "/static/back\\slash",
    "/static/back%5cslash",
    "/static/text.txt/",
    "/static/text.txt/x",
    "/static/out",
    "/static/in",
    "/static/up/secret",
    "/static/up/site/text.txt",
    "/static/.hidden",
    "/static/.git/config",
    "/static/%2ehidden",
    "/static/fifo",
    "/static/fifo/",
    "/static/socket",
    "/static/nothing",
    "/static/" + "x" * 255,
    "/static/" + "x" * 256,
    "/static/" + "x/" * 2000,
    "/static/" + "x" * 5000,
]


@pytest.mark.parametrize("target", ESCAPES, ids=lambda target: target[:30])
def test_s10_nothing_else_is_served(files, target):
    response = files.get(target)
    assert response.status == 404
    assert response.text == "404 Not Found\n\nThere is no such file.\n"


def test_s10_a_neighbour_is_not_below(files):
    assert files.get("/staticmap").body.startswith(b"app:")
    assert files.get("/static/../sitemap").status == 404


def test_s10_links_that_come_and_go_are_never_followed(files):
    """A race of lookup and opening: the name is now a file, now a link to the secret."""
    site = next(argument for argument in files.arguments if argument.startswith("/static=")).split("=")[1]
    race, spare = os.path.join(site, "race"), os.path.join(site, "spare")
    seen = set()
    with files.connect() as client:
        for turn in range(400):
            if turn % 2:
                os.symlink(os.path.join(site, "..", "secret"), spare)
            else:
                with open(spare, "wb") as file:
                    file.write(b"plain")
            client.send(make_request(target="/static/race") * 2)
            os.rename(spare, race)
            seen |= {client.response().body for _ in range(2)}
    assert SECRET not in seen and b"plain" in seen


# --- methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get"])
def test_other_methods_are_not_allowed(files, method):
    response = files.request(method, "/static/text.txt", body=b"content")
    assert (response.status, response["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_options_says_which_are(files):
    response = files.request("OPTIONS", "/static/text.txt")
    assert (response.status, response["Allow"]) == (204, "GET, HEAD, OPTIONS")


def test_content_of_a_get_is_read_and_dropped(files):
    fields = {"Transfer-Encoding": "chunked"}
    with files.connect() as client:
        for body in (b"x" * 100, b"y" * 600_000):
            assert client.request(make_request(target="/static/text.txt", body=body)).body == TEXT
            request = make_request(target="/static/text.txt", fields=fields) + harness.chunked(body)
            assert client.request(request).body == TEXT
        assert client.request(make_request(target="/x")).body == b"app:/x "


# --- conditions ----------------------------------------------------------------------------------


def test_a_copy_that_is_still_right_is_not_sent_again(files):
    first = files.get("/static/text.txt")
    for fields in ({"If-None-Match": first["ETag"]}, {"If-Modified-Since": first["Last-Modified"]}):
        response = files.get("/static/text.txt", fields)
        assert (response.status, response.body) == (304, b"")
        for name in ("ETag", "Last-Modified", "Cache-Control", "Vary"):
            assert response[name] == first[name]
        assert not response.all("Content-Type")
        assert files.request("HEAD", "/static/text.txt", fields).status == 304


def test_conditions_have_their_order(files):
    tag = files.get("/static/plain.bin")["ETag"]
    late, early = formatdate(LONG_AGO + 1, usegmt=True), formatdate(LONG_AGO - 1, usegmt=True)
    for fields, status in [
        ({"If-None-Match": '"x"', "If-Modified-Since": late}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-Modified-Since": early}, 200),
        ({"If-Match": tag, "If-Unmodified-Since": early}, 200),
        ({"If-Match": '"x"', "If-None-Match": tag}, 412),
        ({"If-Unmodified-Since": early}, 412),
        ({"If-Unmodified-Since": late, "If-None-Match": tag}, 304),
        ({"If-Match": '"x"', "Range": "bytes=0-0"}, 412),
        ({"If-None-Match": tag, "Range": "bytes=0-0"}, 304),
    ]:
        assert files.get("/static/plain.bin", fields).status == status, fields


def test_a_tag_changes_with_the_file_and_is_weak_at_first(files):
    site = next(argument for argument in files.arguments if argument.startswith("/static=")).split("=")[1]
    path = os.path.join(site, "changing.txt")
    tags = []
    for when in (LONG_AGO, LONG_AGO + 1, None):
        with open(path, "w") as file:
            file.write("same")
        if when:
            os.utime(path, (when, when))
        tags.append(files.get("/static/changing.txt")["ETag"])
    assert len(set(tags)) == 3
    assert [tag.startswith("W/") for tag in tags] == [False, False, True]
    assert files.get("/static/changing.txt", {"If-None-Match": tags[2]}).status == 304
    part = files.get("/static/changing.txt", {"Range": "bytes=0-0", "If-Range": tags[2]})
    assert (part.status, part.body) == (200, b"same")


# --- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, extent, content",
    [
        ("0-0", "0-0", b"\x00"),
        ("254-257", "254-257", b"\xfe\xff\x00\x01"),
        ("1020-", "1020-1023", b"\xfc\xfd\xfe\xff"),
        ("1020-9999", "1020-1023", b"\xfc\xfd\xfe\xff"),
        ("-2", "1022-1023", b"\xfe\xff"),
        ("5-5,5000-", "5-5", b"\x05"),
    ],
)
def test_a_range_is_sent(files, asked, extent, content):
    response = files.get("/static/plain.bin", {"Range": f"bytes={asked}"})
    assert (response.status, response.body) == (206, content)
    assert response["Content-Range"] == f"bytes {extent}/1024"
    assert response["Content-Type"] == "application/octet-stream"


def test_several_ranges_are_sent_in_parts(files):
    response = files.get("/static/plain.bin", {"Range": "bytes=1-2, -1, 256-257"})
    assert response.status == 206 and not response.all("Content-Range")
    assert parts_of(response) == [
        ("bytes 1-2/1024", b"\x01\x02"),
        ("bytes 1023-1023/1024", b"\xff"),
        ("bytes 256-257/1024", b"\x00\x01"),
    ]


def test_no_range_of_it_is_there(files):
    for target, size in (("/static/plain.bin", 1024), ("/static/empty.html", 0)):
        response = files.get(target, {"Range": "bytes=5000-"})
        assert (response.status, response["Content-Range"]) == (416, f"bytes */{size}")


def test_s10_many_ranges_are_bounded(files):
    """CVE-2011-3192: parts that are together many times the file."""
    sixteen = ",".join(f"{2 * number}-{2 * number}" for number in range(16))
    assert len(parts_of(files.get("/static/plain.bin", {"Range": f"bytes={sixteen}"}))) == 16
    for asked in (f"{sixteen},100-100", "0-,0-", "0-10,5-15", ",".join(["0-"] * 1300), "5-4", "x", ""):
        response = files.get("/static/plain.bin", {"Range": f"bytes={asked}"})
        assert (response.status, len(response.body)) == (200, 1024), asked


def test_if_range_asks_for_all_when_the_file_is_another(files):
    tag = files.get("/static/plain.bin")["ETag"]
    for condition, status in [(tag, 206), (DATE, 206), ('"x"', 200), (f"W/{tag}", 200), ("nonsense", 200)]:
        fields = {"Range": "bytes=0-0", "If-Range": condition}
        assert files.get("/static/plain.bin", fields).status == status, condition


def test_head_has_no_ranges(files):
    response = files.request("HEAD", "/static/plain.bin", {"Range": "bytes=0-0"})
    assert (response.status, response["Content-Length"]) == (200, "1024")


# --- codings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accepted, coding, content",
    [
        (None, None, TEXT),
        ("gzip", "gzip", b"as gzip"),
        ("gzip, deflate, br", "br", b"as brotli"),
        ("br;q=0.2, gzip;q=0.3", "gzip", b"as gzip"),
        ("gzip;q=0, br;q=0", None, TEXT),
        ("*", "br", b"as brotli"),
        ("deflate", None, TEXT),
    ],
)
def test_a_coded_file_is_sent_to_who_wants_it(files, accepted, coding, content):
    fields = {"Accept-Encoding": accepted} if accepted else {}
    response = files.get("/static/both.css", fields)
    assert (response.get("Content-Encoding"), response.body) == (coding, content)
    assert response["Vary"] == "Accept-Encoding"
    assert response["Content-Type"] == "text/css; charset=utf-8"


def test_each_coding_has_its_own_tag(files):
    tags = {
        accepted: files.get("/static/both.css", {"Accept-Encoding": accepted})["ETag"]
        for accepted in ("identity", "gzip", "br")
    }
    assert len(set(tags.values())) == 3
    fields = {"Accept-Encoding": "br", "If-None-Match": tags["gzip"]}
    assert files.get("/static/both.css", fields).status == 200


def test_ranges_are_of_what_is_sent(files):
    fields = {"Accept-Encoding": "gzip", "Range": "bytes=0-9"}
    response = files.get("/static/text.txt", fields)
    assert (response.status, response.body) == (206, CODED[:10])
    assert response["Content-Range"] == f"bytes 0-9/{len(CODED)}"
    assert files.get("/static/text.txt", {**fields, "Range": "bytes=0-0,5-5"}).body == CODED


def test_a_coded_file_that_is_older_is_not_used(files):
    response = files.get("/static/stale.js", {"Accept-Encoding": "gzip"})
    assert (response.get("Content-Encoding"), response.body) == (None, b"new")
    assert files.get("/static/text.txt.gz", {"Accept-Encoding": "gzip"}).get("Content-Encoding") is None


# --- connections ---------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_a_pipeline(files):
    targets = ["/static/text.txt", "/a", "/static/nothing", "/static/plain.bin", "/b", "/static/sub"]
    with files.connect() as client:
        client.send(b"".join(make_request(target=target) for target in targets))
        statuses = [client.response().status for _ in targets]
    assert statuses == [200, 200, 404, 200, 200, 301]


def test_connections_end_as_for_the_application(files):
    with files.connect() as client:
        response = client.request(make_request(target="/static/text.txt", fields={"Connection": "close"}))
        assert response.connection() == {"close"}
        client.expect_end()
    with files.connect() as client:
        response = client.request(make_request(target="/static/text.txt", version="1.0"))
        assert (response.body, response.connection()) == (TEXT, {"close"})
        client.expect_end()
    with files.connect() as client:
        kept = make_request(target="/static/text.txt", fields={"Connection": "keep-alive"}, version="1.0")
        for _ in range(2):
            assert client.request(kept).connection() == {"keep-alive"}


def test_any_split_gives_the_same_answer(files):
    request = make_request(target="/static/plain.bin", fields={"Range": "bytes=0-1,3-3"})
    with files.connect() as client:
        client.send_each(request[at : at + 1] for at in range(len(request)))
        assert len(parts_of(client.response())) == 2


def test_a_large_file_reaches_a_slow_reader_whole(serve, tmp_path):
    content = os.urandom(1 << 16) * 80  # 5 MiB
    write(tmp_path / "large.bin", content)
    server = serve(APP, "--static", f"/s={tmp_path}")
    with server.connect(receive_buffer=4096) as slow:
        slow.send(make_request(target="/s/large.bin"))
        assert server.get("/app").body == b"app:/app "  # which the other does not hold up
        assert slow.response().body == content


def test_a_pipeline_holds_few_descriptors(start, tmp_path):
    """Without an access log, which waits for each 16 answers to be sent."""
    write(tmp_path / "byte", b"1")
    (tmp_path / "app.py").write_text(APP)
    process = start("--port", "0", "--static", f"/s={tmp_path}", "app")
    worker = harness.children(process.pid)[0]
    with harness.Client(process.served_at()) as client:
        assert client.request(make_request("GET", "/s/byte")).body == b"1"
        limit = len(harness.links(worker)) + 20
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
        client.send(make_request("GET", "/s/byte") * 300)
        assert all(client.response().body == b"1" for _ in range(300))


def test_a_file_that_is_overwritten_ends_the_connection(serve, tmp_path):
    site = make_tree(tmp_path)
    content = os.urandom(1 << 20) * 12
    path = write(site / "large", content)
    server = serve(APP, "--static", f"/s={site}")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request("GET", "/s/large"))
        client.response_head()
        with path.open("r+b") as file:
            file.seek(-1000, os.SEEK_END)
            file.write(b"!" * 1000)
        got = bytearray()
        while data := client.receive():
            got += data
    assert len(got) < len(content) and content.startswith(got)
    assert harness.outcome(server.wait_access(1)[0]) == "file-changed"


def test_a_file_that_shrinks_ends_the_connection(serve, tmp_path):
    content = os.urandom(1 << 16) * 320  # 20 MiB: more than sockets hold
    path = write(tmp_path / "large.bin", content)
    server = serve(APP, "--static", f"/s={tmp_path}")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/s/large.bin"))
        head = client.response_head()
        os.truncate(path, 0)
        with pytest.raises(harness.Truncated) as cut:
            client.response_body(head)
        assert content.startswith(cut.value.response.body) and cut.value.response.body
    assert harness.outcome(server.wait_access(1)[0]) == "file-changed"


def test_a_replaced_file_is_sent_as_it_was(serve, tmp_path):
    content = os.urandom(1 << 16) * 320
    path = write(tmp_path / "large.bin", content)
    server = serve(APP, "--static", f"/s={tmp_path}")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/s/large.bin"))
        head = client.response_head()
        write(tmp_path / "new", b"new").rename(path)
        assert client.response_body(head).body == content
    assert server.get("/s/large.bin").body == b"new"


def test_answers_are_logged(serve, tmp_path):
    write(tmp_path / "a.txt", TEXT)
    server = serve(APP, "--static", f"/s={tmp_path}", "--access-logformat", "%(r)s %(s)s %(b)s %(u)s")
    server.get("/s/a.txt")
    server.get("/s/nothing")
    server.request("HEAD", "/s/a.txt")
    server.get("/s/a.txt", {"Range": "bytes=0-1"})
    assert [line.rsplit(" ", 1)[0] for line in server.wait_access(4)] == [
        f"GET /s/a.txt HTTP/1.1 200 {len(TEXT)}",
        "GET /s/nothing HTTP/1.1 404 38",
        "HEAD /s/a.txt HTTP/1.1 200 0",
        "GET /s/a.txt HTTP/1.1 206 2",
    ]


def test_answers_are_counted(serve, tmp_path):
    site = make_tree(tmp_path)
    server = serve(APP, "--static", f"/s={site}", "--status", "127.0.0.1:0")
    address = harness.parse_address(server.wait_log(r"status on (\S+)")[1])
    with server.connect() as client, harness.Client(address) as status:
        for target in ("/s/text.txt", "/s/none", "/s/sub/") * 5:
            client.request(make_request("GET", target))
        text = status.request(make_request("GET", "/metrics")).text
    metrics = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))
    assert metrics['cserve_requests_total{code="2xx"}'] == "10"
    assert metrics['cserve_requests_total{code="4xx"}'] == "5"
    assert metrics["cserve_request_duration_seconds_count"] == "15"
    assert 0 < float(metrics["cserve_request_duration_seconds_sum"]) < 15
    states = {name: float(value) for name, value in metrics.items() if name.startswith("cserve_connections")}
    assert states and all(0 <= value <= 1 for value in states.values()), states


def test_requests_are_shown(serve, tmp_path):
    write(tmp_path / "a.txt", TEXT)
    server = serve(APP, "--static", f"/s={tmp_path}", "--show-requests")
    server.get("/s/a.txt")
    server.wait_output(r"GET /s/a\.txt HTTP/1\.1.*HTTP/1\.1 200 OK.*ETag: ")


def test_limits_hold(serve, tmp_path):
    write(tmp_path / "a.txt", TEXT)
    limits = ("--limit-request-line", "64", "--limit-request-body", "9")
    server = serve(APP, "--static", f"/s={tmp_path}", *limits)
    assert server.get("/s/a.txt?" + "x" * 64).status == 414
    assert server.get("/s/a.txt", body=b"x" * 10).status == 413
    assert server.get("/s/a.txt", body=b"x" * 9).body == TEXT


# --- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--workers", "3"), ("--preload", "--workers", "2")])
def test_every_worker_serves_them(serve, tmp_path, options):
    write(tmp_path / "a.txt", TEXT)
    server = serve(APP, "--static", f"/s={tmp_path}", *options)
    for _ in range(10):
        assert server.get("/s/a.txt").body == TEXT


def test_the_environment_may_name_several(serve, tmp_path):
    for name in "ab":
        write(tmp_path / name / "file", name.encode())
    server = serve(APP, env={"CSERVE_STATIC": f"/a={tmp_path}/a /b={tmp_path}/b"})
    assert server.get("/a/file").body + server.get("/b/file").body == b"ab"
    assert not server.get("/a/file").all("Cache-Control")


def test_a_reload_reads_them_anew(serve, tmp_path):
    write(tmp_path / "one/file", b"one")
    write(tmp_path / "two/file", b"two")
    config = tmp_path / "cserve.ini"
    config.write_text(f"[cserve]\nstatic = /s={tmp_path}/one\n")
    server = serve(APP, "--config", config)
    assert server.get("/s/file").body == b"one"
    config.write_text(f"[cserve]\nstatic = /s={tmp_path}/two\n")
    server.signal(signal.SIGHUP)
    harness.eventually(lambda: server.get("/s/file").body == b"two")
    config.write_text("[cserve]\nstatic = /s=/nowhere\n")
    server.expect_log(r"cserve\.ini:2: static /s=/nowhere: No such file or directory")
    server.expect_log("the options cannot be read again, so all stays as it is")
    server.signal(signal.SIGHUP)
    server.check()
    assert server.get("/s/file").body == b"two"


@pytest.mark.parametrize(
    "value, reason",
    [
        ("/s=/nowhere", "--static /s=/nowhere: No such file or directory"),
        ("/s=/dev/null", "--static /s=/dev/null: Not a directory"),
        ("static", '--static must be /PREFIX=DIR, for example /static=./static, not "static"'),
        ("/=.", "--static / is every path, so that the application would never be called; give it a prefix"),
        ("/a b=.", "--static /a b: a prefix is made of letters, digits, - . _ ~ and single slashes"),
    ],
)
def test_what_cannot_be_served_stops_the_start(run, value, reason):
    app = harness.ROOT / "apps/hello.py"
    for order, expected in (("--check", 1), ("--threads=1", 2)):
        status, _, log = run(order, "--port", "0", "--static", value, app)
        assert (status, log.splitlines()[0].startswith(f"cserve: {reason}")) == (expected, True), log


def test_the_configuration_is_printed(run, tmp_path):
    _, output, _ = run("--print-config", "--static", f"/s={tmp_path}", "--static-max-age", "5", "app")
    assert re.search(rf"^static .*/s={tmp_path}.*command line", output, re.MULTILINE), output
    assert re.search(r"^static-max-age .*5 .*command line", output, re.MULTILINE), output
