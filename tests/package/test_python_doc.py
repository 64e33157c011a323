"""docs/python.md is true: each of its commands is run, with the files that it shows."""

import os
import re
import shlex
import signal

import pytest

import harness

pytestmark = pytest.mark.package

PAGE = (harness.ROOT / "docs/python.md").read_text()
SITE = """
from pyramid.config import Configurator
from pyramid.response import Response

def make(global_conf, **settings):
    with Configurator() as config:
        config.add_route("home", "/")
        config.add_view(lambda request: Response("Hello from Pyramid\\n"), route_name="home")
    return config.make_wsgi_app()
"""
APP_SECTION = "[app:main]\nuse = call:site_of_one:make\n\n"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    return re.findall(r"^\$ (.*)$", "".join(blocks("console")), re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_every_command_serves(cserve, tmp_path, command):
    (program,) = blocks("python")
    (section,) = blocks("ini")
    (tmp_path / "mysite.py").write_text(program.replace("8888", "0"))
    (tmp_path / "site_of_one.py").write_text(SITE)
    (tmp_path / "development.ini").write_text(APP_SECTION + section.replace("6543", "0"))
    name, *arguments = shlex.split(command)
    env = {"CSERVE_PORT": "0", "PYTHONPATH": tmp_path, "PATH": f"{cserve.parent}:{os.environ['PATH']}"}
    process = harness.Process(cserve.parent / name, arguments, tmp_path, env)
    try:
        process.wait_output(r"^Serving HTTP on \S+ \.\.\.\n")
        assert process.fetch().text.startswith("Hello from ")
        process.signal(signal.SIGTERM)
        process.wait()
    finally:
        process.kill()


def test_every_keyword_that_is_named_exists(program):
    keywords = set(re.findall(r"`(\w+)=", PAGE.partition("## PasteDeploy")[0]))
    assert len(keywords) >= 7
    process = program(f"""
        for name in {sorted(keywords)}:
            try:
                serve(app, workers=0, threads="wrong", **{{name: None}})
            except ValueError:
                pass
            try:
                serve(app, **{{name: "\\0"}})
            except ValueError as error:
                assert "null" in str(error)
    """)
    assert process.wait() == 0, process.log()
