"""The README is true: each of its commands is run, and what it shows is compared with what comes."""

import re
import shlex
import subprocess
import sys
import sysconfig

import pytest

import harness

README = (harness.ROOT / "README.md").read_text()
# What is another at each run, or on each machine.
CHANGING = [
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[\d+\]", "TIME [PID]"),
    (r"Python [\d.]+ \([\w ]+\), .*", "PYTHON"),
    (r"curl/[\d.]+", "curl/N"),
    (r"\r", ""),
]

FLASK = """
from flask import Flask

def create_app():
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "Flask is here")
    return app

app = create_app()
"""
PYRAMID = """
from pyramid.config import Configurator
from pyramid.response import Response

def main(global_config, **settings):
    config = Configurator(settings=settings)
    config.add_route("home", "/")
    config.add_view(lambda request: Response("Pyramid is here"), route_name="home")
    return config.make_wsgi_app()
"""
DEVELOPMENT_INI = """
[app:main]
use = call:mypyramid:main
"""
# What the application whose name holds the key answers to GET /.
ANSWERS = {"hello": "Hello, World!", "mysite": "Flask is here", "pyramid": "Pyramid is here",
           "myproject": "The install worked successfully!"}


def sessions():
    """The (command, output lines) of all console blocks, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield command, output.splitlines()


def comparable(text):
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text)
    return text


class Reader:
    """Somebody who types what the README says, in a directory with projects of theirs."""

    def __init__(self, directory, serve):
        self.directory = directory
        self.serve = serve
        self.environment = {"PYTHONDONTWRITEBYTECODE": "1"}
        self.hello = None  # the server that all clients are pointed at
        (directory / "apps").symlink_to(harness.ROOT / "apps")
        (directory / "mysite.py").write_text(FLASK)
        (directory / "mypyramid.py").write_text(PYRAMID)
        (directory / "development.ini").write_text(DEVELOPMENT_INI)

    def type(self, command, output):
        words = shlex.split(command)
        name = "source" if words[0] == "." else words[0].replace("-", "_")
        method = getattr(self, "type_" + name, None)
        assert method, f"the README has a command that its test does not know: {command}"
        method(words, output)

    def run(self, *words):
        done = subprocess.run(words, cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def type_make(self, words, output):
        """As far as it goes without building anew within the tests: what make would do."""
        build = self.directory / "build"
        settings = [f"BUILD={build}", f"PYTHON={sys.executable}"]
        self.run("make", "-n", "-C", str(harness.ROOT), *settings, *words[1:])

    def type_python3(self, words, output):
        assert words[1:] == ["-m", "venv", ".venv"]
        self.run(sys.executable, *words[1:], "--without-pip")

    def type_pip(self, words, output):
        """The packages are those that the tests have, not fetched again."""
        assert words[:2] == ["pip", "install"] and "VIRTUAL_ENV" in self.environment
        for name in words[2:]:
            __import__(name)
        packages = next((self.directory / ".venv/lib").glob("python3*/site-packages"))
        (packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def type_source(self, words, output):
        """What matters here of what activating does."""
        assert words[1:] == [".venv/bin/activate"] and (self.directory / words[1]).exists()
        self.environment["VIRTUAL_ENV"] = self.directory / ".venv"

    def type_django_admin(self, words, output):
        self.run(".venv/bin/python", "-m", "django", *words[1:])

    def type_cserve(self, words, output):
        *options, app = words[1:]
        server = self.serve(app, *options, env=self.environment)
        answer = next(text for name, text in ANSWERS.items() if name in app)
        path = "/hello" if app == "apps/hello.py" else "/"
        assert answer in self.curl(server.url.rstrip("/") + path)
        expected = [comparable(line) for line in output]
        if expected and not expected[0].startswith("TIME"):
            expected[:0] = self.shown(server)[:1]
        harness.eventually(lambda: self.shown(server)[:len(expected)] == expected,
                           what=f"{expected} of {self.shown(server)}")
        if app == "apps/hello.py" and not options:
            self.hello = server

    def shown(self, server):
        """The lines on a terminal where the server runs: its log (one line, before others) and its output."""
        return [self.local(line.rstrip(), server) for line in (server.log() + server.output()).splitlines()]

    @staticmethod
    def local(text, server):
        """As if the server had the README's port."""
        return comparable(text.replace(f":{server.port}", ":8888"))

    def curl(self, *words):
        return self.run("curl", "-sS", "--noproxy", "*", *words)

    def type_curl(self, words, output):
        words = [word.replace(":8888", f":{self.hello.port}") for word in words]
        assert self.curl(*words[1:]).splitlines() == output

    def type_telnet(self, words, output):
        """What stands between the last line of telnet's own and the answer is typed."""
        start = output.index("Escape character is '^]'.") + 1
        end = output.index("", start) + 1
        assert words[1:] == ["127.0.0.1", "8888"]
        telnet = subprocess.Popen(["telnet", "127.0.0.1", str(self.hello.port)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shown = harness.Output(telnet.stdout)
        try:
            telnet.stdin.write("".join(line + "\n" for line in output[start:end]).encode())
            telnet.stdin.flush()
            assert shown.wait(re.escape(output[-1])), shown.text()
        finally:
            telnet.stdin.close()
            telnet.wait()
        expected = comparable("\n".join(output[:start] + output[end:]))
        assert self.local(shown.text(), self.hello)[:len(expected)] == expected


@pytest.fixture
def reader(cserve, tmp_path):
    serve, stop = harness.server_factory(cserve, lambda: tmp_path)
    yield Reader(tmp_path, serve)
    stop()


def test_every_command(reader):
    commands = list(sessions())
    assert len(commands) >= 15
    for command, output in commands:
        reader.type(command, output)


def test_every_option_exists(cserve):
    text = subprocess.run([cserve, "--help"], capture_output=True, text=True, check=True).stdout
    offered = set(re.findall(r"--[a-z][\w-]+", text))
    named = set(re.findall(r"(?<=`)--[a-z][\w-]+|(?<=cserve )--[a-z][\w-]+", README))
    assert len(named) > 10 and named <= offered, named - offered


def test_option_reference_is_in_step(cserve):
    text = subprocess.run([cserve, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    assert (harness.ROOT / "docs/options.md").read_text() == text, "run `make docs`"


@pytest.mark.parametrize("page", ["README.md", "docs/applications.md"])
def test_every_file_that_is_named_exists(page):
    path = harness.ROOT / page
    text = path.read_text()
    links = [path.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    files = [harness.ROOT / name for name in re.findall(r"`((?:apps|docs|src|tests)/[^` ]+)`", text)]
    assert links or page != "README.md"
    for file in links + files:
        assert file.exists(), f"{page}: {file}"
