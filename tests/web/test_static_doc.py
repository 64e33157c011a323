"""docs/static.md is true: its commands are run, and what it shows is compared with what comes."""

import re
import shlex
import subprocess

import pytest

import harness
from harness import make_request

TEXT = (harness.ROOT / "docs/static.md").read_text()


def sessions(program):
    return re.findall(rf"^```console\n\$ ({program} .*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE)


def comparable(lines):
    """Without what is another at each run."""
    return [re.sub(r"(ETag|Date|Last-Modified): .*", r"\1", line) for line in lines]


@pytest.fixture
def server(cserve, tmp_path):
    """What the page starts, in a directory with what it needs."""
    (tmp_path / "apps").symlink_to(harness.ROOT / "apps")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/style.css").write_text("body{margin:0}\n")
    [(command, _)] = sessions("cserve")
    process = harness.Process(cserve, ["--port", "0", *shlex.split(command)[1:]], tmp_path)
    process.wait_output(r"^Serving HTTP on \S+")
    yield process
    process.signal(15)
    assert process.wait() == 0
    process.kill()


def get(process, target, **fields):
    with harness.Client(process.served_at()) as client:
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        return client.request(make_request(target=target, fields=names))


def test_the_file_is_shown_as_it_comes(server):
    [(command, shown)] = sessions("curl")
    response = get(server, re.search(r"8888(\S+)", command)[1])
    seen = [f"HTTP/1.1 {response.status} {response.reason}"]
    seen += [f"{name}: {value}" for name, value in response.fields]
    head, _, body = shown.partition("\n\n")
    assert comparable(seen) == comparable(head.splitlines())
    assert response.text.strip() == body.strip()


def test_compressed_files_are_made_as_it_says(server):
    [(command, _)] = sessions("gzip")
    subprocess.run(shlex.split(command), cwd=server.cwd, check=True)
    assert get(server, "/static/style.css", Accept_Encoding="gzip")["Content-Encoding"] == "gzip"
    assert get(server, "/static/style.css").text.startswith("body")


def test_numbers_are_those_of_the_code():
    queue = (harness.ROOT / "src/net/sendq.c").read_text()
    assert "FILE_PER_CALL = 256 * 1024" in queue and "256 KiB" in TEXT
    assert "FILE_PER_FLUSH = 1024 * 1024" in queue and "1 MiB" in TEXT
    ranges = (harness.ROOT / "include/cserve/range.h").read_text()
    assert "HTTP_RANGES_MAX 16" in ranges and "up to 16" in TEXT
