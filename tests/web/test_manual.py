"""The manual page, and the completion of commands in real shells."""

import os
import pty
import re
import signal
import subprocess

import pytest

import harness

OPTION = re.compile(r"^  (?:-\w, )?(--[\w-]+)", re.MULTILINE)
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SIGNALS", "ENVIRONMENT", "FILES", "EXIT STATUS"]


@pytest.fixture(scope="module")
def page(cserve, tmp_path_factory):
    path = tmp_path_factory.mktemp("man") / "cserve.1"
    path.write_bytes(subprocess.check_output([cserve, "--help-man"]))
    return path


def render(*command):
    done = subprocess.run(command, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return re.sub(".\b", "", done.stdout)


def test_the_manual_page_renders_without_a_warning(page):
    render("mandoc", "-T", "lint", "-W", "warning", page)
    render("groff", "-man", "-ww", "-z", "-T", "utf8", page)


@pytest.mark.parametrize(
    "command",
    [("mandoc", "-T", "ascii"), ("groff", "-man", "-T", "ascii", "-P", "-cbou")],
    ids=lambda c: c[0],
)
def test_the_manual_page_says_all(cserve, page, command):
    text = render(*command, page)
    headings = re.findall(r"^([A-Z][A-Z ]+)$", text, re.MULTILINE)
    assert headings == [*SECTIONS, "EXAMPLES", "SEE ALSO"]
    shown = re.findall(r"^ {7}(?:-\w, )?(--[\w-]+)(?: \S+)?$", text, re.MULTILINE)
    assert shown == OPTION.findall(subprocess.check_output([cserve, "--help"], text=True))
    for words in ("[options] MODULE[:APP]", "Range: 0 to 65535.", "CSERVE_LOG_LEVEL"):
        assert words in text
    version = re.match(r"cserve \S+", subprocess.check_output([cserve, "--version"], text=True))[0]
    assert version in text


# --- shells ----------------------------------------------------------------------------------------

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "cserve() {{ printf '<%s>' \"$@\"; echo .; }}\nsource {file}\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=({directory} $fpath); autoload -Uz compinit; compinit -u -d {directory}/dump\n"
        "cserve() {{ printf '<%s>' \"$@\"; echo . }}\n",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "function cserve; printf '<%s>' $argv; echo .; end; source {file}\n",
    ),
}


class Shell:
    """An interactive shell on a terminal, in which `cserve` prints its arguments."""

    def __init__(self, name, binary, directory):
        command, prepare = SHELLS[name]
        file = directory / "_cserve"
        file.write_bytes(subprocess.check_output([binary, "--completion", name]))
        self.place = directory / "place"
        self.place.mkdir()
        for each in ("site.py", "notes.txt", "logs.txt"):
            (self.place / each).touch()
        for each in ("venv.d", "static"):
            (self.place / each).mkdir()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(self.place)
            env = {**os.environ, "TERM": "dumb", "HOME": str(directory), "LC_ALL": "C.UTF-8"}
            for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "INPUTRC", "ZDOTDIR"):
                env.pop(variable, None)
            os.execvpe(command[0], command, env)
        self.output = harness.Output(os.fdopen(os.dup(self.terminal), "rb", buffering=0))
        self.enter(prepare.format(file=file, directory=directory) + "cserve rea\\dy\n", "<ready>")

    def enter(self, keys, expected):
        """Type; the arguments that the command had which printed `expected`."""
        start = len(self.output.text())
        os.write(self.terminal, keys.encode())
        found = self.output.wait(r"(?:<[^<>\r\n]*>)+(?=\.\r?\n)", start=start)
        assert found and found[0].replace("/>", ">") == expected, self.output.text()[start:]

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.output.join()
        os.close(self.terminal)


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, cserve, tmp_path_factory):
    shell = Shell(request.param, cserve, tmp_path_factory.mktemp(request.param))
    yield shell
    shell.end()


@pytest.mark.parametrize(
    "typed, expected",
    [
        ("--log-level war\t", "<--log-level><warning>"),
        ("--log-level=crit\t", "<--log-level=critical>"),
        ("--workers au\t", "<--workers><auto>"),
        ("-w au\t", "<-w><auto>"),
        ("--print-co\t", "<--print-config>"),
        ("--no-prel\t", "<--no-preload>"),
        ("--forwarded-headers f\t", "<--forwarded-headers><forwarded>"),
        ("--venv v\t", "<--venv><venv.d>"),
        ("--config lo\t", "<--config><logs.txt>"),
        ("--error-logfile no\t", "<--error-logfile><notes.txt>"),
        ("--user roo\t", "<--user><root>"),
        ("--preload sit\t", "<--preload><site.py>"),
        ("sit\t", "<site.py>"),
    ],
)
def test_shells_complete(shell, typed, expected):
    shell.enter(f"cserve {typed}\n", expected)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_option(cserve, shell):
    text = subprocess.check_output([cserve, "--completion", shell], text=True)
    for option in OPTION.findall(subprocess.check_output([cserve, "--help"], text=True)):
        name = f"-l {option[2:]}" if shell == "fish" else option
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), option
    assert "--help-man" not in text
    assert subprocess.run([shell, "-n"], input=text, text=True).returncode == 0
