"""apps/hello.py, the yardstick, asked by every client at hand."""

import http.client
import subprocess
import urllib.request

import pytest

from places import APPS

TEXT = "Hello, World!\n"


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(APPS / "hello.py")


def test_requests(server, session):
    response = session.get(server.url + "hello")
    assert (response.status_code, response.reason, response.text) == (200, "OK", TEXT)
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Content-Length"] == str(len(TEXT))


def test_requests_keeps_its_connection(server, session):
    ports = set()
    for _ in range(20):
        with session.get(server.url + "hello", stream=True) as response:
            ports.add(response.raw.connection.sock.getsockname())
            assert response.text == TEXT
    assert len(ports) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_any_method_and_path(server, session, method):
    content = b"some content" if method != "GET" else None
    response = session.request(method, server.url + "any/path?at=all", data=content)
    assert (response.status_code, response.text) == (200, TEXT)


def test_head(server, session):
    response = session.head(server.url + "hello")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(TEXT))


def test_standard_library(server):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.url + "hello") as response:
        assert response.read().decode() == TEXT
    connection = http.client.HTTPConnection(*server.address)
    for _ in range(3):
        connection.request("GET", "/hello")
        assert connection.getresponse().read().decode() == TEXT
    connection.close()


def curl(*arguments):
    command = ["curl", "-sS", "--noproxy", "*", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(server):
    url = server.url + "hello"
    assert curl(url) == TEXT
    assert curl(url, url, url) == TEXT * 3
    assert curl("--http1.0", url) == TEXT
    facts = "%{http_code} %{http_version} %{size_download}"
    assert curl("-o", "/dev/null", "-w", facts, url) == "200 1.1 14"
    assert curl("-I", url).startswith("HTTP/1.1 200 OK\n")


def test_curl_waits_for_100_continue(server):
    log = curl("-v", "--stderr", "-", "-d", "x" * 100_000, "-H", "Expect: 100-continue", server.url + "hello")
    assert "< HTTP/1.1 100 Continue" in log and TEXT in log


def test_chromium(server, chromium):
    page = chromium.dump(server.url + "hello")
    assert "Hello, World!" in page
    server.wait_access(1)
    assert any('"GET /hello HTTP/1.1" 200 14' in line and "Chrome" in line for line in server.access_lines())
