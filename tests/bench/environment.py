"""The virtual environment of the benchmarks: made anew for another interpreter, with each server that
installs. One that does not is no error: why not is kept, and stands in the report.
"""

import dataclasses
import functools
import shutil
import subprocess
import sys
from pathlib import Path

from servers import ROOT, THIS_REPOSITORY

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
TELLING = ("fatal error", "Error:", "error:", "ERROR")  # marks of the line that says why, the best first


def run(*command):
    """(whether it succeeded, what it printed)."""
    result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, cwd="/")
    return result.returncode == 0, result.stdout.strip()


def reason(output):
    """The line that tells most, of pip's many."""
    lines = [line.strip().partition(" (from versions")[0] for line in output.splitlines()]
    line = next((line for mark in TELLING for line in lines if mark in line), lines[-1])
    return line.removeprefix("ERROR: ")


@dataclasses.dataclass(frozen=True)
class Installed:
    """What became of a server."""

    version: str
    missing: str  # why it is not there; "" if it is
    slower: str  # what would make it faster and is not there, and why


class Environment:
    def __init__(self, path):
        self.path = Path(path).resolve()
        self.python = self.path / "bin/python"

    def prepare(self):
        """Makes it, with frameworks and what draws the charts. Without these there is nothing to measure."""
        stamp = self.path / "made-from"
        made_from = f"{sys.executable} {sys.version}\n{REQUIREMENTS.read_text()}"
        if stamp.is_file() and stamp.read_text() == made_from:
            return
        print(f"making {self.path}", flush=True)
        shutil.rmtree(self.path, ignore_errors=True)
        for command in ([sys.executable, "-m", "venv", self.path], [*self.pip(), "-r", REQUIREMENTS]):
            succeeded, output = run(*command)
            if not succeeded:
                raise SystemExit(output)
        stamp.write_text(made_from)

    def pip(self):
        return [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    def version(self, distribution):
        """The installed one; "" if there is none."""
        program = f"import importlib.metadata as m; print(m.version({distribution!r}))"
        succeeded, output = run(self.python, "-c", program)
        return output if succeeded else ""

    def install_server(self, requirement):
        """(version, "") or ("", why not). Its dependencies are there already: requirements.txt pins them."""
        distribution, _, pinned = requirement.partition("==")
        if pinned and self.version(distribution) != pinned:
            print(f"installing {requirement}", flush=True)
            succeeded, output = run(*self.pip(), "--no-deps", "--no-build-isolation", requirement)
            if not succeeded:
                return "", reason(output)
        return pinned, ""

    def install_module(self):
        """cserve as a module, from this repository as it is now."""
        succeeded, output = run(*self.pip(), "--no-deps", "--no-build-isolation", "--force-reinstall", ROOT)
        if not succeeded:
            return "", reason(output)
        succeeded, output = run(self.python, "-m", "cserve", "--version")
        return (output, "") if succeeded else ("", reason(output))

    def install(self, kinds):
        """{name: Installed} of these rows of the table."""
        install = functools.cache(self.install_server)
        found = {}
        for kind in kinds:
            ours = kind.requirement == THIS_REPOSITORY
            version, missing = self.install_module() if ours else install(kind.requirement)
            _, slower = install(kind.faster)
            if missing and kind.packages:
                missing += f" (it needs Debian's {kind.packages})"
            found[kind.name] = Installed(version, missing, f"{kind.faster}: {slower}" if slower else "")
        return found
