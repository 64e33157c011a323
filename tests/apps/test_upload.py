"""apps/upload.py: large files pass through a small server."""

import hashlib
import re
import subprocess

import pytest

import harness
from guestbook_tests import blob, pieces
from places import APPS

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def server(serve_module, directory):
    return serve_module(APPS / "upload.py", env={"UPLOAD_DIR": directory})


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 262_144, 5_000_001])
def test_put_get_delete(server, session, directory, size, chunked):
    content = blob(size)
    url = server.url + "bär 1.bin"
    response = session.put(url, data=pieces(content, 70_000) if chunked else content)
    assert response.status_code == 201
    assert response.text == f"{size} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n"
    assert (directory / "bär 1.bin").read_bytes() == content
    assert 'href="b%C3%A4r%201.bin"' in session.get(server.url).text
    response = session.get(url)
    assert (response.content, response.headers["Content-Length"]) == (content, str(size))
    response = session.head(url)
    assert (response.content, response.headers["Content-Length"]) == (b"", str(size))
    assert session.delete(url).status_code == 204
    assert session.get(url).status_code == 404
    assert list(directory.iterdir()) == []


def test_names_and_methods(server, session, directory):
    for name in ("..%2fescape", ".hidden", "a%2fb", "%00", "a%0ab"):
        assert session.put(server.url + name, data=b"x").status_code == 404
    response = session.post(server.url + "x", data=b"x")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, PUT, DELETE")
    assert list(directory.iterdir()) == []


def test_200_megabytes_each_way_in_little_memory(server, session, tmp_path):
    block = blob(MEGABYTE)
    with open(tmp_path / "large", "wb") as file:
        for _ in range(200):
            file.write(block)
    session.get(server.url)
    before = harness.status_kb(server.worker, "VmHWM")
    url = server.url + "large"
    curl = ["curl", "-sS", "--noproxy", "*", url]
    done = subprocess.run([*curl, "-T", tmp_path / "large"], capture_output=True, text=True)
    assert re.match(f"{200 * MEGABYTE} bytes, ", done.stdout), done.stderr
    subprocess.run([*curl, "-o", tmp_path / "back"], check=True)
    subprocess.run(["cmp", tmp_path / "large", tmp_path / "back"], check=True)
    assert session.delete(url).status_code == 204
    if not server.sanitized:  # whose quarantine is not the server's
        assert harness.status_kb(server.worker, "VmHWM") - before < 16 * 1024
