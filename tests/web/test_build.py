"""How the code is laid out, built, documented and installed."""

import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

import harness

ROOT = harness.ROOT
SRC = ROOT / "src"
MAKE_VARIABLES = (
    "MAKE",
    "MFLAGS",
    "CFLAGS",
    "LDFLAGS",
    "BUILD",
    "VARIANT",
    "PYTHON",
    "CSERVE",
    "DESTDIR",
    "PREFIX",
)

# A file may include headers of its own room and of those before it; handler.h is where python and server
# meet, and program.h where the extension module and the program do.
ROOMS = ["base", "net", "http", "handler", "python", "server", "process", "config", "program", "main"]
HEADERS_WITHOUT_FILE = {"handler": "handler", "process": "process", "program": "handler", "python": "python"}

# All of libc that http/ may call: nothing that makes a system call. What begins as in OWN is a room's or the
# compiler's.
PURE = {
    "abort",
    "free",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "qsort",
    "snprintf",
    "strchr",
    "strlen",
    "strcmp",
    "vsnprintf",
}
OWN = (
    "http_",
    "media_",
    "scan_",
    "buf_",
    "mem_",
    "str_",
    "cidr_",
    "forwarded_",
    "__stack_chk",
    "__cpu_",
    "_GLOBAL_OFFSET",
    "__asan",
    "__ubsan",
)


def make(*arguments, env=None, check=True):
    """Run make here, free of what an outer make and its user set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(MAKE_VARIABLES)}
    result = subprocess.run(
        ["make", *map(str, arguments)],
        cwd=ROOT,
        env={**environment, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert not check or result.returncode == 0, result.stdout
    return result


def room_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "src":
        return parts[1].removesuffix(".c")
    stem = path.stem
    files = list(SRC.glob(f"*/{stem}.c"))
    return files[0].parent.name if files else HEADERS_WITHOUT_FILE[stem]


def includes():
    """(file, line as written, the file it includes or None for a system header) of all C code."""
    for path in sorted([*SRC.glob("**/*.[ch]"), *ROOT.glob("include/cserve/*.h")]):
        for name in re.findall(r'^#include ([<"].*[>"])', path.read_text(), re.MULTILINE):
            bare = name.strip('<>"')
            for directory in (path.parent, ROOT / "include"):
                if (directory / bare).is_file():
                    yield path, name, (directory / bare).resolve()
                    break
            else:
                yield path, name, None


def test_includes_point_down():
    for path, name, target in includes():
        assert (target is None) == name.startswith("<"), f"{path} includes {name}"
        if target is not None:
            here, there = ROOMS.index(room_of(path)), ROOMS.index(room_of(target))
            assert there <= here, f"{path} ({ROOMS[here]}) includes {name} ({ROOMS[there]})"
            assert (ROOMS[here], ROOMS[there]) != ("server", "python"), f"{path} includes {name}"
            assert target.parent.name == "cserve" or target.parent == path.parent, f"{path} includes {name}"


def test_only_the_python_room_knows_python():
    users = {path.relative_to(ROOT).parts[1] for path, name, _ in includes() if "Python.h" in name}
    assert users == {"python"}
    for path in [*SRC.glob("**/*.[ch]"), *ROOT.glob("include/cserve/*.h")]:
        if path.parent.name != "python":
            assert not re.search(
                r"\bPy[A-Z_]\w*", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
            ), path


def test_every_module_says_that_it_needs_no_gil():
    """A free-threaded interpreter turns the GIL on for the first module that does not."""
    made = {path.name: path.read_text() for path in SRC.glob("python/*.c")
            if re.search(r"\bPyModule_Create|\bPyModuleDef_Init", path.read_text())}
    assert "module.c" in made
    for name, code in made.items():
        assert "compat_declare_no_gil(" in code or "Py_MOD_GIL_NOT_USED" in code, name


@pytest.mark.binary
def test_http_makes_no_system_call(cserve):
    objects = sorted(cserve.parent.glob("http/*.o"))
    assert {path.stem for path in objects} >= {path.stem for path in SRC.glob("http/*.c")}
    for path in objects:
        listing = subprocess.check_output(["nm", "--undefined-only", path], text=True)
        for symbol in re.findall(r" U (\S+)", listing):
            assert symbol in PURE or symbol.startswith(OWN), f"{path.name} calls {symbol}"


def test_every_file_says_what_it_is_for():
    for path in [*SRC.glob("**/*.[ch]"), *ROOT.glob("include/cserve/*.h")]:
        assert path.read_text().startswith("/* SPDX-License-Identifier: MIT */\n/*"), path


def test_docs_are_current(cserve):
    written = (ROOT / "docs/options.md").read_text()
    assert subprocess.check_output([cserve, "--help-markdown"], text=True) == written, "run make docs"


def test_readme_names_only_options_that_exist(cserve):
    known = set(re.findall(r"--[\w-]+", subprocess.check_output([cserve, "--help"], text=True)))
    known |= {"--help-markdown", "--limit-request-field-size", "--check-config"}
    known |= {f"--no-{name}" for name in ("preload", "show-requests", "proxy-protocol")}
    known |= {"--wrokers"}  # which docs/configuration.md shows to be refused
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for command in re.findall(r"cserve [^\n`]*", path.read_text()):
            assert set(re.findall(r"(?<!\S)--[a-z][\w-]*", command)) <= known, f"{path}: {command}"


# --- make ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A build directory for all interpreters in turn: each must build anew what depends on it."""
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize(
    "python, linkage",
    [
        *((python, "static") for python in harness.interpreters()),
        *((python, "shared") for python in harness.interpreters()[:1]),
    ],
)
def test_every_python_here_builds_and_serves(build, python, linkage):
    env = {"CSERVE_PYTHON_LINK": linkage}
    make(f"PYTHON={python}", f"BUILD={build}", "-j2", env=env)
    binary = build / "release/cserve"
    version = subprocess.check_output(
        [python, "-c", "import platform; print(platform.python_version())"], text=True
    ).strip()
    shown = subprocess.check_output([binary, "--version"], text=True)
    assert f"(Python {version}, " in shown
    server = harness.Server(binary, ROOT / "apps/hello.py")
    try:
        assert server.get("/hello").body == b"Hello, World!\n"
        assert os.path.realpath(re.search(r", (/\S+)$", server.log(), re.MULTILINE)[1]) == os.path.realpath(
            python
        )
        server.stop()
        server.check()
    finally:
        server.kill()


