"""What the tests of the package share: the interpreter that has it, and programs run by that."""

import textwrap

import pytest

import harness

CLIENT = """
import os, signal, sys, threading
import cserve
from cserve import ServerError, serve

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]

"""


@pytest.fixture(scope="session")
def python(cserve):
    """The interpreter of the environment that the package is installed in."""
    return cserve.parent / "python"


class Program(harness.Process):
    """A program that calls serve()."""

    def wait_served(self, times=1):
        """Until it serves, for the so-manieth time; what it answers then."""
        self.wait_output(r"(^Serving HTTP on \S+ .*?){%d}" % times)
        address = harness.parse_address(harness.SERVING.findall(self.output())[times - 1])
        with harness.Client(address) as client:
            return client.request(harness.make_request()).text


@pytest.fixture
def program(python, tmp_path):
    """program(source, argument..., env={}): what this source does in a process of its own."""
    programs = []

    def program(source, *arguments, env=None):
        (tmp_path / "program.py").write_text(CLIENT + textwrap.dedent(source))
        programs.append(Program(python, ["program.py", *arguments], tmp_path, env))
        return programs[-1]

    yield program
    for each in programs:
        each.kill()
