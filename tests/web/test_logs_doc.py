"""docs/logs.md is true: its commands are run, and what it shows is compared with what comes."""

import re
import shlex

import pytest

import harness
from harness import make_request

TEXT = (harness.ROOT / "docs/logs.md").read_text()
# What is another at each run, or on each machine.
CHANGING = [
    (r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d ?[+-]\d\d:?\d\d", "TIME"),
    (r"http://127\.0\.0\.1:\d+/", "URL"),
    (r"\[\d+\]", "[PID]"),
    (r'("(?:pid|worker|thread|\w+_us)":)\d+', r"\1N"),
    (r"\d+ us$", "N us"),
    (r"Python [\d.]+ \([\w ]+\), [^\"]*", "PYTHON"),
]


def sessions():
    return re.findall(r"^```console\n\$ (cserve .*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE)


def comparable(line):
    for pattern, replacement in CHANGING:
        line = re.sub(pattern, replacement, line)
    return line


@pytest.mark.parametrize("command, shown", sessions())
def test_commands_do_what_is_shown(cserve, tmp_path, command, shown):
    (tmp_path / "apps").symlink_to(harness.ROOT / "apps")
    process = harness.Process(cserve, ["--port", "0", *shlex.split(command)[1:]], tmp_path)
    try:
        process.wait_output(r"^Serving HTTP on \S+")
        fields = {"Host": "127.0.0.1:8888", "User-Agent": "curl/7.88.1", "Accept": "*/*"}
        with harness.Client(harness.parse_address(harness.SERVING.search(process.output())[1])) as client:
            client.request(make_request("GET", "/hello", fields))
        process.signal(15)
        assert process.wait() == 0
    finally:
        process.kill()
    seen = [comparable(line) for line in (process.log() + process.output()).splitlines()]
    for line in shown.splitlines():
        assert comparable(line) in seen, f"{line}\nnot in\n" + "\n".join(seen)


def test_every_atom_is_described():
    source = (harness.ROOT / "src/server/access_atoms.c").read_text()
    rows = re.findall(r'^    \{(?:"(\w)"|NULL), (?:KEY\("(\w+)"\)|NULL, NULL), ', source, re.MULTILINE)
    assert {name for row in rows for name in row if name} == set(re.findall(r"%\((\w+)\)s", TEXT))


def test_every_atom_is_known(serve):
    atoms = " ".join(sorted(set(re.findall(r"%\(\w+\)s", TEXT))))
    variables = re.search(r"says: `HTTP_`.*?`wsgi\.url_scheme`", TEXT, re.DOTALL)[0]
    names = [name for name in re.findall(r"`([\w.]+)`", variables) if name != "HTTP_"]
    text = " ".join([atoms, *(f"%({{{name}}}e)s" for name in names)])
    server = serve(harness.ROOT / "apps/hello.py", "--access-logformat", text)
    server.get("/hello")
    assert server.wait_access(1)
