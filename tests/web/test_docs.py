"""README.md and docs/ are true: their commands are run, and what they show is compared with what comes.

What is run, and how, is said by the page itself, so that a new page needs nothing here:

- A block ```console has commands behind `$ `, in bash, one after another, in one directory for the page. What
  follows a command is what it shows: each line must come, whatever comes between.
- A command that serves goes on in the background until the next one with cserve in it; Ctrl-C ends it then,
  which must leave status 0. If it shows a request that no curl has made, one for /hello is made.
- What stands behind telnet up to the first empty line is typed.
- A block ```python, ```ini or such whose first line is `# NAME` is a file of that name.
- PLACES has what a page takes for granted, SKIPPED what cannot be run here, and why.

Ports are free ones, shown as those of the page. ELSEWHERE has the pages that other tests run.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import harness

PAGES = [harness.ROOT / "README.md", *sorted(harness.ROOT.glob("docs/*.md"))]
ELSEWHERE = {  # pages whose commands need more than a terminal, and the tests that run them
    "docs/deployment.md": "deployment.py",
    "docs/developing.md": "test_developing_doc.py",
    "docs/python.md": "../package/test_python_doc.py",
    "docs/static.md": "test_static_doc.py",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SKIPPED = {
    r"make( run| test| pgo)?$|(sudo )?make .*": "builds what is tested here, and is tested by test_build.py",
    r"pip install ": "needs the network; the packages are those of the tests",
    r"sudo |apt-get |systemctl |journalctl ": "changes the machine",
    r"docker |podman |kubectl ": "needs a daemon",
}

# What is another at each run, or on each machine.
CHANGING = [
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
    (r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d ?[+-]\d\d:?\d\d", "TIME"),
    (r"\[\d+\]", "[PID]"),
    (r'("(?:pid|worker|thread|\w+_us)":)\d+', r"\1N"),
    (r"\d+ us$", "N us"),
    (r"Python [\d.]+ \([\w ]+\), [^\"]*", "PYTHON"),
    (r"curl/[\d.]+", "curl"),
    (r'("bytes_in":)\d+', r"\1N"),
    (r"  +", "  "),
    (r"^((?:recvfrom|sendto)\()\d+", r"\1FD"),
]

MYSITE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here\\n"]

def create_app(name=None):
    return app
"""
MYPYRAMID = """
from pyramid.config import Configurator

def main(settings, **more):
    return Configurator(settings=settings).make_wsgi_app()
"""
PLACES = {
    "README.md": {
        "mysite.py": MYSITE,
        "mypyramid.py": MYPYRAMID,
        "development.ini": "[app:main]\npaste.app_factory = mypyramid:main\n",
    },
    "docs/configuration.md": {"mysite.py": MYSITE, "mysite.ini": "# mysite\n[cserve]\nwrokers = 4\n"},
}


def name_of(page):
    return str(page.relative_to(harness.ROOT))


def blocks(text):
    return [(match[1], match[2]) for match in FENCE.finditer(text)]