def test_there_is_a_python_to_build_for():
    assert harness.interpreters()


def test_nothing_is_built_twice(build):
    python = harness.interpreters()[0]
    make(f"PYTHON={python}", f"BUILD={build}", "-j2")
    again = make(f"PYTHON={python}", f"BUILD={build}")
    assert " CC " not in again.stdout and " LINK " not in again.stdout
    other = make(f"PYTHON={python}", f"BUILD={build}", "CFLAGS=-DSOMETHING", "-n")
    assert other.stdout.count("-DSOMETHING") > 10


def test_install(cserve, build, tmp_path):
    python = harness.interpreters()[0]
    make("install", f"PYTHON={python}", f"BUILD={build}", f"DESTDIR={tmp_path}", "PREFIX=/opt/it", "-j2")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "opt/it/bin/cserve",
        "opt/it/share/man/man1/cserve.1",
        "opt/it/share/bash-completion/completions/cserve",
        "opt/it/share/zsh/site-functions/_cserve",
        "opt/it/share/fish/vendor_completions.d/cserve.fish",
        *(
            f"opt/it/share/doc/cserve/{name}"
            for name in ("README.md", "LICENSE", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")))
        ),
        *(f"opt/it/share/doc/cserve/docs/images/{path.name}" for path in ROOT.glob("docs/images/*")),
    }
    assert subprocess.check_output([tmp_path / "opt/it/bin/cserve", "--version"], text=True).startswith(
        "cserve "
    )
    assert (tmp_path / "opt/it/share/man/man1/cserve.1").read_text().startswith(".TH CSERVE 1 ")
    (tmp_path / "opt/it/bin/other").touch()
    make("uninstall", "PYTHON=/nowhere/python", f"DESTDIR={tmp_path}", "PREFIX=/opt/it")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other"]


