"""docs/developing.md is true: its commands are run, and what it shows is compared with what comes."""

import re
import shlex

import pytest

import harness
from harness import make_request

TEXT = (harness.ROOT / "docs/developing.md").read_text()
SOURCE = re.search(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[1]
RELOAD, SHOW = re.findall(r"^```console\n\$ (cserve [^\n]*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SAVED, BROKEN = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
# What is another at each run, or on each machine.
CHANGING = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "TIME"),
    (r"http://127\.0\.0\.1:\d+/", "URL"),
    (r"\[\d+\]", "[PID]"),
    (r"worker \d+", "worker PID"),
    (r"Python [\d.]+ \([\w ]+\), .*", "PYTHON"),
    (r'File "[^"]*/', 'File "'),
    (r" +$", ""),
]


def comparable(text):
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text.splitlines()


@pytest.fixture
def start(cserve, tmp_path):
    processes = []
    (tmp_path / "hello.py").write_text(SOURCE)

    def start(command):
        processes.append(harness.Process(cserve, ["--port", "0", *shlex.split(command)[1:]], tmp_path))
        processes[-1].wait_output(r"^Serving HTTP on \S+")
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def seen(process, count):
    """What it has written, when its log has `count` lines."""
    harness.eventually(lambda: process.log().count("\n") >= count, what=f"{count} lines of log")
    return comparable(process.log() + process.output())


def test_save_and_see(start, tmp_path):
    process = start(RELOAD[0])
    assert process.fetch().body == b"Hello!\n"
    assert set(comparable(RELOAD[1])) <= set(seen(process, 1))
    (tmp_path / "hello.py").write_text(SOURCE.replace("Hello", "Welcome"))
    harness.eventually(lambda: process.fetch().body == b"Welcome!\n")
    assert set(comparable(SAVED)) <= set(seen(process, 4))
    (tmp_path / "hello.py").write_text(SOURCE.replace("Hello", "Welcome").replace("]\n", "\n"))
    page = harness.eventually(lambda: (got := process.fetch()).status == 500 and got).text
    shown = [line for line in comparable(BROKEN) if "^" not in line]
    lines = comparable(page)
    assert [line for line in lines if line in shown] == shown, page


def test_see_the_requests(start):
    process = start(SHOW[0])
    fields = {"Host": "127.0.0.1:8888", "User-Agent": "curl/7.88.1", "Accept": "*/*"}
    with harness.Client(process.served_at()) as client:
        client.request(make_request("GET", "/hello", fields))
    process.wait_output(r"^< Content-Length.*^< *\n")
    shown = comparable(SHOW[1])
    lines = seen(process, 1)
    at = lines.index(shown[0])
    assert lines[at : at + len(shown)] == shown