def commands(block):
    """(command, the lines it shows) of a block of a console."""
    found = []
    for line in block.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            assert found, f"output without a command: {line}"
            found[-1][1].append(line)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Session:
    """A terminal, as far as a page needs one: a directory, the environment, and maybe a server that runs."""

    def __init__(self, binary, place):
        self.place = place / "place"
        self.place.mkdir()
        self.state = place / "state"
        self.ports = {port: str(free_port()) for port in ("8888", "8000", "8001", "9000")}
        self.server = self.shown = None
        (place / "bin").mkdir()
        (place / "bin/cserve").symlink_to(binary)
        path = os.pathsep.join([str(place / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]])
        self.env = {"PATH": path, "CSERVE_PORT": self.ports["8888"], "HOME": str(place)}
        self.env["VIRTUAL_ENV"] = None if sys.prefix == sys.base_prefix else sys.prefix
        if harness.is_sanitized(binary):
            self.env |= harness.SANITIZED
        self.state.write_text(f"cd '{self.place}'\n")
        for each in ("apps", "docs", "src", "README.md"):
            (self.place / each).symlink_to(harness.ROOT / each)

    def write(self, name, text):
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text))

    def here(self, text):
        """With this machine's ports, and back."""
        for port, free in self.ports.items():
            text = re.sub(rf"(?<=[: ]){port}\b", free, text)
        return text

    def there(self, text):
        for port, free in self.ports.items():
            text = text.replace(free, port)
        return text

    def comparable(self, text):
        text = self.there(text).replace("\r", "")
        for pattern, replacement in CHANGING:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        return [line.rstrip() for line in text.splitlines()]

    def start(self, command):
        script = f". {self.state}\n"
        if re.match(r"(\w+=\S+ )*(cserve|strace) [^|&;]*$", command):
            script += re.sub(r"^((?:\w+=\S+ )*)", r"\1exec ", command)
        else:
            keep = f"export -p > {self.state}\necho cd \"'$PWD'\" >> {self.state}"
            script += f"{command}\nstatus=$?\n{keep}\nexit $status"
        return harness.Process("/bin/bash", ["-c", script], self.place, self.env)

    def run(self, command, shown):
        if re.match(r"telnet ", command):
            return self.telnet(command, shown)
        if "cserve" in command:
            self.stop()
        process = self.start(self.here(command).replace(" -m venv ", " -m venv --without-pip "))
        try:
            ended = harness.eventually(
                lambda: (
                    not process.is_running()
                    or ("cserve" in command and harness.SERVING.search(process.output()))
                ),
                60,
                command,
            )
        except BaseException:
            process.kill()
            raise
        if ended is not True:
            self.server, self.shown, self.command = process, shown, command
            return None
        status = process.wait()
        refused = any(re.match("cserve: (?!.* in order$)", line) for line in shown)
        assert (status == 0) != refused or "|" in command, (
            f"$ {command}\n{status}\n{process.output()}{process.log()}"
        )
        self.compare(command, shown, process.output() + process.log())
        made = re.match(r"python3 -m venv .*?(\S+)$", command)
        if made:
            self.lend_packages(self.place / made[1])
        return None

    def lend_packages(self, venv):
        for directory in venv.glob("lib/python*/site-packages"):
            (directory / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def compare(self, command, shown, text):
        seen = self.comparable(text)
        missing = [line for line in self.comparable("\n".join(shown)) if line not in (*seen, "")]
        assert not missing, f"$ {command}\n" + "\n".join(["does not show", *missing, "but", *seen])

    def telnet(self, command, shown):
        start = next(at for at, line in enumerate(shown) if line.startswith("Escape character")) + 1
        end = shown.index("", start)
        peer = subprocess.Popen(
            self.here(command).split(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = harness.Output(peer.stdout)
        try:
            assert output.wait("Escape character")
            peer.stdin.write("\n".join([*shown[start:end], "", ""]).encode())
            peer.stdin.flush()
            answer = shown[:start] + shown[end:]
            wanted = [re.escape(line) for line in answer if line and line[0] not in "DC"][-1]
            assert output.wait(wanted), output.text()
            if "Connection closed by foreign host." in shown:
                output.join()
            self.compare(command, answer, output.text())
        finally:
            peer.stdin.close()
            peer.kill()
            peer.wait()
            output.join()

    def stop(self):
        if self.server is None:
            return
        process, self.server = self.server, None
        try:
            text = "\n".join(self.comparable(process.output() + process.log()))
            if any(line and line not in text for line in self.comparable("\n".join(self.shown))):
                subprocess.run(
                    ["curl", "-s", f"http://127.0.0.1:{self.ports['8888']}/hello"], stdout=subprocess.DEVNULL
                )
            process.signal_group(signal.SIGINT)
            assert process.wait() == 0, process.log()
            self.compare(self.command, self.shown, process.output() + process.log())
            assert not harness.PROBLEM.search(process.log()), process.log()
        finally:
            process.kill()


def is_skipped(command):
    return any(re.match(pattern, command) for pattern in SKIPPED)


RUN = [page for page in PAGES if name_of(page) not in ELSEWHERE]


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_commands_do_what_is_shown(cserve, tmp_path, page):
    session = Session(cserve, tmp_path)
    for name, text in PLACES.get(name_of(page), {}).items():
        session.write(name, text)
    try:
        for language, block in blocks(page.read_text()):
            named = re.match(r"# ([\w./-]+\.\w+)\n", block)
            if language == "console":
                for command, shown in commands(block):
                    if not is_skipped(command):
                        session.run(command, shown)
            elif language and named:
                session.write(named[1], block)
        session.stop()
    finally:
        if session.server:
            session.server.kill()


def test_pages_have_commands():
    found = [
        command
        for page in RUN
        for language, block in blocks(page.read_text())
        if language == "console"
        for command, _ in commands(block)
    ]
    assert sum(not is_skipped(command) for command in found) > 30


@pytest.mark.parametrize("page", ELSEWHERE)
def test_other_pages_have_a_test_of_their_own(page):
    assert Path(page).name in (harness.ROOT / "tests/web" / ELSEWHERE[page]).read_text()


# --- links -----------------------------------------------------------------------------------------


def anchors(path):
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, harness.ROOT / "src/README.md"], ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_lists_every_page():
    index = (harness.ROOT / "docs/README.md").read_text()
    for page in Path(harness.ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page
