"""From this directory to an installed package: sdist, wheel, fresh environment, each Python that is here."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import setuptools

import harness

pytestmark = pytest.mark.package

FLASK = """
from flask import Flask

app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: "Flask is here")
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
"""
DIRECTORIES = ("src", "include", "apps", "docs", "tests", ".ci")
FILES = ("Makefile", "README.md", "LICENSE", "pyproject.toml", "setup.cfg")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so", "*.egg-info", ".*_cache", ".hypothesis")
# setuptools is the one that runs these tests, so that nothing is fetched.
LIBRARY = Path(setuptools.__file__).parent.parent


def build(python, directory, hook):
    """What a hook of the backend makes: the path of the file."""
    program = f"import os, backend; print('made', backend.{hook}(os.path.abspath('../dist')))"
    (directory.parent / "dist").mkdir(exist_ok=True)
    path = f"{directory / 'src/package'}:{LIBRARY}"
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([python, "-c", program], cwd=directory, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory.parent / "dist" / done.stdout.rsplit("made ", 1)[1].strip()


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist, unpacked; it was made of a copy of this directory."""
    top = tmp_path_factory.mktemp("sdist")
    copy = top / "copy"
    copy.mkdir()
    for name in DIRECTORIES:
        shutil.copytree(harness.ROOT / name, copy / name, ignore=LEFT_BEHIND, symlinks=True)
    for name in FILES:
        shutil.copy(harness.ROOT / name, copy)
    names = {path.relative_to(copy) for path in copy.glob("**/*") if path.is_file()}
    archive = build(sys.executable, copy, "build_sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(top)
    return top / archive.name.removesuffix(".tar.gz"), names


def test_the_sdist_has_all_that_make_and_pip_need(sdist):
    directory, names = sdist
    assert len(names) > 100 and not [name for name in names if not (directory / name).is_file()]


@pytest.fixture(scope="module")
def wheels(sdist):
    """wheel(python): the wheel that this interpreter makes of the sdist."""
    made = {}

    def wheel(python):
        if python not in made:
            made[python] = build(python, sdist[0], "build_wheel")
        return made[python]

    return wheel


@pytest.mark.parametrize("python", harness.interpreters())
def test_every_python_here_builds_a_wheel_that_serves(wheels, python, tmp_path):
    with zipfile.ZipFile(wheels(python)) as archive:
        names = {Path(name).name for name in archive.namelist()}
        archive.extractall(tmp_path)
    assert {"__init__.py", "__main__.py", "paste.py", "_core.pyi", "py.typed", "entry_points.txt"} <= names
    (tmp_path / "app.py").write_text(APP)
    arguments = ["-m", "cserve", "--port", "0", "app"]
    process = harness.Process(python, arguments, tmp_path, {"PYTHONPATH": tmp_path})
    try:
        process.wait_output(r"^Serving HTTP on \S+ \.\.\.\n")
        assert process.fetch().body == b"x"
        assert f", {python}\n" in process.log()
        process.signal(15)
        assert process.wait() == 0
    finally:
        process.kill()


def test_a_fresh_environment_serves_a_flask_project_elsewhere(wheels, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    base = Path(sys.base_prefix, "bin/python{}.{}".format(*sys.version_info))
    subprocess.run([*pip, wheels(os.path.realpath(base))], check=True)
    next((venv / "lib").glob("python3*/site-packages/")).joinpath("flask.pth").write_text(f"{LIBRARY}\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(FLASK)
    server = harness.Server(venv / "bin/cserve", "app:app", cwd=project)
    try:
        assert server.get().text == "Flask is here"
        server.stop()
        server.check()
    finally:
        server.kill()