def test_help_lists_the_targets_without_a_python(tmp_path):
    text = make("help", "PYTHON=/nowhere/python").stdout
    for target in ("run", "test", "install", "uninstall", "clean", "help", "docs", "unit", "bench-loop"):
        assert re.search(rf"^  {target} +[A-Z]", text, re.MULTILINE), text


def test_a_python_without_headers_is_explained(tmp_path):
    source = (
        "import runpy, sys, sysconfig\n"
        "sysconfig.get_path = lambda name: '/nowhere'\n"
        f"sys.argv = ['build_flags.py', {str(tmp_path / 'python.mk')!r}]\n"
        f"runpy.run_path({str(SRC / 'python/build_flags.py')!r}, run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert result.returncode == 1 and not (tmp_path / "python.mk").exists()
    assert "has no Python.h" in result.stderr and "apt-get install python3-dev" in result.stderr


# --- set-up ----------------------------------------------------------------------------------------


class Machine:
    """A PATH with stand-ins, to see what .ci/setup would install on a machine that has or lacks things."""

    TOOLS = (  # what tests use besides
        *("curl", "telnet", "wrk", "h2load", "chromium", "tmux", "valgrind"),
        *("strace", "openssl", "nginx", "haproxy", "ip", "systemd-analyze"),
        *("zsh", "fish", "groff", "mandoc"),
    )

    def __init__(self, directory):
        self.directory = directory
        self.log = directory / "installed"
        self.tool("apt-get", f'echo "$@" >> {self.log}')
        self.tool("python3", "exit 0")
        for name in ("gcc", *self.TOOLS):
            self.tool(name, "cat > /dev/null")
        for name in ("sh", "id", "cat", "basename", "grep", "env", "sudo"):
            if path := shutil.which(name):
                (directory / name).symlink_to(path)

    def tool(self, name, script):
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def lack(self, *names):
        for name in names:
            (self.directory / name).unlink()

    def setup(self, *arguments):
        """Exit status, output, and the arguments of apt-get."""
        result = subprocess.run(
            ["/bin/sh", ROOT / ".ci/setup", *arguments],
            env={"PATH": str(self.directory), "SBIN": ""},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return (
            result.returncode,
            result.stdout,
            self.log.read_text().splitlines() if self.log.exists() else [],
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_setup_installs_nothing_where_nothing_is_missing(machine):
    assert machine.setup() == machine.setup("test") == (0, "", [])


@pytest.mark.parametrize(
    "purpose, packages",
    [
        ([], "gcc libc6-dev python3 python3-dev python3-venv"),
        (
            ["test"],
            "gcc libc6-dev python3 python3-dev python3-venv libcmocka-dev curl telnet wrk "
            "nghttp2-client chromium tmux valgrind strace openssl nginx haproxy iproute2 systemd "
            "zsh fish groff-base mandoc",
        ),
    ],
)
def test_setup_installs_what_a_bare_machine_lacks(machine, purpose, packages):
    machine.lack("gcc", "python3", *machine.TOOLS)
    status, _, calls = machine.setup(*purpose)
    assert status == 0
    assert [call.split()[0] for call in calls] == ["update", "install"]
    assert calls[1].endswith(f" {packages}")


def test_setup_looks_for_headers_not_packages(machine):
    machine.tool("gcc", "! grep -q cmocka")
    assert machine.setup() == (0, "", [])
    assert machine.setup("test")[2][1].endswith("--no-install-recommends libcmocka-dev")


def test_setup_says_what_to_install_where_it_cannot(machine):
    machine.lack("curl", "apt-get")
    status, output, _ = machine.setup("test")
    assert status == 1 and output == "cserve: please install (the names are Debian's): curl\n"


def test_setup_reports_a_failing_installation(machine):
    machine.lack("curl")
    machine.tool("apt-get", "exit 100")
    assert machine.setup("test")[0] == 100
